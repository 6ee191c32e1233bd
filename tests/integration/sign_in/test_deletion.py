"""Deleting an account: it is gone with its sessions, and its name is free again."""

import time

import pytest

from tests.conftest import FakeClock, Tables
from tests.play.players import PASSWORD, Player, call

NEW = "lute-Gr4ph!t"
WRONG = "not the password"


def test_gone(player: Player, tables: Tables) -> None:
    """The account is gone with all its sessions, and signing in to it fails."""
    phone = player.on_another_device()
    assert phone.log_in().status == 200
    answer = player.delete()
    assert (answer.status, answer.json) == (200, {})
    assert tables.count("accounts") == 0
    assert tables.count("sessions") == 0
    assert player.log_in().code == "invalid_credentials"
    assert call("POST", "/login", {"username": player.username, "password": PASSWORD}).json == {
        "status": False
    }


def test_tokens_are_dead(player: Player) -> None:
    """Both tokens are refused, on this device and on others."""
    phone = player.on_another_device()
    assert phone.log_in().status == 200
    parent = phone.refresh_token
    assert phone.refresh().status == 200
    assert player.delete().status == 200
    for device in (player, phone):
        assert device.me().code == "invalid_token"
        assert device.ask("GET", "/v1/sessions").code == "invalid_token"
        assert device.change_password(NEW).code == "invalid_token"
        assert device.delete().code == "invalid_token"
        assert device.refresh().code == "session_ended"
    assert phone.refresh(parent).code == "session_ended"


def test_name_is_free_again(player: Player) -> None:
    """The name can be registered again, and no earlier token opens the new account."""
    before = player.me().json["account"]["id"]
    assert player.delete().status == 200
    other = Player(player.username.upper(), NEW)
    answer = other.register()
    assert answer.status == 201
    assert answer.json["account"]["id"] != before
    assert answer.json["account"]["username"] == player.username.upper()
    assert player.me().code == "invalid_token"
    assert player.refresh().code == "session_ended"
    assert player.log_in().code == "invalid_credentials"
    assert other.me().status == 200


def test_only_this_account(player: Player, tables: Tables) -> None:
    """Every other account stays."""
    other = Player()
    assert other.register().status == 201
    assert player.delete().status == 200
    assert tables.count("accounts") == 1
    assert tables.count("sessions") == 1
    assert other.refresh().status == 200


def test_wrong_password(player: Player, tables: Tables) -> None:
    """With a wrong password nothing is deleted, and the session goes on."""
    answer = player.delete(WRONG)
    assert (answer.status, answer.code) == (401, "invalid_credentials")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert tables.count("accounts") == 1
    assert player.me().status == 200
    assert player.refresh().status == 200
    assert player.delete().status == 200


@pytest.mark.parametrize("body", [None, {}, {"password": None}, {"password": 1}, {"password": []}])
def test_wrong_body(body: object, player: Player) -> None:
    """If the password is missing or not a string, nothing is deleted or charged."""
    for _ in range(6):
        answer = player.ask("POST", "/v1/me/delete", body)
        assert (answer.status, answer.code) == (400, "invalid_request")
        assert set(answer.json["error"]["fields"]) == {"password"}
    assert player.delete().status == 200


def test_no_delete_method(player: Player) -> None:
    """The route is a POST, because proxies drop the body of a DELETE."""
    answer = player.ask("DELETE", "/v1/me/delete", {"password": PASSWORD})
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"
    assert player.me().status == 200


def test_needs_a_usable_session(player: Player, clock: FakeClock) -> None:
    """A signed-out or expired session cannot delete the account, even with the right password."""
    assert call("POST", "/v1/me/delete", {"password": PASSWORD}).code == "invalid_token"
    phone = player.on_another_device()
    assert phone.log_in().status == 200
    assert phone.log_out().status == 200
    assert phone.delete().code == "invalid_token"
    clock.advance(minutes=11)
    assert player.delete().code == "invalid_token"
    assert player.refresh().status == 200
    assert player.delete().status == 200


def test_after_a_password_change(player: Player) -> None:
    """After a password change only the new password deletes the account."""
    assert player.change_password(NEW).status == 200
    assert player.delete(PASSWORD).code == "invalid_credentials"
    assert player.delete(NEW).status == 200


def test_rate_limit(player: Player, clock: FakeClock) -> None:
    """An account has five guesses, then one a minute, and is not deleted while limited."""
    for _ in range(5):
        assert player.delete(WRONG).status == 401
    answer = player.delete()
    assert (answer.status, answer.code) == (429, "too_many_attempts")
    retry_after = answer.json["error"]["retry_after"]
    assert 50 <= retry_after <= 60
    assert answer.headers["retry-after"] == str(retry_after)
    assert player.me().status == 200
    clock.advance(seconds=retry_after)
    assert player.delete(WRONG).status == 401
    assert player.delete().status == 429
    clock.advance(minutes=1)
    assert player.delete().status == 200


def test_success_is_no_guess(player: Player, tables: Tables) -> None:
    """The charge of a successful deletion is refunded."""
    tables.run("DELETE FROM rate_limits")
    assert player.delete().status == 200
    (bucket,) = tables.run("SELECT tat FROM rate_limits")
    assert bucket["tat"] <= time.time() * 1_000_000


def test_limit_is_shared_with_password_change(player: Player) -> None:
    """Guesses at deletion and at the password change share a limit across all sessions."""
    phone = player.on_another_device()
    assert phone.log_in().status == 200
    for _ in range(3):
        assert player.delete(WRONG).status == 401
    assert phone.change_password(NEW, WRONG).status == 401  # two guesses
    assert player.delete().status == 429
    assert phone.delete().status == 429
    assert phone.change_password(NEW).status == 429


def test_limit_is_not_shared_with_signing_in(player: Player) -> None:
    """Guesses here do not limit signing in, nor the other way round."""
    for _ in range(5):
        assert player.delete(WRONG).status == 401
    assert player.on_another_device().log_in().status == 200
    other = Player()
    assert other.register().status == 201
    for _ in range(5):
        assert other.log_in(WRONG).status == 401
    assert other.delete().status == 200
