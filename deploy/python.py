"""The Python of Lambda's runtime: found on this machine, or unpacked from Debian's packages.

`python -m deploy.python` finds or fetches it, and prints its path.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from local import debian
from local.engines import ROOT
from local.terminal import Problem, say

VERSION = "3.13"  # the same as `runtime` in serverless.yml

_CHECK = (
    "import sys; sys.exit(sys.implementation.name != 'cpython'"
    f" or '%d.%d' % sys.version_info[:2] != '{VERSION}')"
)

_UNPACKED = ROOT / ".local" / "build" / f"python{VERSION}"


def find_python() -> str | None:
    """Return the path of a CPython of that version: this one, or PATH's, pyenv's or Debian's."""
    return next((path for path in _candidates() if _is_right(path)), None)


def find_or_fetch_python() -> str:
    """Return the path of a CPython of that version, fetched from Debian if none is found.

    Raises:
        Problem: none is found, and it cannot be fetched.
    """
    return find_python() or _fetched()


def _candidates() -> Iterator[str]:
    yield sys.executable
    on_path = shutil.which(f"python{VERSION}")
    if on_path:
        yield on_path
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for path in sorted(pyenv.glob(f"versions/{VERSION}*/bin/python{VERSION}"), reverse=True):
        yield str(path)
    yield str(_UNPACKED / VERSION)


def main() -> int:
    """Fetch the runtime's Python if this machine has none."""
    try:
        say(f"Python {VERSION}: {find_or_fetch_python()}")
    except Problem as problem:
        say(
            f"\nPython {VERSION}, which Lambda uses, is missing, so the package cannot be run on"
            f" this machine: {problem}.\nInstall python{VERSION} on PATH or with pyenv, then run"
            " this again.\n"
        )
        return 1
    return 0


def _fetched() -> str:
    """Return the path of a script that runs Debian's Python with its own loader."""
    packages = [f"python{VERSION}-minimal", f"python{VERSION}", f"libpython{VERSION}-stdlib"]
    root = debian.unpack(f"Python {VERSION}", packages, _UNPACKED)
    script = write_script(_UNPACKED)
    if not _is_right(str(script)):
        raise Problem(f"Debian's python{VERSION} does not run on this machine")
    # apt would compile the library during installation; uncompiled, each start takes twice as long.
    library = root / f"usr/lib/python{VERSION}"
    subprocess.run([str(script), "-m", "compileall", "-q", str(library)], check=False)  # noqa: S603
    return str(script)


def write_script(folder: Path) -> Path:
    """Write a script that runs the Python unpacked in a folder, even after the folder is moved."""
    root = Path("$root")
    program = str(root / f"usr/bin/python{VERSION}")
    command = " ".join(f'"{part}"' for part in [*debian.loader(root, program), program])
    script = folder / VERSION
    script.write_text(
        f'#!/bin/sh\nroot=$(dirname -- "$0")/root\nPYTHONHOME="$root/usr" exec {command} "$@"\n'
    )
    script.chmod(0o755)
    return script


def _is_right(path: str) -> bool:
    try:
        # Run it, since pyenv has commands on PATH even for versions that are not enabled.
        done = subprocess.run([path, "-c", _CHECK], capture_output=True, check=False)  # noqa: S603
    except OSError:
        return False
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
