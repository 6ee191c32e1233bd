"""The HTTP contract, docs/contract/http-api.md, route by route, as a client relies on it."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

import auth.errors
import handler
from auth.errors import ApiError
from auth.flows.accounts import Accounts
from auth.settings import Settings
from tests.conftest import Tables
from tests.integration.contract.contract import (
    CODES,
    ROUTES,
    SOME_ID,
    TUTORIAL,
    TUTORIAL_LOGIN,
    ContractLine,
    check_error,
    check_headers,
    every,
    send,
)
from tests.play.events import REQUEST_ID, Answer, http_event
from tests.play.players import PASSWORD, Player, call

# Codes


def test_codes_of_the_table() -> None:
    """Each code of the contract is an error with the table's status, and there are no others."""
    classes, tree = [], list(ApiError.__subclasses__())
    while tree:
        found = tree.pop()
        tree += found.__subclasses__()
        if hasattr(found, "code"):
            classes.append(found)
    ours = {one.code: one.status for one in classes if one.__module__ == auth.errors.__name__}
    assert ours == CODES
    assert len(classes) == len([one for one in classes if one.__module__ == "auth.errors"])


def test_codes_are_told_apart_by_class() -> None:
    """No two errors share a code, except the missing token, which is an invalid one."""
    declared: dict[str, str] = {}
    for name, value in vars(auth.errors).items():
        if isinstance(value, type) and issubclass(value, ApiError) and "code" in vars(value):
            assert value.code not in declared, (name, declared[value.code])
            declared[value.code] = name
    assert set(declared) == set(CODES)


# Paths and methods


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/",
        "/v2/login",
        "/V1/login",
        "/v1/LOGIN",
        "/v1/login.json",
        "/static/x",
        "/.well-known/",
        "/.env",
        "/v1/../login",
        "/v1/sessions/a/b",
        "/v1/login%00",
        "/v1/login%2f",
        "/v1/login%3Fx=1",
        "/v1/%6cogin",
        "/v1%2flogin",
        "/%6cogin",
        "/v1/%256cogin",
        "/%2e/login",
        "/favicon.ico",
        "/login/ü",
    ],
)
@pytest.mark.usefixtures("stack")
def test_unknown_path(path: str) -> None:
    """An unknown path gets a JSON 404 with any method."""
    for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"):
        check_error(send(ContractLine(method, path)), "not_found")


@every(*ROUTES, TUTORIAL_LOGIN)
@pytest.mark.usefixtures("stack")
def test_trailing_slash(route: ContractLine) -> None:
    """A trailing slash gives a different path: 404, never a redirect."""
    answer = send(ContractLine(route.method, route.path + "/"))
    check_error(answer, "not_found")
    assert "location" not in answer.headers


@every(*ROUTES, TUTORIAL_LOGIN)
@pytest.mark.usefixtures("stack")
def test_encoded_letter(route: ContractLine) -> None:
    """No spelling of a path with a % is the route: it would get around the gateway's throttle."""
    for at, letter in enumerate(route.path):
        spelled = f"{route.path[:at]}%{ord(letter):02x}{route.path[at + 1 :]}"
        if at > 0:
            check_error(send(ContractLine(route.method, spelled)), "not_found")


@every(*ROUTES, TUTORIAL_LOGIN)
@pytest.mark.usefixtures("stack")
def test_double_slash(route: ContractLine) -> None:
    """A doubled slash gives a different path: 404, never a redirect."""
    start, slash, rest = route.path.rpartition("/")
    paths = [f"{route.path}//"] + ([f"{start}/{slash}{rest}"] if start else [])
    for path in paths:
        check_error(send(ContractLine(route.method, path)), "not_found")


@every(*ROUTES, *TUTORIAL)
@pytest.mark.usefixtures("stack")
def test_leading_double_slash(route: ContractLine) -> None:
    """An extra slash at the front gives a different path, too."""
    for path in (f"/{route.path}", f"//{route.path}"):
        answer = send(ContractLine(route.method, path))
        assert answer.status == 404, path
        check_error(answer, "not_found")


@every(*ROUTES, *TUTORIAL)
@pytest.mark.usefixtures("stack")
def test_wrong_method(route: ContractLine) -> None:
    """A method that the route does not accept gets a JSON 405 with the list of accepted methods."""
    takes = {route.method} | ({"HEAD"} if route.method == "GET" else set())
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "X"):
        if method in takes:
            continue
        answer = send(ContractLine(method, route.path))
        check_error(answer, "method_not_allowed")
        assert set(answer.headers["allow"].split(", ")) == takes, method


