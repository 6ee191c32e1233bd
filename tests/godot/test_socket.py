"""The addon and the demo's lobby against the example game server."""

import base64
import hashlib
import json
import re
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import handler
from auth.app import create_app
from auth.settings import Settings
from local.stack import ROOT, Stack
from tests.godot.game import Game, assert_passed
from tests.godot.server import Backend
from tests.play.events import Answer, http_event

README = ROOT / "clients" / "godot" / "README.md"
GDSCRIPT = re.compile(r"```gdscript\n(func stay_connected.*?)```", re.DOTALL)
PASSWORD = "correct horse battery staple"
STAY = """\
extends "res://tests/case.gd"

const SEAT: float = 600.0  # how long a ticket keeps a player connected, in seconds

var socket_url: String = OS.get_environment("GAME_LOGIN_TEST_SOCKET")
var server: String = socket_url.trim_prefix("ws://")
var peer: WebSocketPeer = WebSocketPeer.new()
var is_over: bool = false
var states: Array[int] = []


func _process(_delta: float) -> void:
\tpeer.poll()
\tif peer.get_ready_state() != (states[-1] if states else -1):
\t\tstates.append(peer.get_ready_state())


{lines}

func start() -> void:
\tawait stay_connected(peer, socket_url, server)
\tis_over = true


func state_is(state: WebSocketPeer.State) -> bool:
\tfor _tick: int in 300:
\t\tif peer.get_ready_state() == state:
\t\t\treturn true
\t\tawait seconds(0.05)
\treturn false


func test_stay_connected() -> void:
\tGameLogin.profile = new_name()
\tcheck((await GameLogin.register(new_name(), PASSWORD)).ok, "registered")
\tstart()
\tcheck(await state_is(WebSocketPeer.STATE_OPEN), "connected")
\tif {is_renewed}:
\t\tstates.clear()
\t\tfor _step: int in 5:
\t\t\tawait command("advance", {{"seconds": SEAT / 2.0}})
\t\t\tvar tickets: int = await count("/v1/tickets")
\t\t\twhile await count("/v1/tickets") < tickets + 3:
\t\t\t\tawait seconds(0.1)
\t\tequal(states, [WebSocketPeer.STATE_OPEN], "states for 25 minutes")
\telse:
\t\tawait command("advance", {{"seconds": SEAT - 6.0}})
\t\tequal(peer.send_text('{{"type": "chat", "text": "Hello"}}'), OK, "the server sees the time")
\t\tcheck(await state_is(WebSocketPeer.STATE_CLOSED), "closed when the seat ends")
\t\tequal(peer.get_close_code(), 4401, "close code")
\t\tcheck(await state_is(WebSocketPeer.STATE_OPEN), "connected again")
\tvar other: WebSocketPeer = WebSocketPeer.new()
\tequal(await GameLogin.connect_socket(other, socket_url), OK, "the player joins from elsewhere")
\tfor _tick: int in 20:
\t\tother.poll()
\t\tawait seconds(0.05)
\tcheck(await state_is(WebSocketPeer.STATE_CLOSED), "put out")
\tequal(peer.get_close_code(), 4409, "close code")
\tawait seconds(3.5)
\tcheck(is_over, "and it stays out")
\tother.close()
"""
MUTE_SECONDS = 30.0
ADDRESS = "198.51.100.7"
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 4.2.2
UPGRADE = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: {}\r\n\r\n"
)
CLOSE = b"\x88\x0c" + (4401).to_bytes(2, "big") + b"bad token."


def expired_ticket(backend: Backend, server: str) -> str:
    """Return a ticket from yesterday, with a true signature."""
    backend.advance(-86400)
    try:
        return ticket_for(server, "Yesterday")
    finally:
        backend.advance(86400)


def ticket_of_another_backend(stack: Stack, server: str) -> str:
    """Return a ticket from another issuer, signed with the same key."""
    settings = Settings.from_environment(stack.environment())
    other = create_app(replace(settings, token_issuer="another-backend"))
    before, handler.application = handler.application, other
    try:
        return ticket_for(server, "Elsewhere")
    finally:
        handler.application = before
        other.close()


