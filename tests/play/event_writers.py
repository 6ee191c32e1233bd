"""Writers of events as containers are: slow ones, failing ones, and with clocks that differ.

Their time runs faster than the machine's, but never past the end of a request that is under way.
"""

import heapq
import itertools
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from queue import LifoQueue

from auth.external.connection import Connection, Statement
from auth.external.failures import DatabaseFailure, Duplicate
from auth.store.events import recorded
from auth.store.records import Event, EventKind
from auth.times import new_id, system_clock

REQUEST_SECONDS = 10.0  # no request lasts longer, by the function's time limit
APART_SECONDS = 60.0  # by which two clocks differ at most
TICK_SECONDS = 0.01
CONNECTIONS = 60
EVENTS = 3  # of each writer
REST_SECONDS = 50.0  # between two of them, at most
ROLLED_BACK = 0.1  # of the transactions
NO_NEWS = 0.2  # of the events
LATE = 0.5  # of the writers: they wait before the INSERT too, as one that hashes a password does


class HurriedTime:
    """Time that runs `speed` times as fast as the machine's, and waits for slow requests."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._began = system_clock()
        self._seconds = 0.0
        self._deadlines: dict[object, float] = {}
        self._sleepers: list[tuple[float, int, threading.Event]] = []
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def seconds(self) -> float:
        """Return the seconds since the beginning."""
        return self._seconds

    def clock(self, ahead: float = 0.0) -> datetime:
        """Return what a clock shows that is ahead by some seconds."""
        return self._began + timedelta(seconds=self._seconds + ahead)

    def sleep(self, seconds: float, until: float = float("inf")) -> None:
        """Wait for so long, but not beyond a moment: a request must not wait for its own end."""
        rung = threading.Event()
        with self._lock:
            sleeper = (min(self._seconds + seconds, until), next(self._numbers), rung)
            heapq.heappush(self._sleepers, sleeper)
        rung.wait()

    @contextmanager
    def request(self) -> Iterator[float]:
        """Have the time wait for what is done inside; the value is the time at which it ends."""
        mark = object()
        with self._lock:
            end = self._deadlines[mark] = self._seconds + REQUEST_SECONDS
        try:
            yield end
        finally:
            with self._lock:
                del self._deadlines[mark]

    def skip(self, seconds: float) -> None:
        """Set the time ahead, while no request is under way."""
        with self._lock:
            self._move_to(self._seconds + seconds)

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        before, end = time.monotonic(), self._seconds + seconds
        while self._seconds < end:
            time.sleep(TICK_SECONDS)
            now = time.monotonic()
            with self._lock:
                wanted = self._seconds + (now - before) * self._speed
                self._move_to(min([wanted, *self._deadlines.values()]))
            before = now

    def _move_to(self, seconds: float) -> None:
        self._seconds = seconds
        while self._sleepers and self._sleepers[0][0] <= seconds:
            heapq.heappop(self._sleepers)[2].set()


class EventWriters:
    """Many writers, which share some connections, and one who kills connections meanwhile."""

    def __init__(
        self,
        number: int,
        hurried: HurriedTime,
        connect: Callable[[], Connection],
        kill: Callable[[int], None],
    ) -> None:
        self._time = hurried
        self._connect = connect
        self._kill = kill
        self._idle: LifoQueue[Connection] = LifoQueue()
        self._busy: dict[int, Connection] = {}
        self._threads = [
            threading.Thread(target=self._write, args=(seed,), daemon=True)
            for seed in range(number)
        ]
        self.rolled_back: set[bytes] = set()
        self.killed = 0

    def start(self) -> None:
        """Begin to write."""
        for _ in range(CONNECTIONS):
            self._idle.put(self._connect())
        for thread in self._threads:
            thread.start()

    def are_writing(self) -> bool:
        """Tell whether any of them has more to write."""
        return any(thread.is_alive() for thread in self._threads)

    def kill_some(self) -> None:
        """Close connections that are in use, one after another, until all is written."""
        chance = random.Random(0)
        while self.are_writing():
            self._time.sleep(chance.uniform(0.5, 4.0))
            if numbers := list(self._busy):
                with suppress(DatabaseFailure):  # it has ended meanwhile
                    self._kill(chance.choice(numbers))
                    self.killed += 1

    def stop(self) -> None:
        """Close the connections."""
        while not self._idle.empty():
            self._idle.get().drop()

    def _write(self, seed: int) -> None:
        chance = random.Random(seed)
        ahead = chance.uniform(-APART_SECONDS / 2, APART_SECONDS / 2)
        for _ in range(EVENTS):
            self._time.sleep(chance.uniform(0.0, REST_SECONDS))
            connection = self._idle.get()
            try:
                with self._time.request() as end:
                    connection = self._store(connection, chance, ahead, end)
            finally:
                self._idle.put(connection)

    def _store(
        self, connection: Connection, chance: random.Random, ahead: float, end: float
    ) -> Connection:
        """Store an event, and sometimes try again; return a connection that is good."""
        event = ended_session(self._time.clock(ahead))
        if chance.random() < NO_NEWS:
            event = replace(event, kind=EventKind.REGISTERED)
        if chance.random() < LATE:
            self._time.sleep(chance.uniform(0.0, REQUEST_SECONDS), end)
        while True:
            try:
                self._transact(connection, chance, event, end)
            except Duplicate:  # the first COMMIT took effect
                pass
            except DatabaseFailure:
                connection.drop()
                connection = self._connect()
                if chance.random() < 0.5:
                    continue
            return connection

    def _transact(
        self, connection: Connection, chance: random.Random, event: Event, end: float
    ) -> None:
        number = connection.thread_id()  # type: ignore[no-untyped-call]
        self._busy[number] = connection
        try:
            connection.run(Statement("BEGIN"), REQUEST_SECONDS)
            connection.run(recorded(event), REQUEST_SECONDS)
            pauses = (0.0, REQUEST_SECONDS, chance.uniform(0.0, REQUEST_SECONDS))
            self._time.sleep(chance.choice(pauses), end)
            if chance.random() < ROLLED_BACK:
                connection.run(Statement("ROLLBACK"), REQUEST_SECONDS)
                self.rolled_back.add(event.id)
            else:
                connection.run(Statement("COMMIT"), REQUEST_SECONDS)
        except Duplicate:
            connection.run(Statement("ROLLBACK"), REQUEST_SECONDS)
            raise
        finally:
            del self._busy[number]


def ended_session(now: datetime) -> Event:
    """Return the event of a session that ends now."""
    return Event(
        id=new_id(now),
        at=now,
        account_id=secrets.token_bytes(16),
        kind=EventKind.SESSION_ENDED,
        session_id=secrets.token_bytes(16),
    )
