"""The feed while many write: every committed event is delivered, and none is invented.

Time runs faster here than the machine's, so that a cursor passes events while others are written.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from auth.external.connection import Connection, Statement, connect, tls_context
from auth.external.database import Database
from auth.external.secret_store import SecretStore
from auth.flows import feed
from auth.flows.feed import KINDS, SETTLED_AFTER, Feed
from auth.settings import Settings
from auth.store.events import recorded
from auth.store.feed import FeedTable, NumberedEvent, Stretch
from auth.store.records import EVENT, Event, EventKind, ServerKey
from auth.times import system_clock
from local.stack import Stack
from tests.conftest import Tables
from tests.play.event_writers import (
    APART_SECONDS,
    REQUEST_SECONDS,
    EventWriters,
    HurriedTime,
    ended_session,
)
from tests.play.players import Player

WRITERS = 200
SPEED = 15.0  # times the machine's time
PATIENCE_SECONDS = 30.0
LONGEST_SECONDS = 180.0  # until all is written, on a slow machine
KEY = ServerKey(
    id=bytes(16),
    secret_hash=bytes(32),
    label="tests",
    pattern="*",
    redeem_only=False,
    created_at=system_clock(),
    revoked_at=None,
)
MOST = APART_SECONDS / 2


@dataclass
class FeedReader:
    """A game server that polls; each poll may meet a container with another clock."""

    feed: Feed
    database: Database
    cursor: str | None = None
    delivered: dict[bytes, list[NumberedEvent]] = field(default_factory=dict)
    pages: int = 0

    def poll(self) -> int:
        """Read all pages and return the number of events in them."""
        more, number = True, 0
        while more:
            with self.database.budget(PATIENCE_SECONDS):
                page = self.feed.page(KEY, self.cursor, None)
            assert not page.is_reset
            self.cursor, more = page.cursor, page.more
            self.pages += 1
            number += len(page.events)
            for fed in page.events:
                self.delivered.setdefault(fed.event.id, []).append(fed)
        return number


@pytest.fixture
def databases(settings: Settings) -> Iterator[list[Database]]:
    """Return the connections of three containers."""
    opened = [
        Database(SecretStore(), settings.database_secret_id, settings.database_ca_file)
        for _ in range(3)
    ]
    yield opened
    for database in opened:
        database.close()


@pytest.fixture
def application(stack: Stack) -> Callable[[], Connection]:
    """Return a function that connects as the application does."""
    tls = tls_context(str(stack.database.ca_file))
    return lambda: connect(stack.database.application, tls, PATIENCE_SECONDS)


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have pages with less than all the young events."""
    monkeypatch.setattr(feed, "PAGE", 100)
    monkeypatch.setattr(feed, "STRETCH", 150)


@dataclass
class ManyWriters:
    """Many writers and three readers, whose clocks differ as much as they may."""

    tables: Tables
    hurried: HurriedTime
    writers: EventWriters
    readers: list[FeedReader]
    errors: list[BaseException] = field(default_factory=list)

    def play(self) -> None:
        """Let all write and read until all is written; then read what is left."""
        self._read_all()
        self.writers.start()
        threads = [
            threading.Thread(target=self._read, args=(one,), daemon=True) for one in self.readers
        ]
        threads.append(threading.Thread(target=self.writers.kill_some, daemon=True))
        for thread in threads:
            thread.start()
        end = time.monotonic() + LONGEST_SECONDS
        while any(thread.is_alive() for thread in threads):
            assert time.monotonic() < end, "the writers do not end"
            self.hurried.run(1.0)
        self.writers.stop()
        assert not self.errors, self.errors
        self._read_all()

    def committed(self) -> dict[bytes, Event]:
        """Return the events in the database that are news."""
        rows = self.tables.run(f"SELECT {', '.join(EVENT)} FROM events")
        found = [Event(**row | {"kind": EventKind(row["kind"])}) for row in rows]
        return {event.id: event for event in found if event.kind in KINDS}

    def lost(self) -> int:
        """Return how many committed events were not delivered, over all readers."""
        ids = self.committed().keys()
        return sum(len(ids - reader.delivered.keys()) for reader in self.readers)

    def _read_all(self) -> list[int]:
        return [reader.poll() for reader in self.readers]

    def read_the_settled(self) -> list[int]:
        """Return how many events a poll delivers once all are settled."""
        self.hurried.skip(SETTLED_AFTER.total_seconds() + APART_SECONDS + 1)
        self._read_all()
        return self._read_all()

    def _read(self, reader: FeedReader) -> None:
        chance = random.Random(self.readers.index(reader))
        try:
            while self.writers.are_writing():
                reader.poll()
                self.hurried.sleep(chance.uniform(1.0, 6.0))
        except BaseException as error:  # noqa: BLE001  # raised again in the test's thread
            self.errors.append(error)


