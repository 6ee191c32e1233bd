"""Redemptions: a game server exchanges a ticket for the player's connection, once.

The newest ticket wins, so that a player who comes back after a crash is let in. Each redemption
has a fence, greater than any before it: a game's own store refuses writes with a smaller one.
"""

from dataclasses import dataclass
from datetime import datetime

from auth.credentials import tickets
from auth.credentials.tickets import Ticket
from auth.credentials.token_keys import TokenKeys
from auth.errors import (
    InvalidTicket,
    InvalidToken,
    Reason,
    TicketExpired,
    TicketUsed,
    Unavailable,
    WrongServer,
)
from auth.flows.server_keys import check_server
from auth.logs import note
from auth.store.connections import ConnectionTable, Standing
from auth.store.events import new_event
from auth.store.records import Account, Event, EventKind, Redemption, ServerKey, Session
from auth.times import Clock, id_text

TRIES = 40  # each is lost to another redemption of the account


@dataclass(frozen=True)
class Admitted:
    """A player whom a game server may let in."""

    account: Account
    session_id: bytes
    fence: int


class Redemptions:
    """Redeems tickets."""

    def __init__(self, table: ConnectionTable, keys: TokenKeys, issuer: str, clock: Clock) -> None:
        self._table = table
        self._keys = keys
        self._issuer = issuer
        self._clock = clock

    def redeem(self, key: ServerKey, text: str, server: str) -> Admitted:
        """Redeem a ticket for a game server. The same ticket with the same key: the same answer.

        Raises:
            InvalidTicket: it is not one of ours, or its session or account is no longer good.
            WrongServer: ticket or key is for another server.
            TicketExpired, TicketUsed.
            Unavailable: it cannot be decided now.
        """
        now = self._clock()
        ticket = self._read(text, now)
        if ticket.server != server:
            raise WrongServer("the ticket is for another server")
        check_server(key, server)
        ids = ticket.subject.account_id, ticket.subject.session_id
        for number in range(TRIES):
            standing = self._table.standing(*ids, locked=number > 0)
            admitted = self._try(standing, key, ticket, now)
            if admitted is not None:
                note("ticket_redeemed")
                return admitted
        raise Unavailable(f"lost {TRIES} times to other redemptions of this account")

    def _read(self, text: str, now: datetime) -> Ticket:
        try:
            ticket = tickets.read(text, self._keys, self._issuer, now)
        except InvalidToken as refused:
            raise InvalidTicket(refused.reason) from None
        subject = ticket.subject
        note("", account_id=id_text(subject.account_id), session_id=id_text(subject.session_id))
        return ticket

    def _try(
        self, standing: Standing | None, key: ServerKey, ticket: Ticket, now: datetime
    ) -> Admitted | None:
        """Return the player if the ticket was redeemed; None: the account changed meanwhile."""
        last = standing.last if standing else None
        if standing and last and (last.ticket, last.key_id) == (ticket.id, key.id):
            return Admitted(standing.account, ticket.subject.session_id, last.fence)
        if ticket.is_expired(now):
            raise TicketExpired
        if last and last.ticket >= ticket.id:
            raise TicketUsed
        account, session = _usable(standing, ticket, now)
        redemption = Redemption(
            account_id=account.id,
            ticket=ticket.id,
            fence=max(last.fence + 1 if last else 0, int(now.timestamp() * 1000)),
            key_id=key.id,
            server=ticket.server,
            redeemed_at=now,
        )
        event = _superseded(last, redemption, now) if last else None
        if not self._table.redeem(redemption, session, last, event):
            return None
        return Admitted(account, session.id, redemption.fence)


def _usable(standing: Standing | None, ticket: Ticket, now: datetime) -> tuple[Account, Session]:
    if standing is None or standing.session is None:
        raise InvalidTicket(Reason.GONE)
    if standing.account.epoch != ticket.subject.epoch:
        raise InvalidTicket(Reason.REVOKED)
    if reason := standing.session.why_unusable(standing.account, now):
        raise InvalidTicket(reason)
    return standing.account, standing.session


def _superseded(last: Redemption, redemption: Redemption, now: datetime) -> Event | None:
    """Return the event that tells another server of the loss of its player."""
    if last.server == redemption.server:
        return None
    return new_event(
        EventKind.CONNECTION_SUPERSEDED,
        None,
        now,
        account=id_text(last.account_id),
        fence=redemption.fence,
        server=last.server,
    )
