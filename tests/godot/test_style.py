"""The GDScript passes gdformat and gdlint."""

import subprocess
import sys
from pathlib import Path

import pytest

from local.stack import ROOT

FOLDERS = (ROOT / "clients" / "godot", ROOT / "tests" / "godot" / "scenes")
TOOLS = Path(sys.prefix) / "bin"


@pytest.mark.parametrize("command", [["gdformat", "--check"], ["gdlint"]], ids=["format", "lint"])
def test_style(command: list[str]) -> None:
    """All scripts pass."""
    scripts = [str(path) for folder in FOLDERS for path in folder.rglob("*.gd")]
    assert len(scripts) > 10
    done = subprocess.run(
        [TOOLS / command[0], *command[1:], *scripts], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
