"""The feed: game servers are told which sessions, accounts and connections have ended.

A row of `events` gets its number at INSERT and is seen at COMMIT, so a cursor that trusts numbers
loses rows. Rows younger than `SETTLED_AFTER` therefore come again, and readers drop repeats by id.
Once a row is older, every row with a smaller number has been committed, or never will be.
"""

import base64
import binascii
import secrets
import struct
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec

from auth.errors import WrongServer
from auth.flows.server_keys import check_server
from auth.store.feed import FeedTable, NumberedEvent, Stretch
from auth.store.records import Event, EventKind, ServerKey
from auth.times import Clock

# Clocks differ by up to 60 s. A row is inserted up to 10 s after its `at`; by then a row with a
# smaller number may have been inserted, which is committed up to 10 s later. The rest is a margin.
SETTLED_AFTER = timedelta(seconds=85)
# A server that has just started learns which tokens died: they are good for 600 s.
FIRST = timedelta(seconds=660)
OLDEST_CURSOR = timedelta(hours=23)  # less than the shortest time that an event is kept, 1 day
PAGE = 1000  # events
STRETCH = 20_000  # rows of all kinds that one page looks through
KINDS = (
    EventKind.SESSION_ENDED,
    EventKind.REFRESH_REUSED,
    EventKind.SIGNED_OUT_EVERYWHERE,
    EventKind.PASSWORD_CHANGED,
    EventKind.UPGRADED,
    EventKind.RECOVERED,
    EventKind.SUSPENDED,
    EventKind.SUSPENSION_LIFTED,
    EventKind.ACCOUNT_PURGED,
    EventKind.RENAMED,
    EventKind.CONNECTION_SUPERSEDED,
)
NO_GENERATION = bytes(8)
MAX_SEQ = 2**63 - 1

_CURSOR = struct.Struct(">8sQQQ")
_GENERATION = struct.Struct(">8sQQ")  # as stored in `state`


@dataclass(frozen=True)
class Cursor:
    """How far a reader is: a number up to which all is settled, and one for the young rows.

    `handed_out`: 0, or while a page has more, how far the young rows were delivered. `made_at`:
    when the reader had last read all, in seconds since 1970.
    """

    generation: bytes
    settled: int
    handed_out: int
    made_at: int

    def text(self) -> str:
        """Return it as readers send it back."""
        packed = _CURSOR.pack(self.generation, self.settled, self.handed_out, self.made_at)
        return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()

    @classmethod
    def of(cls, text: str) -> "Cursor | None":
        """Return the cursor with this text; None: it is none."""
        try:
            packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            return cls(*_CURSOR.unpack(packed))
        except (binascii.Error, ValueError, struct.error):
            return None


@dataclass(frozen=True)
class Generation:
    """A stretch of history that cursors belong to, and the number after which it began.

    `began_at`: in seconds since 1970.
    """

    id: bytes
    floor: int
    began_at: int

    @classmethod
    def of(cls, stored: bytes) -> "Generation":
        """Return the generation in this value of `state`."""
        if len(stored) != _GENERATION.size:
            return cls(NO_GENERATION, 0, 0)
        return cls(*_GENERATION.unpack(stored))


@dataclass(frozen=True)
class Page:
    """Some events for a game server; `is_reset`: what it knew before no longer counts."""

    events: list[NumberedEvent]
    cursor: str
    more: bool
    is_reset: bool
    now: datetime


class Feed:
    """Delivers the events."""

    def __init__(self, table: FeedTable, poll_after: int, clock: Clock) -> None:
        self._table = table
        self.poll_after = poll_after
        self._clock = clock

    def page(self, key: ServerKey, after: str | None, server: str | None) -> Page:
        """Return the events after a cursor; without one, or for a bad one, the last 660 s.

        `server`: whose lost connections are wanted. A server without a cursor is reset, too, if a
        generation has just begun: it may have let players in with tickets from before.

        Raises:
            WrongServer: the key may not read the feed, or is for other servers.
            Unavailable: it cannot be decided now.
        """
        if key.redeem_only:
            raise WrongServer("the key is for redeeming only")
        if server is not None:
            check_server(key, server)
        now = self._clock()
        cursor = Cursor.of(after) if after is not None else None
        if cursor is not None:
            stretch = self._stretch(cursor, now)
            if _is_good(cursor, stretch, now):
                return self._page(cursor, stretch, server, now)
        generation = Generation.of(self._table.generation())
        first = self._first(generation, now)
        page = self._page(first, self._stretch(first, now), server, now)
        is_new = now.timestamp() - generation.began_at < FIRST.total_seconds()
        return replace(page, is_reset=after is not None or is_new)

    def begin_generation(self) -> None:
        """Make every cursor so far worthless, as after a restore."""
        now = self._clock()
        floor = self._table.before(now - SETTLED_AFTER)  # younger rows may not be visible yet
        began = _GENERATION.pack(secrets.token_bytes(8), floor, int(now.timestamp()))
        self._table.begin_generation(began)

    def _first(self, generation: Generation, now: datetime) -> Cursor:
        # A row before the one that is found may have been written by a clock that is ahead.
        begin = max(self._table.before(now - FIRST - SETTLED_AFTER), generation.floor)
        return Cursor(generation.id, begin, 0, int(now.timestamp()))

    def _stretch(self, cursor: Cursor, now: datetime) -> Stretch:
        begin = cursor.handed_out or cursor.settled
        return self._table.stretch(begin, now - SETTLED_AFTER, STRETCH)

    def _page(self, cursor: Cursor, stretch: Stretch, server: str | None, now: datetime) -> Page:
        begin = cursor.handed_out or cursor.settled
        end = stretch.last or begin
        # After the stretch was read: every row in it, and those that were committed since. One of
        # them may be an account's deletion, which has taken rows of the stretch away.
        to = MAX_SEQ if stretch.is_whole else end
        found = self._table.events(begin, to, KINDS, PAGE + 1) if end > begin else []
        if is_full := len(found) > PAGE:
            found = found[:PAGE]
            end = found[-1].seq
        more = is_full or not stretch.is_whole
        settled = cursor.settled
        if not cursor.handed_out:
            # No row with a smaller number than an old one is still to be committed.
            settled = min(end, stretch.last_old or settled)
        handed_out = end if more and end > settled else 0
        made_at = cursor.made_at if more else int(now.timestamp())
        reached = Cursor(cursor.generation, settled, handed_out, made_at)
        events = [fed for fed in found if _is_for(fed.event, server)]
        return Page(events, reached.text(), more, is_reset=False, now=now)


def _is_good(cursor: Cursor, stretch: Stretch, now: datetime) -> bool:
    """Tell whether nothing is lost if a reader goes on from its cursor."""
    is_recent = now.timestamp() - cursor.made_at <= OLDEST_CURSOR.total_seconds()
    return is_recent and cursor.generation == Generation.of(stretch.generation).id


def _is_for(event: Event, server: str | None) -> bool:
    """Tell whether an event is for this game server: a lost connection is for one alone."""
    if event.kind is not EventKind.CONNECTION_SUPERSEDED:
        return True
    return bool(msgspec.json.decode(event.data or b"{}").get("server") == server)
