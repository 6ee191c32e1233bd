"""Makes the commands in .venv/bin run this folder's Python, for any path of the folder.

pip writes the full path of the interpreter into each command. In a moved folder that path does not
exist, and in a copied one it is the original's. If the path has a space, pip puts it between double
quotes, so a double quote, a dollar sign or a backtick in it breaks the command.
"""

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

# pip's first line, and its first lines if the path has a space or is too long for one line.
_FIRST_LINES = re.compile(
    rb"#![^\n]*python[^\n]*\n|#!/bin/sh\n'''exec' [^\n]*python[^\n]*\n' '''\n"
)
_OURS = "#!/bin/sh\n'''exec' {python} \"$0\" \"$@\"\n' '''\n"


def repair(folder: Path, python: str) -> None:
    """Make each Python command in a folder run this Python."""
    first = os.fsencode(_OURS.format(python=shlex.quote(python)))
    for command in folder.iterdir():
        if command.is_symlink() or not command.is_file():
            continue
        text = command.read_bytes()
        found = _FIRST_LINES.match(text)
        if found is None:
            continue
        repaired = command.with_name(f"{command.name}.repaired")
        repaired.write_bytes(first + text[found.end() :])
        shutil.copymode(command, repaired)
        repaired.replace(command)


if __name__ == "__main__":
    repair(Path(sys.prefix) / "bin", os.path.abspath(sys.executable))  # noqa: PTH100  # keep links
