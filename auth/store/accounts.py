"""The statements on accounts: create one with its first session, rename and delete it.

Every statement is safe to repeat (see `Database.execute`).
"""

from datetime import datetime

from auth.external.connection import Statement
from auth.external.database import Database
from auth.external.failures import Duplicate
from auth.store.events import recorded, recorded_with_epoch
from auth.store.records import (
    ACCOUNT,
    ACCOUNT_COLUMNS,
    ADD_IDENTITY,
    ADD_SESSION,
    Account,
    Event,
    Identity,
    Session,
    account_of,
    insert_into,
    values_of,
)

_ADD = insert_into("accounts", (*ACCOUNT, "username_key", "registration_key"))


class AccountTable:
    """The table `accounts`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        account: Account,
        session: Session,
        event: Event,
        *,
        username_key: bytes,
        registration_key: bytes | None = None,
        identity: Identity | None = None,
    ) -> None:
        """Add an account and its first session in one transaction.

        Raises:
            Duplicate: the `username_key`, `registration_key` or `identity` exists already.
        """
        keys = {"username_key": username_key, "registration_key": registration_key}
        more = [Statement(ADD_IDENTITY, values_of(identity))] if identity else []
        try:
            self._database.transact(
                Statement(_ADD, {**values_of(account), **keys}),
                *more,
                Statement(ADD_SESSION, values_of(session)),
                recorded(event),
            )
        except Duplicate as duplicate:
            # Our own id exists already: the first attempt was committed, but its answer was lost.
            if duplicate.key != "PRIMARY":
                raise

    def find(self, account_id: bytes) -> Account | None:
        """Return an account."""
        result = self._database.execute(
            f"SELECT {ACCOUNT_COLUMNS} FROM accounts a WHERE a.id = %s", account_id
        )
        return account_of(result.rows[0], account_id) if result.rows else None

    def replace_hash(self, account: Account, password_hash: str) -> None:
        """Store a new hash of the same password, unless the password was changed meanwhile."""
        self._database.execute(
            "UPDATE accounts SET password_hash = %(new_hash)s"
            " WHERE id = %(id)s AND password_hash = %(old_hash)s",
            new_hash=password_hash,
            id=account.id,
            old_hash=account.password_hash,
        )

    def rename(
        self,
        account: Account,
        username: str,
        username_key: bytes,
        renamed_at: datetime | None,
        event: Event,
    ) -> None:
        """Give an account a name that its owner has chosen, unless it changed since it was read.

        Raises:
            Duplicate: another account has the name.
        """
        change = Statement(
            "UPDATE accounts SET username = %(new)s, username_key = %(new_key)s,"
            " generated_name = 0, renamed_at = %(renamed_at)s"
            " WHERE id = %(id)s AND username = %(old)s AND epoch = %(epoch)s",
            {
                "new": username,
                "new_key": username_key,
                "renamed_at": renamed_at,
                "id": account.id,
                "old": account.username,
                "epoch": account.epoch,
            },
        )
        self._database.transact(change, recorded(event))

    def delete(self, account: Account, event: Event) -> bool:
        """Delete an account and all that belongs to it; False: deleted or changed meanwhile.

        Only `event` remains. Most rows go by cascade.
        """
        deletion = Statement(
            "DELETE FROM accounts WHERE id = %(id)s AND epoch = %(epoch)s"
            " AND password_hash = %(password_hash)s",
            {"id": account.id, "epoch": account.epoch, "password_hash": account.password_hash},
        )
        history = Statement("DELETE FROM events WHERE account_id = %s", (account.id,))
        # Operators may have written about the player, and answers have names.
        texts = Statement(
            "UPDATE operations SET reason = '', result = '' WHERE account_id = %s", (account.id,)
        )
        return self._database.transact(deletion, history, texts, recorded(event)) > 0

    def by_username_key(self, key: bytes) -> Account | None:
        """Return the account with a canonical name."""
        result = self._database.execute(
            f"SELECT a.id, {ACCOUNT_COLUMNS} FROM accounts a WHERE a.username_key = %s", key
        )
        return account_of(result.rows[0], result.rows[0]["id"]) if result.rows else None

    def end_sessions(self, account_id: bytes, event: Event) -> bool:
        """End all sessions of an account by a new epoch; False: there is no such account."""
        change = Statement("UPDATE accounts SET epoch = epoch + 1 WHERE id = %s", (account_id,))
        return self._database.transact(change, recorded_with_epoch(event)) > 0

    def suspend(self, account: Account, until: datetime, reason: str, event: Event) -> bool:
        """Suspend an account and end its sessions for good; False: it changed since it was read."""
        change = Statement(
            "UPDATE accounts SET suspended_until = %(until)s, suspension_reason = %(reason)s,"
            " epoch = %(epoch)s + 1 WHERE id = %(id)s AND epoch = %(epoch)s",
            {"until": until, "reason": reason, "epoch": account.epoch, "id": account.id},
        )
        return self._database.transact(change, recorded(event)) > 0

    def lift(self, account: Account, event: Event) -> bool:
        """End a suspension; False: there is none."""
        change = Statement(
            "UPDATE accounts SET suspended_until = NULL, suspension_reason = NULL"
            " WHERE id = %s AND suspended_until IS NOT NULL",
            (account.id,),
        )
        return self._database.transact(change, recorded_with_epoch(event)) > 0
