"""A player's life over HTTP: `serverless offline`, the handler, MariaDB, Secrets Manager."""

import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.offline import Offline
from local.processes import free_port
from local.stack import ROOT, Stack
from tests.events import Answer

LOG_LINE = re.compile(r"\d\d:\d\d:\d\d [A-Z]+ ")
ADA = {"username": "Ada", "password": "correct horse battery staple"}


@pytest.fixture(scope="module")
def offline(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Offline]:
    """Return a running `serverless offline`."""
    offline = Offline(free_port(), tmp_path_factory.mktemp("offline"), stack.environment())
    offline.start()
    yield offline
    offline.stop()


def ask(offline: Offline, method: str, path: str, body: object = None, **headers: str) -> Answer:
    """Send one request over HTTP."""
    data = None if body is None else json.dumps(body).encode()
    if data is not None:
        headers["Content-Type"] = "application/json"
    request = urllib.request.Request(offline.url + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=13) as answer:
            return Answer(answer.status, _lower(answer.headers.items()), answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, _lower(error.headers.items()), error.read().decode())


def _lower(headers: list[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}


@pytest.mark.usefixtures("tables")
def test_a_players_life(offline: Offline) -> None:
    """Register, sign in, come back without a password, be robbed, sign in again, sign out."""
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
    """The tutorial's two routes answer as the tutorial has them."""
    assert ask(offline, "GET", "/").text == "OK"
    assert ask(offline, "POST", "/login", {"username": "Ada"}).text == "Input data not valid"
    assert ask(offline, "POST", "/login", {**ADA, "username": "Eve"}).json == {"status": False}


def test_web_page_may_call(offline: Offline) -> None:
    """A game on the allowed origin may send its headers and read ours; another may not."""
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    preflight = ask(offline, "OPTIONS", "/v1/login", Origin="http://localhost:8060", **asked)
    assert preflight.headers["access-control-allow-origin"] == "http://localhost:8060"
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
    stranger = ask(offline, "OPTIONS", "/v1/login", Origin="https://evil.example", **asked)
    assert "access-control-allow-origin" not in stranger.headers


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
    """The README's curl lines, pasted one after the other, do what the README says."""
    readme = (ROOT / "README.md").read_text()
    commands = re.findall(r"```sh\n(curl .*?)```", readme, re.DOTALL)
    answers = []
    for command in commands:
        pasted = command.replace("http://localhost:3000", offline.url)
        done = subprocess.run(
            ["sh", "-c", pasted], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        answers.append(json.loads(done.stdout))
    registered, signed_in, me, back = answers
    assert registered["account"] == signed_in["account"] == me["account"] == back["account"]
    assert back["session"]["id"] == signed_in["session"]["id"]
    assert back["refresh_token"] != signed_in["refresh_token"]
