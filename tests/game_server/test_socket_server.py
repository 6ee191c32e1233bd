"""The example game server in a separate process, with tickets from the real backend.

`test_seats` has who may stay, and for how long.
"""

import asyncio
import http.client
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import jwt
import pytest
import socket_messages
import socket_server
from player_tokens import PlayerTokens
from socket_entrance import Entrance
from socket_lobby import Lobby
from socket_messages import MESSAGES_AT_ONCE, MESSAGES_PER_SECOND
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from auth.settings import Settings
from local.game_server import GameServer
from local.stack import Stack
from tests.conftest import Tables
from tests.game_server.connections import (
    closed,
    connected,
    published_keys,
    receive,
    registered,
    running_game,
    send,
    ticket,
)
from tests.game_server.jwks_server import JwksServer
from tests.game_server.test_player_tokens import signed
from tests.play.players import call


@pytest.fixture
def game(stack: Stack, tables: Tables, tmp_path: Path) -> Iterator[GameServer]:
    """Return a running game server that trusts the backend."""
    with running_game(stack, tmp_path) as game:
        yield game


def test_two_players_chat(game: GameServer) -> None:
    """Each player is greeted by name, sees the other join, gets its messages, and sees it leave."""

    async def talk() -> None:
        ada, eve = registered("Ada"), registered("Eve")
        async with connected(game, ada) as one:
            assert await receive(one) == {"type": "welcome", "name": "Ada", "players": ["Ada"]}
            async with connected(game, eve) as two:
                welcome = await receive(two)
                assert welcome == {"type": "welcome", "name": "Eve", "players": ["Ada", "Eve"]}
                assert await receive(one) == {"type": "joined", "name": "Eve"}
                await send(two, type="chat", text="  hello \N{WAVING HAND SIGN} ")
                said = {"type": "chat", "name": "Eve", "text": "hello \N{WAVING HAND SIGN}"}
                assert await receive(one) == said
                assert await receive(two) == said
            assert await receive(one) == {"type": "left", "name": "Eve"}

    asyncio.run(talk())


def test_ticket_in_the_first_message(game: GameServer) -> None:
    """A web page, which cannot set headers, sends its ticket as the first message."""

    async def talk() -> None:
        async with connect(game.url, proxy=None) as connection:
            ticket = registered("Ada").ticket(game.name)
            await send(connection, type="authenticate", ticket=ticket)
            assert (await receive(connection))["name"] == "Ada"

    asyncio.run(talk())


def test_no_ticket(game: GameServer) -> None:
    """A connection that sends nothing is closed after five seconds."""

    async def talk() -> None:
        async with connect(game.url, proxy=None) as connection:
            assert await closed(connection) == (4408, "no ticket received")

    asyncio.run(talk())


def test_bad_tickets(game: GameServer, settings: Settings) -> None:
    """A connection with a bad ticket is accepted, then closed with 4401 and a readable reason."""
    ada = registered("Ada")
    elsewhere = ada.ticket("127.0.0.2:8765")
    why = {
        "x": "DecodeError",
        ticket(settings, game.name, seconds_ago=61): "expired",
        ada.access_token: "not a ticket of the backend",
        elsewhere: "for another server",
        signed(): "signed with an unknown key",
        ada.ticket(game.name)[:-8] + "AAAAAAAA": "InvalidSignatureError",
    }

    async def talk() -> None:
        for text, reason in why.items():
            async with connected(game, text) as connection:
                assert await closed(connection) == (4401, f"ticket: {reason}")
        async with connected(game, ada) as connection:
            assert (await receive(connection))["name"] == "Ada"

    asyncio.run(talk())


def test_a_ticket_opens_nothing_else(game: GameServer, settings: Settings) -> None:
    """The API refuses a ticket, and so does a service that knows its audience but not our types."""
    ada = registered("Ada")
    answer = call("GET", "/v1/me", token=ada.ticket(game.name))
    assert (answer.status, answer.code) == (401, "invalid_token")
    text = ada.ticket(settings.token_audience)
    key = jwt.PyJWKSet(json.loads(published_keys())["keys"])[jwt.get_unverified_header(text)["kid"]]
    decoded = jwt.decode(text, key, audience=f"server:{settings.token_audience}")
    assert decoded["name"] == "Ada"
    with pytest.raises(jwt.InvalidAudienceError):
        jwt.decode(text, key, audience=settings.token_audience)


