"""The HTTP contract (docs/http-api.md), route by route, as a deployed client relies on it."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest

import auth.errors
import handler
from auth.accounts import Accounts
from auth.errors import ApiError
from auth.settings import Settings
from tests.conftest import FakeClock, Tables
from tests.events import REQUEST_ID, Answer, http_event
from tests.players import PASSWORD, Player, call

SOME_ID = "0190a0a0-0000-7000-8000-000000000000"
JSON = {"Content-Type": "application/json"}
LIMIT = 8192


@dataclass(frozen=True)
class Route:
    """One line of the contract."""

    method: str
    path: str
    fields: tuple[str, ...] = ()  # required, all of them strings
    bearer: bool = False
    takes_body: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


ROUTES = (
    Route("POST", "/v1/register", ("username", "password"), takes_body=True),
    Route("POST", "/v1/login", ("username", "password"), takes_body=True),
    Route("POST", "/v1/refresh", ("refresh_token",), takes_body=True),
    Route("POST", "/v1/logout", bearer=True, takes_body=True),
    Route("GET", "/v1/sessions", bearer=True),
    Route("DELETE", f"/v1/sessions/{SOME_ID}", bearer=True),
    Route("GET", "/v1/me", bearer=True),
    Route(
        "PUT", "/v1/me/password", ("current_password", "new_password"), bearer=True, takes_body=True
    ),
    Route("POST", "/v1/me/delete", ("password",), bearer=True, takes_body=True),
    Route("GET", "/.well-known/jwks.json"),
    Route("GET", "/v1/health"),
)
TUTORIAL = (Route("GET", "/"), Route("POST", "/login"))
WITH_BODY = tuple(route for route in ROUTES if route.takes_body)
WITH_FIELDS = tuple(route for route in ROUTES if route.fields)
BEARER = tuple(route for route in ROUTES if route.bearer)

# The table of docs/http-api.md.
CODES = {
    "invalid_request": 400,
    "invalid_credentials": 401,
    "invalid_token": 401,
    "session_ended": 401,
    "account_suspended": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "username_taken": 409,
    "idempotency_key_reused": 409,
    "payload_too_large": 413,
    "unsupported_media_type": 415,
    "invalid_username": 422,
    "weak_password": 422,
    "too_many_attempts": 429,
    "internal_error": 500,
    "unavailable": 503,
}


def every(*routes: Route) -> pytest.MarkDecorator:
    """Run a test for each of these routes."""
    return pytest.mark.parametrize("route", routes, ids=str)


def send(
    route: Route,
    body: str | bytes | None = None,
    headers: dict[str, str] | None = None,
    token: str | None = None,
) -> Answer:
    """Send a body as it is."""
    sent = {**({} if body is None else JSON), **(headers or {})}
    if token is not None:
        sent["Authorization"] = f"Bearer {token}"
    return Answer.of(handler.http(http_event(route.method, route.path, body, sent), None))


def token_for(route: Route, player: Player) -> str | None:
    """Return the access token, where the route wants one."""
    return player.access_token if route.bearer else None


def form(route: Route, player: Player, **more: object) -> dict[str, object]:
    """Return a body that the route takes."""
    known = {
        "username": player.username,
        "password": player.password,
        "refresh_token": player.refresh_token,
        "current_password": player.password,
        "new_password": "another long enough password",
    }
    return {**{name: known[name] for name in route.fields}, **more}


def check_headers(answer: Answer, cache: str = "no-store") -> None:
    """Check what every JSON answer carries."""
    assert answer.headers["content-type"].partition(";")[0] == "application/json"
    assert answer.headers["cache-control"] == cache
    assert answer.headers["x-request-id"] == REQUEST_ID
    assert isinstance(answer.json, dict)


def check_error(answer: Answer, code: str) -> dict[str, Any]:
    """Check that it is this error in the contract's form, and return its `error`."""
    assert (answer.code, answer.status) == (code, CODES[code])
    check_headers(answer)
    error: dict[str, Any] = answer.json["error"]
    assert set(answer.json) == {"error"}
    assert isinstance(error["message"], str)
    assert error["message"]
    assert error["request_id"] == REQUEST_ID
    known = {"code", "message", "request_id", "fields", "retry_after", "until", "reason"}
    assert set(error) <= known
    if code == "invalid_token":
        assert answer.headers["www-authenticate"].startswith("Bearer")
    else:
        assert "www-authenticate" not in answer.headers
    return error


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
    """No two errors share a code, but for the missing token, which is an invalid one."""
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
        "/favicon.ico",
        "/login/ü",
    ],
)
@pytest.mark.usefixtures("stack")
def test_unknown_path(path: str) -> None:
    """A path that is no route gets a JSON 404, whatever the method."""
    for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"):
        check_error(send(Route(method, path)), "not_found")


