"""A WebSocket game server that identifies its players: the tutorial's third file.

It verifies each player's ticket by itself (player_tokens.py), greets the player by name and relays
the players' chat.

    python clients/game_server/socket_server.py     # or `make run-game`, with the backend beside it

A client authenticates with an `Authorization: Bearer` header in the handshake. A game on a web page
cannot set headers there: it sends this as its first message, within five seconds.

    {"type": "authenticate", "ticket": "..."}

A player keeps the seat for ten minutes from the issue of the ticket, and for ten more with each
ticket that comes in the same message over the open connection. With a server key, tickets are
redeemed (redeeming.py), and a seat lasts until the backend's feed ends it (revocations.py).

All messages are JSON objects in text frames:

    from the client   chat {text}   take {item}
    from the server   welcome {name, players}   joined {name}   left {name}   chat {name, text}
                      inventory {items}   renew {seconds}   kicked {code}

A refused connection is first accepted and then closed, with a code that the client can read:
engines report a refused handshake only as "failed".
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus

from inventory import Inventory
from login_backend import LoginBackend
from player_tokens import PlayerTokens
from redeeming import Redeemer
from revocations import AsyncRevocations
from socket_entrance import Entrance
from socket_lobby import Lobby
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

logger = logging.getLogger("socket_server")

HEARTBEAT_SECONDS = 20.0  # a client that answers no ping for so long is disconnected
HEALTH_PATH = "/health"  # for a load balancer's plain HTTP requests
MAX_MESSAGE_BYTES = 4096


@dataclass(frozen=True)
class WithKey:
    """What a server with a server key has in addition."""

    backend: LoginBackend
    names: list[str]
    inventory: Inventory


def answer_health_check(connection: ServerConnection, request: Request) -> Response | None:
    """Answer a load balancer's request; leave all others to the library."""
    path = request.path.partition("?")[0]
    return connection.respond(HTTPStatus.OK, "OK\n") if path == HEALTH_PATH else None


def log_end_of_polling(task: asyncio.Task[None]) -> None:
    """Log that a feed is not polled any more, unless we have stopped that ourselves."""
    if not task.cancelled():
        logger.critical(
            "the feed is no longer polled: players who are suspended or signed out stay;"
            " restart the server",
            exc_info=task.exception(),
        )


@asynccontextmanager
async def listening(
    tokens: PlayerTokens, host: str, port: int, key: WithKey | None = None
) -> AsyncIterator[Server]:
    """Run a server with its own lobby."""
    if key is None:
        lobby, feeds = Lobby(Entrance(tokens)), []
    else:
        lobby = Lobby(Entrance(tokens, Redeemer(key.backend, key.names)), key.inventory)
        feeds = [
            AsyncRevocations(key.backend, name, lobby.on_event, lobby.on_reset)
            for name in key.names
        ]
    lobby.follow(feeds)
    polling = [asyncio.create_task(feed.run()) for feed in feeds]
    for task in polling:
        task.add_done_callback(log_end_of_polling)
    serving = serve(
        lobby.handle,
        host,
        port,
        process_request=answer_health_check,
        max_size=MAX_MESSAGE_BYTES,
        ping_interval=HEARTBEAT_SECONDS,
        ping_timeout=HEARTBEAT_SECONDS,
    )
    try:
        async with serving as server:
            yield server
    finally:
        for task in polling:
            task.cancel()


async def main() -> None:
    """Serve until Ctrl-C."""
    setting = os.environ.get
    host, port = setting("HOST", "127.0.0.1"), int(setting("PORT", "8765"))
    url = setting("GAME_LOGIN_URL", "http://127.0.0.1:3000")
    names = setting("SERVER_NAME", f"{host}:{port}").split(",")
    tokens = PlayerTokens(url, issuer=setting("TOKEN_ISSUER", "game-login-local"), server=names)
    server_key = setting("GAME_LOGIN_SERVER_KEY", "")
    key = None
    if server_key:
        inventory = Inventory(setting("INVENTORY_FILE", ":memory:"))
        key = WithKey(LoginBackend(url, server_key), names, inventory)
    stop = asyncio.get_running_loop().create_future()
    with suppress(NotImplementedError):  # on Windows, Ctrl-C raises KeyboardInterrupt instead
        for sign in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(sign, stop.cancel)
    async with listening(tokens, host, port, key):
        logger.info("players may connect to ws://%s:%s", host, port)
        try:
            await stop
        except asyncio.CancelledError:
            logger.info("stopping")
    if key is not None:
        key.inventory.close()


if __name__ == "__main__":
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S", level=logging.INFO
    )
    logging.getLogger("websockets").setLevel(logging.ERROR)
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        logger.info("stopping")
    except (ValueError, OSError) as error:
        sys.exit(f"socket_server: {error}")
