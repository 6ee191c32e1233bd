"""Seats in the example game server: who has one, who loses it to whom, and after how long."""

import asyncio
import secrets
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import socket_messages
import socket_seats
import socket_server
from player_tokens import Player, PlayerTokens
from websockets.asyncio.client import ClientConnection, connect

from auth.settings import Settings
from local.game_server import GameServer
from local.stack import Stack
from tests.conftest import Tables
from tests.game_server.connections import (
    MovedGameServer,
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

PLAYER = Player("account", "session", "Ada", 0, False, "ticket", 0, 60)  # noqa: FBT003


@pytest.fixture
def game(stack: Stack, tables: Tables, tmp_path: Path) -> Iterator[GameServer]:
    """Return a running game server that trusts the backend."""
    with running_game(stack, tmp_path) as game:
        yield game


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


@pytest.mark.parametrize(("seconds_ago", "epoch"), [(30, 2), (0, 1)], ids=["id", "epoch"])
def test_an_outdated_ticket(
    game: GameServer, settings: Settings, seconds_ago: int, epoch: int
) -> None:
    """A ticket that is older than the seat's, or has a smaller epoch, does not take the seat."""

    async def talk() -> None:
        in_use = ticket(settings, game.name, epoch=2, seconds_ago=10)
        async with connected(game, in_use) as owner:
            await receive(owner)
            outdated = ticket(settings, game.name, epoch=epoch, seconds_ago=seconds_ago)
            async with connected(game, outdated) as connection:
                reason = "ticket: a later one of this account is in use"
                assert await closed(connection) == (4401, reason)
            await send(owner, type="authenticate", ticket=outdated)
            await send(owner, type="chat", text="still here")
            assert (await receive(owner))["text"] == "still here"
            async with connected(game, in_use) as again:  # good any number of times
                await receive(again)
                assert await closed(owner) == (4409, "signed in elsewhere")

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
                    reason = "ticket: the name now belongs to another account"
                    assert await closed(first) == (4401, reason)

    asyncio.run(talk())


def test_a_deleted_account_comes_back(game: GameServer, settings: Settings) -> None:
    """A deleted account's unexpired ticket does not disconnect the new owner of its name."""
    old, new = (secrets.token_bytes(16) for _ in range(2))

    async def talk() -> None:
        async with connected(game, ticket(settings, game.name, account=new)) as owner:
            assert (await receive(owner))["players"] == ["Ada"]
            earlier = ticket(settings, game.name, account=old, seconds_ago=30)
            async with connected(game, earlier) as connection:
                reason = "ticket: the name now belongs to another account"
                assert await closed(connection) == (4401, reason)
            await send(owner, type="chat", text="still here")
            assert await receive(owner) == {"type": "chat", "name": "Ada", "text": "still here"}

    asyncio.run(talk())


def test_a_renamed_player(game: GameServer, settings: Settings) -> None:
    """A new ticket with a changed name renames the player, and that name is in the lobby once."""
    ada, eve = (secrets.token_bytes(16) for _ in range(2))
    issue = partial(ticket, settings, game.name)

    async def talk() -> None:
        texts = [
            issue(account=ada, name="Ada", seconds_ago=10),
            issue(account=eve, name="Eve", seconds_ago=10),
            issue(name="Zoe"),
        ]
        async with AsyncExitStack() as open_connections:
            connections = []
            for text in texts:
                connections.append(
                    await open_connections.enter_async_context(connected(game, text))
                )
                await receive(connections[-1])  # or they might come in another order
            one, two, zoe = connections
            await send(one, type="authenticate", ticket=issue(account=ada, name="eve"))
            reason = "ticket: the name now belongs to another account"
            assert await closed(two) == (4401, reason)
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


def test_a_connection_that_is_replaced_while_its_ticket_is_verified(
    stack: Stack, tables: Tables, settings: Settings
) -> None:
    """A new ticket that arrived before the connection was replaced does not win the seat back."""

    class SlowTokens(PlayerTokens):
        slow_text = ""

        def verify(self, text: str) -> Player:
            time.sleep(1.0 if text == self.slow_text else 0.0)
            return super().verify(text)

    first_ticket, fresh, second_ticket = (
        ticket(settings, "game", seconds_ago=ago) for ago in (3, 2, 1)
    )

    async def talk(tokens: PlayerTokens) -> None:
        async with socket_server.listening(tokens, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            headers = [{"Authorization": f"Bearer {one}"} for one in (first_ticket, second_ticket)]
            async with connect(url, additional_headers=headers[0], proxy=None) as first:
                await receive(first)
                await send(first, type="authenticate", ticket=fresh)
                async with connect(url, additional_headers=headers[1], proxy=None) as second:
                    await receive(second)
                    assert (await closed(first))[0] == 4409
                    await asyncio.sleep(1.5)
                    await send(second, type="chat", text="still here")
                    assert (await receive(second))["text"] == "still here"

    with JwksServer(published_keys()) as backend:
        tokens = SlowTokens(backend.url, settings.token_issuer, "game")
        tokens.slow_text = fresh
        asyncio.run(talk(tokens))


def test_new_ticket(game: GameServer) -> None:
    """The player stays with a new ticket; another player's ticket or an access token ends it."""

    async def talk() -> None:
        ada, eve = registered("Ada"), registered("Eve")
        for wrong, reason in (
            (eve.ticket(game.name), "belongs to another player"),
            (ada.access_token, "not a ticket of the backend"),
            (ada.ticket("127.0.0.2:8765"), "for another server"),
        ):
            async with connected(game, ada) as connection:
                await receive(connection)
                await send(connection, type="authenticate", ticket=ada.ticket(game.name))
                await send(connection, type="chat", text="on we go")
                assert (await receive(connection))["text"] == "on we go"
                await send(connection, type="authenticate", ticket=wrong)
                assert await closed(connection) == (4401, f"ticket: {reason}")

    asyncio.run(talk())


def test_an_earlier_ticket_changes_nothing(game: GameServer, settings: Settings) -> None:
    """A ticket that is older than the one in use does not bring back an earlier name."""
    issue = partial(ticket, settings, game.name)

    async def talk() -> None:
        earlier = issue(name="Ada", seconds_ago=30)
        async with connected(game, issue(name="Grace")) as connection:
            await receive(connection)
            await send(connection, type="authenticate", ticket=earlier)
            await send(connection, type="chat", text="hello")
            assert await receive(connection) == {"type": "chat", "name": "Grace", "text": "hello"}

    asyncio.run(talk())


def test_ten_minutes(stack: Stack, tables: Tables, settings: Settings, tmp_path: Path) -> None:
    """A seat lasts ten minutes from the issue of its latest ticket, and then closes with 4401."""
    ada, eve = (secrets.token_bytes(16) for _ in range(2))

    async def talk(game: MovedGameServer) -> None:
        async def advance(seconds: float) -> None:
            game.advance(seconds)
            async with connect(f"{game.url}/wake-up", proxy=None):
                await asyncio.sleep(0.5)  # for the pings after so long a time

        def issue(account: bytes, name: str, seconds_ago: float = 0) -> str:
            ago = seconds_ago - game.ahead
            return ticket(settings, game.name, account=account, name=name, seconds_ago=ago)

        async def says(connection: ClientConnection, name: str) -> None:
            await send(connection, type="chat", text="here")
            while await receive(connection) != {"type": "chat", "name": name, "text": "here"}:
                pass

        async with (
            connected(game, issue(ada, "Ada")) as one,
            connected(game, issue(eve, "Eve", 50)) as two,
        ):
            for connection in (one, two):
                assert (await receive(connection))["type"] == "welcome"
            await advance(540)
            await says(one, "Ada")
            await says(two, "Eve")
            await send(one, type="authenticate", ticket=issue(ada, "Ada"))
            await says(one, "Ada")
            await advance(15)  # 605 seconds after the issue of Eve's ticket
            assert await closed(two) == (4401, "ticket: no new one came in time")
            await advance(500)  # Ada's first ticket is 1055 seconds old
            await says(one, "Ada")
            await advance(100)
            assert await closed(one) == (4401, "ticket: no new one came in time")

    with running_game(stack, tmp_path, MovedGameServer) as game:
        assert isinstance(game, MovedGameServer)
        asyncio.run(talk(game))


def test_a_wall_clock_that_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sets the server's clock back makes nobody's seat longer."""
    seat = socket_seats.Seat(PLAYER, None)  # type: ignore[arg-type]  # it is never closed
    now = time.time()
    seat.take(replace(PLAYER, issued_at=int(now)))
    monkeypatch.setattr(time, "time", lambda: now - 3600)
    assert 598 < seat.seconds_left() <= 600


def test_a_ticket_from_the_future() -> None:
    """A server whose clock is behind gives nobody more than ten minutes."""
    now = time.time()
    seat = socket_seats.Seat(PLAYER, None)  # type: ignore[arg-type]  # it is never closed
    seat.take(replace(PLAYER, issued_at=int(now) + 3600))
    assert 599 < seat.seconds_left() <= 600
    seat.take(replace(PLAYER, issued_at=int(now) - 500))
    assert 98 < seat.seconds_left() <= 100
    seat.take(replace(PLAYER, issued_at=int(now) - 601))
    with pytest.raises(socket_messages.Refused, match="no new one"):
        seat.seconds_left()
