"""The players' things, in SQLite, safe from servers that have lost their player without knowing it.

A server that was paused, or cut off from the network, may wake up and write what it remembers after
the player went on playing elsewhere. The fence prevents that: it rises with each redeemed ticket,
each write carries it, and the database refuses a smaller one than the last. Several servers can
share the file if they are on one machine.

The statements are SQLite's. With another database, in one transaction: lock the player's row with
`SELECT fence ... FOR UPDATE`, compare the fences yourself, then write. Do not count on the number
of affected rows: MySQL leaves out rows that already have the new values.
"""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BUSY_SECONDS = 5.0
MAX_ITEMS = 100

SCHEMA = """
CREATE TABLE IF NOT EXISTS inventories (
    account_id TEXT PRIMARY KEY, items TEXT NOT NULL, fence INTEGER NOT NULL
)"""


class Fenced(Exception):
    """The player has gone to another connection: write nothing more, and close this one."""


class Inventory:
    """The inventories of all players; safe in several threads and processes."""

    def __init__(self, path: str | Path) -> None:
        """Take the path of the database, which is created if missing."""
        # Without Python's own transactions: we begin and end them.
        self._connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._lock = threading.Lock()
        self._connection.execute(SCHEMA)

    def enter(self, account_id: str, fence: int) -> list[str]:
        """Return a player's items at the beginning of a connection.

        From now on, earlier connections cannot write: what was read here stays true.

        Raises:
            Fenced: a later connection of the player is known already.
        """
        with self._writing():
            self._connection.execute(
                "INSERT OR IGNORE INTO inventories (account_id, items, fence) VALUES (?, '[]', ?)",
                (account_id, fence),
            )
            # The fence goes first: what is read after it, no earlier connection can change.
            self._must_change(
                "UPDATE inventories SET fence = ? WHERE account_id = ? AND fence <= ?",
                (fence, account_id, fence),
            )
            return self._items(account_id)

    def take(self, account_id: str, fence: int, item: str) -> list[str]:
        """Give a player an item, unless there are too many; return all items.

        Raises:
            Fenced: a later connection of the player is known.
        """
        with self._writing():
            items = [*self._items(account_id), item][:MAX_ITEMS]
            self._must_change(
                "UPDATE inventories SET items = ?, fence = ? WHERE account_id = ? AND fence <= ?",
                (json.dumps(items), fence, account_id, fence),
            )
            return items

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")  # fails if another process reads for too long
            except BaseException:
                if self._connection.in_transaction:  # some failures have ended it already
                    self._connection.execute("ROLLBACK")
                raise

    def _items(self, account_id: str) -> list[str]:
        row = self._connection.execute(
            "SELECT items FROM inventories WHERE account_id = ?", (account_id,)
        ).fetchone()
        items: list[str] = json.loads(row[0]) if row else []
        return items

    def _must_change(self, statement: str, values: tuple[str | int, ...]) -> None:
        if not self._connection.execute(statement, values).rowcount:
            raise Fenced
