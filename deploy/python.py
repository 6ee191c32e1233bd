"""The Python of Lambda's runtime, found on this machine."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

VERSION = "3.13"  # as `runtime` in serverless.yml says

_CHECK = (
    "import sys; sys.exit(sys.implementation.name != 'cpython'"
    f" or '%d.%d' % sys.version_info[:2] != '{VERSION}')"
)


def find_python() -> str | None:
    """Return the path of a CPython of the runtime's version: this one, one on PATH, pyenv's."""
    return next((path for path in _candidates() if _is_right(path)), None)


def _candidates() -> Iterator[str]:
    yield sys.executable
    on_path = shutil.which(f"python{VERSION}")
    if on_path:
        yield on_path
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for path in sorted(pyenv.glob(f"versions/{VERSION}*/bin/python{VERSION}"), reverse=True):
        yield str(path)


def _is_right(path: str) -> bool:
    try:
        # pyenv's commands are on PATH even for versions that are not switched on: so run it.
        done = subprocess.run([path, "-c", _CHECK], capture_output=True, check=False)  # noqa: S603
    except OSError:
        return False
    return done.returncode == 0
