"""Paths of plain characters, for programs that cannot take others.

mariadb-install-db passes its arguments through a shell, apt and the dynamic loader give quotes,
semicolons and dollar signs a meaning, and the system cuts off the paths of sockets.
"""

import atexit
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path

PLAIN = re.compile(r"[A-Za-z0-9/._+-]+")
LONGEST = 80  # a socket's path may have 104 characters on macOS, the file's own name included


@cache
def plain(folder: Path) -> Path:
    """Return a short path of plain characters that leads to a folder, as long as we run."""
    if _is_plain(folder):
        return folder
    temporary = Path(tempfile.mkdtemp(prefix="game-login-"))
    if not _is_plain(temporary):
        temporary.rmdir()
        temporary = Path(tempfile.mkdtemp(prefix="game-login-", dir="/tmp"))
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)  # removes the link alone
    link = temporary / "it"
    link.symlink_to(folder.absolute())
    return link


def _is_plain(path: Path) -> bool:
    return PLAIN.fullmatch(str(path)) is not None and len(str(path)) <= LONGEST
