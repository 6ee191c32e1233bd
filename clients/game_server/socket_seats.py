"""Seats in the lobby: for how long a player may stay, and which of two players goes first."""

import time
from dataclasses import dataclass

from feed_events import (
    ACCOUNT_DISABLED,
    ACCOUNT_PURGED,
    CONNECTION_SUPERSEDED,
    CREDENTIAL_CHANGE,
    FeedEvent,
)
from player_tokens import Player
from socket_messages import BAD_TICKET, REPLACED, SUSPENDED, Refused
from websockets.asyncio.server import ServerConnection

SEAT_SECONDS = 600.0  # from the `iat` of the player's latest ticket, without the feed
SIGNED_IN_ELSEWHERE = "signed in elsewhere"
NEW_OWNER = "ticket: the name now belongs to another account"
FOREVER = float("inf")


@dataclass
class Seat:
    """A player's only live connection, as the latest ticket describes the player.

    With a fence, of a redeemed ticket, the seat lasts until the feed ends it.
    """

    player: Player
    connection: ServerConnection
    fence: int | None = None
    ends_at: float = 0.0  # seconds since 1970
    ends_by: float = 0.0  # of the monotonic clock, in case the other one is set back
    reset_at: float | None = None  # the next ticket must have been issued later
    lost: Refused | None = None  # why, once the player has lost the seat

    def take(self, player: Player) -> None:
        """Let the player of a new ticket sit here: until ten minutes after its issue, or longer."""
        self.player = player
        if self.fence is None:
            # If `iat` is in our future, the backend's clock is ahead of ours.
            age = max(0.0, time.time() - player.issued_at)
            self.ends_at = time.time() + SEAT_SECONDS - age
            self.ends_by = time.monotonic() + SEAT_SECONDS - age
        elif self.reset_at is None or player.issued_at > self.reset_at:
            self.reset_at, self.ends_at, self.ends_by = None, FOREVER, FOREVER

    def must_renew(self, reset_at: float, seconds: float) -> bool:
        """Let the seat end, unless a ticket comes that was issued after the feed's reset.

        The feeds of a server's other names tell of the same reset later: what counts is the first
        time. Return whether a ticket is needed now, and was not before.
        """
        if self.reset_at is not None or self.player.issued_at > reset_at:
            return False
        self.reset_at = reset_at
        self.ends_by = time.monotonic() + seconds
        return True

    def seconds_left(self) -> float:
        """Return for how long the player may stay without another ticket.

        Raises:
            Refused: no longer.
        """
        left = min(self.ends_at - time.time(), self.ends_by - time.monotonic())
        if left <= 0:
            kicked = None if self.fence is None else {"code": "ticket_missing"}
            raise Refused(BAD_TICKET, "ticket: no new one came in time", kicked)
        return left


def check_rank(seat: Seat, player: Player, others: list[Seat]) -> None:
    """Check that a player may take the place of others with the same account or name.

    A name can pass to another account within minutes; the later ticket decides. After a redemption
    the fence decides instead, and the name is the account's present one.

    Raises:
        Refused: this account, or another one with this name, is here with a later ticket.
    """
    if seat.fence is not None:
        own = [other for other in others if other.player.account_id == player.account_id]
        if any((other.fence or 0) > seat.fence for other in own):
            raise signed_in_elsewhere()
        return
    if any(is_later_owner(other.player, player) for other in others):
        raise Refused(BAD_TICKET, NEW_OWNER)
    if any(is_outdated(player, other.player) for other in others):
        raise Refused(BAD_TICKET, "ticket: a later one of this account is in use")


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


def signed_in_elsewhere() -> Refused:
    """Return what a player is told who has another connection now."""
    return Refused(REPLACED, SIGNED_IN_ELSEWHERE, {"code": "signed_in_elsewhere"})


def refusal_for(event: FeedEvent) -> Refused:
    """Return what a player is told whose seat an event ends."""
    if event.type == ACCOUNT_DISABLED:
        kicked = {"code": "suspended", "message": event.message, "until": event.until}
        return Refused(SUSPENDED, "suspended", kicked)
    if event.type == CONNECTION_SUPERSEDED:
        return signed_in_elsewhere()
    if event.type == ACCOUNT_PURGED:
        return Refused(BAD_TICKET, "account deleted", {"code": "account_deleted"})
    if event.type == CREDENTIAL_CHANGE:
        return Refused(BAD_TICKET, "credentials changed", {"code": "credentials_changed"})
    return Refused(BAD_TICKET, "session ended", {"code": "session_ended"})
