"""The tutorial's two routes: the article's game client works after changing only its URL."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

import handler
from auth.app import create_app
from auth.settings import Settings
from tests.conftest import FakeClock, Tables
from tests.play.events import REQUEST_ID, Answer, http_event
from tests.play.players import PASSWORD, Player, call

NOT_VALID = (400, "Input data not valid")
NO_STRINGS: tuple[object, ...] = (None, 0, 1, True, False, 1.5, ["ada"], [], {}, {"$ne": ""})


def post_login(body: str | bytes | None, content_type: str | None = "application/json") -> Answer:
    """Send a body unchanged."""
    headers = {} if content_type is None else {"Content-Type": content_type}
    return Answer.of(handler.http(http_event("POST", "/login", body, headers), None))


def tutorial_login(player: Player, password: str = PASSWORD) -> Answer:
    """Sign in as the tutorial's client does."""
    return call("POST", "/login", {"username": player.username, "password": password})


def test_index(tables: Tables) -> None:
    """The root answers OK as plain text."""
    answer = call("GET", "/")
    assert (answer.status, answer.text) == (200, "OK")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-request-id"] == REQUEST_ID


def test_right_and_wrong(player: Player) -> None:
    """The body is true for the right password, false for a wrong one or an unknown name."""
    for answer, status in (
        (tutorial_login(player), True),
        (tutorial_login(player, "not the password"), False),
        (tutorial_login(Player("nobody-here")), False),
        (tutorial_login(Player("im possible")), False),
        (tutorial_login(Player("")), False),
    ):
        assert answer.status == 200
        assert answer.json == {"status": status}
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"


def test_case_and_unknown_fields(player: Player) -> None:
    """The name's case and unknown fields make no difference."""
    body = {"username": player.username.upper(), "password": PASSWORD, "version": [1, None]}
    assert call("POST", "/login", body).json == {"status": True}


def test_suspended(player: Player, tables: Tables) -> None:
    """A suspended player is answered false, as after any failed sign-in."""
    tables.run("UPDATE accounts SET suspended_until = %s", datetime(9999, 12, 31, tzinfo=UTC))
    answer = tutorial_login(player)
    assert (answer.status, answer.json) == (200, {"status": False})


@pytest.mark.parametrize(
    "body",
    [
        None,
        "",
        "{",
        "username=ada&password=x",
        "[]",
        "null",
        '"ada"',
        "[" * 8000,
        '{"username": "ada", "password": NaN}',
        '{"username": "ada", "password": "x"} x',
        '{"username": "ada", "password": "\\ud800"}',
        '{"username": "\\udfff", "password": "x"}',
        b'{"username": "ada", "password": "\xff"}',
        b'\xff\xfe{"username": "ada", "password": "x"}',
    ],
)
def test_no_json(body: str | bytes | None, tables: Tables) -> None:
    """A body that is not a JSON object is refused in the tutorial's words."""
    answer = post_login(body)
    assert (answer.status, answer.text) == NOT_VALID
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"username": "ada"},
        {"password": "x"},
        {"Username": "ada", "Password": "x"},
        *({"username": wrong, "password": "x"} for wrong in NO_STRINGS),
        *({"username": "ada", "password": wrong} for wrong in NO_STRINGS),
    ],
)
def test_missing_or_wrong_field(body: dict[str, object], tables: Tables) -> None:
    """A field that is missing, null or not a string is refused in the tutorial's words."""
    answer = call("POST", "/login", body)
    assert (answer.status, answer.text) == NOT_VALID
    assert tables.count("rate_limits") == 0


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "text/json", "application/x-www-form-urlencoded"]
)
def test_wrong_content_type(content_type: str | None, player: Player) -> None:
    """A body without a JSON content type is refused in the tutorial's words."""
    body = json.dumps({"username": player.username, "password": PASSWORD})
    answer = post_login(body, content_type)
    assert (answer.status, answer.text) == NOT_VALID


def test_content_type_with_charset(player: Player) -> None:
    """A content type may have a charset and any letter case."""
    body = json.dumps({"username": player.username, "password": PASSWORD})
    assert post_login(body, "application/json; charset=utf-8").json == {"status": True}
    assert post_login(body.encode(), "Application/JSON").json == {"status": True}


def test_body_size(player: Player) -> None:
    """A body of 8 KiB is read; one more byte is refused in the tutorial's words."""
    body = json.dumps({"username": player.username, "password": PASSWORD})
    assert post_login(body.ljust(8192)).json == {"status": True}
    answer = post_login(body.ljust(8193))
    assert (answer.status, answer.text) == NOT_VALID


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/login", {"POST"}),
        ("PUT", "/login", {"POST"}),
        ("OPTIONS", "/login", {"POST"}),
        ("POST", "/", {"GET", "HEAD"}),
        ("DELETE", "/", {"GET", "HEAD"}),
    ],
)
def test_wrong_method(method: str, path: str, allowed: set[str], tables: Tables) -> None:
    """A wrong method is answered in JSON, as on every route."""
    answer = call(method, path)
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert set(answer.headers["allow"].split(", ")) == allowed


@pytest.mark.parametrize("path", ["/login/", "/login//", "/Login", "/index", "/logi"])
def test_unknown_path(path: str, tables: Tables) -> None:
    """An unknown path is answered in JSON and never redirected, even with a trailing slash."""
    answer = call("POST", path, {"username": "ada", "password": "x"})
    assert (answer.status, answer.code) == (404, "not_found")
    assert answer.json["error"]["request_id"] == REQUEST_ID


@pytest.mark.parametrize("path", ["//login", "///login"])
def test_doubled_slash(path: str, tables: Tables) -> None:
    """A path with an extra slash at the front is unknown, too."""
    answer = call("POST", path, {"username": "ada", "password": "x"})
    assert (answer.status, answer.code) == (404, "not_found")


def test_too_many_attempts(player: Player, clock: FakeClock) -> None:
    """Guesses are limited: false with 429 and Retry-After until enough time has passed."""
    for _ in range(5):
        answer = tutorial_login(player, "not the password")
        assert (answer.status, answer.json) == (200, {"status": False})
    answer = tutorial_login(player)
    assert (answer.status, answer.json) == (429, {"status": False})
    assert 50 <= int(answer.headers["retry-after"]) <= 60
    clock.advance(seconds=int(answer.headers["retry-after"]))
    assert tutorial_login(player).json == {"status": True}


def test_limits_are_shared(player: Player) -> None:
    """Guesses here and at the v1 route share their limits."""
    for _ in range(3):
        assert tutorial_login(player, "not the password").status == 200
    for _ in range(2):
        assert player.log_in("not the password").status == 401
    assert player.log_in().status == 429
    assert tutorial_login(player).status == 429


def test_unavailable(player: Player, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the database or the keys the answer is false with 503 and Retry-After."""
    for cut_off in (
        replace(settings, database_secret_id="no-such-secret"),
        replace(settings, token_secret_id="no-such-secret"),
    ):
        application = create_app(cut_off)
        monkeypatch.setattr(handler, "application", application)
        answer = tutorial_login(player)
        application.close()
        assert (answer.status, answer.json) == (503, {"status": False})
        assert int(answer.headers["retry-after"]) >= 1


def test_opens_no_session(player: Player, tables: Tables) -> None:
    """Signing in through the tutorial's route opens no session and refunds its charges."""
    assert tables.count("sessions") == 1
    for _ in range(6):
        assert tutorial_login(player).json == {"status": True}
    assert tables.count("sessions") == 1
