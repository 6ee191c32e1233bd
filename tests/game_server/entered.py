"""Players in a game server with a key: how they enter, stay, and are put out."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection

from tests.game_server.connections import closed, receive, send
from tests.game_server.keyed import POLL_AFTER
from tests.play.players import Player

SOON = POLL_AFTER + 0.5  # within which a server is told
# Test, backend and game server share a machine with two cores, which other tests load, too: each of
# them may be late by some tenths of a second.
ALLOWANCE = 1.5
SESSION_ENDED = (4401, "session ended"), {"type": "kicked", "code": "session_ended"}


@contextmanager
def soon(what: str) -> Iterator[None]:
    """Expect that a server is told in time of an action that has just returned; print the time."""
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    print(f"{what}: told {took:.2f} s after the action, bound {SOON} s")  # noqa: T201  # for -rP
    assert took < SOON + ALLOWANCE


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
