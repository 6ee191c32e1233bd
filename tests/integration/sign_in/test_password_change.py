"""Changing the password: this device stays signed in, all others are signed out."""

from datetime import UTC, datetime

import pytest

from tests.conftest import FakeClock, Tables
from tests.play.players import PASSWORD, Player, call

NEW = "lute-Gr4ph!t"
OTHER = "Gr4ph!t-oboe"
WRONG = "not the password"
KEY = "0123456789abcdef"


def test_new_tokens(player: Player) -> None:
    """The answer is a session body: new tokens for the same session."""
    before = player.refresh()
    answer = player.change_password(NEW)
    assert answer.status == 200
    assert set(answer.json) == set(before.json)
    assert answer.json["account"] == before.json["account"]
    assert answer.json["session"]["id"] == before.json["session"]["id"]
    assert answer.json["session"]["created_at"] == before.json["session"]["created_at"]
    assert answer.json["refresh_token"] != before.json["refresh_token"]
    assert answer.json["access_token"] != before.json["access_token"]
    assert answer.json["refresh_expires_in"] == 2592000
    assert player.me().status == 200
    assert player.refresh().status == 200


def test_new_password(player: Player) -> None:
    """Afterwards the new password is accepted and the old one refused."""
    assert player.change_password(NEW).status == 200
    assert player.log_in(PASSWORD).code == "invalid_credentials"
    assert player.log_in(NEW).status == 200
    assert call("POST", "/login", {"username": player.username, "password": PASSWORD}).json == {
        "status": False
    }


def test_old_refresh_token(player: Player) -> None:
    """The old refresh token is refused at once: there is no grace period, even with a key."""
    for key in (None, KEY):
        old = player.refresh_token
        assert (
            player.change_password(NEW if player.password == PASSWORD else PASSWORD).status == 200
        )
        assert call("POST", "/v1/refresh", {"refresh_token": old}, key=key).code == "session_ended"
        assert player.log_in().status == 200


def test_replaced_refresh_token(player: Player) -> None:
    """A token that was replaced just before is refused too, even with its key."""
    parent = player.refresh_token
    assert player.refresh(key=KEY).status == 200
    assert player.change_password(NEW).status == 200
    answer = call("POST", "/v1/refresh", {"refresh_token": parent}, key=KEY)
    assert answer.code == "session_ended"


def test_key_of_the_refresh_before(player: Player) -> None:
    """The key of the previous refresh may be used again for the next one."""
    assert player.refresh(key=KEY).status == 200
    assert player.change_password(NEW).status == 200
    assert player.refresh(key=KEY).status == 200


def test_own_access_token(player: Player) -> None:
    """The session's access token stays valid, or the call could not be repeated."""
    before = player.access_token
    assert player.change_password(NEW).status == 200
    assert call("GET", "/v1/me", token=before).status == 200
    assert len(player.sessions()) == 1


def test_other_sessions(player: Player) -> None:
    """Every other session ends, no matter which device changes the password."""
    phone, desk = player.on_another_device(), player.on_another_device()
    assert phone.log_in().status == 200
    assert desk.log_in().status == 200
    parent = desk.refresh_token
    assert desk.refresh().status == 200
    assert phone.change_password(NEW).status == 200
    for other in (player, desk):
        assert other.me().code == "invalid_token"
        assert other.change_password(OTHER, NEW).code == "invalid_token"
        assert other.refresh().code == "session_ended"
    assert desk.refresh(parent).code == "session_ended"
    assert [session["current"] for session in phone.sessions()] == [True]
    assert phone.refresh().status == 200


def test_sessions_of_other_players(player: Player) -> None:
    """No other player's session or password changes."""
    stranger = Player()
    assert stranger.register().status == 201
    assert player.change_password(NEW).status == 200
    assert stranger.refresh().status == 200
    assert stranger.log_in().status == 200


def test_lost_answer(player: Player) -> None:
    """Repeated with the same bodies and the old token, the call gives the same answer."""
    access_token = player.access_token
    body = {"current_password": PASSWORD, "new_password": NEW}
    first, *again = [call("PUT", "/v1/me/password", body, token=access_token) for _ in range(3)]
    for answer in (first, *again):
        assert answer.status == 200
        assert answer.json["session"] == first.json["session"]
        assert answer.json["refresh_token"] == first.json["refresh_token"]
    assert player.refresh(first.json["refresh_token"]).status == 200
    assert player.log_in(NEW).status == 200
    assert player.log_in(PASSWORD).code == "invalid_credentials"


def test_late_repetition(player: Player) -> None:
    """Once the answer's token has been used, a repetition counts as a wrong password."""
    assert player.change_password(NEW).status == 200
    assert player.refresh().status == 200
    used = player.refresh_token
    answer = player.change_password(NEW, PASSWORD)
    assert (answer.status, answer.code) == (401, "invalid_credentials")
    assert player.refresh(used).status == 200
    assert player.me().status == 200


