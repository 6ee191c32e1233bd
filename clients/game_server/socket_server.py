"""A WebSocket game server that identifies its players: the tutorial's third file.

It verifies each player's ticket by itself (player_tokens.py), greets the player by name and relays
the players' chat.

    python clients/game_server/socket_server.py     # or `make run-game`, with the backend beside it

A client authenticates with an `Authorization: Bearer` header in the handshake. A game on a web page
cannot set headers there: it sends this as its first message, within five seconds.

    {"type": "authenticate", "ticket": "..."}

A player keeps the seat for ten minutes from the issue of the ticket, and for ten more with each
ticket that comes in the same message over the open connection. All messages are JSON objects in
text frames:

    from the client   chat {text}
    from the server   welcome {name, players}   joined {name}   left {name}   chat {name, text}

A refused connection is first accepted and then closed, with a code that the client can read:
engines report a refused handshake only as "failed".
"""

import asyncio
import json
import logging
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from player_tokens import InvalidToken, KeysUnavailable, Player, PlayerTokens
from socket_messages import (
    BAD_MESSAGE,
    BAD_TICKET,
    MESSAGES_AT_ONCE,
    NO_TICKET,
    REPLACED,
    TRY_LATER,
    Allowance,
    Refused,
    one_line,
    parse,
    text_in,
)
from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

logger = logging.getLogger("socket_server")

SEAT_SECONDS = 600.0  # from the `iat` of the player's latest ticket
SIGNED_IN_ELSEWHERE = "signed in elsewhere"
NEW_OWNER = "ticket: the name now belongs to another account"
FIRST_MESSAGE_SECONDS = 5.0
HEARTBEAT_SECONDS = 20.0  # a client that answers no ping for so long is disconnected
HEALTH_PATH = "/health"  # for a load balancer's plain HTTP requests
MAX_MESSAGE_BYTES = 4096
MAX_CHAT_LENGTH = 500


@dataclass
class Seat:
    """A player's only live connection, as the latest ticket describes the player."""

    player: Player
    connection: ServerConnection
    ends_at: float = 0.0  # seconds since 1970
    ends_by: float = 0.0  # of the monotonic clock, in case the other one is set back
    lost: Refused | None = None  # why, once another connection has replaced this one

    def take(self, player: Player) -> None:
        """Let the player of a new ticket sit here until ten minutes after its issue."""
        self.player = player
        # Whoever issued a ticket in our future has a clock that is ahead of ours.
        age = max(0.0, time.time() - player.issued_at)
        self.ends_at = time.time() + SEAT_SECONDS - age
        self.ends_by = time.monotonic() + SEAT_SECONDS - age

    def seconds_left(self) -> float:
        """Return for how long the player may stay without another ticket.

        Raises:
            Refused: no longer.
        """
        left = min(self.ends_at - time.time(), self.ends_by - time.monotonic())
        if left <= 0:
            raise Refused(BAD_TICKET, "ticket: no new one came in time")
        return left


