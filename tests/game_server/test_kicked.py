"""A game server with a key: the feed of the real backend ends the seats that it means, at once."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import redeeming
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
from tests.game_server.connections import MovedGameServer, closed, connected, receive, send
from tests.game_server.keyed import POLL_AFTER, HttpBackend, keyed_game, running_backend
from tests.game_server.test_seats import PLAYER
from tests.play.game_servers import new_key
from tests.play.operators import Operator
from tests.play.players import Player

NEW_PASSWORD = "seven wooden ladders tonight"
SOON = POLL_AFTER + 0.5
SLACK = 1.0  # of a busy machine
SESSION_ENDED = (4401, "session ended"), {"type": "kicked", "code": "session_ended"}
CHANGED = (4401, "credentials changed"), {"type": "kicked", "code": "credentials_changed"}
ELSEWHERE = (4409, "signed in elsewhere"), {"type": "kicked", "code": "signed_in_elsewhere"}
RENEW = {"type": "renew", "seconds": 58}
DELETED = (4401, "account deleted"), {"type": "kicked", "code": "account_deleted"}


@pytest.fixture
def backend(stack: Stack, tables: Tables, tmp_path: Path) -> Iterator[HttpBackend]:
    """Return the backend behind HTTP."""
    with running_backend(stack, tmp_path) as backend:
        yield backend


@pytest.fixture
def game(backend: HttpBackend, tmp_path: Path) -> Iterator[GameServer]:
    """Return a running game server with a server key."""
    with keyed_game(backend, tmp_path, new_key()) as game:
        yield game


def registered(name: str) -> Player:
    """Register a player who has an address alone."""
    player = Player(name, address=f"198.51.100.{sum(name.encode()) % 250}")
    assert player.register().status == 201
    return player


def signed_in_again(player: Player) -> Player:
    """Return the same player on another device."""
    other = player.on_another_device()
    assert other.log_in().status == 200
    return other


async def enter(connection: ClientConnection) -> list[str]:
    """Read until the player has everything; return the names of those who are there."""
    welcome = await receive(connection)
    assert welcome["type"] == "welcome"
    while await receive(connection) != {"type": "inventory", "items": []}:
        pass  # others come at the same time
    names: list[str] = welcome["players"]
    return names


async def kicked(connection: ClientConnection) -> tuple[tuple[int, str], dict[str, Any]]:
    """Return the close code with its reason, and the message before."""
    while (message := await receive(connection))["type"] != "kicked":
        pass
    return await closed(connection), message


async def chats(connection: ClientConnection, name: str) -> None:
    """Expect that the player is still there, under this name."""
    await send(connection, type="chat", text="here")
    said = {"type": "chat", "name": name, "text": "here"}
    while await receive(connection) != said:
        pass


def sign_out(player: Player) -> None:
    """Sign out of one session."""
    assert player.log_out().status == 200


def sign_out_everywhere(player: Player) -> None:
    """Sign out of all sessions, on another device."""
    assert signed_in_again(player).log_out(everywhere=True).status == 200


def change_password_elsewhere(player: Player) -> None:
    """Change the password on another device."""
    assert signed_in_again(player).change_password(NEW_PASSWORD).status == 200


def delete(player: Player) -> None:
    """Delete the account."""
    assert player.delete().status == 200


ENDS = [
    (sign_out, SESSION_ENDED),
    (sign_out_everywhere, SESSION_ENDED),
    (change_password_elsewhere, CHANGED),
    (delete, DELETED),
]


@pytest.mark.parametrize(
    ("end", "expected"), ENDS, ids=lambda value: getattr(value, "__name__", "")
)
def test_ended(game: GameServer, end: Any, expected: object) -> None:
    """The player is told why and disconnected within a poll; another player sees only that."""

    async def talk() -> None:
        ada, eve = registered("Ada"), registered("Eve")
        async with connected(game, eve) as other:
            await enter(other)
            async with connected(game, ada) as connection:
                await enter(connection)
                assert (await receive(other))["type"] == "joined"
                await asyncio.to_thread(end, ada)
                began = time.monotonic()
                assert await kicked(connection) == expected
                assert time.monotonic() - began < SOON + SLACK
            assert await receive(other) == {"type": "left", "name": "Ada"}
            await asyncio.sleep(SOON)
            await chats(other, "Eve")

    asyncio.run(talk())


def test_suspended(game: GameServer) -> None:
    """A suspended player reads the operator's message, and until when; 4403."""

    async def talk() -> None:
        ada = registered("Ada")
        async with connected(game, ada) as connection:
            await enter(connection)
            Operator().must("suspend", account="Ada", for_="7d", player_reason="Cheating")
            close, message = await kicked(connection)
        assert close == (4403, "suspended")
        assert message["message"] == "Cheating"
        assert message["until"].endswith("Z")
        assert message["code"] == "suspended"
        Operator().must("lift", account="Ada")
        async with connected(game, signed_in_again(ada)) as connection:
            await enter(connection)
            await asyncio.sleep(SOON)
            await chats(connection, "Ada")

    asyncio.run(talk())


