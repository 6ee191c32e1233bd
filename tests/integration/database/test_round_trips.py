"""Round trips to the database: the cost of each route, counted at the connection."""

from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher

from auth.flows.rate_limits import SESSIONS_BY_ACCOUNT
from auth.store.records import MAX_SESSIONS
from tests.conftest import Tables
from tests.play.guests import Guest
from tests.play.players import PASSWORD, Player, call
from tests.play.round_trips import Sent, round_trips

NEW_PASSWORD = "seven wooden ladders tonight"


@pytest.fixture
def sent() -> Iterator[Sent]:
    """Return the statements of a test, one entry per round trip."""
    with round_trips() as sent:
        yield sent


def test_login(player: Player, sent: Sent) -> None:
    """A warm login takes four round trips at most: find, charge, refund, open."""
    assert player.log_in().status == 200
    assert 1 <= len(sent) <= 4, sent
    assert not any(sql.startswith(("BEGIN", "COMMIT", "SET")) for sql in sent)


def test_login_from_a_known_device(player: Player, sent: Sent) -> None:
    """A known device has one limit instead of three, and a statement ends its previous session."""
    token = player.refresh_token
    assert player.log_in(refresh_token=token).status == 200
    assert 1 <= len(sent) <= 5, sent
    sent.clear()
    assert player.on_another_device().log_in(refresh_token=token).status == 200
    assert 1 <= len(sent) <= 4, sent


def test_login_with_fifty_sessions(player: Player, sent: Sent, tables: Tables) -> None:
    """Making room takes one more statement; a transaction if a living session has to end."""
    for _ in range(MAX_SESSIONS - 1):
        assert player.log_in().status == 200
    assert tables.count("sessions") == MAX_SESSIONS
    sent.clear()
    assert player.log_in().status == 200
    assert len(sent) == 4 + 4, sent
    tables.run("UPDATE sessions SET ended_at = UTC_TIMESTAMP(6) LIMIT 1")
    sent.clear()
    assert player.log_in().status == 200
    assert len(sent) == 5, sent


def test_login_from_a_known_device_with_fifty_sessions(
    player: Player, sent: Sent, tables: Tables
) -> None:
    """At fifty sessions, ending the device's previous one and making room take a statement each.

    The previous session is not deleted instead: it keeps the device known if this answer is lost.
    """
    for _ in range(MAX_SESSIONS - 1):
        assert player.on_another_device().log_in().status == 200
    assert tables.count("sessions") == MAX_SESSIONS
    token = player.refresh_token
    sent.clear()
    assert player.log_in(refresh_token=token).status == 200
    assert len(sent) == 6, sent
    assert tables.count("sessions") == MAX_SESSIONS
    sent.clear()
    assert player.on_another_device().log_in(refresh_token=token).status == 200
    assert len(sent) == 4 + 4, sent  # it pushes out a living session


def test_login_that_would_open_too_many_sessions(player: Player, sent: Sent) -> None:
    """It takes five round trips: find, charge, charge the sessions in vain, refund, read."""
    for _ in range(SESSIONS_BY_ACCOUNT.burst):
        assert player.log_in().status == 200
    sent.clear()
    assert player.log_in().status == 429
    assert len(sent) == 5, sent


def test_failed_login(player: Player, sent: Sent) -> None:
    """A wrong password and an unknown name take the same statements."""
    player.log_in("not the password")
    wrong = [sql.partition(" WHERE ")[0].partition(" VALUES ")[0] for sql in sent]
    sent.clear()
    Player("nobody-here").log_in()
    unknown = [sql.partition(" WHERE ")[0].partition(" VALUES ")[0] for sql in sent]
    assert wrong == unknown
    assert 1 <= len(wrong) <= 2


def test_refused_login(player: Player, sent: Sent) -> None:
    """A login that a limit refuses takes three round trips: find, charge, and read the limits."""
    for _ in range(5):
        assert player.log_in("not the password").status == 401
    sent.clear()
    assert player.log_in().status == 429
    assert len(sent) == 3, sent


def test_login_from_a_known_device_without_guesses(player: Player, sent: Sent) -> None:
    """If a known device's bucket is empty, two statements more: read it, charge the others."""
    token = player.refresh_token
    for _ in range(10):
        assert player.log_in("not the password", refresh_token=token).status == 401
    assert player.refresh().status == 200  # so the token presented ends no session
    sent.clear()
    assert player.on_another_device().log_in(refresh_token=token).status == 200
    assert len(sent) == 6, sent


def test_login_with_an_old_hash(player: Player, sent: Sent, tables: Tables) -> None:
    """A new hash takes one statement more."""
    hasher = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    tables.run("UPDATE accounts SET password_hash = %s", hasher.hash(player.password))
    sent.clear()
    assert player.log_in().status == 200
    assert len(sent) == 5, sent


def test_refresh(player: Player, sent: Sent) -> None:
    """A refresh takes at most two round trips, and so does its repetition."""
    first = player.refresh_token
    assert player.refresh(first).status == 200
    assert 1 <= len(sent) <= 2, sent
    sent.clear()
    assert player.refresh(first).status == 200
    assert 1 <= len(sent) <= 2, sent


