"""The statements on connections: which game server has redeemed an account's last ticket.

Every statement is safe to repeat (see `Database.execute`).
"""

from dataclasses import dataclass
from datetime import datetime

from auth.external.connection import Row, Statement, Value
from auth.external.database import Database
from auth.external.failures import Duplicate, MissingParent
from auth.store.events import recorded
from auth.store.records import (
    ACCOUNT_COLUMNS,
    REDEMPTION,
    SESSION_COLUMNS,
    USABLE,
    Account,
    Event,
    Redemption,
    Session,
    account_of,
    session_of,
    values_of,
)

_LAST = ", ".join(f"c.{name} AS c_{name}" for name in REDEMPTION)
_USABLE = f"s.id = %(session_id)s AND a.id = %(account_id)s AND a.epoch = %(epoch)s AND {USABLE}"
# The share lock waits for a suspension, or the end of the session, that is being stored.
_ADD = (
    f"INSERT INTO connections ({', '.join(REDEMPTION)})"
    f" SELECT {', '.join(f'%({name})s' for name in REDEMPTION)}"
    f" FROM accounts a JOIN sessions s ON s.account_id = a.id WHERE {_USABLE} LOCK IN SHARE MODE"
)
_REPLACE = (
    "UPDATE connections c JOIN accounts a ON a.id = c.account_id"
    " JOIN sessions s ON s.account_id = a.id"
    f" SET {', '.join(f'c.{name} = %({name})s' for name in REDEMPTION if name != 'account_id')}"
    f" WHERE {_USABLE} AND c.ticket = %(last_ticket)s AND c.fence = %(last_fence)s"
)


@dataclass(frozen=True)
class Standing:
    """The data that a redemption needs, read by one statement; None: there is no such row."""

    account: Account
    session: Session | None
    last: Redemption | None


class ConnectionTable:
    """The table `connections`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def standing(
        self, account_id: bytes, session_id: bytes, *, locked: bool = False
    ) -> Standing | None:
        """Return an account with one of its sessions, and its last redemption.

        `locked`: wait for redemptions that are being stored. For some milliseconds MariaDB already
        refuses a second row beside one that is committed but not yet visible without a lock.
        """
        result = self._database.execute(
            f"SELECT {ACCOUNT_COLUMNS}, {SESSION_COLUMNS}, {_LAST} FROM accounts a"
            " LEFT JOIN sessions s ON s.account_id = a.id AND s.id = %(session_id)s"
            " LEFT JOIN connections c ON c.account_id = a.id WHERE a.id = %(account_id)s"
            f"{' LOCK IN SHARE MODE' if locked else ''}",
            account_id=account_id,
            session_id=session_id,
        )
        if not result.rows:
            return None
        (row,) = result.rows
        has_session = row["s_created_at"] is not None
        return Standing(
            account=account_of(row, account_id),
            session=session_of(row, session_id, account_id) if has_session else None,
            last=_redemption_of(row) if row["c_ticket"] is not None else None,
        )

    def last(self, account_id: bytes) -> Redemption | None:
        """Return an account's last redemption."""
        result = self._database.execute(
            f"SELECT {_LAST} FROM connections c WHERE c.account_id = %s", account_id
        )
        return _redemption_of(result.rows[0]) if result.rows else None

    def redeem(
        self,
        redemption: Redemption,
        session: Session,
        last: Redemption | None,
        event: Event | None,
    ) -> bool:
        """Store a redemption in place of the last one, with the event that it causes.

        False: that is not the last one any more, or the session is not usable, or was opened before
        the account's epoch.
        """
        values = _values(redemption, session, redemption.redeemed_at)
        if last is None:
            return self._add(Statement(_ADD, values))
        values |= {"last_ticket": last.ticket, "last_fence": last.fence}
        change = Statement(_REPLACE, values)
        if event is None:
            return self._database.run(change).changed > 0
        return self._database.transact(change, recorded(event)) > 0

    def _add(self, statement: Statement) -> bool:
        try:
            return self._database.run(statement).changed > 0
        except (Duplicate, MissingParent):  # another redemption was first, or the account is gone
            return False


def _redemption_of(row: Row) -> Redemption:
    return Redemption(**{name: row[f"c_{name}"] for name in REDEMPTION})


def _values(redemption: Redemption, session: Session, now: datetime) -> dict[str, Value]:
    return {
        **values_of(redemption),
        "session_id": session.id,
        "epoch": session.epoch,
        "now": now,
    }