def test_repetition_on_another_device(player: Player) -> None:
    """A device that signed in with the new password cannot repeat another device's change."""
    assert player.change_password(NEW).status == 200
    phone = player.on_another_device()
    assert phone.log_in().status == 200
    assert phone.change_password(NEW, PASSWORD).code == "invalid_credentials"
    assert phone.refresh().status == 200
    assert player.refresh().status == 200


def test_repetition_after_another_change(player: Player) -> None:
    """A repetition of the change before the last is a wrong password."""
    assert player.change_password(NEW).status == 200
    assert player.change_password(OTHER).status == 200
    assert player.change_password(NEW, PASSWORD).code == "invalid_credentials"
    assert player.refresh().status == 200


def test_lost_answer_ends_nothing(player: Player) -> None:
    """A session opened with the new password meanwhile is not ended by the repetition."""
    assert player.change_password(NEW).status == 200
    phone = player.on_another_device()
    assert phone.log_in().status == 200
    assert player.change_password(NEW, PASSWORD).status == 200
    assert phone.me().status == 200
    assert phone.refresh().status == 200


def test_same_password(player: Player, tables: Tables) -> None:
    """The new password may not be the current one, even with accents typed differently."""
    before = tables.count("rate_limits")
    for current, new in ((PASSWORD, PASSWORD), (WRONG, WRONG), ("Zu\u0308rich-8", "Z\u00fcrich-8")):
        for _ in range(6):
            answer = player.change_password(new, current)
            assert (answer.status, answer.code) == (422, "weak_password")
            assert "current" in answer.json["error"]["fields"]["new_password"]
    assert tables.count("rate_limits") == before
    assert player.refresh().status == 200


def test_wrong_password(player: Player, tables: Tables) -> None:
    """A wrong current password changes nothing and does not end the session."""
    before = tables.run("SELECT * FROM accounts"), tables.run("SELECT * FROM sessions")
    answer = player.change_password(NEW, WRONG)
    assert (answer.status, answer.code) == (401, "invalid_credentials")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json["error"]["message"] == "The current password is wrong."
    assert (tables.run("SELECT * FROM accounts"), tables.run("SELECT * FROM sessions")) == before
    assert player.me().status == 200
    assert player.refresh().status == 200
    assert player.log_in().status == 200


@pytest.mark.parametrize(
    "new",
    [
        *("", "short", "password1", "qwertyuiop[]", "x" * 129, "lute-Gr4ph!t\n"),
        *("{username}-7!xQ", "zaq1@WSX"),
    ],
)
def test_weak_password(new: str, player: Player) -> None:
    """A weak new password is refused with a reason, before the current one is checked."""
    for current in (PASSWORD, WRONG):
        answer = player.change_password(new.format(username=player.username), current)
        assert (answer.status, answer.code) == (422, "weak_password")
        fields = answer.json["error"]["fields"]
        assert set(fields) == {"password", "new_password"}
        assert fields["password"] == fields["new_password"]
        assert len(fields["new_password"].strip()) > 10
    assert player.refresh().status == 200
    assert player.log_in().status == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "current_password"),
        ({"current_password": PASSWORD}, "new_password"),
        ({"new_password": NEW}, "current_password"),
        ({"current_password": None, "new_password": NEW}, "current_password"),
        ({"current_password": PASSWORD, "new_password": [NEW]}, "new_password"),
    ],
)
def test_wrong_body(body: dict[str, object], field: str, player: Player) -> None:
    """A field that is missing or not a string is named."""
    answer = player.ask("PUT", "/v1/me/password", body)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert set(answer.json["error"]["fields"]) == {field}


def test_combining_accents(player: Player) -> None:
    """The new password is the same one in both ways of writing its accents."""
    assert player.change_password("Zu\u0308rich-A\u030angstrom").status == 200
    assert player.log_in("Z\u00fcrich-\u00c5ngstrom").status == 200
    assert player.change_password(NEW, "Z\u00fcrich-\u00c5ngstrom").status == 200


# Rate limit


def test_rate_limit(player: Player, clock: FakeClock) -> None:
    """A wrong change is two guesses, at the old and at the new; five are allowed, one a minute."""
    for _ in range(2):
        assert player.change_password(NEW, WRONG).status == 401
    for current in (WRONG, PASSWORD):
        answer = player.change_password(NEW, current)
        assert (answer.status, answer.code) == (429, "too_many_attempts")
        retry_after = answer.json["error"]["retry_after"]
        assert 50 <= retry_after <= 60
        assert answer.headers["retry-after"] == str(retry_after)
    assert player.me().status == 200
    clock.advance(seconds=retry_after)
    assert player.change_password(NEW).status == 200


