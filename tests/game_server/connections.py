"""A running game server, its players' tickets, and their connections."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

import handler
from auth.credentials import tickets
from auth.credentials.token_keys import TokenKeys
from auth.external.secret_store import SecretStore
from auth.settings import Settings
from auth.times import system_clock
from local.game_server import GameServer
from local.processes import free_port
from local.stack import Stack
from tests.game_server.jwks_server import JwksServer
from tests.play.events import http_event
from tests.play.players import Player
from tests.unit.test_access_tokens import ADA


def published_keys() -> bytes:
    """Return the backend's JWKS."""
    body: str = handler.http(http_event("GET", "/.well-known/jwks.json"), None)["body"]
    return body.encode()


@contextmanager
def running_game(
    stack: Stack, folder: Path, kind: type[GameServer] = GameServer
) -> Iterator[GameServer]:
    """Run a game server that trusts the backend; expect no token in its log."""
    with JwksServer(published_keys()) as backend:
        game = kind(free_port(), folder, backend.url, stack.environment())
        game.start()
        try:
            yield game
        finally:
            game.stop()
    log = game.log.read_text()
    assert "Traceback" not in log
    assert "eyJ" not in log, "a token is in the log"


# A server whose clocks are ahead by the number of seconds in a file.
MOVED = """
import os, runpy, sys, time
from pathlib import Path
wall, monotonic = time.time, time.monotonic
def ahead():
    return float(Path(sys.argv[1]).read_text() or 0)
time.time = lambda: wall() + ahead()
time.monotonic = lambda: monotonic() + ahead()
sys.path.insert(0, os.path.dirname(sys.argv[2]))
runpy.run_path(sys.argv[2], run_name="__main__")
"""


class MovedGameServer(GameServer):
    """A game server whose clocks a test moves."""

    ahead = 0.0

    def command(self) -> list[str]:
        """Return the command that starts the server with its clocks under our control."""
        self._write()
        *python, script = super().command()
        return [*python, "-c", MOVED, str(self._file), script]

    def advance(self, seconds: float) -> None:
        """Let time pass in the server; the next connection wakes it up."""
        self.ahead += seconds
        self._write()

    @property
    def _file(self) -> Path:
        return self.log.with_name("ahead")

    def _write(self) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(str(self.ahead))
        os.replace(new, self._file)  # noqa: PTH105  # at once, for whoever reads it


def registered(name: str) -> Player:
    """Register a player."""
    player = Player(name)
    assert player.register().status == 201
    return player


def ticket(
    settings: Settings,
    server: str,
    *,
    seconds_ago: float = 0,
    account: bytes = ADA.account_id,
    name: str = "Ada",
    epoch: int = 7,
) -> str:
    """Return a ticket signed with the backend's own keys."""
    ring = TokenKeys(SecretStore(), settings.token_secret_id).ring()
    use = tickets.use_of(settings.token_issuer, server, 60)
    now = system_clock() - timedelta(seconds=seconds_ago)
    subject = replace(ADA, account_id=account, username=name, epoch=epoch)
    return tickets.issue(ring, use, subject, now)


@asynccontextmanager
async def connected(game: GameServer, player: Player | str) -> AsyncIterator[ClientConnection]:
    """Connect with a ticket in the header, as engines do."""
    text = player.ticket(game.name) if isinstance(player, Player) else player
    headers = {"Authorization": f"Bearer {text}"}
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
