"""A player's life over HTTP: `serverless offline`, the handler, MariaDB, Secrets Manager."""

import json
import re
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.offline import Offline
from local.stack import ROOT, STAGE
from operate.http_client import Deployment
from tests.play.events import Answer

LOG_LINE = re.compile(r"\d\d:\d\d:\d\d [A-Z]+ ")
ADA = {"username": "Ada", "password": "correct horse battery staple"}


def ask(
    offline: Offline,
    method: str,
    path: str,
    body: object = None,
    server: str = "",
    **headers: str,
) -> Answer:
    """Send one request over HTTP, to the gateway unless another server is named."""
    answer = Deployment(server or offline.url).ask_once(method, path, body, **headers)
    return Answer(answer.status, dict(answer.headers), answer.text.decode())


@pytest.mark.usefixtures("tables")
def test_a_players_life(offline: Offline) -> None:
    """A player registers, signs in, refreshes, has a token stolen, signs in again and signs out."""
    registered = ask(offline, "POST", "/v1/register", ADA)
    assert registered.status == 201
    signed_in = ask(offline, "POST", "/v1/login", ADA)
    assert signed_in.status == 200
    first = signed_in.json["refresh_token"]

    back = ask(offline, "POST", "/v1/refresh", {"refresh_token": first})
    assert back.status == 200
    second = back.json["refresh_token"]
    third = ask(offline, "POST", "/v1/refresh", {"refresh_token": second}).json["refresh_token"]

    stolen = ask(offline, "POST", "/v1/refresh", {"refresh_token": first})
    assert (stolen.status, stolen.code) == (401, "session_ended")
    assert ask(offline, "POST", "/v1/refresh", {"refresh_token": third}).code == "session_ended"

    bearer = f"Bearer {ask(offline, 'POST', '/v1/login', ADA).json['access_token']}"
    me = ask(offline, "GET", "/v1/me", Authorization=bearer)
    assert me.json["account"]["username"] == "Ada"
    assert ask(offline, "POST", "/v1/logout", Authorization=bearer).json == {}
    assert ask(offline, "GET", "/v1/me", Authorization=bearer).code == "invalid_token"


def test_tutorial_client(offline: Offline) -> None:
    """The tutorial's two routes answer exactly as in the tutorial."""
    assert ask(offline, "GET", "/").text == "OK"
    assert ask(offline, "POST", "/login", {"username": "Ada"}).text == "Input data not valid"
    assert ask(offline, "POST", "/login", {**ADA, "username": "Eve"}).json == {"status": False}


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost:8060", True),
        ("http://localhost", True),
        ("https://localhost:8443", True),
        ("http://127.0.0.1:5500", True),
        ("http://[::1]:1", True),
        ("https://evil.example", False),
        ("http://localhost.evil.example", False),
        ("http://localhost:8060.evil.example", False),
        ("http://evil.example/http://localhost:1", False),
        ("null", False),
    ],
)
def test_web_page_may_call(offline: Offline, origin: str, allowed: bool) -> None:  # noqa: FBT001
    """A game on an allowed origin may send its headers and read ours; other origins may not."""
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    preflight = ask(offline, "OPTIONS", "/v1/login", Origin=origin, **asked)
    assert preflight.status == 204
    request = ask(offline, "GET", "/v1/health", Origin=origin)
    for answer in (preflight, request):
        assert answer.headers.get("access-control-allow-origin") == (origin if allowed else None)
    if allowed:
        assert "authorization" in preflight.headers["access-control-allow-headers"]
        assert "PUT" in preflight.headers["access-control-allow-methods"]
        assert "x-request-id" in request.headers["access-control-expose-headers"]


def test_every_request_has_an_id(offline: Offline) -> None:
    """Each answer has the id that the gateway gave its request, and no two are the same."""
    answers = [ask(offline, "GET", "/v1/health") for _ in range(3)]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 3
    assert all(
        answer.headers["x-request-id"] == answer.headers["apigw-requestid"] for answer in answers
    )


@pytest.mark.parametrize(
    ("size", "status", "message"),
    [(9_000, 404, ""), (11_000, 431, "Request Header Fields Too Large")],
)
def test_long_request_lines(offline: Offline, size: int, status: int, message: str) -> None:
    """The gateway accepts 10 240 bytes of request line and headers, and refuses more with a 431."""
    answer = ask(offline, "GET", f"/{'a' * size}")
    assert (answer.status, answer.json.get("message", "")) == (status, message)


def test_client_that_goes_away(offline: Offline) -> None:
    """A client that disconnects in the middle of a body does not affect other requests."""
    port = int(offline.url.rpartition(":")[2])
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"POST /v1/login HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{")
    assert ask(offline, "GET", "/v1/health").status == 200
    assert offline.is_running()


