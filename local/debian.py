"""Unpacks programs from Debian's newest packages into a folder, and runs them with their loader.

Nothing is installed: apt downloads with our own settings into our own folder. With their own loader
and libraries, programs run here even if they are newer than this system's C library.
"""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from local.plain import plain
from local.terminal import Problem, step

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
LIBRARIES = "usr/lib/x86_64-linux-gnu"
UNPACKED = "unpacked"  # marks a folder as complete, and names the packages
DOWNLOAD_SECONDS = 600

_APT_SETTINGS = """\
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
Acquire::Check-Valid-Until "false"; // a mirror may lag behind; what it has is signed all the same
Debug::NoLocking "true";
"""
_SOURCE = """\
Types: deb
URIs: http://deb.debian.org/debian
Suites: sid
Components: main
Signed-By: {keyring}
"""


def unpack(what: str, packages: Sequence[str], folder: Path) -> Path:
    """Return the folder with these packages and their dependencies; download them if missing.

    Raises:
        Problem: this machine cannot use them, or the download failed.
    """
    root = folder / "root"
    done = folder / UNPACKED
    with _only_one(folder):
        if done.exists() and done.read_text() == " ".join(packages):
            return root
        _refuse(what)
        shutil.rmtree(folder, ignore_errors=True)
        with step(f"fetching {what} from Debian, into {folder.parent.name}/{folder.name}"):
            _download(packages, folder)
            root.mkdir()
            for package in sorted((folder / "cache/archives").glob("*.deb")):
                _call(["dpkg-deb", "--extract", str(package), str(root)])
            shutil.rmtree(folder / "cache")
            shutil.rmtree(folder / "state")
            done.write_text(" ".join(packages))
    return root


def loader(root: Path, name: str, *more_libraries: str) -> list[str]:
    """Return the command prefix that runs a program by this name, with its own libraries."""
    libraries = (root / LIBRARIES, root / "usr/lib", *(root / more for more in more_libraries))
    return [
        str(root / "usr/lib64/ld-linux-x86-64.so.2"),
        *("--argv0", name, "--library-path", ":".join(str(library) for library in libraries)),
    ]


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Make other processes wait that unpack into the same folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _refuse(what: str) -> None:
    """Refuse a machine that cannot download or run the packages."""
    machine = os.uname().machine
    if machine != "x86_64":
        raise Problem(
            f"{what} is fetched from Debian for x86_64 only, but this machine is {machine}"
        )
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise Problem(f"{what} is fetched from Debian, but this machine has no {program}")
    if not KEYRING.exists():
        raise Problem(f"{what} is fetched from Debian: install debian-archive-keyring first")


def _download(packages: Sequence[str], folder: Path) -> None:
    for part in ("empty", "state/lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "sid.sources").write_text(_SOURCE.format(keyring=KEYRING))
    settings = plain(folder) / "apt.conf"
    settings.write_text(_APT_SETTINGS.format(folder=plain(folder)))
    environment = {**os.environ, "APT_CONFIG": str(settings), "LC_ALL": "C.UTF-8"}
    _call(["apt-get", "-qq", "update"], environment)
    _call(["apt-get", "-qq", "--yes", "--download-only", "install", *packages], environment)


def _call(command: Sequence[str], environment: dict[str, str] | None = None) -> None:
    try:
        done = subprocess.run(  # noqa: S603  # our own command
            command,
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            timeout=DOWNLOAD_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise Problem(
            f"`{command[0]}` did not finish within {DOWNLOAD_SECONDS} s: check the network, and run"
            " it again"
        ) from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no error text"]
        raise Problem(f"`{' '.join(command[:2])} ...` failed: {lines[-1]}")
