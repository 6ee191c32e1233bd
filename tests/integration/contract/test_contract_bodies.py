"""The HTTP contract: the bodies and Idempotency-Keys that each route accepts and refuses."""

import json

import pytest

import handler
from tests.integration.contract.contract import (
    LIMIT,
    LOGIN,
    LOGOUT,
    REFRESH,
    REGISTER,
    ROUTES,
    TUTORIAL_INDEX,
    TUTORIAL_LOGIN,
    WITH_BODY,
    WITH_FIELDS,
    ContractLine,
    check_error,
    check_headers,
    every,
    form,
    send,
    token_for,
)
from tests.play.events import REQUEST_ID, Answer, http_event
from tests.play.guests import Guest
from tests.play.players import Player, call


@every(*ROUTES)
def test_size_limit(route: ContractLine, player: Player) -> None:
    """Every route reads a body of 8192 bytes and refuses one of 8193."""
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
def test_size_is_counted_in_bytes(route: ContractLine, player: Player) -> None:
    """The size counts bytes, not characters."""
    body = json.dumps({"unknown": "é" * 4100}, ensure_ascii=False)
    assert len(body) < LIMIT
    check_error(send(route, body, token=token_for(route, player)), "payload_too_large")


@pytest.mark.usefixtures("tables")
def test_tutorial_size_limit() -> None:
    """The tutorial's login answers a too long body like any other wrong one."""
    answer = send(TUTORIAL_LOGIN, json.dumps({"username": "a", "password": "x" * LIMIT}))
    assert (answer.status, answer.text) == (400, "Input data not valid")
    assert send(TUTORIAL_INDEX, "x" * (LIMIT + 1)).status == 400


@every(*ROUTES)
def test_unknown_parameters(route: ContractLine, player: Player) -> None:
    """A query makes no difference, except for the parameters that a route has."""
    token, body = token_for(route, player), {"unknown": 1}
    query = "access_token=x&unknown=%ff&=&&username=a"
    plain, queried = (
        call(route.method, route.path, body, token=token, query=text) for text in ("", query)
    )
    assert plain.status == queried.status


@every(*WITH_BODY)
def test_media_type(route: ContractLine, player: Player) -> None:
    """A body without a JSON media type is refused."""
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
    event["headers"]["authorization"] = f"Bearer {token_for(route, player) or player.access_token}"
    check_error(Answer.of(handler.http(event, None)), "unsupported_media_type")


@pytest.mark.parametrize(
    "charset",
    ["iso-8859-1", "utf-16", "utf-7", "windows-1252", '"latin1"', "utf-8x", "utf_8", '""'],
)
def test_other_charsets(charset: str, player: Player) -> None:
    """A charset other than UTF-8 is refused, because the body would be decoded wrongly."""
    for route in WITH_BODY:
        kind = {"Content-Type": f"application/json; charset={charset}"}
        answer = send(route, json.dumps(form(route, player)), kind, token_for(route, player))
        check_error(answer, "unsupported_media_type")
    answer = send(TUTORIAL_LOGIN, "{}", {"Content-Type": f"application/json; charset={charset}"})
    assert (answer.status, answer.text) == (400, "Input data not valid")


def test_byte_order_mark(player: Player) -> None:
    """A leading byte order mark is accepted, because Unity and .NET send one."""
    for route, body in ((LOGIN, form(LOGIN, player)), (LOGOUT, {})):
        text = b"\xef\xbb\xbf" + json.dumps(body).encode()
        assert send(route, text, token=token_for(route, player)).status == 200
    login = json.dumps({"username": player.username, "password": player.password})
    assert send(TUTORIAL_LOGIN, b"\xef\xbb\xbf" + login.encode()).json == {"status": True}
    assert send(LOGOUT, b"\xef\xbb\xbf", {"Content-Type": ""}, player.access_token).status == 200


@pytest.mark.parametrize(
    "kind",
    [
        *("application/json; charset=utf-8", "Application/JSON", "application/json;charset=UTF-8"),
        *('application/json; charset="utf-8"', "application/json; charset=utf8"),
        *("application/json; charset=US-ASCII", "application/json; CHARSET=Utf8; x=y"),
    ],
)
def test_media_type_with_parameters(kind: str, player: Player) -> None:
    """Parameters and letter case of the media type do not matter."""
    route = LOGIN
    answer = send(route, json.dumps(form(route, player)), {"Content-Type": kind})
    assert answer.status == 200


