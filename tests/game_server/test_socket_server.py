"""The example game server in a separate process, with tokens from the real backend."""

import asyncio
import http.client
import json
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import socket_server
from player_tokens import PlayerTokens
from socket_server import MESSAGES_AT_ONCE, MESSAGES_PER_SECOND
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

import handler
from auth.credentials.access_tokens import Realm, issue
from auth.credentials.token_keys import TokenKeys
from auth.external.secret_store import SecretStore
from auth.settings import Settings
from auth.times import system_clock
from local.game_server import GameServer
from local.processes import free_port
from local.stack import Stack
from tests.conftest import Tables
from tests.game_server.test_player_tokens import Backend
from tests.play.events import http_event
from tests.play.players import Player
from tests.unit.test_access_tokens import TOKEN, signed


@pytest.fixture
def game(stack: Stack, tables: Tables, tmp_path: Path) -> Iterator[GameServer]:
    """Return a running game server that trusts the backend."""
    backend = Backend()
    backend.body = handler.http(http_event("GET", "/.well-known/jwks.json"), None)["body"].encode()
    game = GameServer(free_port(), tmp_path, backend.url, stack.environment())
    game.start()
    yield game
    game.stop()
    log = game.log.read_text()
    assert "Traceback" not in log
    assert "eyJ" not in log, "a token is in the log"
    backend.shutdown()
    backend.server_close()


def registered(name: str) -> Player:
    """Register a player."""
    player = Player(name)
    assert player.register().status == 201
    return player


@asynccontextmanager
async def connected(game: GameServer, player: Player | str) -> AsyncIterator[ClientConnection]:
    """Connect with a token in the header, as engines do, and expect the welcome."""
    token = player.access_token if isinstance(player, Player) else player
    headers = {"Authorization": f"Bearer {token}"}
    async with connect(game.url, additional_headers=headers, proxy=None) as connection:
        yield connection


async def receive(connection: ClientConnection, seconds: float = 10) -> dict[str, Any]:
    """Return the next message."""
    async with asyncio.timeout(seconds):
        message: dict[str, Any] = json.loads(await connection.recv())
    return message


async def send(connection: ClientConnection, **message: object) -> None:
    """Send one message."""
    await connection.send(json.dumps(message))


async def closed(connection: ClientConnection) -> tuple[int, str]:
    """Wait for the server to close; return its code and its reason."""
    with suppress(ConnectionClosed):
        async with asyncio.timeout(15):
            while True:
                await connection.recv()
    return connection.close_code or 0, connection.close_reason or ""


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


def test_token_in_the_first_message(game: GameServer) -> None:
    """A web page, which cannot set headers, sends its token as the first message."""

    async def talk() -> None:
        async with connect(game.url, proxy=None) as connection:
            await send(connection, type="authenticate", access_token=registered("Ada").access_token)
            assert (await receive(connection))["name"] == "Ada"

    asyncio.run(talk())


def test_no_token(game: GameServer) -> None:
    """A connection that sends nothing is closed after five seconds."""

    async def talk() -> None:
        async with connect(game.url, proxy=None) as connection:
            assert await closed(connection) == (4408, "no access token received")

    asyncio.run(talk())


def token(
    settings: Settings,
    *,
    audience: str = "game",
    minutes_ago: int = 0,
    account: bytes = TOKEN.account_id,
    name: str = "Ada",
) -> str:
    """Return a token signed with the backend's own keys."""
    ring = TokenKeys(SecretStore(), settings.token_secret_id).ring()
    now = system_clock() - timedelta(minutes=minutes_ago)
    realm = Realm(settings.token_issuer, audience)
    return issue(ring, realm, replace(TOKEN, account_id=account), name, now)


def test_bad_tokens(game: GameServer, settings: Settings) -> None:
    """A connection with a bad token is accepted and then closed with 4401 and a readable reason."""
    why = {
        "x": "DecodeError",
        token(settings, minutes_ago=11): "expired",
        token(settings, audience="other"): "for another issuer or audience",
        signed(): "signed with an unknown key",
        token(settings)[:-8] + "AAAAAAAA": "InvalidSignatureError",
    }

    async def talk() -> None:
        for text, reason in why.items():
            async with connected(game, text) as connection:
                assert await closed(connection) == (4401, f"access token: {reason}")
        async with connected(game, token(settings)) as connection:
            assert (await receive(connection))["name"] == "Ada"

    asyncio.run(talk())


