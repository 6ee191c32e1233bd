"""Normal and malformed API Gateway events: the handler answers all of them."""

import base64
import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

import handler
from auth.app import create_app
from auth.credentials.passwords import Passwords
from auth.settings import Settings
from local.stack import Stack
from tests.play.events import Answer, http_event
from tests.play.players import Player

JSON = {"Content-Type": "application/json"}
WRONG_TYPES: tuple[object, ...] = (None, 0, 1.5, True, "", "x", [], ["x"], {}, {"x": None})


@pytest.fixture(scope="module")
def _quick(stack: Stack) -> Iterator[None]:
    """Let the handler hash cheaply."""
    settings = Settings.from_environment(stack.environment())
    application = create_app(settings, passwords=Passwords(memory_kib=8, iterations=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handler, "application", application)
        yield
    application.close()


def send(event: object, context: object = None) -> Answer:
    """Send an event unchanged, and check that API Gateway understands the answer."""
    raw = handler.http(event, context)
    assert type(raw["statusCode"]) is int
    assert isinstance(raw["body"], str)
    assert all(isinstance(name, str) for name in raw["headers"])
    assert all(isinstance(value, str) for value in raw["headers"].values())
    assert all(value.isprintable() for value in raw["headers"].values())
    json.dumps(raw).encode()  # Lambda does the same
    raw["body"].encode()
    return Answer.of(raw)


def refused(answer: Answer, code: str = "invalid_request", status: int = 400) -> None:
    """Check that it is an error in the contract's form."""
    assert (answer.code, answer.status) == (code, status)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json["error"]["request_id"] == answer.headers["x-request-id"]


def login_event(player: Player) -> dict[str, Any]:
    """Return the event of a login that succeeds."""
    body = json.dumps({"username": player.username, "password": player.password})
    return http_event("POST", "/v1/login", body, JSON)


# Unusual but valid requests


def test_chunked_body(player: Player) -> None:
    """A body that the client sent in chunks is read, because API Gateway has reassembled it."""
    event = login_event(player)
    event["headers"]["transfer-encoding"] = "chunked"
    assert send(event).status == 200
    del event["headers"]["x-forwarded-for"]
    event["headers"]["content-length"] = "0"
    assert send(event).status == 200


def test_base64_body(player: Player) -> None:
    """A body that API Gateway passes on as base64 is the same body."""
    event = login_event(player)
    event["body"] = base64.b64encode(event["body"].encode()).decode()
    refused(send(event))
    event["isBase64Encoded"] = True
    assert send(event).status == 200


@pytest.mark.parametrize(
    "junk", ["!", "e30", "e30=\n", "é", "e3 0=", "=", "e30==x", "\ud800", "-_=="]
)
@pytest.mark.usefixtures("stack")
def test_junk_base64(junk: str) -> None:
    """A body marked as base64 that is not valid base64 is refused."""
    event = http_event("POST", "/v1/logout", junk, JSON)
    event["isBase64Encoded"] = True
    refused(send(event))


def test_headers_in_any_case(player: Player) -> None:
    """Header names are case-insensitive."""
    event = http_event("GET", "/v1/me")
    event["headers"]["AUTHORIZATION"] = f"Bearer {player.access_token}"
    assert send(event).status == 200


def test_host_and_forwarding_headers(player: Player) -> None:
    """Host and X-Forwarded-* headers from a caller change nothing."""
    event = login_event(player)
    for name in ("host", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port"):
        event["headers"][name] = "evil.example:99999/x"
    event["headers"].update({"x-http-method-override": "DELETE", "upgrade": "websocket"})
    assert send(event).status == 200
    del event["headers"]["host"]
    assert send(event).status == 200


def test_huge_headers(player: Player) -> None:
    """Long unused headers do no harm; a long token is invalid."""
    event = login_event(player)
    event["headers"].update({f"x-{number}": "x" * 10_000 for number in range(20)})
    event["headers"]["user-agent"] = "x" * 100_000
    assert send(event).status == 200
    event = http_event("GET", "/v1/me", headers={"Authorization": "Bearer " + "x" * 1_000_000})
    refused(send(event), "invalid_token", 401)
    event = http_event("POST", "/v1/logout", "{}", {"Content-Type": "x" * 1_000_000})
    event["headers"]["authorization"] = f"Bearer {player.access_token}"
    refused(send(event), "unsupported_media_type", 415)


# Invalid requests


@pytest.mark.parametrize(
    "method", ["", " ", "get", "GET ", "BREW", "x" * 10_000, "GE\0T", "GET\r\nX: y", "ü", "\ud800"]
)
@pytest.mark.usefixtures("stack")
def test_unknown_method(method: str) -> None:
    """An unknown method is one that the route does not accept."""
    answer = send(http_event(method, "/v1/login"))
    refused(answer, "method_not_allowed", 405)
    assert answer.headers["allow"] == "POST"


@pytest.mark.usefixtures("stack")
def test_method_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """A method made up by a caller cannot write lines into the log."""
    send(http_event("X\n00:00:00 ERROR forged", "/v1/login"))
    assert len(caplog.records) == 1
    assert all("\n" not in record.getMessage() for record in caplog.records)


NOT_HTTP: tuple[object, ...] = (
    None,
    {},
    [],
    "",
    "text",
    0,
    1.5,
    b"bytes",
    object(),
    [http_event("GET", "/v1/health")],
    {"version": "2.0"},
    {"version": "2.0", "requestContext": {}},
    {"version": "2.0", "requestContext": {"http": {}}, "rawPath": "/v1/health"},
    {"version": "0", "source": "aws.events", "detail-type": "Scheduled Event", "detail": {}},
    {"source": "serverless-plugin-warmup"},
    {"source": "aws.events", **http_event("GET", "/"), "version": "1.0"},
    {"Records": [{"messageId": "1", "body": "{}", "eventSource": "aws:sqs"}]},
    {"Records": [{"eventSource": "aws:s3", "s3": {}}]},
    {"requestPath": "/v1/health", "method": "GET", "headers": {}},
    {
        "version": "1.0",
        "path": "/v1/health",
        "httpMethod": "GET",
        "headers": {"Host": "x"},
        "multiValueHeaders": {},
        "requestContext": {"identity": {"sourceIp": "203.0.113.7"}, "stage": "$default"},
        "isBase64Encoded": False,
    },
    {
        "requestContext": {"elb": {"targetGroupArn": "arn"}},
        "httpMethod": "GET",
        "path": "/v1/health",
        "headers": {},
    },
    {
        "version": "2.0",
        "requestContext": {"routeKey": "$connect", "connectionId": "x", "eventType": "CONNECT"},
    },
)


@pytest.mark.parametrize("event", NOT_HTTP, ids=[str(number) for number in range(len(NOT_HTTP))])
@pytest.mark.usefixtures("stack")
def test_not_http(event: object) -> None:
    """An event that is not an HTTP request of payload format 2.0 is refused in the same form."""
    refused(send(event))


def paths_into(event: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return the path of every value in an event."""
    paths: list[tuple[str, ...]] = []
    for name, value in event.items():
        paths.append((name,))
        if isinstance(value, dict):
            paths += [(name, *rest) for rest in paths_into(value)]
    return paths


def changed(event: dict[str, Any], path: tuple[str, ...], value: object) -> dict[str, Any]:
    """Return the event with another value at that path."""
    event = copy.deepcopy(event)
    place = event
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return event


def harmless(answer: Answer) -> None:
    """Check that the answer is a success or a client error."""
    assert answer.status // 100 in (2, 4), answer
    if answer.text not in ("OK", "Input data not valid", ""):
        assert isinstance(answer.json, dict)


def test_weird_types_everywhere(player: Player) -> None:
    """A value of an unexpected type anywhere in the event still gets an answer."""
    body = json.dumps({"refresh_token": player.refresh_token})
    event = http_event(
        "POST", "/v1/refresh", body, {**JSON, "Authorization": "x", "Idempotency-Key": "k" * 20}
    )
    event["cookies"] = ["a=b"]
    event["queryStringParameters"] = {"a": "b"}
    event["requestContext"]["authorizer"] = {"jwt": {"claims": {}}}
    for path in paths_into(event):
        for value in WRONG_TYPES:
            harmless(send(changed(event, path, value)))
    assert player.refresh().status == 200


@pytest.mark.usefixtures("stack")
def test_weird_contexts() -> None:
    """Lambda's context of the invocation is not needed."""
    for context in (None, {}, "x", 0, object()):
        assert send(http_event("GET", "/v1/health"), context).status == 200


@pytest.mark.usefixtures("stack")
def test_request_id_of_lambda() -> None:
    """If the gateway gives no usable id, Lambda's is used; no line break gets through."""

    class Context:
        aws_request_id = "lambda-id"

    for wrong in (None, "", 5, "a\r\nSet-Cookie: x", "x" * 129, "ü"):
        event = http_event("GET", "/nowhere")
        event["requestContext"]["requestId"] = wrong
        assert send(event, Context()).headers["x-request-id"] == "lambda-id"


# Characters


CONTROLS = ["a\nb", "a\r\nX-Evil: 1", "a\0b", "\x7f", "a\x1bb", "\u2028", "\ud800"]


@pytest.mark.parametrize("name", ["Authorization", "Content-Type", "Idempotency-Key"])
@pytest.mark.parametrize("value", CONTROLS, ids=ascii)
def test_control_characters_in_headers(name: str, value: str, player: Player) -> None:
    """A header that the application reads may contain no control character; the answer names it."""
    body = json.dumps({"refresh_token": player.refresh_token})
    answer = send(http_event("POST", "/v1/refresh", body, {**JSON, name: value}))
    refused(answer)
    assert {field.lower() for field in answer.json["error"]["fields"]} == {name.lower()}
    assert player.refresh().status == 200


@pytest.mark.parametrize("value", ["é", "Ω", "名", "🎮", "Bearer 名前"], ids=ascii)
def test_non_latin_headers(value: str, player: Player) -> None:
    """Characters that HTTP headers cannot contain do no harm."""
    for name in ("Authorization", "Content-Type", "Idempotency-Key", "X-Name", "Host", "Cookie"):
        harmless(send(http_event("GET", "/v1/me", headers={name: value})))
        body = json.dumps({"refresh_token": "x"})
        harmless(send(http_event("POST", "/v1/refresh", body, {**JSON, name: value})))
    refused(
        send(http_event("GET", "/v1/me", headers={"Authorization": value})), "invalid_token", 401
    )


@pytest.mark.usefixtures("tables")
def test_lone_surrogates_in_the_body() -> None:
    """A lone surrogate in a body is invalid UTF-8."""
    for body in ("\ud800", '{"username": "\udc00", "password": "x"}', '{"x": "\ud800"}'):
        refused(send(http_event("POST", "/v1/login", body, JSON)))


PATHS = (
    *(
        "",
        "v1",
        "v1/health",
        "?",
        "*",
        "/\ud800",
        "/v1/\udfff",
        "/%",
        "/%zz",
        "/%ff%fe",
        "/v1/health%00",
    ),
    *("/v1/health\0", "/v1/health\ud800", "/v1/health\udc00x", "/v1/health\n", "/v1/health "),
    *(
        "/v1/health;x",
        "/v1/health%3f",
        "/v1/health#x",
        "/v1/health?x",
        "/v1/h\u00e9alth",
        "/🎮" * 1000,
    ),
    *("/" + "x" * 100_000, "http://evil.example/v1/health", "/v1\\health", "/./v1/health"),
)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ascii(path)[:40])
@pytest.mark.usefixtures("stack")
def test_strange_paths(path: str) -> None:
    """An unknown path is a 404, whatever it contains."""
    refused(send(http_event("GET", path)), "not_found", 404)


@pytest.mark.parametrize(
    "address", ["", "x", "\ud800", "\n", "::1%\ud800", "203.0.113.7, ::1"], ids=ascii
)
def test_strange_addresses(address: str, player: Player) -> None:
    """A malformed address counts as one address for the rate limits and does no harm."""
    event = login_event(player)
    event["requestContext"]["http"]["sourceIp"] = address
    assert send(event).status == 200


@pytest.mark.usefixtures("stack")
def test_refused_head_has_no_body() -> None:
    """HEAD gets no body even if the request is refused before it reaches the application."""
    event = http_event("HEAD", "/v1/health", headers={"Authorization": "a\0"})
    answer = send(event)
    assert (answer.status, answer.text) == (400, "")


# Random events


characters = st.text(st.characters() | st.sampled_from("\ud800\udfff\n\0/?%"), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | characters,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(characters, inner, max_size=3),
    max_leaves=8,
)
EVENT = http_event(
    "POST",
    "/v1/login",
    '{"username": "somebody", "password": "guess", "device": null}',
    {**JSON, "Authorization": "Bearer x.y.z", "Idempotency-Key": "k" * 20},
)
PLACES = [
    *paths_into(EVENT),
    *(("cookies",), ("queryStringParameters",), ("multiValueHeaders",), ("source",)),
]
methods = st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
routes = st.sampled_from(
    [
        *("/", "/login", "/v1/login", "/v1/register", "/v1/refresh", "/v1/logout", "/v1/sessions"),
        *("/v1/sessions/x", "/v1/me", "/v1/me/password", "/v1/me/delete", "/v1/health", "/x"),
    ]
)


@pytest.mark.usefixtures("_quick")
@examples(max_examples=100, deadline=None)
@given(event=values)
def test_any_event(event: object) -> None:
    """Any JSON as an event gets an answer in the contract's form."""
    refused(send(event))


@pytest.mark.usefixtures("_quick", "tables")
@examples(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    method=methods,
    path=routes,
    mutations=st.lists(st.tuples(st.sampled_from(PLACES), values), max_size=3),
)
def test_any_request(
    method: str, path: str, mutations: list[tuple[tuple[str, ...], object]]
) -> None:
    """A request with any value in any place gets an answer, and never a 5xx."""
    event = copy.deepcopy(EVENT)
    event["rawPath"] = path
    event["requestContext"]["http"]["method"] = method
    for place, value in mutations:
        try:
            event = changed(event, place, value)
        except (TypeError, KeyError):  # an earlier mutation has removed that place
            continue
    harmless(send(event))
