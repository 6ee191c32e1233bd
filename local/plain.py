"""Short paths of plain characters, for programs that fail with others.

mariadb-install-db passes its arguments through a shell, apt and the dynamic loader interpret
quotes, semicolons and dollar signs, and the system limits the length of a socket's path.
"""

import atexit
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path

PLAIN = re.compile(r"[A-Za-z0-9/._+-]+")
LONGEST = 80  # macOS limits a socket's path to 104 characters, including the file name


@cache
def plain(folder: Path) -> Path:
    """Return a short plain path to a folder, valid until this process ends."""
    if _is_plain(folder):
        return folder
    temporary = Path(tempfile.mkdtemp(prefix="game-login-"))
    if not _is_plain(temporary):
        temporary.rmdir()
        temporary = Path(tempfile.mkdtemp(prefix="game-login-", dir="/tmp"))
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)  # removes only the link
    link = temporary / "it"
    link.symlink_to(folder.absolute())
    return link


def _is_plain(path: Path) -> bool:
    return PLAIN.fullmatch(str(path)) is not None and len(str(path)) <= LONGEST
