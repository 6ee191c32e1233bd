"""The statements of the clean-up: each works on the rows of a range of keys.

Every statement is safe to repeat (see `Database.execute`). A range is read without locks first, and
only its expired rows are deleted, by their keys: a row in use is neither locked nor waited for.
"""

from collections.abc import Sequence
from datetime import datetime

from auth.external.connection import Value
from auth.external.database import Database
from auth.store.records import MAX_SESSIONS

_OLD_SESSION = (
    "(ended_at <= %(moment)s OR idle_expires_at <= %(moment)s OR expires_at <= %(moment)s)"
)
CROWDED_AT_ONCE = 50
# Rows that one statement deletes, and locks meanwhile. MySQL has no time limit for a DELETE.
DELETED_AT_ONCE = 100


class ExpiredRows:
    """The rows that are no longer needed, in all tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def batch_end(self, table: str, key: str, after: bytes, size: int) -> bytes | None:
        """Return the last key of the table's next `size` rows; None: fewer rows are left."""
        result = self._database.execute(
            f"SELECT {key} AS last FROM {table} WHERE {key} > %s ORDER BY {key} LIMIT 1 OFFSET %s",
            after,
            size - 1,
        )
        return result.rows[0]["last"] if result.rows else None

    def delete_sessions(self, after: bytes, to: bytes, moment: datetime) -> int:
        """Delete the sessions in this range of ids that ended or expired before a moment.

        A session that ended by its account's epoch counts from the time it would have expired.
        """
        return self._delete("sessions", "id", after, to, _OLD_SESSION, moment=moment)

    def crowded_accounts(self, after: bytes, to: bytes) -> list[bytes]:
        """Return the accounts in this range of ids that have more than `MAX_SESSIONS`.

        In the order of their ids, and at most `CROWDED_AT_ONCE`.
        """
        result = self._database.execute(
            "SELECT account_id FROM sessions WHERE account_id > %s AND account_id <= %s"
            f" GROUP BY account_id HAVING COUNT(*) > {MAX_SESSIONS}"
            f" ORDER BY account_id LIMIT {CROWDED_AT_ONCE}",
            after,
            to,
        )
        return [row["account_id"] for row in result.rows]

    def delete_buckets(self, after: bytes, to: bytes, now: int) -> int:
        """Delete the buckets in this range of keys that are full again; return their number."""
        return self._delete("rate_limits", "bucket", after, to, "tat <= %(now)s", now=now)

    def _delete(
        self, table: str, key: str, after: bytes, to: bytes, expired: str, **named: Value
    ) -> int:
        """Delete the rows of a range that meet a condition; checked again as they are deleted."""
        found = self._database.execute(
            f"SELECT {key} AS expired_key FROM {table}"
            f" WHERE {key} > %(after)s AND {key} <= %(to)s AND {expired}",
            after=after,
            to=to,
            **named,
        )
        keys = [row["expired_key"] for row in found.rows]
        return sum(
            self._delete_keys(table, key, keys[first : first + DELETED_AT_ONCE], expired, **named)
            for first in range(0, len(keys), DELETED_AT_ONCE)
        )

    def _delete_keys(
        self, table: str, key: str, keys: Sequence[bytes], expired: str, **named: Value
    ) -> int:
        named |= {f"key_{place}": value for place, value in enumerate(keys)}
        places = ", ".join(f"%(key_{place})s" for place in range(len(keys)))
        # FORCE INDEX: if the optimizer chose a scan, every row that it reads would be locked.
        return self._database.execute(
            f"DELETE t FROM {table} t FORCE INDEX (PRIMARY)"
            f" WHERE {key} IN ({places}) AND {expired}",
            **named,
        ).changed
