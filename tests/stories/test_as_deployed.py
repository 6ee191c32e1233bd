"""`make run` accepts and refuses the same requests as the deployed handler."""

import http.client
import json
import re
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import handler
from local.offline import Offline
from tests.conftest import Tables
from tests.play.events import Answer, http_event
from tests.play.players import PASSWORD, Player

ADA = {"username": "Ada", "password": PASSWORD}
EVE = {"username": "Eve", "password": PASSWORD}
JSON = {"Content-Type": "application/json"}
BEARER = {"Authorization": "Bearer {access_token}"}
# Content types that an HTTP API passes to a function as text; all others become base64.
TEXT = re.compile(r"(text/.*|application/(json|xml|javascript))\s*(;.*)?", re.IGNORECASE)
# Only the types of these values are compared: they differ in each answer.
OWN = {"access_token", "refresh_token", "request_id", "id", "created_at", "expires_at"}
OWN |= {"last_used_at", "signed_in_at", "last_used", "started_at", "server_time"}


class Case(NamedTuple):
    """A request and the expected status."""

    method: str
    target: str
    status: int
    headers: dict[str, str] = {}  # noqa: RUF012  # never changed
    body: bytes | dict[str, Any] | None = None

    @property
    def data(self) -> bytes | None:
        """Return the body's bytes."""
        return json.dumps(self.body).encode() if isinstance(self.body, dict) else self.body


CASES = {
    "health": Case("GET", "/v1/health", 200),
    "health with a slash": Case("GET", "/v1/health/", 404),
    "health with a query": Case("GET", "/v1/health?a=b&a=c%20d", 200),
    "health with an empty query": Case("GET", "/v1/health?", 200),
    "health in capitals": Case("GET", "/V1/HEALTH", 404),
    "health, encoded": Case("GET", "/v1/h%65alth", 200),
    "health, HEAD": Case("HEAD", "/v1/health", 200),
    "health, POST": Case("POST", "/v1/health", 405, JSON, {}),
    "health, PUT without a body": Case("PUT", "/v1/health", 405),
    "health, PATCH": Case("PATCH", "/v1/health", 405, JSON, {}),
    "health, OPTIONS, no preflight": Case("OPTIONS", "/v1/health", 405),
    "health, OPTIONS, no method asked": Case(
        "OPTIONS", "/v1/health", 405, {"Origin": "https://evil.example"}
    ),
    "health, an unknown method": Case("PROPFIND", "/v1/health", 405),
    "health, GET with a body": Case("GET", "/v1/health", 200, JSON, {"a": 1}),
    "keys": Case("GET", "/.well-known/jwks.json", 200),
    "root": Case("GET", "/", 200),
    "root, doubled": Case("GET", "//", 404),
    "doubled slash before": Case("GET", "//v1/health", 404),
    "doubled slash within": Case("GET", "/v1//health", 404),
    "nothing there": Case("GET", "/nothing", 404),
    "a bad escape": Case("GET", "/%zz", 404),
    "half an escape": Case("GET", "/v1/health%", 404),
    "a space": Case("GET", "/v1/health%20", 404),
    "dots": Case("GET", "/v1/../v1/health", 404),
    "an umlaut": Case("GET", "/v1/%C3%A4", 404),
    "no UTF-8": Case("GET", "/v1/%ff", 404),
    "a zero": Case("GET", "/v1/%00", 404),
    "sign in": Case("POST", "/v1/login", 200, JSON, ADA),
    "sign in with a slash": Case("POST", "/v1/login/", 404, JSON, ADA),
    "sign in with a query": Case("POST", "/v1/login?x=1", 200, JSON, ADA),
    "sign in by GET": Case("GET", "/v1/login", 405),
    "wrong password": Case("POST", "/v1/login", 401, JSON, {**ADA, "password": "something else"}),
    "charset": Case(
        "POST", "/v1/login", 200, {"Content-Type": "application/json; charset=utf-8"}, ADA
    ),
    "type in capitals": Case("POST", "/v1/login", 200, {"Content-Type": "APPLICATION/JSON"}, ADA),
    "no type": Case("POST", "/v1/login", 415, {}, ADA),
    "an empty type": Case("POST", "/v1/login", 415, {"Content-Type": ""}, ADA),
    "half a type": Case("POST", "/v1/login", 415, {"Content-Type": "json"}, ADA),
    "text": Case("POST", "/v1/login", 415, {"Content-Type": "text/plain"}, ADA),
    "a form": Case(
        "POST",
        "/v1/login",
        415,
        {"Content-Type": "application/x-www-form-urlencoded"},
        b"username=Ada&password=x",
    ),
    "parts": Case(
        "POST", "/v1/login", 415, {"Content-Type": "multipart/form-data; boundary=x"}, b"--x--"
    ),
    "bytes": Case("POST", "/v1/login", 415, {"Content-Type": "application/octet-stream"}, b"\xff"),
    "no JSON": Case("POST", "/v1/login", 400, JSON, b"{"),
    "no object": Case("POST", "/v1/login", 400, JSON, b"[]"),
    "no body": Case("POST", "/v1/login", 400, JSON),
    "an empty body": Case("POST", "/v1/login", 400, JSON, b""),
    "a byte order mark": Case(
        "POST", "/v1/login", 200, JSON, b"\xef\xbb\xbf" + json.dumps(ADA).encode()
    ),
    "a password that is no UTF-8": Case(
        "POST", "/v1/login", 400, JSON, b'{"username": "Ada", "password": "\xff\xfe\xfd\xfc\xfb"}'
    ),
    "UTF-8": Case("POST", "/v1/login", 401, JSON, {**ADA, "password": "Grüße, 世界 🌍"}),
    "a long body": Case("POST", "/v1/login", 413, JSON, b" " * 200_000),
    "JSON in a cookie": Case("GET", "/v1/health", 200, {"Cookie": 'prefs={"theme":"dark"}'}),
    "a bad cookie": Case("POST", "/v1/login", 200, {**JSON, "Cookie": '=;;a="b'}, ADA),
    "me": Case("GET", "/v1/me", 200, BEARER),
    "me, in lower case": Case("GET", "/v1/me", 200, {"Authorization": "bearer {access_token}"}),
    "me, with a slash": Case("GET", "/v1/me/", 404, BEARER),
    "me, nobody": Case("GET", "/v1/me", 401),
    "me, another scheme": Case("GET", "/v1/me", 401, {"Authorization": "Basic QWRhOng="}),
    "me, a broken token": Case("GET", "/v1/me", 401, {"Authorization": "Bearer x.y.z"}),
    "sessions": Case("GET", "/v1/sessions", 200, BEARER),
    "no such session": Case("DELETE", "/v1/sessions/nothing", 404, BEARER),
    "refresh": Case("POST", "/v1/refresh", 200, JSON, {"refresh_token": "{refresh_token}"}),
    "junk to refresh": Case("POST", "/v1/refresh", 401, JSON, {"refresh_token": "junk"}),
    "sign out": Case("POST", "/v1/logout", 200, BEARER),
    "register": Case("POST", "/v1/register", 201, JSON, EVE),
    "register again": Case("POST", "/v1/register", 409, JSON, ADA),
    "register badly": Case("POST", "/v1/register", 422, JSON, {"username": "!", "password": "x"}),
    "tutorial": Case("POST", "/login", 200, JSON, ADA),
    "tutorial with a slash": Case("POST", "/login/", 404, JSON, ADA),
    "tutorial, a form": Case(
        "POST", "/login", 400, {"Content-Type": "application/x-www-form-urlencoded"}, b"a=b"
    ),
}


