"""A player's sessions: listed, ended one by one, ended all at once."""

import base64
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.conftest import FakeClock, Tables
from tests.play.players import Player, call

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def devices(player: Player, number: int) -> list[Player]:
    """Sign a player in on more devices."""
    others = [player.on_another_device() for _ in range(number)]
    for index, other in enumerate(others):
        assert other.log_in(device=f"device {index}").status == 200
    return others


def current_id(player: Player) -> str:
    """Return the id of a player's current session."""
    (session,) = (one for one in player.sessions() if one["current"])
    identifier: str = session["id"]
    return identifier


def is_dead(player: Player) -> bool:
    """Tell whether both tokens of a player are refused."""
    return player.me().code == "invalid_token" and player.refresh().code == "session_ended"


# The list


def test_list(player: Player, clock: FakeClock) -> None:
    """The list gives each session's device, start and end, and marks the current one."""
    (phone,) = devices(player, 1)
    listed = phone.sessions()
    assert len(listed) == 2
    for session in listed:
        assert set(session) == {
            *("id", "device", "created_at", "last_used_at", "expires_at", "current")
        }
        for name in ("created_at", "last_used_at", "expires_at"):
            assert TIME.fullmatch(session[name])
    assert {one["device"]: one["current"] for one in listed} == {None: False, "device 0": True}
    assert {one["device"]: one["current"] for one in player.sessions()} == {
        None: True,
        "device 0": False,
    }


def test_list_of_one(player: Player) -> None:
    """The list and the answer at sign-in describe the same session."""
    answer = player.log_in(device="Ada's \U0001f3ae").json
    (listed,) = (one for one in player.sessions() if one["current"])
    assert listed == {
        **answer["session"],
        "device": "Ada's \U0001f3ae",
        "last_used_at": answer["session"]["created_at"],
        "current": True,
    }


def test_labels_from_before_they_were_checked(player: Player, tables: Tables) -> None:
    """A stored label with control characters is returned without them."""
    tables.run("UPDATE sessions SET device = %s", "\u202eevil\0\n<b>x</b>\x07")
    assert [session["device"] for session in player.sessions()] == ["evil<b>x</b>"]


def test_order_and_times(player: Player, clock: FakeClock) -> None:
    """The most recently used session is first, and its times follow from its last refresh."""
    (phone,) = devices(player, 1)
    clock.advance(minutes=3)
    desk = player.on_another_device()
    assert desk.log_in(device="desk").status == 200
    clock.advance(minutes=3)
    now = clock().replace(microsecond=0)
    refreshed = phone.refresh().json
    listed = desk.sessions()
    assert [session["device"] for session in listed] == ["device 0", "desk", None]
    assert [session["current"] for session in listed] == [False, True, False]
    first = listed[0]
    created_at = datetime.fromisoformat(first["created_at"])
    last_used_at = datetime.fromisoformat(first["last_used_at"])
    assert now <= last_used_at <= clock()
    assert timedelta(minutes=5) < last_used_at - created_at < timedelta(minutes=7)
    assert datetime.fromisoformat(first["expires_at"]) == last_used_at + timedelta(days=30)
    assert first["expires_at"] == refreshed["session"]["expires_at"]
    assert first["created_at"] == refreshed["session"]["created_at"]


def test_only_the_living(player: Player, clock: FakeClock) -> None:
    """Ended and expired sessions are not listed."""
    ended, expiring = devices(player, 2)
    clock.advance(days=20)
    assert player.refresh().status == 200
    assert ended.refresh().status == 200
    assert len(player.sessions()) == 3
    assert ended.log_out().status == 200
    assert [one["device"] for one in player.sessions()] == [None, "device 1"]
    clock.advance(days=10)
    assert player.refresh().status == 200
    assert [one["device"] for one in player.sessions()] == [None]
    assert expiring.refresh().code == "session_ended"


def test_only_the_own(player: Player) -> None:
    """A player sees no sessions of other players."""
    other = Player()
    assert other.register(device="theirs").status == 201
    assert [one["device"] for one in player.sessions()] == [None]
    assert [one["device"] for one in other.sessions()] == ["theirs"]


# Ending one


def test_end_one(player: Player) -> None:
    """An ended session's tokens are refused at once; the other sessions go on."""
    phone, desk = devices(player, 2)
    parent = phone.refresh_token
    assert phone.refresh().status == 200
    answer = player.ask("DELETE", f"/v1/sessions/{current_id(phone)}")
    assert (answer.status, answer.json) == (200, {})
    assert is_dead(phone)
    assert phone.refresh(parent).code == "session_ended"
    assert desk.me().status == 200
    assert desk.refresh().status == 200
    assert player.refresh().status == 200
    assert len(player.sessions()) == 2


def test_end_this_one(player: Player) -> None:
    """A player may end the current session."""
    assert player.ask("DELETE", f"/v1/sessions/{current_id(player)}").status == 200
    assert is_dead(player)


def test_end_an_ended_one(player: Player) -> None:
    """An ended session cannot be ended again."""
    (phone,) = devices(player, 1)
    path = f"/v1/sessions/{current_id(phone)}"
    assert player.ask("DELETE", path).status == 200
    answer = player.ask("DELETE", path)
    assert (answer.status, answer.code) == (404, "not_found")


