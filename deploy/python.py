"""The Python of Lambda's runtime: found on this machine, or Debian's, unpacked beside the system.

`python -m deploy.python` sees that there is one, and says where it is.
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

VERSION = "3.13"  # as `runtime` in serverless.yml says

_CHECK = (
    "import sys; sys.exit(sys.implementation.name != 'cpython'"
    f" or '%d.%d' % sys.version_info[:2] != '{VERSION}')"
)

_UNPACKED = ROOT / ".local" / "build" / f"python{VERSION}"


def find_python() -> str | None:
    """Return the path of a CPython of that version: this one, PATH's, pyenv's or Debian's."""
    return next((path for path in _candidates() if _is_right(path)), None)


def find_or_fetch_python() -> str:
    """Return the path of a CPython of that version, fetched from Debian where there is none.

    Raises:
        Problem: it cannot be had.
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
            f"\nNO PYTHON {VERSION}, WHICH LAMBDA RUNS, SO THE PACKAGE CANNOT BE RUN: {problem}."
            f"\nInstall python{VERSION}, on PATH or with pyenv.\n"
        )
        return 1
    return 0


def _fetched() -> str:
    """Return the path of Debian's, as a script that runs it by its own loader."""
    packages = [f"python{VERSION}-minimal", f"python{VERSION}", f"libpython{VERSION}-stdlib"]
    root = debian.unpack(f"Python {VERSION}", packages, _UNPACKED)
    script = write_script(_UNPACKED)
    if not _is_right(str(script)):
        raise Problem(f"what Debian calls python{VERSION} does not run here")
    # Installed by apt, it would be compiled: without that, each start takes twice as long.
    library = root / f"usr/lib/python{VERSION}"
    subprocess.run([str(script), "-m", "compileall", "-q", str(library)], check=False)  # noqa: S603
    return str(script)


def write_script(folder: Path) -> Path:
    """Write what runs the Python unpacked in a folder, wherever the folder is moved to."""
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
        # pyenv's commands are on PATH even for versions that are not switched on: so run it.
        done = subprocess.run([path, "-c", _CHECK], capture_output=True, check=False)  # noqa: S603
    except OSError:
        return False
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
