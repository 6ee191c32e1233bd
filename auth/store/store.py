"""Every SQL statement of the application, one named method each.

A method says what it changes or reads; when and why is for the use cases. Every
statement is safe to repeat (see `database`), except `give_back`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from auth.credentials.refresh_tokens import RefreshToken
from auth.external.connection import Duplicate, Statement, Value
from auth.external.database import Database
from auth.store.records import (
    ACCOUNT,
    ACCOUNT_COLUMNS,
    LASTS,
    MAX_SESSIONS,
    SESSION,
    SESSION_COLUMNS,
    USABLE,
    Account,
    Session,
    SignInRow,
    account_of,
    insert_into,
    session_of,
)

TRIMMED_AT_ONCE = 500  # rows that one statement may delete

# Here `s` is the session whose token is presented; inside parentheses, each of the account's.
_SIGN_IN = (
    f"SELECT a.id, {ACCOUNT_COLUMNS},"
    " (SELECT COUNT(*) FROM sessions s WHERE s.account_id = a.id) AS sessions,"
    " (SELECT s.id FROM sessions s WHERE s.account_id = a.id"
    f" ORDER BY ({LASTS}), s.rotated_at, s.id LIMIT 1) AS least_used,"
    " s.epoch = a.epoch AS device_is_known,"
    f" s.counter = %(counter)s AND s.tail_hash = %(tail_hash)s AND {LASTS} AS session_goes_on"
    " FROM accounts a LEFT JOIN sessions s ON s.id = %(session_id)s AND s.account_id = a.id"
)
_ID = "s.id = %(id)s AND s.account_id = %(account_id)s"
_CURRENT = f"{_ID} AND s.counter = %(counter)s AND s.tail_hash = %(tail_hash)s"
_ADD_ACCOUNT = insert_into("accounts", (*ACCOUNT, "username_key", "registration_key"))
_ADD_SESSION = insert_into("sessions", SESSION)


class Store:
    """The tables, as methods."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ping(self) -> None:
        """Make one round trip to the database."""
        self._database.execute("SELECT 1")

    # Accounts

    def add_account(
        self, account: Account, key: bytes, registration_key: bytes | None, session: Session
    ) -> None:
        """Add an account and its first session, both or none.

        Raises:
            Duplicate: the name (`username_key`) or the `registration_key` is taken.
        """
        keys = {"username_key": key, "registration_key": registration_key}
        try:
            self._database.transact(
                Statement(_ADD_ACCOUNT, {**vars(account), **keys}),
                Statement(_ADD_SESSION, vars(session)),
            )
        except Duplicate as duplicate:
            # Our own id is there already: the first try was committed and its answer lost.
            if duplicate.key != "PRIMARY":
                raise

    def sign_in_by_username_key(
        self, key: bytes, presented: RefreshToken | None, now: datetime
    ) -> SignInRow | None:
        """Return the account that owns a canonical name, and whether it gave out `presented`."""
        return self._sign_in("a.username_key = %(key)s", key, presented, now)

    def sign_in_by_registration_key(
        self, registration_key: bytes, now: datetime
    ) -> SignInRow | None:
        """Return the account that was registered with this Idempotency-Key."""
        return self._sign_in("a.registration_key = %(key)s", registration_key, None, now)

    def account_exists(self, account_id: bytes) -> bool:
        """Tell whether an account is there."""
        return bool(self._database.execute("SELECT 1 FROM accounts WHERE id = %s", account_id).rows)

    def replace_hash(self, account: Account, password_hash: str) -> None:
        """Store a new hash of the same password, unless the password has changed meanwhile."""
        self._database.execute(
            "UPDATE accounts SET password_hash = %(new_hash)s"
            " WHERE id = %(id)s AND password_hash = %(old_hash)s",
            new_hash=password_hash,
            id=account.id,
            old_hash=account.password_hash,
        )

    def delete_account(self, account: Account) -> bool:
        """Delete an account and, by cascade, its sessions; False: not there as it was read."""
        result = self._database.execute(
            "DELETE FROM accounts WHERE id = %(id)s AND epoch = %(epoch)s"
            " AND password_hash = %(password_hash)s",
            id=account.id,
            epoch=account.epoch,
            password_hash=account.password_hash,
        )
        return result.changed > 0

    def _sign_in(
        self, condition: str, key: bytes, presented: RefreshToken | None, now: datetime
    ) -> SignInRow | None:
        token = presented or RefreshToken(b"", b"", 0, b"")  # which no row has
        result = self._database.execute(
            f"{_SIGN_IN} WHERE {condition}",
            counter=token.counter,
            tail_hash=token.tail_hash(),
            session_id=token.session_id,
            key=key,
            now=now,
        )
        if not result.rows:
            return None
        row = result.rows[0]
        return SignInRow(
            account=account_of(row, row["id"]),
            sessions=row["sessions"],
            least_used=row["least_used"],
            device_is_known=bool(row["device_is_known"]),
            session_goes_on=bool(row["session_goes_on"]),
        )

    # Sessions

    def add_session(self, session: Session) -> None:
        """Add a session.

        Raises:
            MissingParent: its account is gone.
        """
        try:
            self._database.execute(_ADD_SESSION, **vars(session))
        except Duplicate as duplicate:
            if duplicate.key != "PRIMARY":  # our own id: the first of two tries took effect
                raise

    def session(self, session_id: bytes, account_id: bytes) -> tuple[Session, Account] | None:
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

    def account_of_session(
        self, session_id: bytes, account_id: bytes, now: datetime
    ) -> Account | None:
        """Return the account of a session, if the session is usable."""
        result = self._database.execute(
            f"SELECT {ACCOUNT_COLUMNS} FROM sessions s JOIN accounts a ON a.id = s.account_id"
            f" WHERE s.id = %(id)s AND s.account_id = %(account_id)s AND {USABLE}",
            id=session_id,
            account_id=account_id,
            now=now,
        )
        return account_of(result.rows[0], account_id) if result.rows else None

    def lasting_sessions(
        self, account_id: bytes, current_id: bytes, now: datetime, limit: int
    ) -> list[Session]:
        """Return an account's sessions that last: the current one, then the last used."""
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

        False: the token is not the session's, or the session is not usable, or this
        `rotation_key` made the token.
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

        One statement, so that no session is ever between two epochs. Changes nothing unless
        account and session are as they were read.
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

    def end_session(self, session_id: bytes, account_id: bytes, now: datetime) -> bool:
        """End a session; False: it is not there, or has ended already."""
        return self._end(_ID, now, id=session_id, account_id=account_id)

    def end_session_of_token(self, token: RefreshToken, now: datetime) -> bool:
        """End a session if this is its current token; False: it is not, or it has ended already."""
        return self._end(_CURRENT, now, **_current(token))

    def _end(self, condition: str, now: datetime, **named: Value) -> bool:
        result = self._database.execute(
            f"UPDATE sessions s SET s.ended_at = %(now)s WHERE {condition} AND s.ended_at IS NULL",
            now=now,
            **named,
        )
        return result.changed > 0

    def end_sessions_of(self, account_id: bytes, session_id: bytes, now: datetime) -> bool:
        """End all sessions of an account by a new epoch, if this one of them lasts."""
        return self._end_all(_ID, now, id=session_id, account_id=account_id)

    def end_sessions_by_token(self, token: RefreshToken, now: datetime) -> bool:
        """The same, if the token is the current one of a session that lasts."""
        return self._end_all(_CURRENT, now, **_current(token))

    def _end_all(self, condition: str, now: datetime, **named: Value) -> bool:
        result = self._database.execute(
            "UPDATE accounts a JOIN sessions s ON s.account_id = a.id SET a.epoch = a.epoch + 1"
            f" WHERE {condition} AND {LASTS}",
            now=now,
            **named,
        )
        return result.changed > 0

    def excess_sessions(self, account_id: bytes, spared: bytes, now: datetime) -> list[bytes]:
        """Return the sessions beyond `MAX_SESSIONS`: those that do not last, then the least used.

        `spared` is never one of them. At most `TRIMMED_AT_ONCE`.
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

    def delete_sessions(
        self, account_id: bytes, ids: Sequence[bytes], unused_since: datetime
    ) -> int:
        """Delete these sessions, except those used after a moment; return how many."""
        if not ids:
            return 0
        return self._database.execute(
            "DELETE FROM sessions WHERE account_id = %s AND rotated_at <= %s"
            f" AND id IN ({', '.join('%s' for _ in ids)})",
            account_id,
            unused_since,
            *ids,
        ).changed

    # Rate limits

    def charge(self, bucket: bytes, now: int, interval: int, tolerance: int, slack: int) -> bool:
        """Charge a GCRA bucket once; False: refused. All times in microseconds.

        A `tat` further ahead than any charge can bring it (and `slack` for clocks that differ)
        means that the clock was set back: the bucket then counts as just filled, or it would
        refuse for as long as the step was.
        """
        full = now + tolerance + interval
        result = self._database.execute(
            "INSERT INTO rate_limits (bucket, tat) VALUES (%(bucket)s, %(now)s + %(interval)s)"
            " ON DUPLICATE KEY UPDATE tat = IF(tat > %(impossible)s, %(full)s,"
            " IF(GREATEST(tat, %(now)s) <= %(latest)s, GREATEST(tat, %(now)s) + %(interval)s,"
            " tat))",
            bucket=bucket,
            now=now,
            interval=interval,
            latest=now + tolerance,
            full=full,
            impossible=full + slack,
        )
        return result.changed > 0

    def arrival_time(self, bucket: bytes) -> int:
        """Return a bucket's theoretical arrival time in microseconds; 0: it has none."""
        result = self._database.execute("SELECT tat FROM rate_limits WHERE bucket = %s", bucket)
        return int(result.rows[0]["tat"]) if result.rows else 0

    def give_back(self, charges: Mapping[bytes, int]) -> None:
        """Take charges back: bucket -> microseconds. Never done twice, or it would give twice."""
        cases = " ".join("WHEN %s THEN %s" for _ in charges)
        self._database.execute_once(
            f"UPDATE rate_limits SET tat = tat - CASE bucket {cases} END"
            f" WHERE bucket IN ({', '.join('%s' for _ in charges)})",
            *(value for charge in charges.items() for value in charge),
            *charges,
        )

    # Cleaning up

    def batch_end(self, table: str, key: str, after: bytes, size: int) -> bytes | None:
        """Return the last key of the next `size` rows of a table; None: fewer are left."""
        result = self._database.execute(
            f"SELECT {key} AS last FROM {table} WHERE {key} > %s ORDER BY {key} LIMIT 1 OFFSET %s",
            after,
            size - 1,
        )
        return result.rows[0]["last"] if result.rows else None

    def delete_old_sessions(self, after: bytes, to: bytes, moment: datetime) -> int:
        """Delete those of the sessions with these ids that ended or expired before a moment.

        A session that ended by its account's epoch counts as expired when it would have.
        """
        return self._database.execute(
            "DELETE FROM sessions WHERE id > %(after)s AND id <= %(to)s AND (ended_at <= %(moment)s"
            " OR idle_expires_at <= %(moment)s OR expires_at <= %(moment)s)",
            after=after,
            to=to,
            moment=moment,
        ).changed

    def crowded_accounts(self, after: bytes, to: bytes) -> list[bytes]:
        """Return those of the accounts with these ids that have more than `MAX_SESSIONS`."""
        result = self._database.execute(
            "SELECT account_id FROM sessions WHERE account_id > %s AND account_id <= %s"
            f" GROUP BY account_id HAVING COUNT(*) > {MAX_SESSIONS}",
            after,
            to,
        )
        return [row["account_id"] for row in result.rows]

    def delete_drained_buckets(self, after: bytes, to: bytes, now: int) -> int:
        """Delete the buckets that are full again among those with these keys; return how many."""
        return self._database.execute(
            "DELETE FROM rate_limits WHERE bucket > %s AND bucket <= %s AND tat <= %s",
            after,
            to,
            now,
        ).changed


def _current(token: RefreshToken) -> dict[str, Value]:
    return {
        "id": token.session_id,
        "account_id": token.account_id,
        "counter": token.counter,
        "tail_hash": token.tail_hash(),
    }
