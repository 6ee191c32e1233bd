"""The statements on sessions, most of them joined with the account.

A session ends alone, or with all other sessions of its account by a new epoch of the account. Every
statement is safe to repeat (see `Database.execute`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from auth.credentials.refresh_tokens import RefreshToken
from auth.external.connection import Statement, Value
from auth.external.database import Database
from auth.external.failures import Duplicate
from auth.store.events import recorded, recorded_with_epoch
from auth.store.records import (
    ACCOUNT_COLUMNS,
    ADD_SESSION,
    CODE_LASTS,
    LASTS,
    MAX_SESSIONS,
    PROFILE_COLUMNS,
    SESSION_COLUMNS,
    USABLE,
    Account,
    Event,
    EventKind,
    Profile,
    Session,
    account_of,
    profile_of,
    session_of,
    values_of,
)
from auth.times import new_id

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
            self._database.execute(ADD_SESSION, **values_of(session))
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

    def usable_profile(
        self, session_id: bytes, account_id: bytes, now: datetime
    ) -> tuple[Profile, datetime | None] | None:
        """Return the profile of a session's account and the time of the account's recovery code.

        None: the session is not usable.
        """
        result = self._database.execute(
            f"SELECT {PROFILE_COLUMNS}, r.created_at AS code_at"
            " FROM sessions s JOIN accounts a ON a.id = s.account_id"
            f" LEFT JOIN recovery_codes r ON r.account_id = a.id AND {CODE_LASTS}"
            f" WHERE s.id = %(id)s AND s.account_id = %(account_id)s AND {USABLE}",
            id=session_id,
            account_id=account_id,
            now=now,
        )
        if not result.rows:
            return None
        row = result.rows[0]
        return profile_of(row, account_id), row["code_at"]

    def rotated(self, token: RefreshToken) -> tuple[Profile, datetime, datetime] | None:
        """Return what to answer after a rotation: profile, the session's creation and last expiry.

        Few columns, since each costs client time, and refreshing is the most frequent call.
        """
        result = self._database.execute(
            f"SELECT {PROFILE_COLUMNS}, s.created_at, s.expires_at"
            f" FROM sessions s JOIN accounts a ON a.id = s.account_id WHERE {_ID}",
            id=token.session_id,
            account_id=token.account_id,
        )
        if not result.rows:
            return None
        row = result.rows[0]
        return profile_of(row, token.account_id), row["created_at"], row["expires_at"]

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

    def end(self, session_id: bytes, account_id: bytes, now: datetime, event: Event) -> bool:
        """End a session; False: it does not exist, or lasts no more."""
        ending = _ending(_ID, now, id=session_id, account_id=account_id)
        return self._database.transact(ending, recorded(event)) > 0

    def end_replaced(self, token: RefreshToken, now: datetime) -> bool:
        """End the session of a device that has signed in anew, if this is its current token.

        It is no event: the device is still signed in. False: it is not the current token, or the
        session has already ended.
        """
        ending = _ending(_CURRENT, now, **_current(token))
        return self._database.run(ending).changed > 0

    def end_all(self, account_id: bytes, session_id: bytes, now: datetime, event: Event) -> bool:
        """End all sessions of an account by a new epoch, if the given one lasts."""
        return self._end_all_if(_ID, now, event, id=session_id, account_id=account_id)

    def end_all_by_token(self, token: RefreshToken, now: datetime, event: Event) -> bool:
        """End all sessions of an account, if the token is the current one of a lasting session."""
        return self._end_all_if(_CURRENT, now, event, **_current(token))

    def _end_all_if(self, condition: str, now: datetime, event: Event, **named: Value) -> bool:
        ending = Statement(
            "UPDATE accounts a JOIN sessions s ON s.account_id = a.id SET a.epoch = a.epoch + 1"
            f" WHERE {condition} AND {LASTS}",
            {"now": now, **named},
        )
        return self._database.transact(ending, recorded_with_epoch(event)) > 0

    def all_of(self, account_id: bytes) -> list[Session]:
        """Return all sessions of an account, the newest first, ended ones included."""
        result = self._database.execute(
            f"SELECT s.id, {SESSION_COLUMNS} FROM sessions s WHERE s.account_id = %s"
            " ORDER BY s.id DESC",
            account_id,
        )
        return [session_of(row, row["id"], account_id) for row in result.rows]

    def surplus(self, account_id: bytes, spared: bytes, now: datetime) -> "Surplus":
        """Return the sessions beyond `MAX_SESSIONS`: those that do not last, then the least used.

        `spared` is never included. Returns at most `TRIMMED_AT_ONCE`.
        """
        result = self._database.execute(
            f"SELECT s.id, {LASTS} AS lasts, a.epoch"
            " FROM sessions s JOIN accounts a ON a.id = s.account_id"
            " WHERE s.account_id = %(account_id)s ORDER BY s.id <> %(spared)s, lasts DESC,"
            f" s.rotated_at DESC, s.id DESC LIMIT {TRIMMED_AT_ONCE} OFFSET {MAX_SESSIONS}",
            account_id=account_id,
            spared=spared,
            now=now,
        )
        return Surplus(
            account_id,
            epoch=result.rows[0]["epoch"] if result.rows else 0,
            lasting=[row["id"] for row in result.rows if row["lasts"]],
            ended=[row["id"] for row in result.rows if not row["lasts"]],
        )

    def remove(self, surplus: "Surplus", now: datetime) -> int:
        """Delete these sessions, except those used after `now`; return the number deleted.

        Only those that lasted leave an event.
        """
        deleted = 0
        if surplus.ended:
            deletion = _deletion(surplus.account_id, surplus.ended, now)
            deleted += self._database.run(deletion).changed
        if surplus.lasting:
            deletion = _deletion(surplus.account_id, surplus.lasting, now)
            deleted += self._database.transact(_endings_recorded(surplus, now), deletion)
        return deleted


@dataclass(frozen=True)
class Surplus:
    """Sessions of one account to be deleted: those that last, and those that do not."""

    account_id: bytes
    epoch: int
    lasting: Sequence[bytes]
    ended: Sequence[bytes]


def _ending(condition: str, now: datetime, **named: Value) -> Statement:
    return Statement(
        "UPDATE sessions s JOIN accounts a ON a.id = s.account_id SET s.ended_at = %(now)s"
        f" WHERE {condition} AND {LASTS}",
        {"now": now, **named},
    )


def _deletion(account_id: bytes, ids: Sequence[bytes], now: datetime) -> Statement:
    found = {f"id_{place}": one for place, one in enumerate(ids)}
    return Statement(
        "DELETE FROM sessions WHERE account_id = %(account_id)s AND rotated_at <= %(now)s"
        f" AND id IN ({_places(found)})",
        {"account_id": account_id, "now": now, **found},
    )


def _endings_recorded(surplus: Surplus, now: datetime) -> Statement:
    """Return the statement that records the end of those that still last and are not in use.

    It locks them, so that the deletion that follows takes the same. Ids of events must be the
    caller's, and depend on its salt alone, so that a repetition adds none.
    """
    found = {f"id_{place}": one for place, one in enumerate(surplus.lasting)}
    return Statement(
        "INSERT INTO events (id, at, account_id, kind, session_id)"
        " SELECT LEFT(UNHEX(SHA2(CONCAT(%(salt)s, s.id), 256)), 16), %(now)s, s.account_id,"
        " %(kind)s, s.id FROM sessions s JOIN (SELECT %(epoch)s AS epoch) a"
        f" WHERE s.account_id = %(account_id)s AND s.rotated_at <= %(now)s AND {LASTS}"
        f" AND s.id IN ({_places(found)}) FOR UPDATE",
        {
            "salt": new_id(now),
            "now": now,
            "kind": int(EventKind.SESSION_ENDED),
            "epoch": surplus.epoch,
            "account_id": surplus.account_id,
            **found,
        },
    )


def _places(found: Iterable[str]) -> str:
    return ", ".join(f"%({name})s" for name in found)


def _current(token: RefreshToken) -> dict[str, Value]:
    return {
        "id": token.session_id,
        "account_id": token.account_id,
        "counter": token.counter,
        "tail_hash": token.tail_hash(),
    }