def test_body_beyond_what_a_function_takes(offline: Offline) -> None:
    """A body of many megabytes is refused by the gateway after it was read."""
    answer = ask(offline, "POST", "/v1/login", {"username": "a" * 6_000_000})
    assert (answer.status, answer.json) == (413, {"message": "Request Entity Too Large"})


def test_body_that_grows(offline: Offline) -> None:
    """A body that makes the event too large for a function is refused in the same way."""
    data = b"\x01" * 2_000_000  # each byte takes six bytes in JSON
    request = urllib.request.Request(
        offline.url + "/v1/login", data, {"Content-Type": "application/json"}, method="POST"
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=13)
    with refused.value as answer:
        assert answer.code == 413
        assert json.loads(answer.read()) == {"message": "Request Entity Too Large"}


def test_only_the_gateway_calls_the_function(offline: Offline) -> None:
    """No web page may call serverless-offline's own port or guess a function's name."""
    log = offline.log.read_text()
    own = re.search(r"\[http for lambda\] listening on (http://127\.0\.0\.1:\d+)", log)
    names = re.findall(r"^ +\* \S+: (\S+)$", log, re.MULTILINE)
    assert own is not None
    served = [name.partition("-")[0] for name in names]
    assert served == ["http", "operate_view", "operate_support", "operate_own"]
    assert len({name.partition("-")[2] for name in names}) == 1
    assert re.fullmatch(r"http-[0-9a-f]{32}", names[0])
    asked = {"Access-Control-Request-Method": "POST", "Origin": "https://evil.example"}
    for path, status in (
        *((f"/2015-03-31/functions/{name}/invocations", 200) for name in names),
        *((f"/2014-11-13/functions/{name}/invoke-async/", 200) for name in names),
        *((f"/2015-03-31/functions/{name}/invocations", 404) for name in served),
        *((f"/2015-03-31/functions/{name}/invocations", 404) for name in deployed_functions()),
    ):
        preflight = ask(offline, "OPTIONS", path, server=own[1], **asked)
        call = ask(offline, "POST", path, {}, server=own[1], Origin="https://evil.example")
        assert call.status == status
        for answer in (preflight, call):
            assert "access-control-allow-origin" not in answer.headers
            assert "access-control-allow-credentials" not in answer.headers


def deployed_functions() -> list[str]:
    """Return the deployed names of the functions in serverless.yml, for this stage."""
    text = (ROOT / "serverless.yml").read_text()
    service = re.search(r"^service: (\S+)", text, re.MULTILINE)
    handlers = re.findall(r"^    handler: handler\.(\w+)", text, re.MULTILINE)
    assert service is not None
    assert len(handlers) >= 4
    return [f"{service[1]}-{STAGE}-{name}" for name in handlers]


def test_chunked_body(offline: Offline) -> None:
    """A body sent in chunks arrives whole."""

    def chunks() -> Iterator[bytes]:
        yield b'{"username": "nobody-here",'
        yield b' "password": "x"}'

    request = urllib.request.Request(
        offline.url + "/login", chunks(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=13) as answer:
        assert json.loads(answer.read()) == {"status": False}


def test_every_request_is_one_line(offline: Offline) -> None:
    """The handler logs a request as one readable line."""
    before = len(_lines(offline.log))
    ask(offline, "GET", "/v1/health")
    lines = [line for line in _lines(offline.log)[before:] if LOG_LINE.match(line)]
    assert len(lines) == 1
    assert re.fullmatch(r"\S+ INFO    GET /v1/health 200 \d+ ms \S+", lines[0])


def _lines(log: Path) -> list[str]:
    return log.read_text().splitlines()


@pytest.mark.usefixtures("tables")
def test_the_readme(offline: Offline, tmp_path: Path) -> None:
    """The README's curl lines, pasted one after the other, do as the README says."""
    readme = (ROOT / "README.md").read_text()
    commands = re.findall(r"```sh\n(URL=.*?)```", readme, re.DOTALL)
    answers = []
    for command in commands:
        assert command.startswith("URL=http://127.0.0.1:3000\n")
        pasted = command.replace("http://127.0.0.1:3000", offline.url)
        done = subprocess.run(
            ["sh", "-c", pasted], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        answers.append(json.loads(done.stdout))
    registered, signed_in, me, back = answers
    assert registered["account"] == signed_in["account"] == me["account"] == back["account"]
    assert back["session"]["id"] == signed_in["session"]["id"]
    assert back["refresh_token"] != signed_in["refresh_token"]