def test_end_an_expired_one(player: Player, clock: FakeClock) -> None:
    """An expired session cannot be ended."""
    (phone,) = devices(player, 1)
    path = f"/v1/sessions/{current_id(phone)}"
    clock.advance(days=29)
    assert player.refresh().status == 200
    clock.advance(days=1)
    assert player.refresh().status == 200
    assert player.ask("DELETE", path).code == "not_found"


def test_end_one_of_another_player(player: Player) -> None:
    """Another player's session is not found, and goes on."""
    other = Player()
    assert other.register().status == 201
    answer = player.ask("DELETE", f"/v1/sessions/{current_id(other)}")
    assert (answer.status, answer.code) == (404, "not_found")
    assert other.me().status == 200
    assert other.refresh().status == 200


@pytest.mark.parametrize(
    "spelling",
    [
        str.upper,
        lambda identifier: identifier.replace("-", ""),
        lambda identifier: f"{{{identifier}}}",
        lambda identifier: f"urn:uuid:{identifier}",
        lambda identifier: f"{identifier} ",
        lambda identifier: f"{identifier}/",
        lambda identifier: f"{identifier}\x00",
        lambda identifier: identifier[:-1],
    ],
)
def test_end_one_in_another_spelling(spelling: Callable[[str], str], player: Player) -> None:
    """A session's id is matched exactly; any other spelling is not found, and nothing ends."""
    answer = player.ask("DELETE", f"/v1/sessions/{spelling(current_id(player))}")
    assert (answer.status, answer.code) == (404, "not_found")
    assert player.me().status == 200


@pytest.mark.parametrize(
    "identifier",
    [
        "01890000-0000-7000-8000-000000000000",
        "0",
        "%",
        "..",
        "current",
        "\u00e9\U0001f600",
        "x" * 5000,
        "' OR 1=1 -- ",
    ],
)
def test_end_garbage(identifier: str, player: Player) -> None:
    """A malformed session id is not found, and nothing ends."""
    answer = player.ask("DELETE", f"/v1/sessions/{identifier}")
    assert (answer.status, answer.code) == (404, "not_found")
    assert player.me().status == 200


# Access tokens


def test_expired_token(player: Player, clock: FakeClock) -> None:
    """An access token is valid for ten minutes; then it cannot even sign out."""
    clock.advance(minutes=9, seconds=50)
    assert player.me().status == 200
    clock.advance(seconds=11)
    for answer in (
        player.me(),
        player.log_out(),
        player.log_out(everywhere=True),
        player.ask("GET", "/v1/sessions"),
        player.ask("DELETE", "/v1/sessions/x"),
    ):
        assert (answer.status, answer.code) == (401, "invalid_token")
        assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert player.refresh().status == 200
    assert player.me().status == 200


def _with_another_claim(token: str) -> str:
    header, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    claims["name"] = "admin"
    changed = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"{header}.{changed}.{signature}"


def _unsigned(token: str) -> str:
    header, payload, _ = token.split(".")
    fields = {**json.loads(base64.urlsafe_b64decode(header + "==")), "alg": "none"}
    changed = base64.urlsafe_b64encode(json.dumps(fields).encode()).rstrip(b"=").decode()
    return f"{changed}.{payload}."


@pytest.mark.parametrize(
    "forge",
    [
        _with_another_claim,
        _unsigned,
        lambda token: token[:-10] + "AAAAAAAAAA",
        lambda token: token.rpartition(".")[0] + ".",
        lambda token: token.rpartition(".")[0],
        lambda token: token[1:],
        lambda token: f"{token} x",
        lambda token: token * 10,
        lambda _: "x",
        lambda _: "..",
        lambda _: "x" * 5000,
    ],
)
def test_forged_token(forge: Callable[[str], str], player: Player) -> None:
    """A forged or garbled access token gives no access and ends nothing."""
    forged = forge(player.access_token)
    for method, path in (
        ("GET", "/v1/me"),
        ("GET", "/v1/sessions"),
        ("POST", "/v1/logout"),
        ("DELETE", f"/v1/sessions/{current_id(player)}"),
    ):
        answer = call(method, path, token=forged)
        assert (answer.status, answer.code) == (401, "invalid_token")
    assert player.me().status == 200


def test_no_token(player: Player) -> None:
    """Without an access token the answer asks for one; no other place of the request is read."""
    for answer in (
        call("GET", "/v1/me"),
        call("GET", "/v1/me", token=""),
        call("GET", "/v1/sessions"),
        call("POST", "/v1/logout", {"access_token": player.access_token}),
        call("POST", "/v1/me/delete", {"password": player.password}),
    ):
        assert (answer.status, answer.code) == (401, "invalid_token")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert player.me().status == 200


def test_suspension_applies_at_once(player: Player, tables: Tables) -> None:
    """After a suspension the player's access token is refused at once."""
    tables.run("UPDATE accounts SET suspended_until = %s", datetime(9999, 1, 1, tzinfo=UTC))
    assert player.me().code == "invalid_token"
    assert player.ask("GET", "/v1/sessions").code == "invalid_token"
    assert is_dead(player)
