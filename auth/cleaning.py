"""Deletes what has expired, in batches small enough to keep players' requests going.

Walks each table by its primary key, since an index on the expiry would cost more than the walk.
"""

import time
from collections.abc import Callable, Iterator

from auth.database import Database
from auth.store import Store
from auth.times import Clock

BATCH = 500
SESSIONS = ("sessions", "id")
BUCKETS = ("rate_limits", "bucket")
_LAST_KEY = b"\xff" * 16


def clean_up(
    database: Database,
    clock: Clock,
    seconds: float,
    monotonic: Callable[[], float] = time.monotonic,
) -> dict[str, int]:
    """Delete dead sessions and full buckets for at most about `seconds`; return how many of each.

    What is not reached is left for the next run.

    Raises:
        Unavailable: the database is out of reach.
    """
    store = Store(database)
    end = monotonic() + seconds
    deleted = {"sessions": 0, "rate_limits": 0}
    now = clock()
    microseconds = int(now.timestamp() * 1_000_000)
    for after, to in _batches(database, store, *SESSIONS):
        deleted["sessions"] += store.delete_dead_sessions(after, to, now)
        if monotonic() > end:
            return deleted
    for after, to in _batches(database, store, *BUCKETS):
        deleted["rate_limits"] += store.delete_drained_buckets(after, to, microseconds)
        if monotonic() > end:
            return deleted
    return deleted


def _batches(
    database: Database, store: Store, table: str, key: str
) -> Iterator[tuple[bytes, bytes]]:
    """Yield ranges of keys, each of `BATCH` rows and with a budget of its own."""
    after: bytes | None = b""
    while after is not None:
        database.start_request()
        to = store.batch_end(table, key, after, BATCH)
        yield after, to or _LAST_KEY
        after = to
