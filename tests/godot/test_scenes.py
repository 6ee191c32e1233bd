"""The addon in the real engine against the real backend: one process a script of cases."""

from pathlib import Path

import pytest

from tests.godot.game import Game, assert_passed

SCRIPTS = ("test_account", "test_session")


@pytest.mark.parametrize("script", SCRIPTS)
def test_scene(game: Game, tmp_path: Path, script: str) -> None:
    """Each case of a script passes, and nothing secret is printed."""
    run = game.run(script, tmp_path)
    assert_passed(run, script, "", game.backend.secrets)
