"""Lets the commands in .venv/bin run this folder's Python, whatever the folder's path.

pip writes the full path of the interpreter into each of them. In a moved folder that path leads
nowhere, and in a copied one it leads to the original. If the path has a space, pip puts it between
double quotes, so a double quote, a dollar sign or a backtick in it breaks the command.
"""

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

# What pip writes, and what it writes if the path is too long for the first line or has a space.
_FIRST_LINES = re.compile(
    rb"#![^\n]*python[^\n]*\n|#!/bin/sh\n'''exec' [^\n]*python[^\n]*\n' '''\n"
)
_OURS = "#!/bin/sh\n'''exec' {python} \"$0\" \"$@\"\n' '''\n"


def mend(folder: Path, python: str) -> None:
    """Make each Python command in a folder run this Python."""
    first = os.fsencode(_OURS.format(python=shlex.quote(python)))
    for command in folder.iterdir():
        if command.is_symlink() or not command.is_file():
            continue
        text = command.read_bytes()
        found = _FIRST_LINES.match(text)
        if found is None:
            continue
        mended = command.with_name(f"{command.name}.mended")
        mended.write_bytes(first + text[found.end() :])
        shutil.copymode(command, mended)
        mended.replace(command)


if __name__ == "__main__":
    mend(Path(sys.prefix) / "bin", os.path.abspath(sys.executable))  # noqa: PTH100  # not resolved
