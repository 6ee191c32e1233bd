"""The statements on accounts: create one with its first session, find, change and delete it.

Every statement is safe to repeat (see `Database.execute`).
"""

from datetime import datetime

from auth.credentials.refresh_tokens import RefreshToken
from auth.external.connection import Statement
from auth.external.database import Database
from auth.external.failures import Duplicate
from auth.store.records import (
    ACCOUNT,
    ACCOUNT_COLUMNS,
    ADD_SESSION,
    LASTS,
    Account,
    Session,
    SignInRow,
    account_of,
    insert_into,
)

_ADD = insert_into("accounts", (*ACCOUNT, "username_key", "registration_key"))
# `s` is the session of the presented token; inside the subqueries, every session of the account.
_SIGN_IN = (
    f"SELECT a.id, {ACCOUNT_COLUMNS},"
    " (SELECT COUNT(*) FROM sessions s WHERE s.account_id = a.id) AS sessions,"
    " (SELECT s.id FROM sessions s WHERE s.account_id = a.id"
    f" ORDER BY ({LASTS}), s.rotated_at, s.id LIMIT 1) AS least_used,"
    " s.epoch = a.epoch AS device_is_known,"
    f" s.counter = %(counter)s AND s.tail_hash = %(tail_hash)s AND {LASTS} AS session_goes_on"
    " FROM accounts a LEFT JOIN sessions s ON s.id = %(session_id)s AND s.account_id = a.id"
)


class AccountTable:
    """The table `accounts`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, account: Account, key: bytes, registration_key: bytes | None, session: Session
    ) -> None:
        """Add an account and its first session in one transaction.

        Raises:
            Duplicate: the name (`username_key`) or the `registration_key` exists already.
        """
        keys = {"username_key": key, "registration_key": registration_key}
        try:
            self._database.transact(
                Statement(_ADD, {**vars(account), **keys}),
                Statement(ADD_SESSION, vars(session)),
            )
        except Duplicate as duplicate:
            # Our own id exists already: the first attempt was committed, but its answer was lost.
            if duplicate.key != "PRIMARY":
                raise

    def by_username_key(
        self, key: bytes, presented: RefreshToken | None, now: datetime
    ) -> SignInRow | None:
        """Return the account with a canonical name, and whether `presented` is a token of it."""
        return self._sign_in("a.username_key = %(key)s", key, presented, now)

    def by_registration_key(self, registration_key: bytes, now: datetime) -> SignInRow | None:
        """Return the account that was registered with this Idempotency-Key."""
        return self._sign_in("a.registration_key = %(key)s", registration_key, None, now)

    def exists(self, account_id: bytes) -> bool:
        """Tell whether an account exists."""
        return bool(self._database.execute("SELECT 1 FROM accounts WHERE id = %s", account_id).rows)

    def replace_hash(self, account: Account, password_hash: str) -> None:
        """Store a new hash of the same password, unless the password was changed meanwhile."""
        self._database.execute(
            "UPDATE accounts SET password_hash = %(new_hash)s"
            " WHERE id = %(id)s AND password_hash = %(old_hash)s",
            new_hash=password_hash,
            id=account.id,
            old_hash=account.password_hash,
        )

    def delete(self, account: Account) -> bool:
        """Delete an account and, by cascade, its sessions; False: deleted or changed meanwhile."""
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
        token = presented or RefreshToken(b"", b"", 0, b"")  # matches no row
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
