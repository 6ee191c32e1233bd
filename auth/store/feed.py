"""The statements of the feed: `events` in the order in which the table grew.

Numbers are given at INSERT and seen at COMMIT, so a row may appear before ones that are there
already. `flows.feed` says how none is lost. Every statement is safe to repeat.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from auth.external.database import Database
from auth.store.records import EVENT, Event, EventKind
from auth.store.state import StateTable

GENERATION = "feed"  # its name in `state`
_EVENTS = ", ".join(f"e.{name}" for name in EVENT)


@dataclass(frozen=True)
class Stretch:
    """Some rows of `events` after a number: the last row, and the last one that is old.

    `is_whole`: no row follows. `generation`: the value in `state`, read by the same statement.
    """

    last: int | None
    last_old: int | None
    is_whole: bool
    generation: bytes


@dataclass(frozen=True)
class NumberedEvent:
    """An event with its number. `message`: what a player reads about a suspension."""

    seq: int
    event: Event
    message: str | None


class FeedTable:
    """The tables `events` and `state`, as the feed reads them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._state = StateTable(database)

    def stretch(self, after: int, old_until: datetime, limit: int) -> Stretch:
        """Return the next rows after a number, at most `limit`."""
        (row,) = self._database.execute(
            "SELECT COUNT(*) AS found, MAX(seq) AS last,"
            " MAX(CASE WHEN at <= %(old_until)s THEN seq END) AS last_old,"
            " (SELECT value FROM state WHERE name = %(generation)s) AS generation"
            " FROM (SELECT seq, at FROM events WHERE seq > %(after)s ORDER BY seq LIMIT %(limit)s)"
            " AS following",
            old_until=old_until,
            generation=GENERATION.encode(),
            after=after,
            limit=limit,
        ).rows
        return Stretch(row["last"], row["last_old"], row["found"] < limit, row["generation"] or b"")

    def before(self, moment: datetime) -> int:
        """Return the number of the newest row from before a moment; 0: there is none."""
        result = self._database.execute(
            "SELECT seq FROM events WHERE at < %s ORDER BY seq DESC LIMIT 1", moment
        )
        return result.rows[0]["seq"] if result.rows else 0

    def events(
        self, after: int, to: int, kinds: Sequence[EventKind], limit: int
    ) -> list[NumberedEvent]:
        """Return the events of these kinds after one number and up to another, at most `limit`."""
        chosen = ", ".join(str(int(kind)) for kind in kinds)
        result = self._database.execute(
            f"SELECT e.seq, {_EVENTS}, a.suspension_reason AS message"
            " FROM events e LEFT JOIN accounts a ON a.id = e.account_id"
            f" AND e.kind = {int(EventKind.SUSPENDED)}"
            f" WHERE e.seq > %s AND e.seq <= %s AND e.kind IN ({chosen}) ORDER BY e.seq LIMIT %s",
            after,
            to,
            limit,
        )
        return [
            NumberedEvent(
                row["seq"],
                Event(**{name: row[name] for name in EVENT} | {"kind": EventKind(row["kind"])}),
                row["message"],
            )
            for row in result.rows
        ]

    def generation(self) -> bytes:
        """Return the value in `state`; empty: it was never changed."""
        return self._state.read(GENERATION)

    def begin_generation(self, value: bytes) -> None:
        """Store another generation."""
        self._state.write(GENERATION, value)