def test_garbled_refresh_token(player: Player, sent: Sent) -> None:
    """A garbled refresh token does not reach the database."""
    text = player.refresh_token
    other = "A" if text[20] != "A" else "B"
    for wrong in ("x", "glrt_" + "A" * 122, text[:20] + other + text[21:]):
        assert player.refresh(wrong).code == "session_ended"
    assert sent == []


def test_me(player: Player, sent: Sent) -> None:
    """Fetching the account takes one round trip."""
    assert player.me().status == 200
    assert len(sent) == 1, sent


def test_ticket(player: Player, sent: Sent) -> None:
    """A ticket takes two: the session, and the rate limit."""
    assert player.ask("POST", "/v1/tickets", {"server": "eu-1:7777"}).status == 201
    assert len(sent) == 2, sent


def test_invalid_access_token(player: Player, sent: Sent) -> None:
    """An invalid access token does not reach the database."""
    assert call("GET", "/v1/me", token=player.access_token[:-8]).code == "invalid_token"
    assert sent == []


def test_sessions(player: Player, sent: Sent) -> None:
    """The list of sessions takes two round trips."""
    assert player.sessions()
    assert len(sent) == 2, sent


def test_logout(player: Player, sent: Sent) -> None:
    """Signing out takes one transaction with its event, even everywhere."""
    assert player.log_out().status == 200
    assert len(sent) == 4, sent
    assert player.log_in().status == 200
    sent.clear()
    assert player.log_out(everywhere=True).status == 200
    assert len(sent) == 4, sent


def test_logout_by_refresh_token(player: Player, sent: Sent) -> None:
    """Signing out by refresh token is one transaction; everywhere, two if the token is old."""
    replaced = player.refresh_token
    assert player.refresh().status == 200
    for token, everywhere, trips in ((replaced, True, 3 + 4), (replaced, False, 3)):
        sent.clear()
        body = {"refresh_token": token, "everywhere": everywhere}
        assert call("POST", "/v1/logout", body).status == 200
        assert len(sent) == trips, sent
    assert player.log_in().status == 200
    sent.clear()
    body = {"refresh_token": player.refresh_token, "everywhere": True}
    assert call("POST", "/v1/logout", body).status == 200
    assert len(sent) == 4, sent


def test_health(player: Player, sent: Sent) -> None:
    """The health check takes one round trip; the public keys take none."""
    assert call("GET", "/v1/health").status == 200
    assert len(sent) == 1, sent
    assert call("GET", "/.well-known/jwks.json").status == 200
    assert len(sent) == 1, sent


def test_refused_requests(player: Player, sent: Sent) -> None:
    """Requests that break the contract do not reach the database."""
    call("POST", "/v1/login", {"username": 1})
    call("POST", "/v1/register", {"username": "x", "password": "x"})
    call("POST", "/v1/register", {"username": "somebody", "password": "short"})
    call("GET", "/nowhere")
    assert sent == []


def test_recovery_code(player: Player, sent: Sent) -> None:
    """Making a code takes three round trips and a transaction of four; the next one as many."""
    for _ in range(2):
        sent.clear()
        assert player.make_recovery_code().status == 200
        assert len(sent) == 3 + 4, sent
    guest = Guest()
    assert guest.enter(create=True).status == 201
    sent.clear()
    assert guest.make_recovery_code().status == 200
    assert len(sent) == 4 + 4, sent  # it reads the identity of the guest secret


def test_recovery(player: Player, sent: Sent) -> None:
    """A recovery takes three round trips, a transaction of four, and one to open the session."""
    code = player.saved_code()
    sent.clear()
    assert player.recover(code, NEW_PASSWORD).status == 200
    assert len(sent) == 3 + 4 + 1, sent
    guest = Guest()
    assert guest.enter(create=True).status == 201
    name, code = guest.name(), guest.saved_code()
    sent.clear()
    assert Guest().move(name, code).status == 200
    assert len(sent) == 4 + 4 + 1, sent  # it looks whether an account has the new secret


def test_refused_recovery(player: Player, sent: Sent) -> None:
    """A wrong code takes three round trips; one that a limit refuses takes two."""
    code = player.saved_code()
    assert player.recover(code, NEW_PASSWORD).status == 200
    for _ in range(4):
        sent.clear()
        assert player.recover(code, PASSWORD).status == 401
        assert len(sent) == 3, sent
    sent.clear()
    assert player.recover(code, PASSWORD).status == 429
    assert len(sent) == 2, sent
    sent.clear()
    assert player.recover("7QF2-MXD9-K4TB-W8H4", PASSWORD).status == 400
    assert sent == []


def test_with_a_recovery_code(player: Player, sent: Sent) -> None:
    """Having a recovery code costs signing in, refreshing and `/v1/me` nothing."""
    player.saved_code()
    for ask, trips in ((player.log_in, 4), (player.refresh, 2), (player.me, 1)):
        sent.clear()
        assert ask().status == 200
        assert len(sent) <= trips, sent
