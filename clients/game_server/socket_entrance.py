"""The entrance of the lobby: who may come in, by the first ticket of a connection.

With a server key each ticket is redeemed at the backend, and lets its player in once.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any

from player_tokens import InvalidToken, KeysUnavailable, Player, PlayerTokens, in_thread
from redeeming import CannotRedeem, Redeemed, Redeemer, TicketRefused
from socket_messages import BAD_TICKET, NO_TICKET, TRY_LATER, Refused, parse, text_in
from websockets.asyncio.server import ServerConnection

FIRST_MESSAGE_SECONDS = 5.0
MOST_REDEMPTIONS = 64  # under way: while the backend is down each takes seconds, and a thread
REDEEM_SECONDS = 15.0  # more than a redemption takes
CANNOT_REDEEM = "cannot redeem tickets now"
REASONS = {
    "invalid_ticket": "ticket: its session has ended",
    "ticket_used": "ticket: used already, or a later one was",
    "ticket_expired": "ticket: expired",
}


class Entrance:
    """Verifies tickets, and redeems those that let a player in."""

    def __init__(self, tokens: PlayerTokens, redeemer: Redeemer | None = None) -> None:
        """Without a redeemer, tickets are only verified."""
        self._tokens = tokens
        self._redeemer = redeemer
        self._places = threading.Semaphore(MOST_REDEMPTIONS)
        self._used: dict[str, int] = {}  # when each expires

    async def enter(self, connection: ServerConnection) -> tuple[Player, int | None]:
        """Return the player behind a new connection, and the fence if the ticket was redeemed.

        Raises:
            Refused: no good ticket came, or it cannot be judged now.
        """
        ticket = await self._first_ticket(connection)
        player = await self.verified(ticket)
        if self._redeemer is None:
            return player, None
        redemption = self._begin(partial(self._redeemer.redeem, ticket), player)
        redeemed = await _outcome(redemption, connection)
        return replace(player, name=redeemed.username), redeemed.fence

    async def verified(self, ticket: str) -> Player:
        """Return the player of a ticket, which is verified offline.

        Raises:
            Refused: it is not good, or cannot be verified now.
        """
        try:
            return await asyncio.to_thread(self._tokens.verify, ticket)
        except InvalidToken as error:
            raise Refused(BAD_TICKET, f"ticket: {error}") from None
        except KeysUnavailable:
            raise Refused(TRY_LATER, "cannot verify players yet") from None

    async def _first_ticket(self, connection: ServerConnection) -> str:
        assert connection.request is not None, "the handshake is over"
        values = connection.request.headers.get_all("Authorization")
        if values:
            scheme, _, ticket = values[0].partition(" ")
            if len(values) > 1 or scheme.lower() != "bearer":
                raise Refused(BAD_TICKET, "ticket: not in the form Bearer <ticket>")
            return ticket.strip()
        try:
            async with asyncio.timeout(FIRST_MESSAGE_SECONDS):
                message = parse(await connection.recv())
        except TimeoutError:
            raise Refused(NO_TICKET, "no ticket received") from None
        if message["type"] != "authenticate":
            raise Refused(BAD_TICKET, "the first message must be authenticate")
        return text_in(message, "ticket")

    def _use(self, player: Player) -> None:
        """Refuse the second use of a ticket, to which the backend repeats its answer to us."""
        now = time.time()
        self._used = {used: expiry for used, expiry in self._used.items() if expiry > now}
        if player.ticket_id in self._used:
            raise Refused(BAD_TICKET, REASONS["ticket_used"])
        self._used[player.ticket_id] = player.expires_at

    def _begin(self, redeem: Callable[[], Redeemed], player: Player) -> Future[Redeemed]:
        """Begin to redeem a ticket, unless too many others are being redeemed.

        Raises:
            Refused: there are, or this ticket was used before.
        """
        if not self._places.acquire(blocking=False):
            raise Refused(TRY_LATER, CANNOT_REDEEM)
        try:
            self._use(player)
            redemption = in_thread(redeem)
        except BaseException:
            self._places.release()
            raise
        redemption.add_done_callback(lambda _: self._places.release())
        return redemption


async def _outcome(redemption: Future[Redeemed], connection: ServerConnection) -> Redeemed:
    """Wait for a redemption, but no longer than the connection is open.

    Raises:
        Refused: it failed, or takes too long.
    """
    outcome: asyncio.Future[Redeemed] = asyncio.wrap_future(redemption)
    gone = asyncio.create_task(connection.wait_closed())
    ends: list[asyncio.Future[Any]] = [outcome, gone]
    try:
        async with asyncio.timeout(REDEEM_SECONDS):
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if outcome.done():
            return outcome.result()
    except TicketRefused as error:
        raise Refused(BAD_TICKET, REASONS[error.code]) from None
    except (CannotRedeem, TimeoutError):
        raise Refused(TRY_LATER, CANNOT_REDEEM) from None
    finally:
        for end in ends:
            end.cancel()
    raise Refused(TRY_LATER, CANNOT_REDEEM)  # nobody reads it
