"""Deletes expired rows, in batches small enough not to block players' requests.

Scans each table by its primary key, since an index on the expiry would cost more than the scan.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from auth.external.database import REQUEST_SECONDS, Database
from auth.store.expired import ExpiredRows
from auth.store.sessions import SessionTable
from auth.times import Clock

BATCH = 500
ACCOUNTS = ("accounts", "id")
SESSIONS = ("sessions", "id")
BUCKETS = ("rate_limits", "bucket")
_LAST_KEY = b"\xff" * 16


def clean_up(
    database: Database,
    clock: Clock,
    seconds: float,
    monotonic: Callable[[], float] = time.monotonic,
    *,
    history_days: int,
) -> dict[str, int]:
    """Delete old sessions and full buckets for about `seconds` at most; return the numbers deleted.

    A session is old if it ended or expired `history_days` ago, or if its account has more than
    `MAX_SESSIONS` and it is not among the most recently used. Each run starts at the first row.

    Raises:
        Unavailable: the database cannot be reached.
    """
    expired, sessions = ExpiredRows(database), SessionTable(database)
    now = clock()
    microseconds = int(now.timestamp() * 1_000_000)
    kept_since = now - timedelta(days=history_days)
    end = monotonic() + seconds

    def trim(after: bytes, to: bytes) -> int:
        """Delete the excess sessions of these accounts, a limited number of rows each."""
        trimmed = 0
        for account_id in expired.crowded_accounts(after, to):
            with database.budget(REQUEST_SECONDS):
                excess = sessions.excess(account_id, b"", now)
                trimmed += sessions.delete(account_id, excess, unused_since=now)
            if monotonic() > end:
                break
        return trimmed

    walks: tuple[tuple[tuple[str, str], str, Callable[[bytes, bytes], int]], ...] = (
        (SESSIONS, "sessions", partial(expired.delete_sessions, moment=kept_since)),
        (BUCKETS, "rate_limits", partial(expired.delete_buckets, now=microseconds)),
        (ACCOUNTS, "sessions", trim),
    )
    deleted = {"sessions": 0, "rate_limits": 0}
    for (table, key), what, delete in walks:
        after: bytes | None = b""
        while after is not None:
            with database.budget(REQUEST_SECONDS):
                to = expired.batch_end(table, key, after, BATCH)
                deleted[what] += delete(after, to or _LAST_KEY)
            if monotonic() > end:
                return deleted
            after = to
    return deleted
