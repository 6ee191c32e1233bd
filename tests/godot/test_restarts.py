"""State that survives the process: restarts, two copies at once, a crash."""

from pathlib import Path

from local.offline import Offline
from local.processes import free_port
from local.stack import Stack
from tests.godot.game import Game, assert_passed

PAIRS = 20
MINUTES_BETWEEN = 2  # longer than a replaced token is accepted


def play(game: Game, home: Path, phase: str, **settings: str) -> None:
    """Start the game and wait for its end."""
    run = game.run("test_restart", home, phase, **settings)
    assert_passed(run, "test_restart", phase, game.backend.secrets)


def test_a_second_start_needs_no_password(game: Game, tmp_path: Path) -> None:
    """A remembered player is signed in again in a new process, even a day later."""
    play(game, tmp_path, "1")
    play(game, tmp_path, "2")
    game.backend.advance(86400)
    play(game, tmp_path, "2")


def test_a_second_start_of_a_release(released: Game, tmp_path: Path) -> None:
    """A release export also signs the player in again."""
    play(released, tmp_path, "1")
    play(released, tmp_path, "2")


def test_on_the_local_gateway(game: Game, stack: Stack, tmp_path: Path) -> None:
    """The player is also signed in again through `serverless offline`, as in `make run`."""
    offline = Offline(free_port(), tmp_path, stack.environment())
    try:
        offline.start()
        play(game, tmp_path, "1", GAME_LOGIN_TEST_URL=offline.url)
        play(game, tmp_path, "2", GAME_LOGIN_TEST_URL=offline.url)
    finally:
        offline.stop()


def test_two_copies_at_once(game: Game, tmp_path: Path) -> None:
    """Two copies of the game started at once share one store, and no player is signed out."""
    play(game, tmp_path, "1")
    for _pair in range(PAIRS):
        game.backend.advance(MINUTES_BETWEEN * 60)
        processes = [game.start("test_restart", tmp_path, "3") for _copy in range(2)]
        for run in [game.finish(process) for process in processes]:
            assert_passed(run, "test_restart", "3", game.backend.secrets)
    play(game, tmp_path, "2")


def test_an_answer_lost_before_the_game_ended(game: Game, tmp_path: Path) -> None:
    """A refresh that lost its answer is completed by the next start, a day later."""
    play(game, tmp_path, "1")
    play(game, tmp_path, "4")
    game.backend.advance(86400)
    play(game, tmp_path, "2")


def test_what_is_stored(game: Game, tmp_path: Path) -> None:
    """The store is one file, readable by its owner only, without a password or an access token."""
    play(game, tmp_path, "1")
    files = [path for path in (tmp_path / "DATA").rglob("game_login-*/*") if path.is_file()]
    assert [path.name for path in files] == ["session-restart.json"]
    assert files[0].stat().st_mode & 0o777 == 0o600
    assert files[0].parent.stat().st_mode & 0o777 == 0o700
    text = files[0].read_text()
    assert text.count("eyJ") == 0
    assert not [secret for secret in game.backend.secrets if secret in text and " " in secret]