def over_http(offline: Offline, case: Case) -> Answer:
    """Send a request exactly as written, with no further headers."""
    address = urlsplit(offline.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=15)
    try:
        connection.putrequest(case.method, case.target, skip_accept_encoding=True)
        for name, value in case.headers.items():
            connection.putheader(name, value)
        if case.data is not None:
            connection.putheader("Content-Length", str(len(case.data)))
        connection.endheaders(case.data)
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, headers, answer.read().decode())
    finally:
        connection.close()


def as_deployed(case: Case) -> Answer:
    """Call the handler with the event that API Gateway makes from a request."""
    path = unquote(case.target.partition("?")[0], errors="replace")
    data = case.data
    body: bytes | str | None = data
    if data is not None and TEXT.fullmatch(case.headers.get("Content-Type", "")):
        with suppress(UnicodeDecodeError):
            body = data.decode()
    headers = {name: value for name, value in case.headers.items() if name != "Cookie"}
    return Answer.of(handler.http(http_event(case.method, path, body, headers), None))


def shape(value: Any, name: str = "") -> Any:
    """Return an answer with its unique values replaced by their types."""
    if name in OWN or name.endswith("_at"):
        return type(value).__name__
    if isinstance(value, dict):
        return {key: shape(inner, key) for key, inner in value.items()}
    return [shape(inner) for inner in value] if isinstance(value, list) else value


def told(answer: Answer, names: set[str]) -> dict[str, Any]:
    """Return the parts of an answer that are compared."""
    try:
        body = shape(json.loads(answer.text))
    except ValueError:
        body = answer.text
    own = {"x-request-id", "date"}
    headers = {name: answer.headers.get(name) for name in names - own}
    return {"status": answer.status, "headers": headers, "body": body}


def filled(case: Case, tokens: dict[str, str]) -> Case:
    """Return a request with a player's tokens filled in."""
    body = case.body
    if isinstance(body, dict):
        body = {key: tokens.get(str(value).strip("{}"), value) for key, value in body.items()}
    headers = {
        name: value.replace("{access_token}", tokens["access_token"])
        for name, value in case.headers.items()
    }
    return case._replace(headers=headers, body=body)


def test_same_answers(offline: Offline, tables: Tables) -> None:
    """Sixty requests get the same status, headers and body from both."""
    assert len(CASES) >= 60
    different = {}
    for name, case in CASES.items():
        answers = []
        for ask in (lambda asked: over_http(offline, asked), as_deployed):
            tables.empty()
            player = Player(username="Ada")
            tokens = player.register().json
            answers.append(ask(filled(case, tokens)))
        local, deployed = answers
        names = set(deployed.headers)
        if told(local, names) != told(deployed, names) or local.status != case.status:
            different[name] = (told(local, names), told(deployed, names))
    assert different == {}, "\n".join(f"{n}: {a} != {b}" for n, (a, b) in different.items())
