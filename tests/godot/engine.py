"""The Godot engine: finding or downloading it, and running it.

GODOT names an engine, such as the official release. Otherwise Debian sid's packages are unpacked
into `.local/godot` and run by their own loader: nothing is installed, and Debian 12 is enough.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from local import debian
from local.stack import ROOT
from local.terminal import Problem, say
from tests.godot.screen import install_screen

CACHE = ROOT / ".local" / "godot"
REQUIRED = "GAME_LOGIN_REQUIRE_GODOT"
VERSION = "4.6."  # the version that the addon is tested with
PACKAGES = ("godot", "godot-template-release", "libgl1", "libgl1-mesa-dri")
MORE_LIBRARIES = "usr/lib/x86_64-linux-gnu/pulseaudio"


class EngineMissing(Exception):
    """Godot is unavailable on this machine; the text gives the reason and the remedy."""


@dataclass(frozen=True)
class GodotEngine:
    """A Godot that runs on this machine."""

    command: tuple[str, ...]
    version: str
    root: Path | None  # of Debian's packages, which also have the template for release exports

    @property
    def release_template(self) -> Path | None:
        """Return the program that release exports are made from."""
        return self.root / "usr/bin/godot-template-release" if self.root else None

    def run(
        self, *arguments: str, seconds: float = 120, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the engine to its end, without a screen."""
        return subprocess.run(
            [*self.command, "--headless", *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
            env=environment,
        )


def find_engine(folder: Path) -> GodotEngine:
    """Return the engine; unpack it into a folder if necessary.

    Raises:
        EngineMissing: it is unavailable here.
    """
    named = os.environ.get("GODOT")
    if named:
        return _checked((named,), None)
    try:
        root = debian.unpack("Godot", PACKAGES, folder)
    except Problem as problem:
        raise EngineMissing(f"{problem}; or set GODOT to a Godot {VERSION}x") from None
    return _checked((*loader(root), str(root / "usr/bin/godot")), root)


def _checked(command: tuple[str, ...], root: Path | None) -> GodotEngine:
    try:
        said = subprocess.run(
            [*command, "--version"], capture_output=True, text=True, timeout=30, check=False
        )
    except OSError as error:
        raise EngineMissing(f"{command[-1]} does not run: {error.strerror}") from None
    version = said.stdout.strip().splitlines()[-1] if said.stdout.strip() else "nothing"
    if not version.startswith(VERSION):
        raise EngineMissing(f"{command[-1]} is {version}, but the tests need {VERSION}x")
    return GodotEngine(command, version, root)


def loader(root: Path) -> list[str]:
    """Return the command prefix that runs a program of the packages with their libraries."""
    return debian.loader(root, "godot", MORE_LIBRARIES)


def main() -> int:
    """Fetch the engine and a screen before the tests need them, and report the result."""
    install_screen()
    try:
        engine = find_engine(CACHE)
    except EngineMissing as missing:
        say(f"\nNO GODOT, SO NO TEST OF THE ADDON: {missing}\n")
        return 1 if os.environ.get(REQUIRED) == "1" else 0
    say(f"Godot {engine.version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
