"""The statements on events: what happened to an account, recorded with the change itself.

Sign-ins, refreshes and failures are no events: the sessions are the record of sign-ins, and an
attacker could make rows of failures without end. Every statement is safe to repeat (see
`Database.execute`).
"""

from datetime import datetime

import msgspec

from auth.external.connection import Statement
from auth.external.database import Database
from auth.store.records import EVENT, Event, EventKind, insert_into, values_of
from auth.times import new_id

_ADD = insert_into("events", EVENT)
_ADD_WITH_EPOCH = (
    "INSERT INTO events (id, at, account_id, kind, session_id, data)"
    " SELECT %(id)s, %(at)s, a.id, %(kind)s, %(session_id)s, CONCAT('{\"epoch\":', a.epoch, '}')"
    " FROM accounts a WHERE a.id = %(account_id)s"
)
# Of what a player reads; later versions may have stored more kinds.
_NOT_FOR_PLAYERS = (EventKind.ACCOUNT_PURGED, EventKind.CONNECTION_SUPERSEDED)
_KINDS = ", ".join(str(int(kind)) for kind in EventKind if kind not in _NOT_FOR_PLAYERS)


def new_event(
    kind: EventKind,
    account_id: bytes | None,
    now: datetime,
    session_id: bytes | None = None,
    **data: str | int,
) -> Event:
    """Return an event that is not stored yet; `data` must fit into 255 bytes of JSON."""
    return Event(
        id=new_id(now),
        at=now,
        account_id=account_id,
        kind=kind,
        session_id=session_id,
        data=msgspec.json.encode(data) if data else None,
    )


def recorded(event: Event) -> Statement:
    """Return the statement that records an event, for the transaction of the change."""
    return Statement(_ADD, values_of(event))


def recorded_with_epoch(event: Event) -> Statement:
    """Return the same, with the epoch that the account has after the change as `data`."""
    values = values_of(event)
    del values["data"]
    return Statement(_ADD_WITH_EPOCH, values)


class EventTable:
    """The table `events`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self, account_id: bytes, limit: int) -> list[Event]:
        """Return an account's events for its owner, the newest first."""
        result = self._database.execute(
            f"SELECT {', '.join(EVENT)} FROM events WHERE account_id = %s AND kind IN ({_KINDS})"
            " ORDER BY seq DESC LIMIT %s",
            account_id,
            limit,
        )
        return [Event(**row | {"kind": EventKind(row["kind"])}) for row in result.rows]
