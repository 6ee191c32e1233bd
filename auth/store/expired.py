"""The statements of the clean-up: each works on the rows of a range of keys.

Every statement is safe to repeat (see `Database.execute`).
"""

from datetime import datetime

from auth.external.database import Database
from auth.store.records import MAX_SESSIONS


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
        return self._database.execute(
            "DELETE FROM sessions WHERE id > %(after)s AND id <= %(to)s AND (ended_at <= %(moment)s"
            " OR idle_expires_at <= %(moment)s OR expires_at <= %(moment)s)",
            after=after,
            to=to,
            moment=moment,
        ).changed

    def crowded_accounts(self, after: bytes, to: bytes) -> list[bytes]:
        """Return the accounts in this range of ids that have more than `MAX_SESSIONS`."""
        result = self._database.execute(
            "SELECT account_id FROM sessions WHERE account_id > %s AND account_id <= %s"
            f" GROUP BY account_id HAVING COUNT(*) > {MAX_SESSIONS}",
            after,
            to,
        )
        return [row["account_id"] for row in result.rows]

    def delete_buckets(self, after: bytes, to: bytes, now: int) -> int:
        """Delete the buckets in this range of keys that are full again; return their number."""
        return self._database.execute(
            "DELETE FROM rate_limits WHERE bucket > %s AND bucket <= %s AND tat <= %s",
            after,
            to,
            now,
        ).changed