def test_both_guesses_are_charged(player: Player) -> None:
    """Guesses in the place of the new password are charged as well."""
    guesses = [f"lute-Gr4ph!t-{number}" for number in range(8)]
    for current, new in zip(guesses[::2], guesses[1::2], strict=True):
        assert player.change_password(new, current).status in (401, 429)
    assert player.change_password(PASSWORD, guesses[0]).status == 429
    assert player.change_password(NEW).status == 429


def test_success_is_no_guess(player: Player) -> None:
    """A successful change costs no guess."""
    for number in range(4):
        assert player.change_password(NEW if number % 2 else OTHER).status == 200
    assert player.change_password(OTHER, WRONG).status == 401
    assert player.change_password(OTHER, WRONG).status == 401
    assert player.change_password(OTHER, WRONG).status == 429


def test_successes_are_limited(player: Player, clock: FakeClock) -> None:
    """Five changes may succeed, then one in ten minutes, counted over all devices."""
    for number in range(5):
        assert player.change_password(NEW if number % 2 else OTHER).status == 200
    answer = player.change_password(NEW)
    assert (answer.status, answer.code) == (429, "too_many_attempts")
    assert 590 <= answer.json["error"]["retry_after"] <= 600
    phone = player.on_another_device()
    assert phone.log_in().status == 200
    assert phone.change_password(NEW).status == 429
    clock.advance(minutes=10)
    assert phone.refresh().status == 200
    assert phone.change_password(NEW).status == 200
    assert phone.change_password(OTHER).status == 429


def test_repetition_of_the_last_success(player: Player) -> None:
    """The last change within the limit can be repeated as often as any other."""
    for number in range(5):
        old, new = (OTHER, NEW) if number % 2 else (NEW, OTHER)
        last = player.change_password(new)
        assert last.status == 200
    for _ in range(8):
        again = player.change_password(player.password, old)
        assert again.status == 200
        assert again.json["refresh_token"] == last.json["refresh_token"]
    assert player.change_password(PASSWORD).status == 429
    assert player.refresh().status == 200


def test_failures_are_no_successes(player: Player, clock: FakeClock) -> None:
    """Failed changes are not counted as successful ones."""
    for _ in range(3):
        for _ in range(2):
            assert player.change_password(NEW, WRONG).status == 401
        assert player.change_password(NEW, WRONG).status == 429
        assert player.change_password("qwertyuiop[]", WRONG).status in (422, 429)
        clock.advance(minutes=6)
        assert player.refresh().status == 200
    for number in range(5):
        assert player.change_password(OTHER if number % 2 else NEW).status == 200
    assert player.change_password(OTHER).status == 429


def test_repetition_is_no_guess(player: Player) -> None:
    """Repeating a call after a lost answer costs nothing, however often."""
    for _ in range(8):
        assert player.change_password(NEW, PASSWORD).status == 200
    for number in range(4):
        assert player.change_password(NEW if number % 2 else OTHER).status == 200


def test_success_gives_only_itself_back(player: Player) -> None:
    """A success does not refund earlier wrong guesses."""
    assert player.change_password(NEW, WRONG).status == 401
    assert player.change_password(NEW).status == 200
    assert player.change_password(OTHER, WRONG).status == 401
    assert player.change_password(OTHER, WRONG).status == 429


def test_weak_password_is_not_charged(player: Player) -> None:
    """A request with invalid content costs nothing."""
    for _ in range(8):
        assert player.change_password("short", WRONG).status == 422
        assert player.ask("PUT", "/v1/me/password", {"new_password": NEW}).status == 400
    assert player.change_password(NEW).status == 200


def test_limit_is_of_the_account(player: Player) -> None:
    """All sessions of an account share the limit; other accounts have their own."""
    phone, stranger = player.on_another_device(), Player()
    assert phone.log_in().status == 200
    assert stranger.register().status == 201
    assert player.change_password(NEW, WRONG).status == 401
    phone.address = "198.51.100.1"
    assert phone.change_password(NEW, WRONG).status == 401
    assert player.change_password(NEW, WRONG).status == 429
    assert phone.change_password(NEW).status == 429
    assert stranger.change_password(NEW).status == 200
    assert player.log_in().status == 200


# Permission


def test_needs_a_usable_session(player: Player, tables: Tables, clock: FakeClock) -> None:
    """A signed-out, expired or suspended session cannot change the password."""
    body = {"current_password": PASSWORD, "new_password": NEW}
    assert call("PUT", "/v1/me/password", body).code == "invalid_token"
    phone = player.on_another_device()
    assert phone.log_in().status == 200
    assert phone.log_out().status == 200
    assert phone.change_password(NEW).code == "invalid_token"
    clock.advance(minutes=11)
    assert player.change_password(NEW).code == "invalid_token"
    assert player.refresh().status == 200
    tables.run("UPDATE accounts SET suspended_until = %s", datetime(9999, 1, 1, tzinfo=UTC))
    assert player.change_password(NEW).code == "invalid_token"
    tables.run("UPDATE accounts SET suspended_until = NULL")
    assert player.log_in(PASSWORD).status == 200
