"""The statements that give an account a password: one session goes on, all others end.

Each changes nothing if the account or the session changed since they were read. Every statement is
safe to repeat (see `Database.execute`).
"""

from dataclasses import dataclass
from datetime import datetime

from auth.external.connection import Statement, Value
from auth.external.database import Database
from auth.store.events import recorded
from auth.store.identities import GUEST
from auth.store.records import Account, Event, Session

# One statement, so that account and session get the new epoch together.
_RENEW = (
    "UPDATE accounts a JOIN sessions s ON s.account_id = a.id"
    " SET a.password_hash = %(new_hash)s, a.epoch = %(new_epoch)s, s.epoch = %(new_epoch)s,"
    " s.tail_hash = %(new_tail_hash)s, s.counter = %(new_counter)s, s.rotation_key = NULL,"
    " s.rotated_at = %(now)s, s.idle_expires_at = %(idle_expires_at)s"
)
_UNCHANGED = (
    " WHERE a.id = %(account_id)s AND a.epoch = %(epoch)s AND a.password_hash = %(hash)s"
    " AND s.id = %(id)s AND s.epoch = %(epoch)s AND s.counter = %(counter)s"
    " AND s.ended_at IS NULL"
)


@dataclass(frozen=True)
class Renewal:
    """An account and a session as they were read, and what the session goes on with."""

    account: Account
    session: Session
    password_hash: str
    tail_hash: bytes
    now: datetime
    idle_expires_at: datetime

    @property
    def epoch(self) -> int:
        """Return the account's next epoch."""
        return self.account.epoch + 1

    def __repr__(self) -> str:
        return f"Renewal({self.account})"


class RenewalTable:
    """The tables `accounts` and `sessions`, changed together."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def change_password(self, renewal: Renewal, event: Event) -> None:
        """Give an account a new password and epoch, and one session that epoch and a new tail."""
        change = Statement(f"{_RENEW}{_UNCHANGED}", _values(renewal))
        self._database.transact(change, recorded(event))

    def upgrade(self, renewal: Renewal, username: str, username_key: bytes, event: Event) -> None:
        """Make a guest a player with a name and a password; guest secret and recovery code end.

        Raises:
            Duplicate: another account has the name.
        """
        names: dict[str, Value] = {"username": username, "username_key": username_key}
        change = Statement(
            f"{_RENEW}, a.username = %(username)s, a.username_key = %(username_key)s,"
            f" a.has_password = 1, a.guest = 0, a.generated_name = 0{_UNCHANGED} AND a.guest = 1",
            _values(renewal) | names,
        )
        forget = Statement(
            "DELETE FROM identities WHERE account_id = %s AND provider = %s",
            (renewal.account.id, GUEST),
        )
        # Whoever prepared the device may know the code.
        void = Statement("DELETE FROM recovery_codes WHERE account_id = %s", (renewal.account.id,))
        self._database.transact(change, forget, void, recorded(event))


def _values(renewal: Renewal) -> dict[str, Value]:
    return {
        "new_hash": renewal.password_hash,
        "new_epoch": renewal.epoch,
        "new_tail_hash": renewal.tail_hash,
        "new_counter": renewal.session.counter + 1,
        "now": renewal.now,
        "idle_expires_at": renewal.idle_expires_at,
        "account_id": renewal.account.id,
        "epoch": renewal.account.epoch,
        "hash": renewal.account.password_hash,
        "id": renewal.session.id,
        "counter": renewal.session.counter,
    }
