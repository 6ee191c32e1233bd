"""The addon in the real engine against the real backend: one process a script of cases."""

from pathlib import Path

import pytest

from tests.godot.game import SCENES, Game, assert_passed

SCRIPTS = sorted(script.stem for script in SCENES.glob("test_*.gd"))
IN_PHASES = {"test_restart", "test_socket"}  # have tests of their own


@pytest.mark.parametrize("script", [script for script in SCRIPTS if script not in IN_PHASES])
def test_scene(game: Game, tmp_path: Path, script: str) -> None:
    """Each case of a script passes, and nothing secret is printed."""
    run = game.run(script, tmp_path)
    assert_passed(run, script, "", game.backend.secrets)


@pytest.mark.parametrize("script", ["test_account", "test_own_account", "test_session"])
def test_scene_over_https(game: Game, tmp_path: Path, script: str) -> None:
    """It is the same over HTTPS."""
    run = game.run(script, tmp_path, GAME_LOGIN_TEST_URL=game.backend.secure_url)
    assert_passed(run, script, "", game.backend.secrets)


@pytest.mark.parametrize("script", [script for script in SCRIPTS if script not in IN_PHASES])
def test_scene_in_a_release(released: Game, tmp_path: Path, script: str) -> None:
    """It is the same in an export for release, in which assertions are gone."""
    run = released.run(script, tmp_path)
    assert_passed(run, script, "", released.backend.secrets)