def test_who_stays(game: GameServer) -> None:
    """Ending other sessions of a player, or changing the password here, ends no seat."""

    async def talk() -> None:
        ada = registered("Ada")
        async with connected(game, ada) as connection:
            await enter(connection)
            sign_out(signed_in_again(ada))
            assert ada.change_password(NEW_PASSWORD).status == 200
            await asyncio.sleep(SOON + SLACK)
            await chats(connection, "Ada")

    asyncio.run(talk())


def test_renamed(game: GameServer) -> None:
    """A renamed player has the new name at once, and keeps it with a ticket from before."""

    async def talk() -> None:
        ada, eve = registered("Ada"), registered("Eve")
        async with connected(game, eve) as other:
            await enter(other)
            async with connected(game, ada) as connection:
                await enter(connection)
                await receive(other)
                before = ada.ticket(game.name)
                assert ada.rename("Grace").status == 200
                assert await receive(other) == {"type": "left", "name": "Ada"}
                assert await receive(other) == {"type": "joined", "name": "Grace"}
                await send(connection, type="authenticate", ticket=before)
                await chats(connection, "Grace")
        async with connected(game, before) as again:
            assert await enter(again) == ["Grace"]

    asyncio.run(talk())


def test_renamed_just_now(game: GameServer) -> None:
    """A player enters under the present name, though the ticket and the feed have another one."""

    async def talk() -> None:
        ada = registered("Ada")
        before = ada.ticket(game.name)
        assert ada.rename("Grace").status == 200
        async with connected(game, before) as connection:
            assert await enter(connection) == ["Grace"]

    asyncio.run(talk())


def test_a_dead_connection(game: GameServer) -> None:
    """A player whose connection is dead leaves the lobby at once, too."""

    async def talk() -> None:
        ada, eve = registered("Ada"), registered("Eve")
        async with connected(game, eve) as other:
            await enter(other)
            async with connected(game, ada) as connection:
                await enter(connection)
                assert (await receive(other))["type"] == "joined"
                connection.transport.pause_reading()  # as on a network that has failed
                sign_out(ada)
                began = time.monotonic()
                assert await receive(other) == {"type": "left", "name": "Ada"}
                assert time.monotonic() - began < SOON + SLACK
                connection.transport.abort()

    asyncio.run(talk())


def test_newest_wins(game: GameServer) -> None:
    """On one server the newest connection wins, with another ticket; a used one is refused."""

    async def talk() -> None:
        ada = registered("Ada")
        tickets = [ada.ticket(game.name) for _ in range(3)]
        async with connected(game, tickets[1]) as first:
            await enter(first)
            for used in tickets[:2]:
                async with connected(game, used) as connection:
                    reason = "ticket: used already, or a later one was"
                    assert await closed(connection) == (4401, reason)
            await chats(first, "Ada")
            async with connected(game, tickets[2]) as second:
                await enter(second)
                assert await kicked(first) == ELSEWHERE
                await asyncio.sleep(SOON)
                await chats(second, "Ada")

    asyncio.run(talk())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_superseded(game: GameServer, backend: HttpBackend, tmp_path: Path, host: str) -> None:
    """A player who enters another server leaves this one, by whichever name it was entered."""

    async def talk(other: GameServer) -> None:
        ada = registered("Ada")
        text = ada.ticket(f"{host}:{game.name.partition(':')[2]}")
        async with connected(game, text) as first:
            await enter(first)
            async with connected(other, ada) as second:
                await enter(second)
                assert await kicked(first) == ELSEWHERE
                async with connected(game, ada) as third:  # and back again
                    await enter(third)
                    assert await kicked(second) == ELSEWHERE
                    await asyncio.sleep(SOON)
                    await chats(third, "Ada")

    with keyed_game(backend, tmp_path / "other", new_key()) as other:
        asyncio.run(talk(other))


def test_dead_tickets(game: GameServer) -> None:
    """A ticket whose session ended before the player connected lets nobody in."""

    async def talk() -> None:
        for number, (end, _) in enumerate(ENDS):
            player = registered(f"ada-{number}")
            text = player.ticket(game.name)
            end(player)
            async with connected(game, text) as connection:
                assert await closed(connection) == (4401, "ticket: its session has ended")

    asyncio.run(talk())


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
    assert log.count("refuses to redeem for") == 1
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