def ticket_for(server: str, username: str) -> str:
    """Register directly with the handler; return a ticket of the new player."""
    player = {"username": username + secrets.token_hex(4), "password": PASSWORD}
    token = post("/v1/register", player)["access_token"]
    ticket = post("/v1/tickets", {"server": server}, authorization=f"Bearer {token}")["ticket"]
    assert isinstance(ticket, str)
    return ticket


def post(path: str, body: dict[str, str], **headers: str) -> Any:
    """Return the handler's answer to a request that succeeds."""
    headers["content-type"] = "application/json"
    event = http_event("POST", path, json.dumps(body), headers, ADDRESS)
    answer = Answer.of(handler.http(event, None))
    assert answer.status == 201, answer.code
    return answer.json


class AtOnce:
    """A server that closes with 4401 immediately after the handshake.

    Other paths hang: `/mute` answers only the handshake, `/silent` not even that.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}"

    def serve(self) -> None:
        """Answer one connection after the other, until the listener closes."""
        with suppress(OSError):
            while True:
                connection, _address = self._listener.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                request += connection.recv(4096)
            lines = request.decode().split("\r\n")
            name = "sec-websocket-key: "
            key = next(line[len(name) :] for line in lines if line.lower().startswith(name))
            accept = hashlib.sha1(f"{key}{GUID}".encode()).digest()  # as in RFC 6455
            answer = UPGRADE.format(base64.b64encode(accept).decode()).encode()
            how = lines[0].split()[1].removeprefix("/")
            if how in {"mute", "silent"}:
                connection.sendall(answer * (how == "mute"))
                time.sleep(MUTE_SECONDS)
                return
            parts = [answer + CLOSE[:3], CLOSE[3:]] if how == "split" else [answer + CLOSE]
            for part in parts:
                connection.sendall(part)
                time.sleep(0.1 * (how == "split"))
            if how == "hang-up":
                connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass


@pytest.fixture
def at_once() -> Iterator[str]:
    """Return the address of a server that closes each connection at once."""
    server = AtOnce()
    threading.Thread(target=server.serve, daemon=True).start()
    yield server.url
    server.stop()


@pytest.mark.parametrize("kind", ["game", "released"])
def test_socket(
    request: pytest.FixtureRequest,
    kind: str,
    backend: Backend,
    stack: Stack,
    tmp_path: Path,
    socket_url: str,
    at_once: str,
) -> None:
    """Players with tickets are greeted by name and chat, those with bad ones get 4401."""
    game: Game = request.getfixturevalue(kind)
    server = socket_url.removeprefix("ws://")
    expired, other = expired_ticket(backend, server), ticket_of_another_backend(stack, server)
    run = game.run(
        "test_socket",
        tmp_path,
        GAME_LOGIN_TEST_SOCKET=socket_url,
        GAME_LOGIN_TEST_AT_ONCE=at_once,
        GAME_LOGIN_TEST_EXPIRED=expired,
        GAME_LOGIN_TEST_OTHER_ISSUER=other,
    )
    known = backend.secrets | {expired, other}
    assert_passed(run, "test_socket", "", known)
    logs = "".join(log.read_text() for log in tmp_path.rglob("*.log"))
    assert "CASE ok" in logs
    assert not [secret for secret in known if secret in logs]


@pytest.mark.parametrize("is_renewed", [True, False])
def test_lines_of_the_readme(
    game: Game, backend: Backend, tmp_path: Path, socket_url: str, *, is_renewed: bool
) -> None:
    """The README's lines send tickets in time, reconnect after a failure, and obey 4409."""
    found = GDSCRIPT.search(README.read_text())
    assert found
    lines = found[1]
    assert lines.count("240_000") == 2
    if is_renewed:
        lines = lines.replace("240_000", "2_000")
    script = game.folder / "tests" / "stay.gd"
    is_renewed_word = "true" if is_renewed else "false"
    script.write_text(STAY.format(lines=lines, is_renewed=is_renewed_word))
    run = game.run("stay", tmp_path, GAME_LOGIN_TEST_SOCKET=socket_url)
    script.unlink()
    assert not run.problems(), run.output
    assert run.passed == ["test_stay_connected"], run.output
    assert not [secret for secret in backend.secrets if secret in run.output]
