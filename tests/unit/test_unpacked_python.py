"""The Python unpacked beside the system's own works after its folder has moved."""

import subprocess
from pathlib import Path

from deploy.python import VERSION, write_script

LOADER = """#!/bin/sh
echo "$PYTHONHOME"
for part; do echo "$part"; done
"""


def test_a_moved_folder(tmp_path: Path) -> None:
    """After a move it runs the loader, the program and the library of the new place."""
    folder = tmp_path / "here"
    loader = folder / "root" / "usr" / "lib64" / "ld-linux-x86-64.so.2"
    loader.parent.mkdir(parents=True)
    loader.write_text(LOADER)
    loader.chmod(0o755)
    write_script(folder)
    moved = folder.rename(tmp_path / 'it\'s "there" $HOME')
    done = subprocess.run(
        [moved / VERSION, "-c", "a b"], capture_output=True, text=True, check=True
    )
    home, *arguments = done.stdout.splitlines()
    assert home == f"{moved}/root/usr"
    assert arguments[-3:] == [f"{moved}/root/usr/bin/python{VERSION}", "-c", "a b"]
    assert str(tmp_path / "here") not in done.stdout