def test_clients_that_send_access_tokens(game: GameServer) -> None:
    """A game that is too old for tickets is refused with a code, in the first message too."""
    ada = registered("Ada")

    async def talk() -> None:
        async with connect(game.url, proxy=None) as connection:
            await send(connection, type="authenticate", access_token=ada.access_token)
            assert await closed(connection) == (4400, "authenticate needs a string ticket")
        async with connect(game.url, proxy=None) as connection:
            await send(connection, type="authenticate", ticket=ada.access_token)
            assert await closed(connection) == (4401, "ticket: not a ticket of the backend")

    asyncio.run(talk())


@pytest.mark.parametrize("value", ["Basic eDp5", "Bearer", "", "bearer  "])
def test_bad_headers(game: GameServer, value: str) -> None:
    """A header that holds no bearer token counts as a bad ticket."""

    async def talk() -> None:
        headers = {"Authorization": value}
        async with connect(game.url, additional_headers=headers, proxy=None) as connection:
            assert (await closed(connection))[0] == 4401

    asyncio.run(talk())


BAD_MESSAGES: dict[str, tuple[str | bytes, int]] = {
    "no JSON": ("hello", 4400),
    "a list": ("[]", 4400),
    "no type": ("{}", 4400),
    "type a number": ('{"type": 1}', 4400),
    "unknown type": ('{"type": "move"}', 4400),
    "chat without text": ('{"type": "chat"}', 4400),
    "binary": (b'{"type": "chat", "text": "x"}', 4400),
    "deep": ("[" * 4000, 4400),
    "too long": (json.dumps({"type": "chat", "text": "x" * 5000}), 1009),
    "a bad ticket": ('{"type": "authenticate", "ticket": "x"}', 4401),
}


@pytest.mark.parametrize("name", BAD_MESSAGES)
def test_bad_messages(game: GameServer, name: str) -> None:
    """An invalid message closes the connection with a code; the server goes on."""
    message, code = BAD_MESSAGES[name]

    async def talk() -> None:
        async with connected(game, registered("Ada")) as connection:
            await receive(connection)
            await connection.send(message)
            assert (await closed(connection))[0] == code
        async with connected(game, registered("Eve")) as connection:
            assert (await receive(connection))["players"] == ["Eve"]

    asyncio.run(talk())


def test_health_check(game: GameServer) -> None:
    """A load balancer's plain HTTP request is answered with 200; other paths are not."""
    address = urlsplit(game.url).netloc
    answers = {}
    for path in ("/health", "/health?from=balancer", "/", "/healthy"):
        connection = http.client.HTTPConnection(address, timeout=10)
        connection.request("GET", path)
        answer = connection.getresponse()
        answers[path] = answer.status
        text = answer.read()
        assert answer.status != 200 or text == b"OK\n"
        connection.close()
    assert answers == {"/health": 200, "/health?from=balancer": 200, "/": 426, "/healthy": 426}


