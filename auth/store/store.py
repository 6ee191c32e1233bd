"""Every SQL statement of the application, one named method each.

A method says what it changes or reads; when and why is for the use cases. Every
statement is safe to repeat (see `database`), except `give_back`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from auth.credentials.refresh_tokens import RefreshToken
from auth.external.connection import Duplicate, Row, Statement
from auth.external.database import Database
from auth.store.records import MAX_SESSIONS, Account, Session, SignInRow

TRIMMED_AT_ONCE = 500  # rows that one statement may delete

# PyMySQL takes 10 us to read what a column is, so what is known already is not read.
_ACCOUNT = (
    "a.username, a.password_hash, a.epoch, a.suspended_until, a.suspension_reason, a.created_at"
)
_SESSION = (
    "s.tail_hash, s.counter, s.rotation_key, s.epoch AS session_epoch, s.device,"
    " s.created_at AS session_created_at, s.rotated_at, s.idle_expires_at, s.expires_at, s.ended_at"
)
_ALIVE = "s.ended_at IS NULL AND s.idle_expires_at > %s AND s.expires_at > %s AND s.epoch = a.epoch"
_NOT_SUSPENDED = "(a.suspended_until IS NULL OR a.suspended_until <= %s)"
# What a sign-in reads of the account's rows and of the session `p` whose token it presents.
_SIGN_IN = (
    f"a.id, {_ACCOUNT}, (SELECT COUNT(*) FROM sessions s WHERE s.account_id = a.id) AS sessions,"
    " (SELECT s.id FROM sessions s WHERE s.account_id = a.id"
    f" ORDER BY ({_ALIVE}), s.rotated_at, s.id LIMIT 1) AS least_used,"
    " p.epoch = a.epoch AS device_is_known,"
    f" p.counter = %s AND p.tail_hash = %s AND {_ALIVE.replace('s.', 'p.')} AS session_goes_on"
)


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
        try:
            self._database.transact(
                Statement(
                    "INSERT INTO accounts (id, username, username_key, password_hash, epoch,"
                    " registration_key, created_at) VALUES (%s, %s, %s, %s, %s, %s, %s)",
                    (
                        account.id,
                        account.username,
                        key,
                        account.password_hash,
                        account.epoch,
                        registration_key,
                        account.created_at,
                    ),
                ),
                _insert(session),
            )
        except Duplicate as duplicate:
            # Our own id is there already: the first try was committed and its answer lost.
            if duplicate.key != "PRIMARY":
                raise

    def sign_in_by_username_key(
        self, key: bytes, presented: RefreshToken | None, now: datetime
    ) -> SignInRow | None:
        """Return the account that owns a canonical name, and whether it gave out `presented`."""
        return self._sign_in("a.username_key = %s", key, presented, now)

    def sign_in_by_registration_key(
        self, registration_key: bytes, now: datetime
    ) -> SignInRow | None:
        """Return the account that was registered with this Idempotency-Key."""
        return self._sign_in("a.registration_key = %s", registration_key, None, now)

    def account_exists(self, account_id: bytes) -> bool:
        """Tell whether an account is there."""
        return bool(self._database.execute("SELECT 1 FROM accounts WHERE id = %s", account_id).rows)

    def replace_hash(self, account: Account, password_hash: str) -> None:
        """Store a new hash of the same password, unless the password has changed meanwhile."""
        self._database.execute(
            "UPDATE accounts SET password_hash = %s WHERE id = %s AND password_hash = %s",
            password_hash,
            account.id,
            account.password_hash,
        )

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
            " SET a.password_hash = %s, a.epoch = %s, s.epoch = %s, s.tail_hash = %s,"
            " s.counter = %s, s.rotation_key = NULL, s.rotated_at = %s, s.idle_expires_at = %s"
            " WHERE a.id = %s AND a.epoch = %s AND a.password_hash = %s"
            " AND s.id = %s AND s.epoch = %s AND s.counter = %s AND s.ended_at IS NULL",
            password_hash,
            account.epoch + 1,
            account.epoch + 1,
            tail_hash,
            session.counter + 1,
            now,
            idle_expires_at,
            account.id,
            account.epoch,
            account.password_hash,
            session.id,
            account.epoch,
            session.counter,
        )

    def delete_account(self, account: Account) -> bool:
        """Delete an account and, by cascade, its sessions; False: not there as it was read."""
        result = self._database.execute(
            "DELETE FROM accounts WHERE id = %s AND epoch = %s AND password_hash = %s",
            account.id,
            account.epoch,
            account.password_hash,
        )
        return result.changed > 0

    def _sign_in(
        self, condition: str, value: bytes, presented: RefreshToken | None, now: datetime
    ) -> SignInRow | None:
        token = presented or RefreshToken(b"", b"", 0, b"")  # which no row has
        result = self._database.execute(
            f"SELECT {_SIGN_IN} FROM accounts a"
            " LEFT JOIN sessions p ON p.id = %s AND p.account_id = a.id"
            f" WHERE {condition}",
            now,
            now,
            token.counter,
            token.tail_hash(),
            now,
            now,
            token.session_id,
            value,
        )
        if not result.rows:
            return None
        row = result.rows[0]
        return SignInRow(
            account=_account_of(row, row["id"]),
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
        statement = _insert(session)
        try:
            self._database.execute(statement.sql, *statement.parameters)
        except Duplicate as duplicate:
            if duplicate.key != "PRIMARY":  # our own id: the first of two tries took effect
                raise

    def session(self, session_id: bytes, account_id: bytes) -> tuple[Session, Account] | None:
        """Return a session with its account, whether it is alive or not."""
        result = self._database.execute(
            f"SELECT {_ACCOUNT}, {_SESSION} FROM sessions s JOIN accounts a ON a.id = s.account_id"
            " WHERE s.id = %s AND s.account_id = %s",
            session_id,
            account_id,
        )
        if not result.rows:
            return None
        row = result.rows[0]
        return _session_of(row, session_id, account_id), _account_of(row, account_id)

    def account_of_session(
        self, session_id: bytes, account_id: bytes, now: datetime
    ) -> Account | None:
        """Return the account of a session, if the session is alive and the account usable."""
        result = self._database.execute(
            f"SELECT {_ACCOUNT} FROM sessions s JOIN accounts a ON a.id = s.account_id"
            f" WHERE s.id = %s AND s.account_id = %s AND {_ALIVE} AND {_NOT_SUSPENDED}",
            session_id,
            account_id,
            now,
            now,
            now,
        )
        return _account_of(result.rows[0], account_id) if result.rows else None

    def live_sessions(
        self, account_id: bytes, current_id: bytes, now: datetime, limit: int
    ) -> list[Session]:
        """Return an account's living sessions: the current one, then the last used."""
        result = self._database.execute(
            f"SELECT s.id, {_SESSION} FROM sessions s JOIN accounts a ON a.id = s.account_id"
            f" WHERE s.account_id = %s AND {_ALIVE}"
            " ORDER BY s.id <> %s, s.rotated_at DESC, s.id LIMIT %s",
            account_id,
            now,
            now,
            current_id,
            limit,
        )
        return [_session_of(row, row["id"], account_id) for row in result.rows]

    def rotate(
        self,
        token: RefreshToken,
        successor: RefreshToken,
        rotation_key: bytes | None,
        now: datetime,
        idle_expires_at: datetime,
    ) -> bool:
        """Replace a session's refresh token by its successor: a compare-and-set.

        False: the token is not the session's, or the session may not be refreshed, or this
        `rotation_key` made the token.
        """
        result = self._database.execute(
            "UPDATE sessions s JOIN accounts a ON a.id = s.account_id"
            " SET s.counter = %s, s.tail_hash = %s, s.rotation_key = %s, s.rotated_at = %s,"
            " s.idle_expires_at = %s"
            " WHERE s.id = %s AND s.account_id = %s AND s.counter = %s AND s.tail_hash = %s"
            f" AND {_ALIVE} AND {_NOT_SUSPENDED}"
            " AND (%s IS NULL OR s.rotation_key IS NULL OR s.rotation_key <> %s)",
            successor.counter,
            successor.tail_hash(),
            rotation_key,
            now,
            idle_expires_at,
            token.session_id,
            token.account_id,
            token.counter,
            token.tail_hash(),
            now,
            now,
            now,
            rotation_key,
            rotation_key,
        )
        return result.changed > 0

    def end_session(self, session_id: bytes, account_id: bytes, now: datetime) -> bool:
        """End a session; False: it is not there, or has ended already."""
        result = self._database.execute(
            "UPDATE sessions SET ended_at = %s WHERE id = %s AND account_id = %s"
            " AND ended_at IS NULL",
            now,
            session_id,
            account_id,
        )
        return result.changed > 0

    def end_sessions_of(self, account_id: bytes, session_id: bytes, now: datetime) -> bool:
        """End all sessions of an account by a new epoch, if this one of them is alive."""
        return self._end_all("s.id = %s", (account_id, session_id), now)

    def end_sessions_by_token(self, token: RefreshToken, now: datetime) -> bool:
        """The same, if the token is the current one of a living session."""
        return self._end_all(
            "s.id = %s AND s.counter = %s AND s.tail_hash = %s",
            (token.account_id, token.session_id, token.counter, token.tail_hash()),
            now,
        )

    def _end_all(self, condition: str, values: tuple[bytes | int, ...], now: datetime) -> bool:
        result = self._database.execute(
            "UPDATE accounts a JOIN sessions s ON s.account_id = a.id SET a.epoch = a.epoch + 1"
            f" WHERE a.id = %s AND {condition} AND {_ALIVE}",
            *values,
            now,
            now,
        )
        return result.changed > 0

    def end_session_of_token(self, token: RefreshToken, now: datetime) -> bool:
        """End a session if this is its current token; False: it is not, or it has ended already."""
        result = self._database.execute(
            "UPDATE sessions SET ended_at = %s WHERE id = %s AND account_id = %s AND counter = %s"
            " AND tail_hash = %s AND ended_at IS NULL",
            now,
            token.session_id,
            token.account_id,
            token.counter,
            token.tail_hash(),
        )
        return result.changed > 0

    def excess_sessions(self, account_id: bytes, spared: bytes, now: datetime) -> list[bytes]:
        """Return the sessions beyond `MAX_SESSIONS`, the least recently used and dead ones.

        `spared` is never one of them. At most `TRIMMED_AT_ONCE`.
        """
        result = self._database.execute(
            "SELECT s.id FROM sessions s JOIN accounts a ON a.id = s.account_id"
            f" WHERE s.account_id = %s ORDER BY s.id <> %s, ({_ALIVE}) DESC, s.rotated_at DESC,"
            f" s.id DESC LIMIT {TRIMMED_AT_ONCE} OFFSET {MAX_SESSIONS}",
            account_id,
            spared,
            now,
            now,
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
        result = self._database.execute(
            "INSERT INTO rate_limits (bucket, tat) VALUES (%s, %s) ON DUPLICATE KEY UPDATE"
            " tat = IF(tat > %s, %s, IF(GREATEST(tat, %s) <= %s, GREATEST(tat, %s) + %s, tat))",
            bucket,
            now + interval,
            now + tolerance + interval + slack,
            now + tolerance + interval,
            now,
            now + tolerance,
            now,
            interval,
        )
        return result.changed > 0

    def arrival_time(self, bucket: bytes) -> int:
        """Return a bucket's theoretical arrival time in microseconds; 0 where it has none."""
        result = self._database.execute("SELECT tat FROM rate_limits WHERE bucket = %s", bucket)
        return int(result.rows[0]["tat"]) if result.rows else 0

    def give_back(self, charges: Mapping[bytes, int]) -> None:
        """Take charges back: bucket -> microseconds. Never done twice, or it would give twice."""
        cases = " ".join("WHEN %s THEN %s" for _ in charges)
        self._database.execute(
            f"UPDATE rate_limits SET tat = tat - CASE bucket {cases} END"
            f" WHERE bucket IN ({', '.join('%s' for _ in charges)})",
            *(value for charge in charges.items() for value in charge),
            *charges,
            repeatable=False,
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
            "DELETE FROM sessions WHERE id > %s AND id <= %s"
            " AND (ended_at <= %s OR idle_expires_at <= %s OR expires_at <= %s)",
            after,
            to,
            moment,
            moment,
            moment,
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


def _insert(session: Session) -> Statement:
    return Statement(
        "INSERT INTO sessions (id, account_id, tail_hash, counter, rotation_key, epoch, device,"
        " created_at, rotated_at, idle_expires_at, expires_at, ended_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            session.id,
            session.account_id,
            session.tail_hash,
            session.counter,
            session.rotation_key,
            session.epoch,
            session.device,
            session.created_at,
            session.rotated_at,
            session.idle_expires_at,
            session.expires_at,
            session.ended_at,
        ),
    )


def _account_of(row: Row, account_id: bytes) -> Account:
    return Account(
        account_id,
        row["username"],
        row["password_hash"],
        row["epoch"],
        row["suspended_until"],
        row["suspension_reason"],
        row["created_at"],
    )


def _session_of(row: Row, session_id: bytes, account_id: bytes) -> Session:
    return Session(
        session_id,
        account_id,
        row["tail_hash"],
        row["counter"],
        row["rotation_key"],
        row["session_epoch"],
        row["device"],
        row["session_created_at"],
        row["rotated_at"],
        row["idle_expires_at"],
        row["expires_at"],
        row["ended_at"],
    )