@pytest.fixture
def many(
    tables: Tables, databases: list[Database], application: Callable[[], Connection]
) -> ManyWriters:
    """Return the writers and the readers."""
    hurried, chance = HurriedTime(SPEED), random.Random(1)
    clocks = (
        lambda: hurried.clock(MOST),
        lambda: hurried.clock(-MOST),
        lambda: hurried.clock(chance.uniform(-MOST, MOST)),
    )
    readers = [
        FeedReader(Feed(FeedTable(database), 2, clock), database)
        for database, clock in zip(databases, clocks, strict=True)
    ]

    def kill(number: int) -> None:
        tables.run(f"KILL CONNECTION {number}")

    writers = EventWriters(WRITERS, hurried, application, kill)
    return ManyWriters(tables, hurried, writers, readers)


def test_many_writers(many: ManyWriters) -> None:
    """Whatever the writers do, each reader gets every committed event, and no other."""
    many.play()
    committed, writers = many.committed(), many.writers
    assert many.lost() == 0
    for reader in many.readers:
        assert reader.delivered.keys() == committed.keys()
        for identifier, copies in reader.delivered.items():
            assert {one.seq for one in copies} == {copies[0].seq}
            assert {one.event.id for one in copies} == {identifier}
            assert copies[0].event == committed[identifier]
    assert many.read_the_settled() == [0, 0, 0]
    assert len(committed) > WRITERS
    assert len(writers.rolled_back) > 20
    assert writers.killed > 10
    assert not writers.rolled_back & committed.keys()


def test_a_cursor_that_settles_too_early(
    many: ManyWriters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writers show it if a cursor passes events sooner than the slowest request ends."""
    monkeypatch.setattr(feed, "SETTLED_AFTER", timedelta(seconds=5))
    many.play()
    assert many.lost() > 0


def test_a_quiet_hour(many: ManyWriters, application: Callable[[], Connection]) -> None:
    """An event is not lost if the one after it, the only other one, is committed first."""
    reader, (first, second) = many.readers[0], (application(), application())
    reader.poll()
    slow, quick = (ended_session(many.hurried.clock()) for _ in range(2))
    for statement in (Statement("BEGIN"), recorded(slow)):
        first.run(statement, PATIENCE_SECONDS)
    second.run(recorded(quick), PATIENCE_SECONDS)
    assert reader.poll() == 1
    first.run(Statement("COMMIT"), PATIENCE_SECONDS)
    assert reader.poll() == 2
    first.drop()
    second.drop()


class SlowFeedTable(FeedTable):
    """A feed's table; something happens between the two statements of a page."""

    def __init__(self, database: Database, meanwhile: Callable[[], None]) -> None:
        super().__init__(database)
        self._meanwhile = meanwhile

    def stretch(self, after: int, old_until: datetime, limit: int) -> Stretch:
        """Return the next rows, and let something happen."""
        stretch = super().stretch(after, old_until, limit)
        self._meanwhile()
        return stretch


def test_a_deletion_meanwhile(databases: list[Database], tables: Tables, player: Player) -> None:
    """A page that loses an account's events to its deletion has the event of the deletion."""
    assert player.log_out(everywhere=True).status == 200
    assert player.log_in().status == 200

    def delete() -> None:
        assert player.delete().status == 200

    table = SlowFeedTable(databases[0], delete)
    reader = FeedReader(Feed(table, 2, system_clock), databases[0])
    assert reader.poll() == 1
    (copies,) = reader.delivered.values()
    assert copies[0].event.kind == EventKind.ACCOUNT_PURGED


def test_the_slowest_requests(many: ManyWriters, application: Callable[[], Connection]) -> None:
    """An event is not lost if two requests, each as slow as any, store theirs in the other order.

    The first one's clock is as far behind the reader's as it may be.
    """
    hurried, reader = many.hurried, many.readers[0]
    reader.poll()
    first, second = application(), application()
    slow = ended_session(hurried.clock(-MOST))
    hurried.skip(REQUEST_SECONDS - 0.2)
    late = ended_session(hurried.clock(-MOST))
    for statement in (Statement("BEGIN"), recorded(late)):
        second.run(statement, PATIENCE_SECONDS)
    first.run(recorded(slow), PATIENCE_SECONDS)
    hurried.skip(REQUEST_SECONDS - 0.2)
    assert reader.poll() == 1
    second.run(Statement("COMMIT"), PATIENCE_SECONDS)
    reader.poll()
    assert reader.delivered.keys() == {slow.id, late.id}
    first.drop()
    second.drop()
