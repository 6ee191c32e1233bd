"""A game server with a key: the feed of the real backend ends the seats that it means, at once.

`test_interruptions` has what happens between a redemption and the seat, and in the worst times.
"""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.game_server import GameServer
from tests.game_server.connections import closed, connected, receive, send
from tests.game_server.entered import (
    ALLOWANCE,
    SESSION_ENDED,
    SOON,
    chats,
    enter,
    kicked,
    registered,
    sign_out,
    signed_in_again,
    soon,
)
from tests.game_server.keyed import HttpBackend, keyed_game
from tests.play.game_servers import new_key
from tests.play.operators import Operator
from tests.play.players import Player

NEW_PASSWORD = "seven wooden ladders tonight"
CHANGED = (4401, "credentials changed"), {"type": "kicked", "code": "credentials_changed"}
ELSEWHERE = (4409, "signed in elsewhere"), {"type": "kicked", "code": "signed_in_elsewhere"}
DELETED = (4401, "account deleted"), {"type": "kicked", "code": "account_deleted"}


@pytest.fixture
def game(backend: HttpBackend, tmp_path: Path) -> Iterator[GameServer]:
    """Return a running game server with a server key."""
    with keyed_game(backend, tmp_path, new_key()) as game:
        yield game


def sign_out_everywhere(player: Player) -> None:
    """Sign out of all sessions, on another device."""
    assert signed_in_again(player).log_out(everywhere=True).status == 200


def change_password_elsewhere(player: Player) -> None:
    """Change the password on another device."""
    assert signed_in_again(player).change_password(NEW_PASSWORD).status == 200


def delete(player: Player) -> None:
    """Delete the account."""
    assert player.delete().status == 200


def reuse_a_refresh_token(player: Player) -> None:
    """Refresh with a token that was replaced before the last one, as a thief may."""
    old = player.refresh_token
    for _ in range(2):
        assert player.refresh().status == 200
    assert player.refresh(old).code == "session_ended"


ENDS = [
    (sign_out, SESSION_ENDED),
    (reuse_a_refresh_token, SESSION_ENDED),
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
                with soon(end.__name__):
                    assert await kicked(connection) == expected
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
            why = {"for_": "7d", "player_reason": "Cheating"}
            await asyncio.to_thread(Operator().must, "suspend", account="Ada", **why)
            with soon("suspension"):
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


def test_time_to_read_why(game: GameServer) -> None:
    """The connection stays open for a moment after `kicked`, whatever the player sends then."""

    async def talk() -> None:
        ada = registered("Ada")
        async with connected(game, ada) as connection:
            await enter(connection)
            sign_out(ada)
            assert await receive(connection) == SESSION_ENDED[1]
            told = time.monotonic()
            await send(connection, type="chat", text="still here")
            assert await closed(connection) == SESSION_ENDED[0]
            assert time.monotonic() - told > 0.4

    asyncio.run(talk())


def test_who_stays(game: GameServer) -> None:
    """Ending other sessions of a player, or changing the password here, ends no seat."""

    async def talk() -> None:
        ada = registered("Ada")
        async with connected(game, ada) as connection:
            await enter(connection)
            sign_out(signed_in_again(ada))
            assert ada.change_password(NEW_PASSWORD).status == 200
            await asyncio.sleep(SOON + ALLOWANCE)
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
                assert (await asyncio.to_thread(ada.rename, "Grace")).status == 200
                with soon("new name"):
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
                with soon("sign-out over a dead connection"):
                    assert await receive(other) == {"type": "left", "name": "Ada"}
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
                with soon("another server"):
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
