"""Signing out: by the access token, or by any refresh token of the session."""

import pytest

from tests.conftest import FakeClock, Tables
from tests.integration.sessions.test_sessions import devices, is_dead
from tests.play.events import Answer
from tests.play.players import Player, call


def log_out_by(token: str, **more: object) -> Answer:
    """Sign out by a refresh token."""
    return call("POST", "/v1/logout", {"refresh_token": token, **more})


def test_log_out(player: Player) -> None:
    """Signing out ends this session and no other."""
    (phone,) = devices(player, 1)
    answer = phone.log_out()
    assert (answer.status, answer.json) == (200, {})
    assert is_dead(phone)
    assert player.me().status == 200
    assert player.refresh().status == 200


def test_log_out_twice(player: Player) -> None:
    """Signing out again succeeds until the access token expires."""
    assert player.log_out().status == 200
    for _ in range(2):
        assert (player.log_out().status, player.log_out().json) == (200, {})


@pytest.mark.parametrize("body", [None, {}, {"everywhere": None}, {"everywhere": False}])
def test_log_out_here(body: object, player: Player) -> None:
    """Without a body, or with `everywhere` null or false, only this session ends."""
    (phone,) = devices(player, 1)
    assert phone.ask("POST", "/v1/logout", body).status == 200
    assert is_dead(phone)
    assert player.me().status == 200


@pytest.mark.parametrize("everywhere", ["true", 1, 0, [True], {}])
def test_log_out_with_a_wrong_body(everywhere: object, player: Player) -> None:
    """A value of `everywhere` that is neither true nor false ends nothing."""
    answer = player.ask("POST", "/v1/logout", {"everywhere": everywhere})
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert set(answer.json["error"]["fields"]) == {"everywhere"}
    assert player.me().status == 200


def test_log_out_everywhere(player: Player) -> None:
    """Signing out everywhere ends every device's session at once; signing in again works."""
    phone, desk = devices(player, 2)
    stranger = Player()
    assert stranger.register().status == 201
    answer = phone.log_out(everywhere=True)
    assert (answer.status, answer.json) == (200, {})
    assert is_dead(phone)
    assert is_dead(desk)
    assert is_dead(player)
    assert stranger.me().status == 200

    assert desk.log_in(device="desk").status == 200
    assert [one["device"] for one in desk.sessions()] == ["desk"]
    assert desk.refresh().status == 200
    assert is_dead(phone)


def test_log_out_everywhere_with_an_ended_session(player: Player) -> None:
    """A signed-out device cannot sign the others out, not even with an unexpired token."""
    (phone,) = devices(player, 1)
    assert phone.log_out().status == 200
    answer = phone.log_out(everywhere=True)
    assert (answer.status, answer.json) == (200, {})
    assert player.me().status == 200
    assert player.refresh().status == 200


def test_log_out_everywhere_twice(player: Player) -> None:
    """Repeating it spares sessions opened since."""
    (phone,) = devices(player, 1)
    assert phone.log_out(everywhere=True).status == 200
    assert player.log_in().status == 200
    assert phone.log_out(everywhere=True).status == 200
    assert player.me().status == 200
    assert player.refresh().status == 200


def test_log_out_of_a_deleted_account(player: Player) -> None:
    """Signing out of a deleted account succeeds."""
    (phone,) = devices(player, 1)
    assert player.delete().status == 200
    assert phone.log_out().status == 200
    assert phone.log_out(everywhere=True).status == 200


# By refresh token


def test_by_refresh_token(player: Player, clock: FakeClock) -> None:
    """A refresh token signs out even after the access token has expired."""
    (phone,) = devices(player, 1)
    clock.advance(hours=9)
    assert player.log_out().code == "invalid_token"
    answer = log_out_by(player.refresh_token)
    assert (answer.status, answer.json) == (200, {})
    assert is_dead(player)
    assert phone.refresh().status == 200


def test_by_a_replaced_refresh_token(player: Player) -> None:
    """Any refresh token that the session ever had ends it, and ends nothing else."""
    (phone,) = devices(player, 1)
    replaced = player.refresh_token
    for _ in range(3):
        assert player.refresh().status == 200
    assert log_out_by(replaced, everywhere=True).status == 200
    assert is_dead(player)
    assert phone.me().status == 200
    assert phone.refresh().status == 200


def test_everywhere_by_refresh_token(player: Player) -> None:
    """The current refresh token signs out everywhere."""
    (phone,) = devices(player, 1)
    stranger = Player()
    assert stranger.register().status == 201
    assert log_out_by(player.refresh_token, everywhere=True).status == 200
    assert is_dead(player)
    assert is_dead(phone)
    assert stranger.me().status == 200


def test_by_refresh_token_twice(player: Player) -> None:
    """Signing out of an ended or deleted session succeeds; nothing else ends."""
    (phone,) = devices(player, 1)
    for everywhere in (False, True, False):
        answer = log_out_by(player.refresh_token, everywhere=everywhere)
        assert (answer.status, answer.json) == (200, {})
    assert phone.me().status == 200
    assert phone.delete().status == 200
    assert log_out_by(player.refresh_token, everywhere=True).status == 200


def test_by_refresh_token_of_an_expired_session(player: Player, clock: FakeClock) -> None:
    """An expired session cannot sign out the others."""
    (phone,) = devices(player, 1)
    clock.advance(days=29)
    assert phone.refresh().status == 200
    clock.advance(days=2)
    assert log_out_by(player.refresh_token, everywhere=True).status == 200
    assert phone.refresh().status == 200


def test_by_a_forged_refresh_token(player: Player) -> None:
    """A forged or garbled refresh token ends nothing, and says so."""
    token = player.refresh_token
    middle = len(token) // 2
    flipped = f"{token[:middle]}{'A' if token[middle] != 'A' else 'B'}{token[middle + 1 :]}"
    for text in ("", "x", token[:-1], f"{token} ", flipped, player.access_token):
        answer = log_out_by(text)
        assert (answer.status, answer.code) == (401, "session_ended")
    assert player.me().status == 200
    assert player.refresh().status == 200


def test_the_refresh_token_decides(player: Player) -> None:
    """A refresh token in the body takes precedence; without one the header is used."""
    (phone,) = devices(player, 1)
    body = {"refresh_token": phone.refresh_token}
    assert call("POST", "/v1/logout", body, token="not a token").status == 200
    assert is_dead(phone)
    (phone,) = devices(player, 1)
    body = {"refresh_token": phone.refresh_token}
    assert call("POST", "/v1/logout", body, token=player.access_token).status == 200
    assert is_dead(phone)
    assert player.me().status == 200
    answer = call("POST", "/v1/logout", {"refresh_token": "x"}, token=player.access_token)
    assert answer.code == "session_ended"
    assert player.me().status == 200
    answer = call("POST", "/v1/logout", {"refresh_token": None}, token=player.access_token)
    assert answer.status == 200
    assert is_dead(player)


@pytest.mark.parametrize("token", [1, ["x"], {}, True])
def test_a_refresh_token_of_another_type(token: object, player: Player) -> None:
    """A refresh token that is not a string is an invalid request if the access token is valid."""
    answer = player.ask("POST", "/v1/logout", {"refresh_token": token})
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert set(answer.json["error"]["fields"]) == {"refresh_token"}
    assert player.me().status == 200


def test_sessions_end_once(player: Player, tables: Tables) -> None:
    """Signing out again does not change the session's end time."""
    assert log_out_by(player.refresh_token).status == 200
    before = tables.run("SELECT * FROM sessions")
    assert log_out_by(player.refresh_token).status == 200
    assert tables.run("SELECT * FROM sessions") == before
