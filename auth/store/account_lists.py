"""The statements by which operators find accounts, or reach all: by keys and never by offset.

Each list reads few rows more than it returns, on every page. They are safe to repeat (see
`Database.execute`), except for `end_sessions`, which ends them once more.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from auth.external.connection import Value
from auth.external.database import Database
from auth.store.records import ACCOUNT_COLUMNS, Account, account_of

# Each list names its index: the optimizer would rather read and sort a small table whole.
_READ = f"SELECT a.id, {ACCOUNT_COLUMNS} FROM accounts a FORCE INDEX"
_AFTER_ASCII = b"\xff"  # follows every key that begins with the same ASCII characters


@dataclass(frozen=True)
class AccountLists:
    """Reads the table `accounts` page by page."""

    database: Database

    def named(self, prefix: bytes, after: bytes, limit: int) -> list[Account]:
        """Return the accounts whose canonical names begin like this, by name, after one name."""
        return self._read(
            "(username_key) WHERE a.username_key >= %(prefix)s AND a.username_key > %(after)s"
            " AND a.username_key < %(end)s ORDER BY a.username_key",
            limit,
            prefix=prefix,
            after=after,
            end=prefix + _AFTER_ASCII,
        )

    def newest(self, since: bytes, before: bytes, limit: int) -> list[Account]:
        """Return the accounts with ids from `since` on and before another, the newest first."""
        condition = "(PRIMARY) WHERE a.id >= %(since)s AND a.id < %(before)s ORDER BY a.id DESC"
        return self._read(condition, limit, since=since, before=before)

    def suspended(self, until: datetime, after: bytes, limit: int) -> list[Account]:
        """Return suspended accounts, by the end of the suspension: from one time and id on."""
        same = self._read(
            "(suspended) WHERE a.suspended_until = %(until)s AND a.id > %(after)s ORDER BY a.id",
            limit,
            until=until,
            after=after,
        )
        if len(same) == limit:
            return same
        later = "(suspended) WHERE a.suspended_until > %(until)s ORDER BY a.suspended_until, a.id"
        return same + self._read(later, limit - len(same), until=until)

    def usernames(self, ids: Collection[bytes]) -> dict[bytes, str]:
        """Return the names of those of these accounts that exist, by id."""
        if not ids:
            return {}
        result = self.database.execute(
            f"SELECT id, username FROM accounts WHERE id IN ({', '.join('%s' for _ in ids)})", *ids
        )
        return {row["id"]: row["username"] for row in result.rows}

    def count(self, after: bytes, limit: int) -> tuple[int, bytes | None]:
        """Count the next accounts; return their number and the last id, None at the end."""
        (row,) = self.database.execute(
            "SELECT COUNT(*) AS accounts, MAX(id) AS last FROM"
            " (SELECT id FROM accounts WHERE id > %s ORDER BY id LIMIT %s) AS following",
            after,
            limit,
        ).rows
        return row["accounts"], row["last"] if row["accounts"] == limit else None

    def end_sessions(self, after: bytes, limit: int) -> tuple[bytes | None, int]:
        """End the sessions of the next accounts by a new epoch.

        Returns the last id of them, None at the end of the table, and their number.
        """
        found = self.database.execute(
            "SELECT id FROM accounts WHERE id > %s ORDER BY id LIMIT %s", after, limit
        )
        if not found.rows:
            return None, 0
        last: bytes = found.rows[-1]["id"]
        changed = self.database.execute(
            "UPDATE accounts SET epoch = epoch + 1 WHERE id > %s AND id <= %s", after, last
        ).changed
        return last, changed

    def _read(self, condition: str, limit: int, **values: Value) -> list[Account]:
        result = self.database.execute(
            f"{_READ} {condition} LIMIT %(limit)s", limit=limit, **values
        )
        return [account_of(row, row["id"]) for row in result.rows]
