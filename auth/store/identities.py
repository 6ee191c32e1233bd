"""The statements on identities: proofs of an account other than its password.

An account is created with its identity in one transaction (`accounts`), and a unique key decides
which of several parallel calls creates it. Every statement is safe to repeat (see
`Database.execute`).
"""

from datetime import datetime

from auth.external.database import Database
from auth.store.records import IDENTITY, Identity

GUEST = "guest"


class IdentityTable:
    """The table `identities`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, provider: str, subject: bytes) -> Identity | None:
        """Return the identity with this subject."""
        result = self._database.execute(
            f"SELECT {', '.join(IDENTITY)} FROM identities WHERE provider = %s AND subject = %s",
            provider,
            subject,
        )
        return Identity(**result.rows[0]) if result.rows else None

    def of_account(self, account_id: bytes) -> list[Identity]:
        """Return all identities of an account."""
        result = self._database.execute(
            f"SELECT {', '.join(IDENTITY)} FROM identities WHERE account_id = %s ORDER BY id",
            account_id,
        )
        return [Identity(**row) for row in result.rows]

    def use(self, provider: str, subject: bytes, now: datetime) -> None:
        """Note that a player signs in with an identity."""
        self._database.execute(
            "UPDATE identities SET last_used_at = %s WHERE provider = %s AND subject = %s",
            now,
            provider,
            subject,
        )
