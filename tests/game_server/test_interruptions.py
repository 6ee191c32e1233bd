"""A game server with a key when things go wrong: a late end, a reset, no backend, a bad key."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import redeeming
import socket_entrance
import socket_messages
import socket_seats
import socket_server
from inventory import Inventory
from login_backend import LoginBackend
from player_tokens import PlayerTokens
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
    send,
    ticket,
)
from tests.game_server.entered import (
    SESSION_ENDED,
    SOON,
    chats,
    enter,
    kicked,
    registered,
    sign_out,
    signed_in_again,
)
from tests.game_server.jwks_server import JwksServer
from tests.game_server.keyed import HttpBackend, keyed_game
from tests.game_server.scripted_backend import KEY, Scripted, ScriptedBackend
from tests.game_server.test_seats import PLAYER
from tests.play.game_servers import new_key
from tests.play.operators import Operator
from tests.play.players import Player

Asked = tuple[str, str, Any]
RENEW = {"type": "renew", "seconds": 58}


@pytest.fixture
def game(backend: HttpBackend, tmp_path: Path) -> Iterator[GameServer]:
    """Return a running game server with a server key."""
    with keyed_game(backend, tmp_path, new_key()) as game:
        yield game


@asynccontextmanager
async def entered_slowly(
    backend: HttpBackend, issuer: str, player: Player, meanwhile: Callable[[], object]
) -> AsyncIterator[ClientConnection]:
    """Enter a server of this process; something happens between the redemption and the seat."""

    class SlowRedeemer(redeeming.Redeemer):
        def redeem(self, ticket: str) -> redeeming.Redeemed:
            redeemed = super().redeem(ticket)
            meanwhile()
            time.sleep(2 * SOON)
            return redeemed

    api = LoginBackend(backend.url, new_key())
    key = socket_server.WithKey(api, ["game"], Inventory(":memory:"))
    tokens = PlayerTokens(backend.url, issuer, "game")
    headers = {"Authorization": f"Bearer {player.ticket('game')}"}
    with patch.object(socket_server, "Redeemer", SlowRedeemer):
        async with socket_server.listening(tokens, "127.0.0.1", 0, key) as server:
            await asyncio.sleep(SOON)  # until the feed has been read
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with connect(url, additional_headers=headers, proxy=None) as connection:
                yield connection
    key.inventory.close()


def test_a_session_that_ends_while_its_ticket_is_redeemed(
    backend: HttpBackend, settings: Settings
) -> None:
    """What the feed told before the player got a seat counts: the connection is closed."""

    async def talk() -> None:
        ada = registered("Ada")
        end = partial(sign_out, ada)
        async with entered_slowly(backend, settings.token_issuer, ada, end) as connection:
            assert await kicked(connection) == SESSION_ENDED

    asyncio.run(talk())


def test_a_reset_while_a_ticket_is_redeemed(backend: HttpBackend, settings: Settings) -> None:
    """A player who got in with a ticket from before a reset needs a new one, like all others."""

    async def talk() -> None:
        ada = registered("Ada")
        end = partial(Operator().must, "sign-out everybody", reason="restored a backup")
        async with entered_slowly(backend, settings.token_issuer, ada, end) as connection:
            assert await enter(connection) == ["Ada"]
            assert await receive(connection) == RENEW

    asyncio.run(talk())


def test_while_the_backend_is_down(game: GameServer, backend: HttpBackend) -> None:
    """Players stay and chat; new ones are asked to wait; afterwards the feed catches up."""

    async def talk() -> None:
        ada, eve = registered("Ada"), registered("Eve")
        async with connected(game, ada) as one, connected(game, eve) as two:
            await enter(one)
            await enter(two)
            backend.stop()
            sign_out(ada)
            text = registered("Zoe").ticket(game.name)
            async with connected(game, text) as three:
                assert await closed(three) == (1013, "cannot redeem tickets now")
            await chats(one, "Ada")
            backend.start()
            assert await kicked(one) == SESSION_ENDED
            await chats(two, "Eve")

    asyncio.run(talk())


def test_while_redemptions_are_stuck(
    stack: Stack, tables: Tables, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Players beyond a number are refused at once; those who wait do not hold up the end."""
    monkeypatch.setattr(socket_entrance, "MOST_REDEMPTIONS", 2)
    monkeypatch.setattr(socket_entrance, "REDEEM_SECONDS", 60.0)
    monkeypatch.setattr(redeeming, "ANSWER_SECONDS", 60.0)

    async def talk(tokens: PlayerTokens, key: socket_server.WithKey, asked: list[Asked]) -> None:
        def joining() -> connect:
            text = ticket(settings, "game", account=secrets.token_bytes(16))
            headers = {"Authorization": f"Bearer {text}"}
            return connect(url, additional_headers=headers, proxy=None)

        async with AsyncExitStack() as clients:
            async with socket_server.listening(tokens, "127.0.0.1", 0, key) as server:
                url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
                waiting = [await clients.enter_async_context(joining()) for _ in range(2)]
                async with asyncio.timeout(30):
                    while sum(path == redeeming.REDEEM_PATH for path, _, _ in asked) < 2:
                        await asyncio.sleep(0.05)
                async with joining() as third:
                    assert await closed(third) == (1013, "cannot redeem tickets now")
            assert [(await closed(client))[0] for client in waiting] == [1001] * 2

    with JwksServer(published_keys()) as keys, ScriptedBackend(Scripted()) as stuck:
        stuck.may_answer.clear()  # for 20 s
        api = LoginBackend(stuck.url, KEY)
        key = socket_server.WithKey(api, ["game"], Inventory(":memory:"))
        asyncio.run(talk(PlayerTokens(keys.url, settings.token_issuer, "game"), key, stuck.asked))
        assert stuck.answered == 0
        key.inventory.close()


