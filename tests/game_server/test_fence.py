"""Two game servers share the players' inventory: the fence protects it from late writes."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from inventory import Inventory
from websockets.asyncio.client import ClientConnection

from local.game_server import GameServer
from tests.game_server.connections import closed, connected, receive, registered, send
from tests.game_server.keyed import HttpBackend, keyed_game
from tests.play.game_servers import new_key


@contextmanager
def sharing(backend: HttpBackend, folder: Path, file: Path) -> Iterator[GameServer]:
    """Run a game server with this inventory."""

    class Sharing(GameServer):
        def start(self) -> None:
            self._environment["INVENTORY_FILE"] = str(file)
            super().start()

    with keyed_game(backend, folder, new_key(), Sharing) as game:
        yield game


@contextmanager
def paused(game: GameServer) -> Iterator[None]:
    """Stop a server in the middle of its work, and let it go on."""
    process = game._process  # noqa: SLF001  # the test is about its signals
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


async def items(connection: ClientConnection) -> Any:
    """Return the items of the next such message."""
    while (message := await receive(connection))["type"] != "inventory":
        pass
    return message["items"]


def test_a_paused_server(backend: HttpBackend, tmp_path: Path) -> None:
    """A write that a paused server makes after its player went on elsewhere is refused."""
    file = tmp_path / "inventory"

    async def talk(first: GameServer, second: GameServer) -> None:
        ada = registered("Ada")
        async with connected(first, ada) as one:
            assert await items(one) == []
            await send(one, type="take", item="sword")
            assert await items(one) == ["sword"]
            with paused(first):
                await send(one, type="take", item="crown")  # waits in the paused server
                async with connected(second, ada) as two:
                    assert await items(two) == ["sword"]
                    await send(two, type="take", item=" shield\n")
                    assert await items(two) == ["sword", "shield"]
            assert (await closed(one))[0] == 4409
        assert "a late write for Ada was refused" in first.log.read_text()

    with (
        sharing(backend, tmp_path / "first", file) as first,
        sharing(backend, tmp_path / "second", file) as second,
    ):
        asyncio.run(talk(first, second))
        inventory = Inventory(file)
        (account,) = (
            row[0]
            for row in inventory._connection.execute("SELECT account_id FROM inventories")  # noqa: SLF001
        )
        assert inventory.enter(account, 2**53 - 1) == ["sword", "shield"]
        inventory.close()


def test_after_a_restart(backend: HttpBackend, tmp_path: Path) -> None:
    """The inventory is still there when the player comes back to a server that was restarted."""
    file = tmp_path / "inventory"

    async def talk(game: GameServer, item: str) -> Any:
        async with connected(game, ada) as connection:
            await items(connection)
            await send(connection, type="take", item=item)
            return await items(connection)

    ada = registered("Ada")
    with sharing(backend, tmp_path / "game", file) as game:
        assert asyncio.run(talk(game, "sword")) == ["sword"]
        game.stop()
        game.start()
        assert asyncio.run(talk(game, "x" * 60)) == ["sword", "x" * 50]
