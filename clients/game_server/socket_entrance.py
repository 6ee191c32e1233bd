"""The entrance of the lobby: who may come in, by the first ticket of a connection.

With a server key each ticket is redeemed at the backend, and lets its player in once.
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from player_tokens import InvalidToken, KeysUnavailable, Player, PlayerTokens
from redeeming import CannotRedeem, Redeemer, TicketRefused
from socket_messages import BAD_TICKET, NO_TICKET, TRY_LATER, Refused, parse, text_in
from websockets.asyncio.server import ServerConnection

FIRST_MESSAGE_SECONDS = 5.0
REDEMPTIONS_AT_ONCE = 32  # in threads of their own: while the backend is down they take seconds
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
        self._redeeming = ThreadPoolExecutor(REDEMPTIONS_AT_ONCE, "redeem")
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
        self._use(player)
        loop, redeem = asyncio.get_running_loop(), self._redeemer.redeem
        try:
            redeemed = await loop.run_in_executor(self._redeeming, redeem, ticket)
        except TicketRefused as error:
            raise Refused(BAD_TICKET, REASONS[error.code]) from None
        except CannotRedeem:
            raise Refused(TRY_LATER, "cannot redeem tickets now") from None
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
