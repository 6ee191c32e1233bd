"""The statements on recovery codes, and on the accounts that are recovered by them.

Each change is guarded by the account's epoch as it was read, so that a code does not outlive an
upgrade, and by the code's hash, so that it is used once. Every statement is safe to repeat (see
`Database.execute`).
"""

from dataclasses import dataclass
from datetime import datetime

from auth.external.connection import Statement, Value
from auth.external.database import Database
from auth.external.failures import Duplicate
from auth.store.events import recorded
from auth.store.identities import GUEST
from auth.store.records import (
    ADD_SESSION,
    RECOVERY_CODE,
    Account,
    Event,
    RecoveryCode,
    Session,
    values_of,
)

_CODE = ", ".join(f"r.{name}" for name in RECOVERY_CODE)
# The lock makes a parallel upgrade wait, which then deletes this code, or it comes second and finds
# another epoch. Without it the SELECT would read the epoch from before the upgrade.
_REPLACE = (
    "INSERT INTO recovery_codes (account_id, hash, created_at, expires_at)"
    " SELECT a.id, %(hash)s, %(created_at)s, %(expires_at)s FROM accounts a"
    " WHERE a.id = %(account_id)s AND a.epoch = %(epoch)s LOCK IN SHARE MODE"
    " ON DUPLICATE KEY UPDATE hash = %(hash)s, created_at = %(created_at)s,"
    " expires_at = %(expires_at)s"
)
_USE = (
    " SET a.epoch = %(new_epoch)s, r.hash = %(new_code_hash)s, r.created_at = %(now)s,"
    " r.expires_at = NULL"
)
_AS_READ = " WHERE a.id = %(account_id)s AND a.epoch = %(epoch)s AND r.hash = %(code_hash)s"


@dataclass(frozen=True)
class Recovery:
    """An account and its code as they were read, and the hash of the code that follows."""

    account: Account
    code: RecoveryCode
    new_code_hash: str
    now: datetime

    @property
    def epoch(self) -> int:
        """Return the account's next epoch."""
        return self.account.epoch + 1

    def __repr__(self) -> str:
        return f"Recovery({self.account})"


class RecoveryCodeTable:
    """The table `recovery_codes`, changed together with `accounts` and `identities`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, account_id: bytes) -> RecoveryCode | None:
        """Return the code of an account, which may have expired."""
        result = self._database.execute(
            f"SELECT {_CODE} FROM recovery_codes r WHERE r.account_id = %s", account_id
        )
        return RecoveryCode(**result.rows[0]) if result.rows else None

    def has(self, account_id: bytes, code_hash: str) -> bool:
        """Tell whether the code of an account is the one with this hash."""
        stored = self.find(account_id)
        return stored is not None and stored.hash == code_hash

    def by_username_key(self, key: bytes) -> RecoveryCode | None:
        """Return the code of the account with a canonical name, which may have expired."""
        result = self._database.execute(
            f"SELECT {_CODE} FROM accounts a JOIN recovery_codes r ON r.account_id = a.id"
            " WHERE a.username_key = %s",
            key,
        )
        return RecoveryCode(**result.rows[0]) if result.rows else None

    def replace(self, account: Account, code: RecoveryCode, event: Event) -> bool:
        """Give an account a code in place of its earlier one.

        False: the account's epoch changed, or the code is there already.
        """
        change = Statement(_REPLACE, {**values_of(code), "epoch": account.epoch})
        try:
            return self._database.transact(change, recorded(event)) > 0
        except Duplicate:  # the event of our own first try, whose code another call has replaced
            return True

    def cancel(self, account_id: bytes, now: datetime) -> bool:
        """Delete a code that an operator has made; False: there is none that lasts."""
        result = self._database.execute(
            "DELETE FROM recovery_codes WHERE account_id = %s AND expires_at > %s",
            account_id,
            now,
        )
        return result.changed > 0

    def set_password(
        self, recovery: Recovery, password_hash: str, session: Session, event: Event
    ) -> bool:
        """Give an account a new password, epoch, code and session.

        False: the account, or its code, changed since it was read.
        """
        change = Statement(
            "UPDATE accounts a JOIN recovery_codes r ON r.account_id = a.id"
            f"{_USE}, a.password_hash = %(new_hash)s{_AS_READ}",
            {**_values(recovery), "new_hash": password_hash},
        )
        return self._use(change, session, event)

    def set_guest_secret(
        self, recovery: Recovery, subject: bytes, session: Session, event: Event
    ) -> bool:
        """Give a guest another secret, a new epoch, code and session; False: as `set_password`.

        Raises:
            Duplicate: an account has this secret.
        """
        change = Statement(
            "UPDATE accounts a JOIN recovery_codes r ON r.account_id = a.id"
            " JOIN identities i ON i.account_id = a.id AND i.provider = %(provider)s"
            f"{_USE}, i.subject = %(subject)s, i.last_used_at = %(now)s{_AS_READ}",
            {**_values(recovery), "provider": GUEST, "subject": subject},
        )
        return self._use(change, session, event)

    def _use(self, change: Statement, session: Session, event: Event) -> bool:
        opened = Statement(ADD_SESSION, values_of(session))
        return self._database.transact(change, opened, recorded(event)) > 0


def _values(recovery: Recovery) -> dict[str, Value]:
    return {
        "new_epoch": recovery.epoch,
        "new_code_hash": recovery.new_code_hash,
        "now": recovery.now,
        "account_id": recovery.account.id,
        "epoch": recovery.account.epoch,
        "code_hash": recovery.code.hash,
    }