@every(*ROUTES, TUTORIAL[1])
@pytest.mark.usefixtures("stack")
def test_trailing_slash(route: Route) -> None:
    """A trailing slash makes it another path: 404, never a redirect."""
    answer = send(Route(route.method, route.path + "/"))
    check_error(answer, "not_found")
    assert "location" not in answer.headers


@every(*ROUTES, TUTORIAL[1])
@pytest.mark.usefixtures("stack")
def test_double_slash(route: Route) -> None:
    """A doubled slash makes it another path: 404, never a redirect."""
    start, slash, rest = route.path.rpartition("/")
    paths = [f"{route.path}//"] + ([f"{start}/{slash}{rest}"] if start else [])
    for path in paths:
        check_error(send(Route(route.method, path)), "not_found")


@every(*ROUTES, *TUTORIAL)
@pytest.mark.usefixtures("stack")
def test_leading_double_slash(route: Route) -> None:
    """A slash too many at the front makes it another path too."""
    for path in (f"/{route.path}", f"//{route.path}"):
        answer = send(Route(route.method, path))
        assert answer.status == 404, path
        check_error(answer, "not_found")


@every(*ROUTES, *TUTORIAL)
@pytest.mark.usefixtures("stack")
def test_wrong_method(route: Route) -> None:
    """A method that the route does not take gets a JSON 405 that names those it takes."""
    takes = {route.method} | ({"HEAD"} if route.method == "GET" else set())
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "X"):
        if method in takes:
            continue
        answer = send(Route(method, route.path))
        check_error(answer, "method_not_allowed")
        assert set(answer.headers["allow"].split(", ")) == takes, method


@every(*ROUTES, *TUTORIAL)
@pytest.mark.usefixtures("tables")
def test_head(route: Route) -> None:
    """HEAD is answered with the headers of GET, or refused, and never with a body."""
    answer = send(Route("HEAD", route.path))
    assert answer.text == ""
    assert answer.headers["x-request-id"] == REQUEST_ID
    if route.method == "GET":
        assert answer.status == send(route).status
    else:
        assert answer.status == 405
        assert answer.headers["allow"] == route.method


def test_routes_are_those_of_the_contract(settings: Settings) -> None:
    """The application has the routes that are tested here, and no other."""
    rules = {
        (method, re.sub(r"<\w+>", SOME_ID, rule.rule))
        for rule in auth.create_app(settings).url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD"}
    }
    assert rules == {(route.method, route.path) for route in (*ROUTES, *TUTORIAL)}


# Bodies


@every(*ROUTES)
def test_size_limit(route: Route, player: Player) -> None:
    """A body of 8192 bytes is read; with one more it is refused on every route."""
    token = token_for(route, player)
    for size, refused in ((LIMIT, False), (LIMIT + 1, True), (100_000, True)):
        empty = json.dumps({"unknown": ""})
        body = json.dumps({"unknown": "x" * (size - len(empty))})
        assert len(body) == size
        for sent in (body, body.encode()):
            answer = send(route, sent, token=token)
            assert (answer.status == 413) is refused, size
            if refused:
                check_error(answer, "payload_too_large")


@every(*WITH_BODY)
def test_size_is_counted_in_bytes(route: Route, player: Player) -> None:
    """Characters of several bytes count as several."""
    body = json.dumps({"unknown": "é" * 4100}, ensure_ascii=False)
    assert len(body) < LIMIT
    check_error(send(route, body, token=token_for(route, player)), "payload_too_large")


