"""Walks through large tables: in batches, side by side, over as many runs as they take.

A walk continues from the key that the previous run noted in the table `state`. At its end it starts
again from the first key, in the next run.
"""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from auth.errors import RowsBusy
from auth.external.database import REQUEST_SECONDS, Database
from auth.store.state import StateTable

SAVE_SECONDS = 5.0  # of work that a killed run loses at most
LAST_KEY = b"\xff" * 16


@dataclass(frozen=True)
class Cleaned:
    """The outcome of one batch: rows deleted, and the key up to which it is done."""

    deleted: int
    reached: bytes


@dataclass
class Walk:
    """A walk through one table by its primary key.

    `batch_end` returns the last key of the batch that begins after a key, None at the end of the
    table; `clean` takes the rows after one key and up to another.
    """

    name: str
    batch_end: Callable[[bytes], bytes | None]
    clean: Callable[[bytes, bytes], Cleaned]
    position: bytes = b""
    seconds: float = 0.0
    deleted: int = 0
    gave_up: bool = False
    busy: deque[tuple[bytes, bytes]] = field(default_factory=deque)

    @property
    def note(self) -> str:
        """Return the name of its position in the table `state`."""
        return f"clean_up {self.name}"

    @property
    def is_over(self) -> bool:
        """Tell whether nothing is left to do in this run."""
        return self.position == LAST_KEY and not self.busy

    @property
    def completed(self) -> bool:
        """Tell whether it reached the end of the table and left no busy batch behind."""
        return self.is_over and not self.gave_up

    def step(self) -> None:
        """Clean the next batch, or at the end of the table one that was busy before.

        A batch with rows that stay locked is put aside. If it is busy again it waits for the
        next walk: a lock that lasts must not keep the walk from its end.
        """
        if self.position == LAST_KEY:
            self._retry(*self.busy.popleft())
            return
        to = self.batch_end(self.position) or LAST_KEY
        try:
            cleaned = self.clean(self.position, to)
        except RowsBusy:
            self.busy.append((self.position, to))
            self.position = to
        else:
            self.deleted += cleaned.deleted
            self.position = cleaned.reached

    def _retry(self, after: bytes, to: bytes) -> None:
        try:
            cleaned = self.clean(after, to)
        except RowsBusy:
            self.gave_up = True
            return
        self.deleted += cleaned.deleted
        if cleaned.reached < to:
            self.busy.appendleft((cleaned.reached, to))


def walk_on(
    database: Database, walks: Sequence[Walk], seconds: float, monotonic: Callable[[], float]
) -> None:
    """Continue all walks for about `seconds`; the one that has taken the least time goes next.

    So each gets its share, and the others share the rest of a walk that is over.

    Raises:
        Unavailable: the database cannot be reached.
    """
    state = StateTable(database)
    for walk in walks:
        with database.budget(REQUEST_SECONDS):
            walk.position = _valid(state.read(walk.note))
    began = saved_at = monotonic()
    end = began + seconds
    while began <= end and (left := [walk for walk in walks if not walk.is_over]):
        walk = min(left, key=lambda walk: walk.seconds)
        # A table that is being altered: the walk stays where it is, and has used its time.
        with database.budget(REQUEST_SECONDS), suppress(RowsBusy):
            walk.step()
        now = monotonic()
        walk.seconds += now - began
        began = now
        if now - saved_at >= SAVE_SECONDS:
            _save(database, state, walks)
            saved_at = now
    _save(database, state, walks)


def _valid(position: bytes) -> bytes:
    """Return the position; the beginning if it is no key to continue from."""
    return position if len(position) == len(LAST_KEY) and position < LAST_KEY else b""


def _save(database: Database, state: StateTable, walks: Sequence[Walk]) -> None:
    for walk in walks:
        # Another run may be writing it: then its position is as good.
        with database.budget(REQUEST_SECONDS), suppress(RowsBusy):
            state.write(walk.note, _valid(walk.position))
