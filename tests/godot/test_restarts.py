"""State that survives the process: restarts, two copies at once, a crash."""

import re
import secrets
import signal
import time
from pathlib import Path

from local.offline import Offline
from local.processes import free_port
from local.stack import Stack
from tests.godot.game import Game, GameRun, assert_passed

PAIRS = 20
FRESH_STORES = 10
LONGEST_START = 4.0  # seconds that the engine needs, on a slow machine
GUEST = re.compile(r"^GUEST (\d+) (\S+)$", re.MULTILINE)
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


def play_as_guest(game: Game, home: Path, copies: int) -> list[tuple[str, str]]:
    """Start copies of the game at once; return the status and the account that each got."""
    start_at = str(time.time() + LONGEST_START)
    processes = [
        game.start("test_restart", home, "5", GAME_LOGIN_TEST_START_AT=start_at)
        for _copy in range(copies)
    ]
    runs = [game.finish(process) for process in processes]
    for run in runs:
        assert_passed(run, "test_restart", "5", game.backend.secrets)
    return [guest_of(run) for run in runs]


def guest_of(run: GameRun) -> tuple[str, str]:
    """Return the status and the account that a run has printed."""
    status, account = GUEST.findall(run.output)[0]
    return status, account


def die(game: Game, home: Path, phase: str, **settings: str) -> GameRun:
    """Start the game, which kills itself."""
    run = game.run("test_restart", home, phase, **settings)
    assert run.status == -signal.SIGKILL, run.output
    assert not run.problems("test_restart"), run.output
    assert not [secret for secret in game.backend.secrets if secret in run.output]
    return run


def test_two_copies_on_a_fresh_store(game: Game, tmp_path: Path) -> None:
    """Two copies of the game that create a guest at the same moment create one guest."""
    for store in range(FRESH_STORES):
        home = tmp_path / str(store)
        (first, account), (second, same_account) = play_as_guest(game, home, 2)
        assert sorted([first, second]) == ["200", "201"]
        assert account == same_account
        files = [path.name for path in home.rglob("guests-restart/*/*")]
        assert sorted(files) == ["known.json", "secret.json"]


def test_killed_before_the_first_call(game: Game, tmp_path: Path) -> None:
    """A game killed after it has stored the secret creates the guest at its next start."""
    die(game, tmp_path, "6")
    [(status, account)] = play_as_guest(game, tmp_path, 1)
    assert status == "201"
    assert play_as_guest(game, tmp_path, 1) == [("200", account)]


def test_killed_before_the_first_answer(game: Game, tmp_path: Path) -> None:
    """A game killed after the server has created the guest finds it at its next start."""
    die(game, tmp_path, "7")
    [(status, _account)] = play_as_guest(game, tmp_path, 1)
    assert status == "200"


def test_killed_before_the_answer_to_an_upgrade(game: Game, tmp_path: Path) -> None:
    """A guest whose game is killed during the upgrade signs in with the chosen password."""
    name = "P" + secrets.token_hex(6)
    guest = guest_of(die(game, tmp_path, "8", GAME_LOGIN_TEST_NAME=name))
    run = game.run("test_restart", tmp_path, "9", GAME_LOGIN_TEST_NAME=name)
    assert_passed(run, "test_restart", "9", game.backend.secrets)
    assert guest_of(run) == guest
    assert list(tmp_path.rglob("known.json"))
    assert not list(tmp_path.rglob("secret.json"))


def test_a_guest_of_a_release(released: Game, tmp_path: Path) -> None:
    """A release export also makes one guest of two copies, and finds it after a kill."""
    die(released, tmp_path, "7")
    [(first, account), (second, same_account)] = play_as_guest(released, tmp_path, 2)
    assert [first, second] == ["200", "200"]
    assert account == same_account