def test_the_end_of_polling(caplog: pytest.LogCaptureFixture) -> None:
    """If a feed is no longer polled, the log says so, unless the server is being stopped."""

    async def fail() -> None:
        raise LookupError("a mistake")

    async def talk() -> None:
        tasks = [asyncio.create_task(fail()), asyncio.create_task(asyncio.sleep(60))]
        for task in tasks:
            task.add_done_callback(socket_server.log_end_of_polling)
        tasks[1].cancel()
        await asyncio.wait(tasks)
        await asyncio.sleep(0)

    asyncio.run(talk())
    (line,) = caplog.messages
    assert "the feed is no longer polled" in line
    assert "LookupError: a mistake" in caplog.text


def test_a_wrong_key(backend: HttpBackend, tmp_path: Path) -> None:
    """With a revoked key nobody gets in, and the log says once what to do."""
    key = new_key()
    Operator().must("servers revoke", key=key.split("_")[1])

    async def talk(game: GameServer) -> None:
        ada = registered("Ada")
        for _ in range(2):
            async with connected(game, ada) as connection:
                assert await closed(connection) == (1013, "cannot redeem tickets now")

    with keyed_game(backend, tmp_path, key) as game:
        asyncio.run(talk(game))
        log = game.log.read_text()
    assert log.count("does not redeem for") == 1
    assert log.count("refuses the server key (401 invalid_server_key)") == 2  # the game's two names
    assert "`python -m operate servers add LABEL`" in log


def test_reset(backend: HttpBackend, tmp_path: Path) -> None:
    """After the end of a restore each player needs a new ticket within a minute; 4401 if late."""

    async def talk(game: MovedGameServer) -> None:
        ada, eve = registered("Ada"), registered("Eve")
        async with connected(game, ada) as one, connected(game, eve) as two:
            await enter(one)
            await enter(two)
            before = ada.ticket(game.name)
            Operator().must("sign-out everybody", reason="restored a backup")
            for connection in (one, two):
                while await receive(connection) != RENEW:
                    pass
            await send(two, type="authenticate", ticket=signed_in_again(eve).ticket(game.name))
            await send(one, type="authenticate", ticket=before)  # from before the restore
            await chats(two, "Eve")
            await chats(one, "Ada")
            game.advance(55)
            async with connect(f"{game.url}/wake-up", proxy=None):
                await asyncio.sleep(0.5)
            await chats(one, "Ada")
            game.advance(6)
            async with connect(f"{game.url}/wake-up", proxy=None):
                close = (4401, "ticket: no new one came in time")
                assert await kicked(one) == (close, {"type": "kicked", "code": "ticket_missing"})
            game.advance(3600)
            async with connect(f"{game.url}/wake-up", proxy=None):
                await asyncio.sleep(0.5)
            await chats(two, "Eve")

    with keyed_game(backend, tmp_path, new_key(), MovedGameServer) as game:
        assert isinstance(game, MovedGameServer)
        asyncio.run(talk(game))


def test_how_long_a_redeemed_seat_lasts() -> None:
    """With a fence a seat lasts for ever, but after a reset for a minute, until a ticket comes."""
    now = int(time.time())
    reset_at = now - 1
    seat = socket_seats.Seat(PLAYER, None, fence=1)  # type: ignore[arg-type]  # it is never closed
    seat.take(replace(PLAYER, issued_at=now - 3600))
    assert seat.seconds_left() == socket_seats.FOREVER
    assert seat.must_renew(reset_at, 60)
    assert not seat.must_renew(now + 9, 99), "the same reset, by the feed of another name"
    seat.take(replace(PLAYER, issued_at=now - 1))
    assert 59 < seat.seconds_left() <= 60
    seat.take(replace(PLAYER, issued_at=now))
    assert seat.seconds_left() == socket_seats.FOREVER
    assert not seat.must_renew(reset_at, 60)
    assert seat.must_renew(now + 9, 0)
    with pytest.raises(socket_messages.Refused, match="no new one"):
        seat.seconds_left()
