"""Deletes expired rows, in batches small enough not to block players' requests.

Scans each table by its primary key, since an index on the expiry would cost more than the scan.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from auth.external.database import REQUEST_SECONDS, Database
from auth.jobs.walks import LAST_KEY, Cleaned, Walk, walk_on
from auth.store.expired import CROWDED_AT_ONCE, GUESTS_AT_ONCE, ExpiredRows
from auth.store.sessions import SessionTable
from auth.times import Clock

OPERATIONS_KEPT = timedelta(days=400)
BATCH = 500
MAX_SEQ = 2**63 - 1  # of a BIGINT


@dataclass(frozen=True)
class CleanUp:
    """The outcome of a run: rows deleted by table, and for each table if its walk was completed."""

    deleted: dict[str, int]
    completed: dict[str, bool]


def clean_up(
    database: Database,
    clock: Clock,
    seconds: float,
    monotonic: Callable[[], float] = time.monotonic,
    *,
    history_days: int,
    guest_days: int = 0,
) -> CleanUp:
    """Delete what is no longer needed for at most about `seconds`.

    A session is old if it ended or expired `history_days` ago, or if its account has more than
    `MAX_SESSIONS` and it is not among the most recently used. A guest goes `guest_days` after the
    last use (0: never). Each run continues where the previous one stopped.

    Raises:
        Unavailable: the database cannot be reached.
    """
    walks = _Walks(database, clock, history_days, guest_days)
    run = walks.all()
    walk_on(database, run, seconds, monotonic)
    deleted: Counter[str] = Counter()
    for walk in run:
        deleted[walks.deleted_from[walk.name]] += walk.deleted
    return CleanUp(dict(deleted), {walk.name: walk.completed for walk in run})


class _Walks:
    """The walks of one run, each through the keys of one table."""

    # Walk: the table whose rows it deletes.
    deleted_from: ClassVar[Mapping[str, str]] = {
        "sessions": "sessions",
        "rate_limits": "rate_limits",
        "events": "events",
        "accounts": "sessions",
        "identities": "guests",
        "events_by_account": "events",
        "operations": "operations",
    }

    def __init__(
        self, database: Database, clock: Clock, history_days: int, guest_days: int
    ) -> None:
        self._database = database
        self._expired = ExpiredRows(database)
        self._sessions = SessionTable(database)
        self._clock = clock
        self._now = clock()  # of all but events: the feed expects those to be recorded at once
        self._history = timedelta(days=history_days)
        self._guest_days = guest_days

    def all(self) -> list[Walk]:
        """Return the walks."""
        walks = [
            self._walk("sessions", "sessions", "id", self._old_sessions),
            self._walk("rate_limits", "rate_limits", "bucket", self._full_buckets),
            Walk("events", self._event_batch_end, self._old_events),
            self._walk("accounts", "accounts", "id", self._surplus_sessions),
            self._walk("operations", "operations", "command_id", self._old_operations),
            self._walk("events_by_account", "accounts", "id", self._surplus_events),
        ]
        if self._guest_days:
            walks.append(self._walk("identities", "identities", "id", self._unused_guests))
        return walks

    def _walk(
        self, name: str, table: str, key: str, clean: Callable[[bytes, bytes], Cleaned]
    ) -> Walk:
        return Walk(name, lambda after: self._expired.batch_end(table, key, after, BATCH), clean)

    def _old_sessions(self, after: bytes, to: bytes) -> Cleaned:
        kept_since = self._now - self._history
        return Cleaned(self._expired.delete_sessions(after, to, kept_since), to)

    def _full_buckets(self, after: bytes, to: bytes) -> Cleaned:
        microseconds = int(self._now.timestamp() * 1_000_000)
        return Cleaned(self._expired.delete_buckets(after, to, microseconds), to)

    def _old_operations(self, after: bytes, to: bytes) -> Cleaned:
        kept_since = self._now - OPERATIONS_KEPT
        self._expired.empty_operations(after, to)
        return Cleaned(self._expired.delete_operations(after, to, kept_since), to)

    def _event_batch_end(self, after: bytes) -> bytes | None:
        seq = self._expired.batch_end("events", "seq", _number(after), BATCH)
        return None if seq is None else seq.to_bytes(len(LAST_KEY), "big")

    def _old_events(self, after: bytes, to: bytes) -> Cleaned:
        deleted = self._expired.delete_events(_number(after), _number(to), self._now)
        return Cleaned(deleted, to)

    def _surplus_sessions(self, after: bytes, to: bytes) -> Cleaned:
        """Trim the first accounts of a range that have too many sessions, some rows of each."""
        crowded = self._expired.crowded_accounts("sessions", after, to)
        deleted = 0
        for account_id in crowded:
            with self._database.budget(REQUEST_SECONDS):
                now = self._clock()
                surplus = self._sessions.surplus(account_id, b"", now)
                deleted += self._sessions.remove(surplus, now)
        return Cleaned(deleted, crowded[-1] if len(crowded) == CROWDED_AT_ONCE else to)

    def _surplus_events(self, after: bytes, to: bytes) -> Cleaned:
        """Trim the first accounts of a range that have too many events."""
        chatty = self._expired.crowded_accounts("events", after, to)
        deleted = 0
        for account_id in chatty:
            batch = BATCH
            while batch == BATCH:
                with self._database.budget(REQUEST_SECONDS):
                    batch = self._expired.delete_oldest_events(account_id, BATCH)
                deleted += batch
        return Cleaned(deleted, chatty[-1] if len(chatty) == CROWDED_AT_ONCE else to)

    def _unused_guests(self, after: bytes, to: bytes) -> Cleaned:
        """Delete the first guests of a range that nobody has used for a long time."""
        unused_since = self._now - timedelta(days=self._guest_days)
        guests = self._expired.unused_guests(after, to, unused_since, self._now)
        deleted = self._expired.delete_guests(guests.values(), unused_since, self._now)
        return Cleaned(deleted, max(guests) if len(guests) == GUESTS_AT_ONCE else to)


def _number(key: bytes) -> int:
    """Return the number of an event, by its key in the walk."""
    return min(int.from_bytes(key, "big"), MAX_SEQ)