@pytest.mark.usefixtures("tables")
def test_tutorial_size_limit() -> None:
    """The tutorial's login answers an over-long body as it answers any other wrong one."""
    answer = send(TUTORIAL[1], json.dumps({"username": "a", "password": "x" * LIMIT}))
    assert (answer.status, answer.text) == (400, "Input data not valid")
    assert send(TUTORIAL[0], "x" * (LIMIT + 1)).status == 400


@every(*WITH_BODY)
def test_media_type(route: Route, player: Player) -> None:
    """A body that does not say that it is JSON is refused."""
    body = json.dumps(form(route, player))
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "",
        "json",
        "application/jsonx",
    ):
        answer = send(route, body, {"Content-Type": kind}, token_for(route, player))
        check_error(answer, "unsupported_media_type")
    event = http_event(route.method, route.path, body)
    event["headers"]["authorization"] = f"Bearer {player.access_token}"
    check_error(Answer.of(handler.http(event, None)), "unsupported_media_type")


@pytest.mark.parametrize(
    "kind",
    ["application/json; charset=utf-8", "Application/JSON", "application/json;charset=UTF-8"],
)
def test_media_type_with_parameters(kind: str, player: Player) -> None:
    """The case of the media type and its parameters do not matter."""
    route = ROUTES[1]
    answer = send(route, json.dumps(form(route, player)), {"Content-Type": kind})
    assert answer.status == 200


@every(*WITH_BODY)
def test_no_body(route: Route, player: Player) -> None:
    """A missing or empty body counts as {}, whatever Content-Type says."""
    token = token_for(route, player)
    bodies: tuple[str | bytes | None, ...] = (None, "", b"", "{}")
    for body in bodies:
        for kind in ("application/json", "text/plain", ""):
            if body == "{}" and kind != "application/json":
                continue
            answer = send(route, body, {"Content-Type": kind}, token)
            if route.fields:
                error = check_error(answer, "invalid_request")
                assert set(error["fields"]) <= set(route.fields)
                assert error["fields"]
            else:
                assert (answer.status, answer.json) == (200, {})


@every(*WITH_FIELDS)
def test_fields(route: Route, player: Player) -> None:
    """A required field that is missing or no string is named in `fields`."""
    token = token_for(route, player)
    for field in route.fields:
        whole = form(route, player)
        without = {name: value for name, value in whole.items() if name != field}
        error = check_error(send(route, json.dumps(without), token=token), "invalid_request")
        assert set(error["fields"]) == {field}
        for wrong in (None, 0, 1.5, True, [], ["a"], {}, {"$gt": ""}):
            body = json.dumps({**whole, field: wrong})
            error = check_error(send(route, body, token=token), "invalid_request")
            assert set(error["fields"]) == {field}, wrong
            assert all(isinstance(reason, str) and reason for reason in error["fields"].values())


OPTIONAL: tuple[tuple[Route, str, tuple[object, ...]], ...] = (
    (ROUTES[0], "device", (1, [], {}, True, "x" * 65)),
    (ROUTES[1], "device", (1, [], {}, True, "x" * 65)),
    (ROUTES[1], "refresh_token", (1, [], {}, False)),
    (ROUTES[3], "everywhere", (1, 0, "true", "", [], {})),
)


@pytest.mark.parametrize(("route", "field", "wrongs"), OPTIONAL, ids=str)
def test_optional_fields(
    route: Route, field: str, wrongs: tuple[object, ...], player: Player
) -> None:
    """An optional field of a wrong type is named in `fields`; null is as good as none."""
    whole = {**form(route, player)}
    if "username" in whole and route.path == "/v1/register":
        whole["username"] = "somebody-new"
    for wrong in wrongs:
        body = json.dumps({**whole, field: wrong})
        error = check_error(send(route, body, token=token_for(route, player)), "invalid_request")
        assert set(error["fields"]) == {field}, wrong
    body = json.dumps({**whole, field: None})
    assert send(route, body, token=token_for(route, player)).status in (200, 201)