@every(*WITH_BODY)
def test_no_body(route: ContractLine, player: Player) -> None:
    """A missing or empty body counts as {} with any Content-Type."""
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
def test_fields(route: ContractLine, player: Player) -> None:
    """A required field that is missing or not a string is named in `fields`."""
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


OPTIONAL: tuple[tuple[ContractLine, str, tuple[object, ...]], ...] = (
    (REGISTER, "device", (1, [], {}, True, "x" * 65)),
    (LOGIN, "device", (1, [], {}, True, "x" * 65)),
    (LOGIN, "refresh_token", (1, [], {}, False)),
    (LOGOUT, "everywhere", (1, 0, "true", "", [], {})),
)


@pytest.mark.parametrize(("route", "field", "wrongs"), OPTIONAL, ids=str)
def test_optional_fields(
    route: ContractLine, field: str, wrongs: tuple[object, ...], player: Player
) -> None:
    """An optional field of a wrong type is named in `fields`; null counts as absent."""
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
    """A device label may have 64 characters of any kind and is stored unchanged."""
    label = "🕹" * 64
    assert player.log_in(device=label).status == 200
    assert label in [session["device"] for session in player.sessions()]


@every(*WITH_BODY)
def test_unknown_fields(route: ContractLine, player: Player) -> None:
    """Unknown fields are ignored."""
    if route.path in ("/v1/guest", "/v1/me/upgrade"):
        player = Guest()
        assert player.enter(create=True).status == 201
    code = {"recovery_code": player.saved_code()} if route.path == "/v1/recover" else {}
    known = form(
        route, player, **code, unknown=[{"deep": None}], device2=1, account_id="x", is_admin=True
    )
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
    b"\xef\xbb\xbf\xef\xbb\xbf{}",  # a single byte order mark is accepted
    b"{}\xef\xbb\xbf",
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
def test_bad_json(route: ContractLine, player: Player) -> None:
    """A body that is no JSON object in UTF-8 gets a 400, even if an unknown field causes it."""
    for body in NOT_JSON:
        answer = send(route, body, token=token_for(route, player))
        assert answer.status == 400, body[:40]
        check_error(answer, "invalid_request")
    assert player.me().status == 200  # no request took effect


@pytest.mark.usefixtures("tables")
def test_bad_json_in_the_tutorial() -> None:
    """The tutorial's login answers all of these with its own text."""
    for body in (*NOT_JSON, None, "{}", '{"username": "a"}', '{"username": "a", "password": 1}'):
        answer = send(TUTORIAL_LOGIN, body)
        assert (answer.status, answer.text) == (400, "Input data not valid"), body
    answer = send(TUTORIAL_LOGIN, '{"username":"a","password":"b"}', {"Content-Type": "text/plain"})
    assert (answer.status, answer.text) == (400, "Input data not valid")


@pytest.mark.usefixtures("stack")
def test_wrong_methods_in_the_tutorial() -> None:
    """A wrong method on the tutorial's routes is answered as on every route."""
    check_error(call("GET", "/login"), "method_not_allowed")
    check_error(call("POST", "/", {}), "method_not_allowed")


@pytest.mark.usefixtures("tables")
def test_tutorial_headers() -> None:
    """The tutorial's answers are not cached either, and carry the request id."""
    for answer in (call("GET", "/"), call("POST", "/login", {}), call("POST", "/login/")):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-request-id"] == REQUEST_ID
    assert call("GET", "/").headers["content-type"].startswith("text/plain")
    assert call("POST", "/login", {}).headers["content-type"].startswith("text/plain")
    refused = call("POST", "/login", {"username": "nobody-here", "password": "x"})
    assert (refused.status, refused.json) == (200, {"status": False})
    check_headers(refused)


@pytest.mark.parametrize("key", ["short", "x" * 129, "with spaces in between", "é" * 20, ""])
@pytest.mark.parametrize("route", [REGISTER, REFRESH], ids=str)
def test_idempotency_key(route: ContractLine, key: str, player: Player) -> None:
    """An Idempotency-Key that is too short, too long or not visible ASCII is named in `fields`."""
    body = json.dumps(form(route, player))
    error = check_error(send(route, body, {"Idempotency-Key": key}), "invalid_request")
    assert {name.lower() for name in error["fields"]} == {"idempotency-key"}
    assert player.refresh().status == 200