class Lobby:
    """The connected players: each account and each name at most once."""

    def __init__(self, tokens: PlayerTokens) -> None:
        self._tokens = tokens
        self._seats: list[Seat] = []
        self._allowances: dict[str, Allowance] = {}  # by account id; kept for a while after leaving
        self._closing: set[asyncio.Task[None]] = set()

    async def handle(self, connection: ServerConnection) -> None:
        """Serve one connection from its handshake to its end."""
        try:
            player = await self._first_player(connection)
            await self._stay(Seat(player, connection))
        except Refused as refused:
            await connection.close(refused.code, refused.reason)
        except ConnectionClosed:
            return

    async def _first_player(self, connection: ServerConnection) -> Player:
        assert connection.request is not None, "the handshake is over"
        values = connection.request.headers.get_all("Authorization")
        if values:
            scheme, _, ticket = values[0].partition(" ")
            if len(values) > 1 or scheme.lower() != "bearer":
                raise Refused(BAD_TICKET, "ticket: not in the form Bearer <ticket>")
            return await self._verified(ticket.strip())
        try:
            async with asyncio.timeout(FIRST_MESSAGE_SECONDS):
                message = parse(await connection.recv())
        except TimeoutError:
            raise Refused(NO_TICKET, "no ticket received") from None
        if message["type"] != "authenticate":
            raise Refused(BAD_TICKET, "the first message must be authenticate")
        return await self._verified(text_in(message, "ticket"))

    async def _verified(self, ticket: str) -> Player:
        try:
            return await asyncio.to_thread(self._tokens.verify, ticket)
        except InvalidToken as error:
            raise Refused(BAD_TICKET, f"ticket: {error}") from None
        except KeysUnavailable:
            raise Refused(TRY_LATER, "cannot verify players yet") from None

    async def _stay(self, seat: Seat) -> None:
        """Keep a player in the lobby until the connection closes."""
        self._seat(seat, seat.player)
        logger.info("%s has joined", seat.player.name)
        try:
            names = sorted(other.player.name for other in self._seats)
            welcome = {"type": "welcome", "name": seat.player.name, "players": names}
            await seat.connection.send(json.dumps(welcome))
            await self._listen(seat)
        finally:
            if seat in self._seats:
                self._seats.remove(seat)
                self._forget_full_allowances()
                self._tell_others(seat, {"type": "left", "name": seat.player.name})
                logger.info("%s has left", seat.player.name)

    def _seat(self, seat: Seat, player: Player) -> None:
        """Seat a player, replacing all seats of the same account or the same name.

        A name can pass to another account within minutes; the later ticket decides.

        Raises:
            Refused: this account, or another one with this name, is here with a later ticket.
        """
        replaced = [
            other for other in self._seats if other is seat or is_same(other.player, player)
        ]
        before = [other.player for other in replaced]
        if any(is_later_owner(other, player) for other in before):
            raise Refused(BAD_TICKET, NEW_OWNER)
        if any(is_outdated(player, other) for other in before):
            raise Refused(BAD_TICKET, "ticket: a later one of this account is in use")
        self._seats = [*(other for other in self._seats if other not in replaced), seat]
        seat.take(player)
        for other in replaced:
            if other is not seat:
                self._close(other, player)
        shown = {(other.account_id, other.name) for other in before}
        for _account, name in shown - {(player.account_id, player.name)}:
            self._tell_others(seat, {"type": "left", "name": name})
        if (player.account_id, player.name) not in shown:
            self._tell_others(seat, {"type": "joined", "name": player.name})

    def _close(self, seat: Seat, successor: Player) -> None:
        """Close a replaced connection without waiting: a dead one takes its time."""
        is_own = seat.player.account_id == successor.account_id
        code, reason = (REPLACED, SIGNED_IN_ELSEWHERE) if is_own else (BAD_TICKET, NEW_OWNER)
        seat.lost = Refused(code, reason)
        closing = asyncio.create_task(seat.connection.close(code, reason))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def _forget_full_allowances(self) -> None:
        present = {seat.player.account_id for seat in self._seats}
        for account, allowance in list(self._allowances.items()):
            if account not in present and allowance.spare() == MESSAGES_AT_ONCE:
                del self._allowances[account]

    async def _listen(self, seat: Seat) -> None:
        """Handle messages until the connection closes or the player's time is up.

        Raises:
            Refused: the player must be disconnected.
        """
        allowance = self._allowances.setdefault(seat.player.account_id, Allowance())
        while True:
            try:
                async with asyncio.timeout(seat.seconds_left()):
                    message = parse(await seat.connection.recv())
            except TimeoutError:
                continue
            self._check_seat(seat)
            allowance.take_message()
            if message["type"] == "authenticate":
                await self._renew(seat, text_in(message, "ticket"))
            elif message["type"] == "chat":
                text = one_line(text_in(message, "text"))[:MAX_CHAT_LENGTH]
                if text:
                    self._tell_all({"type": "chat", "name": seat.player.name, "text": text})
            else:
                raise Refused(BAD_MESSAGE, "unknown type of message")

    async def _renew(self, seat: Seat, ticket: str) -> None:
        player = await self._verified(ticket)
        if player.account_id != seat.player.account_id:
            raise Refused(BAD_TICKET, "ticket: belongs to another player")
        self._check_seat(seat)  # time has passed
        if not is_outdated(player, seat.player):  # an earlier one may have an earlier name
            self._seat(seat, player)

    def _check_seat(self, seat: Seat) -> None:
        """Refuse further messages of a replaced connection, which may not be closed yet.

        Raises:
            Refused: it was replaced.
        """
        if seat.lost:
            raise seat.lost

    def _tell_all(self, message: dict[str, Any]) -> None:
        broadcast([seat.connection for seat in self._seats], json.dumps(message))

    def _tell_others(self, seat: Seat, message: dict[str, Any]) -> None:
        others = [other.connection for other in self._seats if other is not seat]
        broadcast(others, json.dumps(message))


def is_same(one: Player, other: Player) -> bool:
    """Tell whether two tickets are for one account or one name (`Ada` and `ada` are the same)."""
    return one.account_id == other.account_id or one.name.lower() == other.name.lower()


def is_later_owner(one: Player, other: Player) -> bool:
    """Tell whether the first of two accounts with the same name is its current owner."""
    return one.account_id != other.account_id and one.ticket_id > other.ticket_id


def is_outdated(one: Player, other: Player) -> bool:
    """Tell whether the first of two tickets of an account is older, or of a session that ended."""
    is_older = one.epoch < other.epoch or one.ticket_id < other.ticket_id
    return one.account_id == other.account_id and is_older


def answer_health_check(connection: ServerConnection, request: Request) -> Response | None:
    """Answer a load balancer's request; leave all others to the library."""
    path = request.path.partition("?")[0]
    return connection.respond(HTTPStatus.OK, "OK\n") if path == HEALTH_PATH else None


def listening(tokens: PlayerTokens, host: str, port: int) -> Server:
    """Return a server with its own lobby, for use with `async with`."""
    return serve(
        Lobby(tokens).handle,
        host,
        port,
        process_request=answer_health_check,
        max_size=MAX_MESSAGE_BYTES,
        ping_interval=HEARTBEAT_SECONDS,
        ping_timeout=HEARTBEAT_SECONDS,
    )


async def main() -> None:
    """Serve until Ctrl-C."""
    setting = os.environ.get
    host, port = setting("HOST", "127.0.0.1"), int(setting("PORT", "8765"))
    tokens = PlayerTokens(
        setting("GAME_LOGIN_URL", "http://127.0.0.1:3000"),
        issuer=setting("TOKEN_ISSUER", "game-login-local"),
        server=setting("SERVER_NAME", f"{host}:{port}").split(","),
    )
    stop = asyncio.get_running_loop().create_future()
    with suppress(NotImplementedError):  # on Windows, Ctrl-C raises KeyboardInterrupt instead
        for sign in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(sign, stop.cancel)
    async with listening(tokens, host, port):
        logger.info("players may connect to ws://%s:%s", host, port)
        try:
            await stop
        except asyncio.CancelledError:
            logger.info("stopping")


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
