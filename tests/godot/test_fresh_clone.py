"""The demo in a folder that the engine has never imported, as right after `git clone`."""

import shutil
from pathlib import Path

import pytest

from local.stack import ROOT
from tests.godot.engine import GodotEngine
from tests.godot.game import SCENES, Game, GameRun, assert_passed
from tests.godot.server import Backend

DRIVER = ("runner.gd", "runner.tscn", "fresh.gd")
FRAMES = "60"


@pytest.fixture
def clone(engine: GodotEngine, backend: Backend, certificates: Path, tmp_path: Path) -> Game:
    """Return the demo's project as it is in the repository."""
    folder = tmp_path / "clone"
    ignored = shutil.ignore_patterns(".godot")
    shutil.copytree(ROOT / "clients" / "godot", folder, ignore=ignored)
    return Game(engine, folder, backend, certificates / "ca.pem")


def test_it_starts(clone: Game, tmp_path: Path) -> None:
    """`godot --path clients/godot` shows the demo without a single error."""
    home = clone.environment(tmp_path / "home", {})
    done = clone.engine.run("--path", str(clone.folder), "--quit-after", FRAMES, environment=home)
    assert done.returncode == 0
    assert not GameRun(done.stdout + done.stderr, 0).problems(), done.stdout + done.stderr


def test_it_works(clone: Game, tmp_path: Path, socket_url: str) -> None:
    """A player registers in the demo and enters the lobby."""
    (clone.folder / "tests").mkdir()
    for name in DRIVER:
        shutil.copy(SCENES / name, clone.folder / "tests")
    run = clone.run("fresh", tmp_path / "home", GAME_LOGIN_TEST_SOCKET=socket_url)
    assert_passed(run, "fresh", "", clone.backend.secrets)
