"""Where the Godot engine comes from, and how it is run.

Named by GODOT (such as the official release), or Debian sid's packages unpacked beside the system
into `.local/godot` and run by their own loader: nothing is installed, and Debian 12 is enough.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from local.stack import ROOT
from local.terminal import say
from tests.godot.screen import install_screen

CACHE = ROOT / ".local" / "godot"
REQUIRED = "GAME_LOGIN_REQUIRE_GODOT"
VERSION = "4.6."  # what the addon is tested with
PACKAGES = ("godot", "godot-template-release", "libgl1", "libgl1-mesa-dri")
LOADER = "usr/lib64/ld-linux-x86-64.so.2"
LIBRARIES = ("usr/lib/x86_64-linux-gnu", "usr/lib", "usr/lib/x86_64-linux-gnu/pulseaudio")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
DONE = "unpacked.txt"  # holds the names of the packages

APT_SETTINGS = """\
Dir::Etc::SourceList "{folder}/sid.sources";
Dir::Etc::SourceParts "{folder}/empty";
Dir::Etc::Parts "{folder}/empty";
Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
APT::Architecture "amd64";
APT::Architectures {{"amd64";}};
APT::Install-Recommends "false";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Check-Valid-Until "false"; // a mirror may lag; the signature counts all the same
Debug::NoLocking "true";
"""
SOURCES = """\
Types: deb
URIs: http://deb.debian.org/debian
Suites: sid
Components: main
Signed-By: {keyring}
"""


class EngineMissing(Exception):
    """Godot cannot be had on this machine: says why, and what would help."""


@dataclass(frozen=True)
class Engine:
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


def find_engine(folder: Path) -> Engine:
    """Return the engine, unpacked into a folder where it is not there yet.

    Raises:
        EngineMissing: there is no way to get it here.
    """
    named = os.environ.get("GODOT")
    if named:
        return _checked((named,), None)
    root = folder / "root"
    done = folder / DONE
    if not done.exists() or done.read_text() != " ".join(PACKAGES):
        shutil.rmtree(folder, ignore_errors=True)
        _unpack_debian(folder, root)
        done.write_text(" ".join(PACKAGES))
    loader = str(root / LOADER)
    return _checked((loader, *libraries(root), str(root / "usr/bin/godot")), root)


def _checked(command: tuple[str, ...], root: Path | None) -> Engine:
    try:
        said = subprocess.run(
            [*command, "--version"], capture_output=True, text=True, timeout=30, check=False
        )
    except OSError as error:
        raise EngineMissing(f"{command[-1]} does not run: {error.strerror}") from None
    version = said.stdout.strip().splitlines()[-1] if said.stdout.strip() else "nothing"
    if not version.startswith(VERSION):
        raise EngineMissing(f"{command[-1]} is {version}, but the tests need {VERSION}x")
    return Engine(command, version, root)


def libraries(root: Path) -> tuple[str, ...]:
    """Return what the packages' own loader must know to run a program with their libraries."""
    folders = [root / folder for folder in LIBRARIES]
    path = ":".join(str(folder) for folder in folders)
    return ("--argv0", "godot", "--library-path", path)


def _unpack_debian(folder: Path, root: Path) -> None:
    """Download Debian sid's packages with an apt of our own, and unpack them."""
    machine = os.uname().machine
    if machine != "x86_64":
        raise EngineMissing(f"Debian's Godot is fetched for x86_64, not {machine}: set GODOT")
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise EngineMissing(f"{program} is missing: set GODOT to a Godot {VERSION}x")
    if not KEYRING.exists():
        raise EngineMissing(f"{KEYRING} is missing: install debian-archive-keyring, or set GODOT")
    for part in ("empty", "state/lists/partial", "cache/archives/partial", "root"):
        (folder / part).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "sid.sources").write_text(SOURCES.format(keyring=KEYRING))
    settings = folder / "apt.conf"
    settings.write_text(APT_SETTINGS.format(folder=folder))
    environment = {**os.environ, "APT_CONFIG": str(settings), "LC_ALL": "C.UTF-8"}
    _call(["apt-get", "-qq", "update"], environment)
    _call(["apt-get", "-qq", "--yes", "--download-only", "install", *PACKAGES], environment)
    for package in sorted((folder / "cache/archives").glob("*.deb")):
        _call(["dpkg-deb", "--extract", str(package), str(root)], environment)
    shutil.rmtree(folder / "cache")
    shutil.rmtree(folder / "state")


def _call(command: Sequence[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, timeout=600
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise EngineMissing(f"`{' '.join(command[:2])} ...` failed: {lines[-1]}")


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