def test_heartbeat(
    stack: Stack, tables: Tables, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that answers no ping is disconnected, though its connection looks open."""
    monkeypatch.setattr(socket_server, "HEARTBEAT_SECONDS", 1.0)
    ada, eve = registered("Ada").ticket("game"), registered("Eve").ticket("game")

    async def talk(tokens: PlayerTokens) -> None:
        async with socket_server.listening(tokens, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            headers = [{"Authorization": f"Bearer {text}"} for text in (ada, eve)]
            async with connect(url, additional_headers=headers[0], proxy=None) as alive:
                assert (await receive(alive))["type"] == "welcome"
                async with connect(url, additional_headers=headers[1], proxy=None) as dead:
                    assert (await receive(alive))["type"] == "joined"
                    dead.transport.pause_reading()  # as on a network that has failed
                    assert await receive(alive, 20) == {"type": "left", "name": "Eve"}
                    await send(alive, type="chat", text="alone")
                    assert (await receive(alive))["text"] == "alone"
                    dead.transport.abort()

    with JwksServer(published_keys()) as backend:
        asyncio.run(talk(PlayerTokens(backend.url, settings.token_issuer, "game")))


def test_no_keys_yet() -> None:
    """If no key can be read, the client is told to try later, not that its ticket is bad."""
    tokens = PlayerTokens("http://127.0.0.1:9", "game-login-local", "game")

    async def talk() -> None:
        async with socket_server.listening(tokens, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            headers = {"Authorization": f"Bearer {signed()}"}
            async with connect(url, additional_headers=headers, proxy=None) as connection:
                assert await closed(connection) == (1013, "cannot verify players yet")

    asyncio.run(talk())


def test_items_without_a_key(game: GameServer) -> None:
    """A server that was restarted without a key ignores items; the player stays."""

    async def talk() -> None:
        async with connected(game, registered("Ada")) as connection:
            await receive(connection)
            await send(connection, type="take", item="sword")
            await send(connection, type="chat", text="still here")
            assert (await receive(connection))["text"] == "still here"

    asyncio.run(talk())


def test_flood(game: GameServer) -> None:
    """A client that sends too many messages is disconnected with a code."""

    async def talk() -> None:
        async with connected(game, registered("Ada")) as connection:
            for number in range(30):
                await send(connection, type="chat", text=str(number))
            assert (await closed(connection))[0] == 4429

    asyncio.run(talk())


def test_flood_over_many_connections(game: GameServer) -> None:
    """Reconnecting does not reset a player's message limit."""

    async def talk() -> None:
        eve, began = registered("Eve"), time.monotonic()
        async with connected(game, registered("Ada")) as listener:
            await receive(listener)  # before the welcome she would miss what others say
            for _ in range(10):
                async with connected(game, eve) as connection:
                    await flood(connection, 5)
            most = MESSAGES_AT_ONCE + MESSAGES_PER_SECOND * (time.monotonic() - began)
            await send(listener, type="chat", text="enough")
            heard = []
            while (message := await receive(listener)).get("text") != "enough":
                heard.append(message["type"])
            assert MESSAGES_AT_ONCE <= heard.count("chat") <= most

    async def flood(connection: ClientConnection, messages: int) -> None:
        """Send messages, and wait until the player hears them or is thrown out."""
        with suppress(ConnectionClosed):
            for _ in range(messages):
                await send(connection, type="chat", text="me again")
            heard = 0
            while heard < messages:
                heard += (await receive(connection))["type"] == "chat"

    asyncio.run(talk())


def test_a_text_is_one_line(game: GameServer) -> None:
    """A message cannot imitate a notice or another player's line."""

    async def talk() -> None:
        async with connected(game, registered("Ada")) as connection:
            await receive(connection)
            for text in ("\n \r\n", "\u202e\x07"):
                await send(connection, type="chat", text=text)
            await send(connection, type="chat", text="hi\n\nEve has gone.\u2028Eve \x1b[1mI am Eve")
            assert (await receive(connection))["text"] == "hi Eve has gone. Eve [1mI am Eve"

    asyncio.run(talk())


def test_allowances_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full allowance of an absent player is forgotten; one that was just used up is kept."""
    ticks = [time.monotonic() + 1.0]
    monkeypatch.setattr(time, "monotonic", lambda: ticks[0])
    lobby = Lobby(Entrance(PlayerTokens("http://127.0.0.1:9", "issuer", "game")))
    for account in ("flooded", "quiet"):
        lobby._allowances[account] = socket_messages.Allowance()  # noqa: SLF001
    for _ in range(10):
        lobby._allowances["flooded"].take_message()  # noqa: SLF001
    with pytest.raises(socket_messages.Refused):
        lobby._allowances["flooded"].take_message()  # noqa: SLF001
    lobby._forget_full_allowances()  # noqa: SLF001
    assert set(lobby._allowances) == {"flooded"}  # noqa: SLF001
    ticks[0] += 2.3
    lobby._forget_full_allowances()  # noqa: SLF001
    assert lobby._allowances == {}  # noqa: SLF001


def test_stop(game: GameServer) -> None:
    """Ctrl-C stops the server in good order, with a log line."""
    process = game._process  # noqa: SLF001  # the test is about its signal
    assert process is not None
    os.kill(process.pid, signal.SIGINT)
    with pytest.raises(Exception, match="stopped while starting"):
        process.wait_until(lambda: False, 15)
    assert "stopping" in game.log.read_text()
