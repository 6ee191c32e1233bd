"""Installed with pip, the folder gives a game server its modules and the pinned packages."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

from local.stack import ROOT
from tests.unit.test_pins import statements

SOURCE = ROOT / "clients" / "game_server"
MODULES = {
    *("feed_events", "inventory", "login_backend", "player_tokens", "redeeming", "revocations"),
    *(
        "socket_client",
        "socket_entrance",
        "socket_lobby",
        "socket_messages",
        "socket_seats",
        "socket_server",
    ),
}
# What pip calls for a folder, in a copy: it leaves files there.
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


def test_wheel(tmp_path: Path) -> None:
    """The package has every module and needs what requirements.in lists; the server starts."""
    copy = shutil.copytree(SOURCE, tmp_path / "copy", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(tmp_path)],
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (archive.read(name) for name in names if name.endswith("/METADATA"))
    assert {name.removesuffix(".py") for name in names if name.endswith(".py")} == MODULES
    assert {path.stem for path in SOURCE.glob("*.py")} == MODULES
    required = re.findall(r"^Requires-Dist: (.+)$", metadata.decode(), re.MULTILINE)
    listed = statements((SOURCE / "requirements.in").read_text())
    assert [line.lower() for line in required] == [line.lower() for line in listed]
    started = subprocess.run(
        [sys.executable, "-I", "-c", START, str(wheel)],
        env={"GAME_LOGIN_URL": "http://login.example.com"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "must be https://" in started.stderr


START = """
import runpy, sys
sys.path.insert(0, sys.argv[1])
runpy.run_module("socket_server", run_name="__main__")
"""


def test_its_builder_is_pinned() -> None:
    """The package is built with the version of setuptools that the tests use."""
    builder = tomllib.loads((SOURCE / "pyproject.toml").read_text())["build-system"]
    (required,) = builder["requires"]
    assert f"\n{required} " in (ROOT / "requirements-dev.txt").read_text()
