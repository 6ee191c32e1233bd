"""The addon in the real engine against the real backend: one process per script of test cases."""

from pathlib import Path

import pytest

from tests.godot.game import SCENES, Game, assert_passed

SCRIPTS = sorted(script.stem for script in SCENES.glob("test_*.gd"))
IN_PHASES = {"test_restart", "test_socket", "test_kick"}  # they have their own tests


@pytest.mark.parametrize("script", [script for script in SCRIPTS if script not in IN_PHASES])
def test_scene(game: Game, tmp_path: Path, script: str) -> None:
    """Each case of a script passes, and no secret is printed."""
    run = game.run(script, tmp_path)
    assert_passed(run, script, "", game.backend.secrets)


@pytest.mark.parametrize("script", ["test_account", "test_own_account", "test_session"])
def test_scene_over_https(game: Game, tmp_path: Path, script: str) -> None:
    """Each case also passes over HTTPS."""
    run = game.run(script, tmp_path, GAME_LOGIN_TEST_URL=game.backend.secure_url)
    assert_passed(run, script, "", game.backend.secrets)


@pytest.mark.parametrize("script", [script for script in SCRIPTS if script not in IN_PHASES])
def test_scene_in_a_release(released: Game, tmp_path: Path, script: str) -> None:
    """Each case also passes in a release export, which has no assertions."""
    run = released.run(script, tmp_path)
    assert_passed(run, script, "", released.backend.secrets)