@pytest.mark.parametrize("value", ["Basic eDp5", "Bearer", "", "bearer  "])
def test_bad_headers(game: GameServer, value: str) -> None:
    """A header that holds no bearer token counts as a bad token."""

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
    "a bad token": ('{"type": "authenticate", "access_token": "x"}', 4401),
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


def test_one_connection_per_player(game: GameServer) -> None:
    """The newest connection wins; other players see the player neither leave nor join."""

    async def talk() -> None:
        ada, eve = registered("Ada"), registered("Eve")
        async with connected(game, eve) as other:
            assert (await receive(other))["players"] == ["Eve"]
            async with connected(game, ada) as first:
                assert (await receive(first))["players"] == ["Ada", "Eve"]
                async with connected(game, ada) as second:
                    assert (await receive(second))["players"] == ["Ada", "Eve"]
                    assert await closed(first) == (4409, "signed in elsewhere")
                    await send(second, type="chat", text="still here")
                    messages = [await receive(other) for _ in range(2)]
                    assert [message["type"] for message in messages] == ["joined", "chat"]

    asyncio.run(talk())


def test_a_name_that_was_registered_again(game: GameServer) -> None:
    """A name is in the lobby once: a new account replaces the deleted one that had the name."""

    async def talk() -> None:
        eve, old = registered("Eve"), registered("Ada")
        async with connected(game, eve) as other:
            await receive(other)  # or the two might come in either order
            async with connected(game, old) as first:
                assert await receive(other) == {"type": "joined", "name": "Ada"}
                assert old.delete().status == 200
                new = registered("ADA")
                async with connected(game, new) as second:
                    assert (await receive(second))["players"] == ["ADA", "Eve"]
                    assert await receive(other) == {"type": "left", "name": "Ada"}
                    assert await receive(other) == {"type": "joined", "name": "ADA"}
                    await receive(first)
                    assert await closed(first) == (4409, "signed in elsewhere")

    asyncio.run(talk())


def test_a_deleted_account_comes_back(game: GameServer, settings: Settings) -> None:
    """A deleted account's unexpired token does not disconnect the new owner of its name."""
    old, new = (secrets.token_bytes(16) for _ in range(2))

    async def talk() -> None:
        async with connected(game, token(settings, account=new)) as owner:
            assert (await receive(owner))["players"] == ["Ada"]
            async with connected(game, token(settings, account=old, minutes_ago=5)) as connection:
                reason = "access token: the name now belongs to another account"
                assert await closed(connection) == (4401, reason)
            await send(owner, type="chat", text="still here")
            assert await receive(owner) == {"type": "chat", "name": "Ada", "text": "still here"}

    asyncio.run(talk())


def test_a_renamed_player(game: GameServer, settings: Settings) -> None:
    """A fresh token with a changed name renames the player, and that name is in the lobby once."""
    ada, eve = (secrets.token_bytes(16) for _ in range(2))

    async def talk() -> None:
        async with (
            connected(game, token(settings, account=ada, name="Ada", minutes_ago=1)) as one,
            connected(game, token(settings, account=eve, name="Eve", minutes_ago=1)) as two,
            connected(game, token(settings, name="Zoe")) as zoe,
        ):
            for connection in (one, two, zoe):
                await receive(connection)
            fresh = token(settings, account=ada, name="eve")
            await send(one, type="authenticate", access_token=fresh)
            assert (await closed(two))[0] == 4409
            heard = [await receive(zoe) for _ in range(3)]
            assert heard[-1] == {"type": "joined", "name": "eve"}
            assert {message["name"] for message in heard[:2]} == {"Ada", "Eve"}
            assert {message["type"] for message in heard[:2]} == {"left"}

    asyncio.run(talk())


def test_a_replaced_connection_says_nothing_more(game: GameServer) -> None:
    """Messages from a replaced connection that is not yet closed are not passed on."""

    async def talk() -> None:
        ada = registered("Ada")
        async with connected(game, ada) as first:
            await receive(first)
            first.transport.pause_reading()  # so that it does not learn of its replacement
            async with connected(game, ada) as second:
                await receive(second)
                await send(first, type="chat", text="from the old one")
                await asyncio.sleep(0.5)
                await send(second, type="chat", text="from the new one")
                assert (await receive(second))["text"] == "from the new one"
            first.transport.abort()

    asyncio.run(talk())


