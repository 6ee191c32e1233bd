"""Deletes expired rows, in batches small enough not to block players' requests.

Scans each table by its primary key, since an index on the expiry would cost more than the scan.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from auth.external.database import REQUEST_SECONDS, Database
from auth.jobs.walks import Cleaned, Walk, walk_on
from auth.store.expired import CROWDED_AT_ONCE, ExpiredRows
from auth.store.sessions import SessionTable
from auth.times import Clock

BATCH = 500


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
) -> CleanUp:
    """Delete old sessions and full buckets for at most about `seconds`.

    A session is old if it ended or expired `history_days` ago, or if its account has more than
    `MAX_SESSIONS` and it is not among the most recently used. Each run continues where the previous
    one stopped.

    Raises:
        Unavailable: the database cannot be reached.
    """
    now = clock()
    sessions, buckets, accounts = walks = _walks(database, now, history_days)
    walk_on(database, walks, seconds, monotonic)
    return CleanUp(
        {"sessions": sessions.deleted + accounts.deleted, "rate_limits": buckets.deleted},
        {walk.name: walk.completed for walk in walks},
    )


def _walks(database: Database, now: datetime, history_days: int) -> tuple[Walk, Walk, Walk]:
    expired = ExpiredRows(database)
    kept_since = now - timedelta(days=history_days)
    microseconds = int(now.timestamp() * 1_000_000)

    def walk(table: str, key: str, clean: Callable[[bytes, bytes], Cleaned]) -> Walk:
        return Walk(table, lambda after: expired.batch_end(table, key, after, BATCH), clean)

    return (
        walk(
            "sessions",
            "id",
            lambda after, to: Cleaned(expired.delete_sessions(after, to, kept_since), to),
        ),
        walk(
            "rate_limits",
            "bucket",
            lambda after, to: Cleaned(expired.delete_buckets(after, to, microseconds), to),
        ),
        walk("accounts", "id", lambda after, to: _trim(database, after, to, now)),
    )


def _trim(database: Database, after: bytes, to: bytes, now: datetime) -> Cleaned:
    """Trim the first accounts of a range that have too many sessions, some rows of each."""
    sessions = SessionTable(database)
    crowded = ExpiredRows(database).crowded_accounts(after, to)
    trimmed = 0
    for account_id in crowded:
        with database.budget(REQUEST_SECONDS):
            excess = sessions.excess(account_id, b"", now)
            trimmed += sessions.delete(account_id, excess, unused_since=now)
    return Cleaned(trimmed, crowded[-1] if len(crowded) == CROWDED_AT_ONCE else to)
