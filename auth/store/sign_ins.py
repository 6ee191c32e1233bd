"""The one statement that reads all that a sign-in needs, by any proof of an account.

It is safe to repeat (see `Database.execute`).
"""

from datetime import datetime

from auth.credentials.refresh_tokens import RefreshToken
from auth.external.database import Database
from auth.store.records import ACCOUNT_COLUMNS, LASTS, SignInRow, account_of

_NO_TOKEN = RefreshToken(b"", b"", 0, b"")  # matches no row
# `s` is the session of the presented token; inside the subqueries, every session of the account.
_LEAST_USED = (
    f"FROM sessions s WHERE s.account_id = a.id ORDER BY ({LASTS}), s.rotated_at, s.id LIMIT 1"
)
_SIGN_IN = (
    f"SELECT a.id, {ACCOUNT_COLUMNS},"
    " (SELECT COUNT(*) FROM sessions s WHERE s.account_id = a.id) AS sessions,"
    f" (SELECT s.id {_LEAST_USED}) AS least_used,"
    f" (SELECT {LASTS} {_LEAST_USED}) AS least_used_lasts,"
    " s.epoch = a.epoch AS device_is_known,"
    f" s.counter = %(counter)s AND s.tail_hash = %(tail_hash)s AND {LASTS} AS session_goes_on"
    " FROM accounts a LEFT JOIN sessions s ON s.id = %(session_id)s AND s.account_id = a.id"
)


class SignIns:
    """Reads accounts by the proofs that players sign in with."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def by_username_key(
        self, key: bytes, presented: RefreshToken | None, now: datetime
    ) -> SignInRow | None:
        """Return the account with a canonical name, and whether `presented` is a token of it."""
        return self._read("a.username_key = %(key)s", key, presented or _NO_TOKEN, now)

    def by_registration_key(
        self, registration_key: bytes, now: datetime, *, locked: bool = False
    ) -> SignInRow | None:
        """Return the account that was registered with this Idempotency-Key.

        `locked`: also one that is committed, but for some milliseconds not yet visible in MariaDB.
        """
        lock = " LOCK IN SHARE MODE" if locked else ""
        condition = f"a.registration_key = %(key)s{lock}"
        return self._read(condition, registration_key, _NO_TOKEN, now)

    def by_guest_secret(self, subject: bytes, now: datetime) -> SignInRow | None:
        """Return the account of the guest secret with this digest."""
        owner = "SELECT account_id FROM identities WHERE provider = 'guest' AND subject = %(key)s"
        return self._read(f"a.id = ({owner})", subject, _NO_TOKEN, now)

    def _read(
        self, condition: str, key: bytes, presented: RefreshToken, now: datetime
    ) -> SignInRow | None:
        result = self._database.execute(
            f"{_SIGN_IN} WHERE {condition}",
            counter=presented.counter,
            tail_hash=presented.tail_hash(),
            session_id=presented.session_id,
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
            least_used_lasts=bool(row["least_used_lasts"]),
            device_is_known=bool(row["device_is_known"]),
            session_goes_on=bool(row["session_goes_on"]),
        )