def test_a_connection_that_is_replaced_while_its_token_is_verified(
    stack: Stack, tables: Tables
) -> None:
    """A fresh token that arrived before the connection was replaced does not win the seat back."""
    settings = Settings.from_environment(stack.environment())
    backend = Backend()
    backend.body = handler.http(http_event("GET", "/.well-known/jwks.json"), None)["body"].encode()

    class SlowTokens(PlayerTokens):
        slow_text = ""

        def verify(self, text: str) -> Any:
            time.sleep(1.0 if text == self.slow_text else 0.0)
            return super().verify(text)

    tokens = SlowTokens(backend.url, settings.token_issuer, settings.token_audience)
    first_token, second_token, fresh = (token(settings) for _ in range(3))
    tokens.slow_text = fresh

    async def talk() -> None:
        async with socket_server.listening(tokens, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            headers = [{"Authorization": f"Bearer {text}"} for text in (first_token, second_token)]
            async with connect(url, additional_headers=headers[0], proxy=None) as first:
                await receive(first)
                await send(first, type="authenticate", access_token=fresh)
                async with connect(url, additional_headers=headers[1], proxy=None) as second:
                    await receive(second)
                    assert (await closed(first))[0] == 4409
                    await asyncio.sleep(1.5)
                    await send(second, type="chat", text="still here")
                    assert (await receive(second))["text"] == "still here"

    asyncio.run(talk())
    backend.shutdown()
    backend.server_close()


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


def test_fresh_token(game: GameServer) -> None:
    """A fresh token keeps the player connected; another player's token does not."""

    async def talk() -> None:
        ada, eve = registered("Ada"), registered("Eve")
        async with connected(game, ada) as connection:
            await receive(connection)
            assert ada.refresh().status == 200
            await send(connection, type="authenticate", access_token=ada.access_token)
            await send(connection, type="chat", text="on we go")
            assert (await receive(connection))["text"] == "on we go"
            await send(connection, type="authenticate", access_token=eve.access_token)
            assert await closed(connection) == (4401, "access token: belongs to another player")

    asyncio.run(talk())


def test_heartbeat(stack: Stack, tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that answers no ping is disconnected, though its connection looks open."""
    monkeypatch.setattr(socket_server, "HEARTBEAT_SECONDS", 1.0)
    settings = Settings.from_environment(stack.environment())
    backend = Backend()
    backend.body = handler.http(http_event("GET", "/.well-known/jwks.json"), None)["body"].encode()
    tokens = PlayerTokens(backend.url, settings.token_issuer, settings.token_audience)
    ada, eve = registered("Ada"), registered("Eve")

    async def talk() -> None:
        async with socket_server.listening(tokens, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            headers = [{"Authorization": f"Bearer {player.access_token}"} for player in (ada, eve)]
            async with connect(url, additional_headers=headers[0], proxy=None) as alive:
                assert (await receive(alive))["type"] == "welcome"
                async with connect(url, additional_headers=headers[1], proxy=None) as dead:
                    assert (await receive(alive))["type"] == "joined"
                    dead.transport.pause_reading()  # as on a network that has failed
                    assert await receive(alive, 20) == {"type": "left", "name": "Eve"}
                    await send(alive, type="chat", text="alone")
                    assert (await receive(alive))["text"] == "alone"
                    dead.transport.abort()

    asyncio.run(talk())
    backend.shutdown()
    backend.server_close()


def test_no_keys_yet() -> None:
    """If no key can be read, the client is told to try later, not that its token is bad."""
    tokens = PlayerTokens("http://127.0.0.1:9", "game-login-local", "game")

    async def talk() -> None:
        async with socket_server.listening(tokens, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            headers = {"Authorization": f"Bearer {signed()}"}
            async with connect(url, additional_headers=headers, proxy=None) as connection:
                assert await closed(connection) == (1013, "cannot verify players yet")

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
    lobby = socket_server.Lobby(PlayerTokens("http://127.0.0.1:9", "issuer", "game"))
    for account in ("flooded", "quiet"):
        lobby._allowances[account] = socket_server.Allowance()  # noqa: SLF001
    for _ in range(10):
        lobby._allowances["flooded"].take_message()  # noqa: SLF001
    with pytest.raises(socket_server.Refused):
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
