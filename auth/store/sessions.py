"""The statements on sessions, most of them joined with the account.

A session ends alone, or with all other sessions of its account by a new epoch of the account. Every
statement is safe to repeat (see `Database.execute`).
"""

from collections.abc import Sequence
from datetime import datetime

from auth.credentials.refresh_tokens import RefreshToken
from auth.external.connection import Value
from auth.external.database import Database
from auth.external.failures import Duplicate
from auth.store.records import (
    ACCOUNT_COLUMNS,
    ADD_SESSION,
    LASTS,
    MAX_SESSIONS,
    SESSION_COLUMNS,
    USABLE,
    Account,
    Session,
    account_of,
    session_of,
)

TRIMMED_AT_ONCE = 100  # rows that one statement may delete: see `expired.DELETED_AT_ONCE`

_ID = "s.id = %(id)s AND s.account_id = %(account_id)s"
_CURRENT = f"{_ID} AND s.counter = %(counter)s AND s.tail_hash = %(tail_hash)s"


class SessionTable:
    """The table `sessions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, session: Session) -> None:
        """Add a session.

        Raises:
            MissingParent: the account was deleted.
        """
        try:
            self._database.execute(ADD_SESSION, **vars(session))
        except Duplicate as duplicate:
            if duplicate.key != "PRIMARY":  # our own id: the first attempt took effect
                raise

    def find(self, session_id: bytes, account_id: bytes) -> tuple[Session, Account] | None:
        """Return a session with its account, whether or not it lasts."""
        result = self._database.execute(
            f"SELECT {ACCOUNT_COLUMNS}, {SESSION_COLUMNS}"
            " FROM sessions s JOIN accounts a ON a.id = s.account_id"
            " WHERE s.id = %(id)s AND s.account_id = %(account_id)s",
            id=session_id,
            account_id=account_id,
        )
        if not result.rows:
            return None
        row = result.rows[0]
        return session_of(row, session_id, account_id), account_of(row, account_id)

    def usable_account(self, session_id: bytes, account_id: bytes, now: datetime) -> Account | None:
        """Return the account of a session, if the session is usable."""
        result = self._database.execute(
            f"SELECT {ACCOUNT_COLUMNS} FROM sessions s JOIN accounts a ON a.id = s.account_id"
            f" WHERE s.id = %(id)s AND s.account_id = %(account_id)s AND {USABLE}",
            id=session_id,
            account_id=account_id,
            now=now,
        )
        return account_of(result.rows[0], account_id) if result.rows else None

    def lasting(
        self, account_id: bytes, current_id: bytes, now: datetime, limit: int
    ) -> list[Session]:
        """Return an account's sessions that last: the current one first, then by last use."""
        result = self._database.execute(
            f"SELECT s.id, {SESSION_COLUMNS} FROM sessions s JOIN accounts a ON a.id = s.account_id"
            f" WHERE s.account_id = %(account_id)s AND {LASTS}"
            " ORDER BY s.id <> %(current_id)s, s.rotated_at DESC, s.id LIMIT %(limit)s",
            account_id=account_id,
            current_id=current_id,
            now=now,
            limit=limit,
        )
        return [session_of(row, row["id"], account_id) for row in result.rows]

    def rotate(
        self,
        token: RefreshToken,
        successor: RefreshToken,
        rotation_key: bytes | None,
        now: datetime,
        idle_expires_at: datetime,
    ) -> bool:
        """Replace a session's refresh token by its successor: a compare-and-set.

        False: the token is not the session's current one, the session is not usable, or the token
        was made by a rotation with this same `rotation_key`.
        """
        result = self._database.execute(
            "UPDATE sessions s JOIN accounts a ON a.id = s.account_id"
            " SET s.counter = %(new_counter)s, s.tail_hash = %(new_tail_hash)s,"
            " s.rotation_key = %(rotation_key)s, s.rotated_at = %(now)s,"
            " s.idle_expires_at = %(idle_expires_at)s"
            f" WHERE {_CURRENT} AND {USABLE} AND (%(rotation_key)s IS NULL"
            " OR s.rotation_key IS NULL OR s.rotation_key <> %(rotation_key)s)",
            new_counter=successor.counter,
            new_tail_hash=successor.tail_hash(),
            rotation_key=rotation_key,
            now=now,
            idle_expires_at=idle_expires_at,
            **_current(token),
        )
        return result.changed > 0

    def change_password(
        self,
        session: Session,
        account: Account,
        password_hash: str,
        tail_hash: bytes,
        now: datetime,
        idle_expires_at: datetime,
    ) -> None:
        """Give an account a new password and epoch, and one session that epoch and a new tail.

        One statement, so that account and session get the new epoch together. Changes nothing if
        account or session were changed since they were read.
        """
        self._database.execute(
            "UPDATE accounts a JOIN sessions s ON s.account_id = a.id"
            " SET a.password_hash = %(new_hash)s, a.epoch = %(new_epoch)s, s.epoch = %(new_epoch)s,"
            " s.tail_hash = %(new_tail_hash)s, s.counter = %(new_counter)s, s.rotation_key = NULL,"
            " s.rotated_at = %(now)s, s.idle_expires_at = %(idle_expires_at)s"
            " WHERE a.id = %(account_id)s AND a.epoch = %(epoch)s AND a.password_hash = %(hash)s"
            " AND s.id = %(id)s AND s.epoch = %(epoch)s AND s.counter = %(counter)s"
            " AND s.ended_at IS NULL",
            new_hash=password_hash,
            new_epoch=account.epoch + 1,
            new_tail_hash=tail_hash,
            new_counter=session.counter + 1,
            now=now,
            idle_expires_at=idle_expires_at,
            account_id=account.id,
            epoch=account.epoch,
            hash=account.password_hash,
            id=session.id,
            counter=session.counter,
        )

    def end(self, session_id: bytes, account_id: bytes, now: datetime) -> bool:
        """End a session; False: it does not exist, or has already ended."""
        return self._end_if(_ID, now, id=session_id, account_id=account_id)

    def end_by_token(self, token: RefreshToken, now: datetime) -> bool:
        """End a session if this is its current token; False: it is not, or has already ended."""
        return self._end_if(_CURRENT, now, **_current(token))

    def _end_if(self, condition: str, now: datetime, **named: Value) -> bool:
        result = self._database.execute(
            f"UPDATE sessions s SET s.ended_at = %(now)s WHERE {condition} AND s.ended_at IS NULL",
            now=now,
            **named,
        )
        return result.changed > 0

    def end_all(self, account_id: bytes, session_id: bytes, now: datetime) -> bool:
        """End all sessions of an account by a new epoch, if the given one lasts."""
        return self._end_all_if(_ID, now, id=session_id, account_id=account_id)

    def end_all_by_token(self, token: RefreshToken, now: datetime) -> bool:
        """End all sessions of an account, if the token is the current one of a lasting session."""
        return self._end_all_if(_CURRENT, now, **_current(token))

    def _end_all_if(self, condition: str, now: datetime, **named: Value) -> bool:
        result = self._database.execute(
            "UPDATE accounts a JOIN sessions s ON s.account_id = a.id SET a.epoch = a.epoch + 1"
            f" WHERE {condition} AND {LASTS}",
            now=now,
            **named,
        )
        return result.changed > 0

    def excess(self, account_id: bytes, spared: bytes, now: datetime) -> list[bytes]:
        """Return the sessions beyond `MAX_SESSIONS`: those that do not last, then the least used.

        `spared` is never included. Returns at most `TRIMMED_AT_ONCE`.
        """
        result = self._database.execute(
            "SELECT s.id FROM sessions s JOIN accounts a ON a.id = s.account_id"
            f" WHERE s.account_id = %(account_id)s ORDER BY s.id <> %(spared)s, ({LASTS}) DESC,"
            f" s.rotated_at DESC, s.id DESC LIMIT {TRIMMED_AT_ONCE} OFFSET {MAX_SESSIONS}",
            account_id=account_id,
            spared=spared,
            now=now,
        )
        return [row["id"] for row in result.rows]

    def delete(self, account_id: bytes, ids: Sequence[bytes], unused_since: datetime) -> int:
        """Delete these sessions, except those used after a moment; return the number deleted."""
        if not ids:
            return 0
        return self._database.execute(
            "DELETE FROM sessions WHERE account_id = %s AND rotated_at <= %s"
            f" AND id IN ({', '.join('%s' for _ in ids)})",
            account_id,
            unused_since,
            *ids,
        ).changed


def _current(token: RefreshToken) -> dict[str, Value]:
    return {
        "id": token.session_id,
        "account_id": token.account_id,
        "counter": token.counter,
        "tail_hash": token.tail_hash(),
    }