@every(*ROUTES, *TUTORIAL)
@pytest.mark.usefixtures("tables")
def test_head(route: ContractLine) -> None:
    """HEAD is answered with the headers of GET or refused, and never with a body."""
    answer = send(replace(route, method="HEAD"))
    assert answer.text == ""
    assert answer.headers["x-request-id"] == REQUEST_ID
    if route.method == "GET":
        assert answer.status == send(route).status
    else:
        assert answer.status == 405
        assert answer.headers["allow"] == route.method


def test_routes_are_those_of_the_contract(settings: Settings) -> None:
    """The application has exactly the routes that are tested here."""
    rules = {
        (method, re.sub(r"<\w+>", SOME_ID, rule.rule))
        for rule in auth.create_app(settings).url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD"}
    }
    assert rules == {(route.method, route.path) for route in (*ROUTES, *TUTORIAL)}


# Answers


def test_every_success(player: Player) -> None:
    """Every answer is a JSON object with the common headers."""
    answers = [
        player.register(),
        player.log_in(device="a"),
        player.refresh(),
        player.me(),
        player.ask("GET", "/v1/sessions"),
        player.ask("DELETE", f"/v1/sessions/{player.sessions()[1]['id']}"),
        player.change_password("another long enough password"),
        call("GET", "/v1/health"),
        player.log_out(),
        player.log_in(),
        player.delete(),
    ]
    assert [answer.status for answer in answers] == [409, *[200] * 10]
    for answer in answers:
        check_headers(answer)


def test_session_body(tables: Tables) -> None:
    """The session body has exactly the fields of the contract."""
    player = Player("Ada")
    moment = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
    for answer, status in ((player.register(), 201), (player.log_in(), 200)):
        body = answer.json
        assert answer.status == status
        assert set(body) == {
            *("account", "session", "access_token", "token_type", "expires_in"),
            *("refresh_token", "refresh_expires_in", "server_time"),
        }
        assert set(body["account"]) == {
            *("id", "username", "created_at", "guest", "generated_name")
        }
        assert set(body["session"]) == {"id", "created_at", "expires_at"}
        times = [body["account"]["created_at"], body["server_time"], body["session"]["expires_at"]]
        assert all(moment.fullmatch(text) for text in times)
        assert body["expires_in"] == 600


def test_health(tables: Tables) -> None:
    """The health check answers ok after a round trip to the database."""
    answer = call("GET", "/v1/health")
    assert (answer.status, answer.json) == (200, {"status": "ok"})
    check_headers(answer)


@pytest.mark.usefixtures("tables")
def test_request_id_differs() -> None:
    """The request id is the gateway's, never one from an earlier request."""
    for identifier in ("abc=", "Zzz-1"):
        event = http_event("GET", "/v1/me")
        event["requestContext"]["requestId"] = identifier
        answer = Answer.of(handler.http(event, None))
        assert answer.headers["x-request-id"] == identifier
        assert answer.json["error"]["request_id"] == identifier


# Bugs


@pytest.mark.parametrize("path", ["/v1/login", "/login"])
def test_bug(
    path: str, player: Player, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug gives a JSON 500 without details and a log line that names its place but no values."""
    canary = "canary-in-the-exception"

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError(canary)

    monkeypatch.setattr(Accounts, "_proven", broken)
    answer = call("POST", path, {"username": player.username, "password": PASSWORD})
    error = check_error(answer, "internal_error")
    assert set(error) == {"code", "message", "request_id"}
    assert canary not in str(answer)
    assert "ZeroDivisionError" not in str(answer)
    lines = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(lines) == 1
    assert "ZeroDivisionError" in lines[0].getMessage()
    assert "test_contract.py" in lines[0].getMessage()
    assert vars(lines[0])["code"] in ("", "internal_error")
    assert vars(lines[0])["request_id"] == REQUEST_ID
    assert lines[0].exc_info is None
    assert all(canary not in str(vars(record)) for record in caplog.records)


def test_bug_outside_the_application(
    stack: object, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug in the handler itself is answered and logged the same way."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError("canary-in-the-exception")

    monkeypatch.setattr("serverless_wsgi.handle_request", broken)
    answer = call("GET", "/v1/health")
    check_error(answer, "internal_error")
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "canary" not in answer.text + caplog.text


def test_the_table_is_that_of_the_documentation() -> None:
    """Every code in the application's source is in the contract's table."""
    named = set()
    for path in Path(auth.errors.__file__).parent.rglob("*.py"):
        named |= set(re.findall(r'code, status(?:, message)? = "(\w+)"', path.read_text()))
    assert named == set(CODES)
