"""The statements of the clean-up: each works on the rows of a range of keys.

Every statement is safe to repeat (see `Database.execute`). A range is read without locks first, and
only its expired rows are deleted, by their keys: a row in use is neither locked nor waited for.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from auth.external.connection import Statement, Value
from auth.external.database import Database
from auth.store.identities import GUEST
from auth.store.records import LASTS, MAX_SESSIONS, EventKind

Key = TypeVar("Key", bytes, int)

_OLD_SESSION = (
    "(ended_at <= %(moment)s OR idle_expires_at <= %(moment)s OR expires_at <= %(moment)s)"
)
CROWDED_AT_ONCE = 50
# Rows that one statement deletes, and locks meanwhile. MySQL has no time limit for a DELETE.
DELETED_AT_ONCE = 100
GUESTS_AT_ONCE = 10  # each with its sessions and events
MAX_EVENTS = 1000  # of one account
MOST_ROWS = {"sessions": MAX_SESSIONS, "events": MAX_EVENTS}  # of one account, by table

# How long events are kept, if not as long as the others.
EVENT_DAYS = 90
EVENT_DAYS_OF = {
    EventKind.REGISTERED: 7,
    EventKind.ACCOUNT_PURGED: 30,
    EventKind.CONNECTION_SUPERSEDED: 1,
}

# A guest who comes back notes it in `identities` before the session is stored. Sessions say when a
# guest who stays signed in played last.
_UNUSED_GUEST = (
    "i.provider = %(provider)s AND i.last_used_at <= %(unused_since)s AND a.guest = 1"
    " AND (a.suspended_until IS NULL OR a.suspended_until <= %(now)s)"
    f" AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.account_id = a.id"
    f" AND (s.rotated_at > %(unused_since)s OR {LASTS}))"
)


class ExpiredRows:
    """The rows that are no longer needed, in all tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def batch_end(self, table: str, key: str, after: Key, size: int) -> Key | None:
        """Return the last key of the table's next `size` rows; None: fewer rows are left."""
        result = self._database.execute(
            f"SELECT {key} AS last FROM {table} WHERE {key} > %s ORDER BY {key} LIMIT 1 OFFSET %s",
            after,
            size - 1,
        )
        last: Key | None = result.rows[0]["last"] if result.rows else None
        return last

    def delete_sessions(self, after: bytes, to: bytes, moment: datetime) -> int:
        """Delete the sessions in this range of ids that ended or expired before a moment.

        A session that ended by its account's epoch counts from the time it would have expired.
        """
        self._keep_last_use(after, to, moment)
        return self._delete("sessions", "id", after, to, _OLD_SESSION, moment=moment)

    def _keep_last_use(self, after: bytes, to: bytes, moment: datetime) -> None:
        """Note the last use of a guest whose sessions are about to be deleted."""
        self._database.execute(
            "UPDATE identities i JOIN (SELECT account_id, MAX(rotated_at) AS used_at FROM sessions"
            f" WHERE id > %(after)s AND id <= %(to)s AND {_OLD_SESSION} GROUP BY account_id) s"
            " ON s.account_id = i.account_id"
            " SET i.last_used_at = s.used_at WHERE i.last_used_at < s.used_at",
            after=after,
            to=to,
            moment=moment,
        )

    def crowded_accounts(self, table: str, after: bytes, to: bytes) -> list[bytes]:
        """Return the accounts in this range of ids that have too many rows in a table.

        In the order of their ids, and at most `CROWDED_AT_ONCE`.
        """
        result = self._database.execute(
            f"SELECT account_id FROM {table} WHERE account_id > %s AND account_id <= %s"
            f" GROUP BY account_id HAVING COUNT(*) > {MOST_ROWS[table]}"
            f" ORDER BY account_id LIMIT {CROWDED_AT_ONCE}",
            after,
            to,
        )
        return [row["account_id"] for row in result.rows]

    def unused_guests(
        self, after: bytes, to: bytes, unused_since: datetime, now: datetime
    ) -> dict[bytes, bytes]:
        """Return the guests in this range of identities that can go: identity -> account.

        They have no session that lasts, and are not suspended. At most `GUESTS_AT_ONCE`.
        """
        result = self._database.execute(
            "SELECT i.id, i.account_id FROM identities i JOIN accounts a ON a.id = i.account_id"
            f" WHERE i.id > %(after)s AND i.id <= %(to)s AND {_UNUSED_GUEST}"
            f" ORDER BY i.id LIMIT {GUESTS_AT_ONCE}",
            after=after,
            to=to,
            **_guest_values(unused_since, now),
        )
        return {row["id"]: row["account_id"] for row in result.rows}

    def delete_guests(
        self, account_ids: Collection[bytes], unused_since: datetime, now: datetime
    ) -> int:
        """Delete these guests and all that belongs to them, unless they came back meanwhile."""
        if not account_ids:
            return 0
        accounts: dict[str, Value] = {
            f"account_{place}": one for place, one in enumerate(account_ids)
        }
        places = ", ".join(f"%({name})s" for name in accounts)
        deletion = Statement(
            "DELETE a FROM accounts a FORCE INDEX (PRIMARY)"
            " JOIN identities i ON i.account_id = a.id"
            f" WHERE a.id IN ({places}) AND {_UNUSED_GUEST}",
            accounts | _guest_values(unused_since, now),
        )
        history = Statement(
            "DELETE e FROM events e LEFT JOIN accounts a ON a.id = e.account_id"
            f" WHERE e.account_id IN ({places}) AND a.id IS NULL",
            accounts,
        )
        return self._database.transact(deletion, history)

    def delete_events(self, after: int, to: int, now: datetime) -> int:
        """Delete the events in this range of numbers that are old; return their number."""
        moments = {
            "default_moment": now - timedelta(days=EVENT_DAYS),
            **{
                f"moment_{int(kind)}": now - timedelta(days=days)
                for kind, days in EVENT_DAYS_OF.items()
            },
        }
        cases = " ".join(f"WHEN {int(kind)} THEN %(moment_{int(kind)})s" for kind in EVENT_DAYS_OF)
        old = f"at <= CASE kind {cases} ELSE %(default_moment)s END"
        return self._delete("events", "seq", after, to, old, **moments)

    def delete_oldest_events(self, account_id: bytes, limit: int) -> int:
        """Delete events of an account beyond the newest `MAX_EVENTS`, at most `limit`."""
        result = self._database.execute(
            "SELECT seq FROM events WHERE account_id = %s"
            f" ORDER BY seq DESC LIMIT 1 OFFSET {MAX_EVENTS - 1}",
            account_id,
        )
        if not result.rows:
            return 0
        return self._database.execute(
            "DELETE FROM events WHERE account_id = %s AND seq < %s ORDER BY seq LIMIT %s",
            account_id,
            result.rows[0]["seq"],
            limit,
        ).changed

    def empty_operations(self, after: bytes, to: bytes) -> None:
        """Empty the texts of the operations in this range of ids whose accounts are gone.

        An account's deletion does so, too, but not a clean-up of guests, nor for an operation that
        was under way. Why an operator deleted an account is kept.
        """
        self._database.execute(
            "UPDATE operations o LEFT JOIN accounts a ON a.id = o.account_id"
            " SET o.reason = '', o.result = '' WHERE o.command_id > %s AND o.command_id <= %s"
            " AND o.account_id IS NOT NULL AND a.id IS NULL AND o.command <> 'delete'",
            after,
            to,
        )

    def delete_operations(self, after: bytes, to: bytes, moment: datetime) -> int:
        """Delete the operations in this range of ids from before a moment."""
        old = "at <= %(moment)s"
        return self._delete("operations", "command_id", after, to, old, moment=moment)

    def delete_buckets(self, after: bytes, to: bytes, now: int) -> int:
        """Delete the buckets in this range of keys that are full again; return their number."""
        return self._delete("rate_limits", "bucket", after, to, "tat <= %(now)s", now=now)

    def _delete(
        self,
        table: str,
        key: str,
        after: bytes | int,
        to: bytes | int,
        expired: str,
        **named: Value,
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


def _guest_values(unused_since: datetime, now: datetime) -> dict[str, Value]:
    return {"provider": GUEST, "unused_since": unused_since, "now": now}
