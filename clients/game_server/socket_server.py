"""A WebSocket game server that identifies its players: the tutorial's third file.

It verifies each player's access token by itself (player_tokens.py), greets the player by name and
relays the players' chat.

    python clients/game_server/socket_server.py     # or `make run-game`, with the backend beside it

A client authenticates with an `Authorization: Bearer` header in the handshake. A game on a web page
cannot set headers there: it sends this as its first message, within five seconds.

    {"type": "authenticate", "access_token": "..."}

The same message with a fresh token, at any time, keeps the connection open when the first token
expires after ten minutes. All messages are JSON objects in text frames:

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
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from player_tokens import InvalidToken, KeysUnavailable, Player, PlayerTokens
from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

logger = logging.getLogger("socket_server")

# Close codes, in the range for applications (RFC 6455, 7.4.2); named after HTTP's.
BAD_MESSAGE = 4400
BAD_TOKEN = 4401  # get a fresh one, connect again
NO_TOKEN = 4408
REPLACED = 4409  # the same account or name connected elsewhere: do not reconnect automatically
TOO_MANY_MESSAGES = 4429
TRY_LATER = 1013  # the public keys cannot be read yet

FIRST_MESSAGE_SECONDS = 5.0
HEARTBEAT_SECONDS = 20.0  # a client that answers no ping for so long is disconnected
HEALTH_PATH = "/health"  # for a load balancer's plain HTTP requests
MAX_MESSAGE_BYTES = 4096
MAX_CHAT_LENGTH = 500
MESSAGES_PER_SECOND = 5.0
MESSAGES_AT_ONCE = 10.0


class Refused(Exception):
    """This connection must be closed, with a code and a reason that the client may show."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass
class Allowance:
    """A player's remaining messages, across all connections."""

    _spare: float = MESSAGES_AT_ONCE
    _counted_at: float = field(default_factory=time.monotonic)

    def spare(self) -> float:
        """Return the number of messages that the player may send at once."""
        now = time.monotonic()
        refilled = self._spare + (now - self._counted_at) * MESSAGES_PER_SECOND
        self._spare, self._counted_at = min(MESSAGES_AT_ONCE, refilled), now
        return self._spare

    def take_message(self) -> None:
        """Count one message.

        Raises:
            Refused: there were too many.
        """
        self._spare = self.spare() - 1
        if self._spare < 0:
            raise Refused(TOO_MANY_MESSAGES, "too many messages")


