"""An unknown name, no code, an expired code and a wrong code are one answer, by the same work."""

from functools import partial

import pytest

from tests.conftest import FakeClock, Tables
from tests.integration.recovery.wrong_codes import attempt
from tests.integration.sign_in.test_enumeration import IMPOSSIBLE, Work
from tests.play.guests import new_secret
from tests.play.players import Player, call

NEW_PASSWORD = "seven wooden ladders tonight"


@pytest.fixture
def work(clock: FakeClock, player: Player, monkeypatch: pytest.MonkeyPatch) -> Work:
    """Return a record of the work that requests cause in a warm container."""
    return Work(monkeypatch)


@pytest.mark.parametrize("proof", ["new_password", "guest_secret"])
def test_one_answer(work: Work, refused: dict[str, str], proof: str) -> None:
    """The same answer to the byte, statements and Argon2 calls, whatever the account is."""
    sent = {proof: NEW_PASSWORD if proof == "new_password" else new_secret()}
    impossible = [name for name in IMPOSSIBLE if name]  # every password contains the empty one
    names = [*refused.values(), *impossible]
    done = [
        work.of(partial(attempt, name, f"198.51.100.{number}", **sent))
        for number, name in enumerate(names)
    ]
    answer, statements, verified, hashed = done[0]
    assert (answer.status, answer.code) == (401, "invalid_credentials")
    assert len(statements) == 3
    assert (verified, hashed) == (1, 0)
    for name, other in zip(names, done, strict=True):
        assert other == done[0], name


def test_an_expired_code_itself(work: Work, player: Player, tables: Tables) -> None:
    """The code that an operator made is like any other wrong one after its time."""
    code = player.saved_code()
    tables.run("UPDATE recovery_codes SET expires_at = '2026-01-01'")
    body = {"username": player.username, "recovery_code": code, "new_password": NEW_PASSWORD}
    expired = work.of(lambda: call("POST", "/v1/recover", body))
    assert expired == work.of(lambda: attempt("nobody-here", new_password=NEW_PASSWORD))


def test_suspended_account(work: Work, player: Player, tables: Tables) -> None:
    """A suspension and the kind of an account are shown only after the right code."""
    code = player.saved_code()
    tables.run("UPDATE accounts SET suspended_until = '9999-01-01', suspension_reason = 'cheating'")
    for proof in ({"new_password": NEW_PASSWORD}, {"guest_secret": new_secret()}):
        suspended = work.of(partial(attempt, player.username, **proof))
        unknown = work.of(partial(attempt, "nobody-here", **proof))
        assert suspended == unknown
    assert player.recover(code, NEW_PASSWORD).code == "account_suspended"


def test_empty_bucket(work: Work, player: Player) -> None:
    """Further guesses are refused alike, at the same guess and before any hashing."""
    player.saved_code()
    wrong, unknown = (
        [work.of(partial(attempt, name, guest_secret=new_secret())) for _ in range(7)]
        for name in (player.username, "nobody-here")
    )
    assert [one[0].status for one in wrong] == [401] * 5 + [429] * 2
    assert [one[0].status for one in unknown] == [one[0].status for one in wrong]
    assert [one[1:] for one in unknown] == [one[1:] for one in wrong]
    assert wrong[-1][2:] == (0, 0)