def test_device_of_64_characters(player: Player) -> None:
    """A device's label may have 64 characters of any kind, and is kept as it was sent."""
    label = "🕹" * 64
    assert player.log_in(device=label).status == 200
    assert label in [session["device"] for session in player.sessions()]


@every(*WITH_BODY)
def test_unknown_fields(route: Route, player: Player) -> None:
    """Fields that a route does not know are ignored."""
    known = form(route, player, unknown=[{"deep": None}], device2=1, account_id="x", is_admin=True)
    if route.path == "/v1/register":
        known["username"] = "somebody-new"
    answer = send(route, json.dumps(known), token=token_for(route, player))
    assert answer.status in (200, 201)


NOT_JSON: tuple[str | bytes, ...] = (
    "{",
    "null",
    "[]",
    '["username"]',
    '"text"',
    "1",
    "true",
    "NaN",
    "Infinity",
    " ",
    "{}{}",
    "{'username': 'a'}",
    '{"unknown": NaN}',
    '{"unknown": -Infinity}',
    '{"unknown": 01}',
    '{"unknown": "\n"}',
    '{"unknown": "\\ud800"}',
    '{"unknown": 1,}',
    "{}\0",
    b"\xff\xfe{}",
    b"\xef\xbb\xbf{}",
    b'{"unknown": "\xff"}',
    b'{"unknown": "\xed\xa0\x80"}',
    b'{"unknown": "\xc0\xaf"}',
    b'{"\xff": 1}',
    '{"username": "\\ud800", "password": "\\udfff"}',
    "[" * LIMIT,
    '{"a":' * (LIMIT // 5),
    '{"unknown": ' + "[" * 4000 + "]" * 4000 + "}",
    '{"username": ' + '{"a":' * 1300 + "1" + "}" * 1300 + "}",
)


@every(*WITH_BODY)
def test_bad_json(route: Route, player: Player) -> None:
    """What is no JSON object in UTF-8 is a 400, in fields that nobody reads too."""
    for body in NOT_JSON:
        answer = send(route, body, token=token_for(route, player))
        assert answer.status == 400, body[:40]
        check_error(answer, "invalid_request")
    assert player.me().status == 200  # nothing of that took effect


@pytest.mark.usefixtures("tables")
def test_bad_json_in_the_tutorial() -> None:
    """The tutorial's login answers all of that with its own text."""
    for body in (*NOT_JSON, None, "{}", '{"username": "a"}', '{"username": "a", "password": 1}'):
        answer = send(TUTORIAL[1], body)
        assert (answer.status, answer.text) == (400, "Input data not valid"), body
    answer = send(TUTORIAL[1], '{"username":"a","password":"b"}', {"Content-Type": "text/plain"})
    assert (answer.status, answer.text) == (400, "Input data not valid")


@pytest.mark.usefixtures("stack")
def test_wrong_methods_in_the_tutorial() -> None:
    """A wrong method on the tutorial's routes is answered as on every route."""
    check_error(call("GET", "/login"), "method_not_allowed")
    check_error(call("POST", "/", {}), "method_not_allowed")


@pytest.mark.usefixtures("tables")
def test_tutorial_headers() -> None:
    """The tutorial's answers are not cached either and carry the request's id."""
    for answer in (call("GET", "/"), call("POST", "/login", {}), call("POST", "/login/")):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-request-id"] == REQUEST_ID
    assert call("GET", "/").headers["content-type"].startswith("text/plain")
    assert call("POST", "/login", {}).headers["content-type"].startswith("text/plain")
    refused = call("POST", "/login", {"username": "nobody-here", "password": "x"})
    assert (refused.status, refused.json) == (200, {"status": False})
    check_headers(refused)


@pytest.mark.parametrize("key", ["short", "x" * 129, "with spaces in between", "é" * 20, ""])
@pytest.mark.parametrize("route", [ROUTES[0], ROUTES[2]], ids=str)
def test_idempotency_key(route: Route, key: str, player: Player) -> None:
    """An Idempotency-Key that is too short, too long or not visible ASCII is named in `fields`."""
    body = json.dumps(form(route, player))
    error = check_error(send(route, body, {"Idempotency-Key": key}), "invalid_request")
    assert {name.lower() for name in error["fields"]} == {"idempotency-key"}
    assert player.refresh().status == 200


# Answers


def test_every_success(player: Player) -> None:
    """Every answer is a JSON object with the headers that all answers have."""
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
    """The session body has the fields of the contract, and no other."""
    player = Player("Ada")
    moment = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
    for answer, status in ((player.register(), 201), (player.log_in(), 200)):
        body = answer.json
        assert answer.status == status
        assert set(body) == {
            *("account", "session", "access_token", "token_type", "expires_in"),
            *("refresh_token", "refresh_expires_in", "server_time"),
        }
        assert set(body["account"]) == {"id", "username", "created_at"}
        assert set(body["session"]) == {"id", "created_at", "expires_at"}
        times = [body["account"]["created_at"], body["server_time"], body["session"]["expires_at"]]
        assert all(moment.fullmatch(text) for text in times)
        assert body["expires_in"] == 600


def test_health(tables: Tables) -> None:
    """The health check says ok after a round trip to the database."""
    answer = call("GET", "/v1/health")
    assert (answer.status, answer.json) == (200, {"status": "ok"})
    check_headers(answer)


@pytest.mark.usefixtures("tables")
def test_request_id_differs() -> None:
    """The request's id is that of the gateway, not one that was seen before."""
    for identifier in ("abc=", "Zzz-1"):
        event = http_event("GET", "/v1/me")
        event["requestContext"]["requestId"] = identifier
        answer = Answer.of(handler.http(event, None))
        assert answer.headers["x-request-id"] == identifier
        assert answer.json["error"]["request_id"] == identifier


# Access tokens


def forged(token: str) -> str:
    """Return the token with one character of its signature changed."""
    head, _, signature = token.rpartition(".")
    middle = len(signature) // 2
    other = "A" if signature[middle] != "A" else "B"
    return f"{head}.{signature[:middle]}{other}{signature[middle + 1 :]}"


@every(*BEARER)
def test_without_token(route: Route, player: Player) -> None:
    """Without an access token a bearer route says so first, and gives no error code (RFC 6750)."""
    for body in (None, "{}", json.dumps(form(route, player)), "{"):
        answer = send(route, body)
        check_error(answer, "invalid_token")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert player.me().status == 200


@every(*BEARER)
def test_malformed_token(route: Route, player: Player) -> None:
    """A malformed or forged access token is refused first, with RFC 6750's error code."""
    token = player.access_token
    bodies = (None, json.dumps(form(route, player)), "{")
    wrong = (
        *("x", "a.b.c", "..", token[:-10], token + "A", token + " x", forged(token)),
        *(token.partition(".")[2], "ü" * 10, "x" * 5000, player.refresh_token, "Bearer " + token),
    )
    for text in wrong:
        for body in bodies:
            answer = send(route, body, token=text)
            check_error(answer, "invalid_token")
            assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"', text
    assert player.me().status == 200


@every(*BEARER)
def test_other_schemes(route: Route, player: Player) -> None:
    """Another scheme than Bearer carries no access token."""
    token = player.access_token
    for value in (token, f"Basic {token}", f"Token {token}", "Bearer", "Bearer ", f"Bearer{token}"):
        answer = send(route, headers={"Authorization": value})
        check_error(answer, "invalid_token")
    assert player.me().status == 200


def test_scheme_in_any_case(player: Player) -> None:
    """The scheme's case does not matter (RFC 9110, section 11.1)."""
    for scheme in ("bearer", "BEARER"):
        headers = {"Authorization": f"{scheme} {player.access_token}"}
        assert send(Route("GET", "/v1/me"), headers=headers).status == 200


@every(*BEARER)
def test_expired_token(route: Route, clock: FakeClock) -> None:
    """An access token is refused once its ten minutes are over, and not before."""
    player = Player()
    assert player.register().status == 201
    clock.advance(seconds=590)
    assert player.me().status == 200
    clock.advance(seconds=11)
    for body in (None, json.dumps(form(route, player))):
        answer = send(route, body, token=player.access_token)
        check_error(answer, "invalid_token")
        assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert player.refresh().status == 200


@every(*BEARER)
def test_token_elsewhere(route: Route, player: Player) -> None:
    """An access token in the URL, the body, a cookie or another header is not accepted."""
    token = player.access_token
    names = ("access_token", "token", "authorization", "Authorization", "bearer")
    body = {**form(route, player), **dict.fromkeys(names, token)}
    event = http_event(route.method, route.path, json.dumps(body), JSON)
    event["headers"].update({"cookie": f"access_token={token}", "x-access-token": token})
    event["cookies"] = [f"access_token={token}", f"authorization=Bearer {token}"]
    event["rawQueryString"] = f"access_token={token}&authorization=Bearer%20{token}"
    event["queryStringParameters"] = dict.fromkeys(names, token)
    check_error(Answer.of(handler.http(event, None)), "invalid_token")
    assert player.me().status == 200


@pytest.mark.parametrize("session", [SOME_ID, "x", "me", "%00", "0", "a" * 3000, "ü", "\ud800"])
def test_no_such_session(session: str, player: Player) -> None:
    """Ending a session that is not one's own is a 404, whatever its id looks like."""
    check_error(player.ask("DELETE", f"/v1/sessions/{session}"), "not_found")


def test_session_of_another_player(player: Player) -> None:
    """Another player's session is not there, and goes on."""
    other = Player()
    assert other.register().status == 201
    answer = player.ask("DELETE", f"/v1/sessions/{other.sessions()[0]['id']}")
    check_error(answer, "not_found")
    assert other.me().status == 200


# What a game server does


def test_jwks_verifies_an_access_token(player: Player, settings: Settings) -> None:
    """A game server verifies an access token offline, with the published keys and PyJWT alone."""
    answer = call("GET", "/.well-known/jwks.json")
    assert answer.status == 200
    check_headers(answer, cache="public, max-age=300")
    header = jwt.get_unverified_header(player.access_token)
    assert header["typ"] == "at+jwt"
    key = jwt.PyJWKSet.from_dict(answer.json)[header["kid"]]
    claims = jwt.decode(
        player.access_token,
        key.key,
        algorithms=[header["alg"]],
        issuer=settings.token_issuer,
        audience=settings.token_audience,
        options={"require": ["iss", "aud", "sub", "sid", "name", "iat", "exp", "jti"]},
    )
    account = player.me().json["account"]
    session = next(one for one in player.sessions() if one["current"])
    assert (claims["sub"], claims["sid"]) == (account["id"], session["id"])
    assert claims["name"] == player.username
    assert claims["exp"] - claims["iat"] == 600
    assert set(claims) == {"iss", "aud", "sub", "sid", "name", "iat", "exp", "jti"}


def test_jwks_holds_public_members_only(tables: Tables) -> None:
    """The published keys have nothing of their private halves (RFC 7518, section 6.3.2)."""
    keys = call("GET", "/.well-known/jwks.json").json["keys"]
    assert keys
    for key in keys:
        assert set(key) == {"kty", "n", "e", "kid", "use", "alg"}
        assert (key["kty"], key["use"], key["alg"]) == ("RSA", "sig", "RS256")


def test_each_access_token_is_another(player: Player) -> None:
    """Two access tokens of one session differ in their `jti`."""
    first = player.access_token
    player.refresh()
    ids = [
        jwt.decode(token, options={"verify_signature": False})["jti"]
        for token in (first, player.access_token)
    ]
    assert ids[0] != ids[1]


# Bugs


@pytest.mark.parametrize("path", ["/v1/login", "/login"])
def test_bug(
    path: str, player: Player, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug is a JSON 500 that says nothing, and a log line that says where but not with what."""
    canary = "canary-in-the-exception"

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError(canary)

    monkeypatch.setattr(Accounts, "check_credentials", broken)
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
    """The application's code names no code that the table lacks."""
    named = set()
    for path in Path(auth.errors.__file__).parent.glob("*.py"):
        named |= set(re.findall(r'code, status(?:, message)? = "(\w+)"', path.read_text()))
    assert named == set(CODES)
