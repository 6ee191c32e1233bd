"""Suspensions: an operator shuts an account out, for some time or for good, and lets it in again.

A suspension takes effect at once and ends every session; lifting it brings none of them back.
"""

from datetime import UTC, datetime

from auth.flows.admission import FOR_GOOD
from auth.refusals import AlreadySuspended, Changed
from auth.store.accounts import AccountTable
from auth.store.events import new_event
from auth.store.records import Account, EventKind
from auth.times import Clock, rfc3339

NO_END = datetime(FOR_GOOD, 12, 31, tzinfo=UTC)


class Suspensions:
    """Suspends accounts, and lifts suspensions."""

    def __init__(self, table: AccountTable, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    def suspend(self, account: Account, until: datetime, message: str, *, replace: bool) -> None:
        """Suspend an account until a time; the player reads the message.

        Raises:
            AlreadySuspended: it is suspended, and `replace` is False.
            Changed: it changed since it was read.
        """
        now = self._clock()
        if account.suspended_until and account.is_suspended(now) and not replace:
            ends = shown_end(account.suspended_until) or "for good"
            raise AlreadySuspended(f"The account is suspended already: {ends}.")
        event = new_event(
            EventKind.SUSPENDED,
            account.id,
            now,
            epoch=account.epoch + 1,
            until=shown_end(until) or "",
        )
        if not self._table.suspend(account, until, message, event):
            raise Changed

    def lift(self, account: Account) -> bool:
        """End a suspension; False: there was none.

        An old suspension that has run out is cleared as well.
        """
        event = new_event(EventKind.SUSPENSION_LIFTED, account.id, self._clock())
        return self._table.lift(account, event)


def shown_end(until: datetime | None) -> str | None:
    """Return the end of a suspension as the API writes it; None: it has no end."""
    return None if until is None or until.year == FOR_GOOD else rfc3339(until)
