"""Where the Godot engine comes from, and how it is run.

Named by GODOT (such as the official release), or Debian sid's packages unpacked beside the system
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
VERSION = "4.6."  # what the addon is tested with
PACKAGES = ("godot", "godot-template-release", "libgl1", "libgl1-mesa-dri")
MORE_LIBRARIES = "usr/lib/x86_64-linux-gnu/pulseaudio"


class EngineMissing(Exception):
    """Godot cannot be had on this machine: says why, and what would help."""


@dataclass(frozen=True)
class GodotEngine:
    """A Godot that runs here."""

    command: tuple[str, ...]
    version: str
    root: Path | None  # of Debian's packages, which have the template for release exports too

    @property
    def release_template(self) -> Path | None:
        """Return the program that a release export is made of."""
        return self.root / "usr/bin/godot-template-release" if self.root else None

    def run(
        self, *arguments: str, seconds: float = 120, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end, without a screen."""
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
    """Return the engine, unpacked into a folder where it is not there yet.

    Raises:
        EngineMissing: there is no way to get it here.
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
    """Return what to put before a program of the packages, to run it with their libraries."""
    return debian.loader(root, "godot", MORE_LIBRARIES)


def main() -> int:
    """Fetch the engine and a screen before the tests, so that they find both; say what is there."""
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