@dataclass
class Seat:
    """A player's only live connection."""

    player: Player
    connection: ServerConnection


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
            scheme, _, token = values[0].partition(" ")
            if len(values) > 1 or scheme.lower() != "bearer":
                raise Refused(BAD_TOKEN, "not a bearer token")
            return await self._verified(token.strip())
        try:
            async with asyncio.timeout(FIRST_MESSAGE_SECONDS):
                message = parse(await connection.recv())
        except TimeoutError:
            raise Refused(NO_TOKEN, "no access token received") from None
        if message["type"] != "authenticate":
            raise Refused(BAD_TOKEN, "the first message must be authenticate")
        return await self._verified(text_in(message, "access_token"))

    async def _verified(self, token: str) -> Player:
        try:
            return await asyncio.to_thread(self._tokens.verify, token)
        except InvalidToken as error:
            raise Refused(BAD_TOKEN, f"access token: {error}") from None
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

        A name can pass to another account within minutes; the later token decides.

        Raises:
            Refused: another account with this name is here, with a later token.
        """
        replaced = [
            other for other in self._seats if other is seat or is_same(other.player, player)
        ]
        before = [other.player for other in replaced]
        if any(is_later_owner(other, player) for other in before):
            raise Refused(BAD_TOKEN, "access token: the name now belongs to another account")
        self._seats = [*(other for other in self._seats if other not in replaced), seat]
        seat.player = player
        for other in replaced:
            if other is not seat:
                self._close(other)
        shown = {(other.account_id, other.name) for other in before}
        for _account, name in shown - {(player.account_id, player.name)}:
            self._tell_others(seat, {"type": "left", "name": name})
        if (player.account_id, player.name) not in shown:
            self._tell_others(seat, {"type": "joined", "name": player.name})

    def _close(self, seat: Seat) -> None:
        """Close a replaced connection without waiting: a dead one takes its time."""
        closing = asyncio.create_task(seat.connection.close(REPLACED, "signed in elsewhere"))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def _forget_full_allowances(self) -> None:
        present = {seat.player.account_id for seat in self._seats}
        for account, allowance in list(self._allowances.items()):
            if account not in present and allowance.spare() == MESSAGES_AT_ONCE:
                del self._allowances[account]

    async def _listen(self, seat: Seat) -> None:
        """Handle messages until the connection closes or the token expires.

        Raises:
            Refused: the player must be disconnected.
        """
        allowance = self._allowances.setdefault(seat.player.account_id, Allowance())
        while True:
            try:
                async with asyncio.timeout(seat.player.expires_at - time.time()):
                    message = parse(await seat.connection.recv())
            except TimeoutError:
                raise Refused(BAD_TOKEN, "access token: expired") from None
            self._check_seat(seat)
            allowance.take_message()
            if message["type"] == "authenticate":
                await self._renew(seat, text_in(message, "access_token"))
            elif message["type"] == "chat":
                text = one_line(text_in(message, "text"))[:MAX_CHAT_LENGTH]
                if text:
                    self._tell_all({"type": "chat", "name": seat.player.name, "text": text})
            else:
                raise Refused(BAD_MESSAGE, "unknown type of message")

    async def _renew(self, seat: Seat, token: str) -> None:
        player = await self._verified(token)
        if player.account_id != seat.player.account_id:
            raise Refused(BAD_TOKEN, "access token: belongs to another player")
        self._check_seat(seat)  # time has passed
        self._seat(seat, player)

    def _check_seat(self, seat: Seat) -> None:
        """Refuse further messages of a replaced connection, which may not be closed yet.

        Raises:
            Refused: it was replaced.
        """
        if seat not in self._seats:
            raise Refused(REPLACED, "signed in elsewhere")

    def _tell_all(self, message: dict[str, Any]) -> None:
        broadcast([seat.connection for seat in self._seats], json.dumps(message))

    def _tell_others(self, seat: Seat, message: dict[str, Any]) -> None:
        others = [other.connection for other in self._seats if other is not seat]
        broadcast(others, json.dumps(message))


def is_same(one: Player, other: Player) -> bool:
    """Tell whether two tokens are for one account or one name (`Ada` and `ada` are the same)."""
    return one.account_id == other.account_id or one.name.lower() == other.name.lower()


def is_later_owner(one: Player, other: Player) -> bool:
    """Tell whether the first of two accounts with the same name is its current owner."""
    return one.account_id != other.account_id and one.expires_at > other.expires_at


def answer_health_check(connection: ServerConnection, request: Request) -> Response | None:
    """Answer a load balancer's request; leave all others to the library."""
    path = request.path.partition("?")[0]
    return connection.respond(HTTPStatus.OK, "OK\n") if path == HEALTH_PATH else None


def parse(frame: str | bytes) -> dict[str, Any]:
    """Return the message in a frame.

    Raises:
        Refused: the frame holds no message.
    """
    try:
        message = json.loads(frame) if isinstance(frame, str) else None
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise Refused(BAD_MESSAGE, "not a JSON object with a type, in a text frame")
    return message


def text_in(message: dict[str, Any], name: str) -> str:
    """Return a string field of a message.

    Raises:
        Refused: the field is missing or not a string.
    """
    text = message.get(name)
    if not isinstance(text, str):
        raise Refused(BAD_MESSAGE, f"{message['type']} needs a string {name}")
    return text


def one_line(text: str) -> str:
    """Return a text without line breaks and control characters: it cannot imitate another line."""
    return "".join(character for character in " ".join(text.split()) if character.isprintable())


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
    tokens = PlayerTokens(
        setting("GAME_LOGIN_URL", "http://127.0.0.1:3000"),
        issuer=setting("TOKEN_ISSUER", "game-login-local"),
        audience=setting("TOKEN_AUDIENCE", "game"),
    )
    host, port = setting("HOST", "127.0.0.1"), int(setting("PORT", "8765"))
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
