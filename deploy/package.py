"""Builds the zip that a deployment uploads: `python -m deploy.package [--architecture] ZIP`.

It has the handler, the application, its CA certificates, the list of leaked passwords with its
notice, and the pinned dependencies, and nothing else; compiled for the runtime's Python, so that no
cold start compiles them. The same sources give the same bytes, so deploying an unchanged version
changes nothing. No Docker.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from deploy import argon2
from deploy.pins import hashed
from deploy.python import VERSION, find_python
from local import leaked_passwords
from local.terminal import Problem, say

ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".local" / "build"
# The folders, each with the files that a function needs; in Lambda all are below /var/task.
SOURCES = (
    (ROOT, ("NOTICE", "handler.py", "auth/**/*.py", "auth/store/migrations/*.sql")),
    (ROOT / "deploy", ("certificates/*.pem",)),
)

# boto3 and its dependencies, which the runtime has.
IN_RUNTIME = {"boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3"}

PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}

# Left out of the dependencies: commands, C sources, type hints, and pip's installation records.
NOT_NEEDED = (
    *("bin", "**/__pycache__", "**/tests", "**/*.c", "**/*.h", "**/*.pyi", "**/py.typed"),
    *("*.dist-info/RECORD", "*.dist-info/INSTALLER", "*.dist-info/REQUESTED"),
    *("*.dist-info/direct_url.json", "*.dist-info/sboms"),
    "pycparser",  # cffi parses C with it, but only to build libraries
)

# A list cut short would be a valid one that lets known passwords through.
FEWEST_LEAKED = 400_000

IN_LAMBDA = "/var/task"  # the folder with the unzipped package
ZIP_TIME = (1980, 1, 1, 0, 0, 0)

_PIN = re.compile(r"([A-Za-z0-9._-]+)(\[[a-z,]+\])?==(\S+)")


def main() -> int:
    """Build the zip; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deploy.package")
    parser.add_argument("--architecture", choices=sorted(MACHINES), default="x86_64")
    parser.add_argument("zip", type=Path)
    arguments = parser.parse_args()
    try:
        build(arguments.zip, arguments.architecture)
    except Problem as problem:
        say(f"package: {problem}")
        return 1
    return 0


def build(target: Path, architecture: str = "x86_64") -> None:
    """Build the zip and print a summary of it.

    Raises:
        Problem: the dependencies cannot be installed, or leaked passwords are missing.
    """
    pins = {
        name: version
        for name, version in pinned(ROOT / "requirements.txt").items()
        if name not in IN_RUNTIME
    }
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as temporary:
        folder = Path(temporary)
        _list_leaked_passwords(folder)
        _install(pins, folder, architecture)
        hashing = _speed_up(folder, pins[argon2.DISTRIBUTION], architecture)
        _copy_sources(folder)
        compiled = _compile(folder)
        _zip(folder, target)
    size = target.stat().st_size / 1e6
    shown = target.relative_to(Path.cwd()) if target.is_relative_to(Path.cwd()) else target
    say(f"{shown}: {size:.1f} MB for {architecture}, {len(pins)} dependencies, {hashing}{compiled}")


def pinned(requirements: Path) -> dict[str, str]:
    """Return the distributions that a requirements file pins, with their versions."""
    matches = (_PIN.match(line) for line in requirements.read_text().splitlines())
    return {match[1].lower(): match[3] for match in matches if match}


def _list_leaked_passwords(folder: Path) -> None:
    count = leaked_passwords.write(folder / leaked_passwords.FILE.name)
    if count < FEWEST_LEAKED:
        raise Problem(
            f"the list has {count} leaked passwords instead of at least {FEWEST_LEAKED}:"
            " delete node_modules and run `make setup`"
        )


def _install(pins: dict[str, str], folder: Path, architecture: str) -> None:
    wanted = folder / "wanted.txt"
    wanted.write_text(hashed(ROOT / "requirements.txt", pins))
    done = subprocess.run(  # noqa: S603  # our own command
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--no-compile", f"--target={folder}", "--only-binary=:all:"),
            *(f"--platform={name}_{MACHINES[architecture]}" for name in PLATFORMS),
            *("--implementation=cp", f"--python-version={VERSION}"),
            *("--require-hashes", "--requirement", str(wanted)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    wanted.unlink()
    if done.returncode != 0:
        raise Problem(f"pip could not install the dependencies:\n{done.stderr.strip()}")
    for pattern in NOT_NEEDED:
        for path in list(folder.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def _speed_up(folder: Path, version: str, architecture: str) -> str:
    """Replace the stock Argon2 by its AVX2 build, if possible; return a label of the one used."""
    if architecture != "x86_64":
        return "stock Argon2"
    try:
        library = argon2.fast_library(version, CACHE)
    except argon2.Unusable as reason:
        say(f"WARNING: the package has the stock Argon2, with half the speed: {reason}")
        return "stock Argon2"
    (stock,) = folder.glob("_argon2_cffi_bindings/*.so")
    shutil.copyfile(library, stock)
    return "Argon2 with AVX2"


def _copy_sources(folder: Path) -> None:
    for root, patterns in SOURCES:
        for source in (path for pattern in patterns for path in root.glob(pattern)):
            copy = folder / source.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)


def _compile(folder: Path) -> str:
    """Compile everything with the runtime's Python, if found; return the words for the summary.

    The files refer to their sources by hash, since the zip does not keep file times and every cold
    start would compile them again. The hashes are unchecked, since no file changes in Lambda.
    """
    python = find_python()
    if python is None:
        say(
            f"WARNING: python{VERSION} was found neither on PATH nor in pyenv, so the package is"
            " not compiled and each cold start takes longer: install it, or fetch it with"
            " `.venv/bin/python -m deploy.python`, then build again"
        )
        return ", not compiled"
    subprocess.run(  # noqa: S603  # our own command
        [
            *(python, "-I", "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash"),
            *("-s", str(folder), "-p", IN_LAMBDA, str(folder)),
        ],
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        check=True,
    )
    return f", compiled for Python {VERSION}"


def _zip(folder: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as package:
        for path in _files(folder):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), ZIP_TIME)
            entry.external_attr = (0o100755 if path.suffix == ".so" else 0o100644) << 16
            package.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, 9)
    partial.replace(target)


def _files(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    sys.exit(main())
