"""Tells a game server when what a ticket said stops being true: sign-out, suspension, a new name.

`Revocations` polls the backend's feed in a thread, `AsyncRevocations` in a task of an event loop.

    backend = LoginBackend("https://login.example.com", server_key)
    revocations = Revocations(backend, "eu-1:7777", on_event, on_reset)
    revocations.start()

`on_event(event)` is called once for each event: close those of your seats that it ends, which
`event.ends(player, fence)` tells. Events of the last eleven minutes are remembered for players who
enter after them: first add the seat, then ask `revocations.end_of(player, fence)`, so that no event
falls between the two.

`on_reset(at)` is called if events may be missing, as after the restore of a backup. Then each seat
must send a new ticket within 60 seconds, one issued after `at`. Wait two seconds before you ask for
it, since both times have whole seconds.

`Feed` decides everything, and knows neither network nor threads. The key is never logged.
"""

import asyncio
import logging
import random
import threading
import time
import urllib.parse
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from feed_events import FeedEvent, Page, TicketHolder, read_page
from login_backend import CALL_SECONDS, NEW_KEY, BackendAnswer, LoginBackend

logger = logging.getLogger(__name__)

EVENTS_PATH = "/v1/server/events"
KEEP_SECONDS = 660.0  # longer than any ticket lasts, and than an event is repeated
SILENT_SECONDS = 30.0
RESET_SECONDS = 60.0  # for each seat to send a new ticket
FIRST_PAUSE = 2.0
LEAST_PAUSE, LONGEST_PAUSE = 0.1, 60.0  # whatever the backend asks for
REFUSED_PAUSE = 60.0  # after the key was refused
OK, UNAUTHORIZED, FORBIDDEN = 200, 401, 403

OnEvent = Callable[[FeedEvent], object]
OnReset = Callable[[float], object]


@dataclass(frozen=True)
class Turn:
    """What one poll brought: whom to tell what, and for how long to wait until the next."""

    pause: float
    events: list[FeedEvent] = field(default_factory=list)
    reset_at: float | None = None  # the backend's time, if everything was forgotten


class Remembered:
    """The events of the last eleven minutes; safe in several threads."""

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}  # by id, the least recent first
        self._events: dict[str, dict[str, FeedEvent]] = {}  # by account and id
        self._taken: deque[tuple[float, FeedEvent]] = deque()
        self._lock = threading.Lock()

    def take(self, page: Page, now: float) -> list[FeedEvent]:
        """Remember a page; return the events that are new."""
        with self._lock:
            if page.reset:
                self._seen.clear()
                self._events.clear()
                self._taken.clear()
            self._forget(now)
            new = []
            for event in page.events:
                if self._seen.pop(event.id, None) is None:
                    new.append(event)
                    self._events.setdefault(event.account_id, {})[event.id] = event
                    self._taken.append((now, event))
                self._seen[event.id] = now
            return new

    def of(self, account_id: str) -> list[FeedEvent]:
        """Return an account's events, the first one first."""
        with self._lock:
            return list(self._events.get(account_id, {}).values())

    def _forget(self, now: float) -> None:
        for event_id, seen_at in list(self._seen.items()):
            if now - seen_at < KEEP_SECONDS:
                break
            del self._seen[event_id]
        while self._taken and now - self._taken[0][0] >= KEEP_SECONDS:
            _, event = self._taken.popleft()
            events = self._events[event.account_id]
            del events[event.id]
            if not events:
                del self._events[event.account_id]


class Feed:
    """What to ask the backend next, and what its answers mean. `now` is of a monotonic clock."""

    def __init__(self, url: str, server: str, now: float, chance: Callable[[], float]) -> None:
        self.remembered = Remembered()
        self._url, self._server = url, server
        self._cursor: str | None = None
        self._poll_after = FIRST_PAUSE
        self._heard_at = now
        self._told: str | None = None  # the trouble that the log knows of
        self._chance = chance

    def path(self) -> str:
        """Return the path of the next poll."""
        query = {"server": self._server}
        if self._cursor is not None:
            query["after"] = self._cursor
        return f"{EVENTS_PATH}?{urllib.parse.urlencode(query)}"

    def take(self, answer: BackendAnswer, now: float) -> Turn:
        """Take an answer of whatever kind."""
        if answer.status in {UNAUTHORIZED, FORBIDDEN}:
            return self._refused(answer)
        if answer.status != OK:
            return self.fail(str(answer), now, answer.retry_after)
        try:
            page = read_page(answer.content)
        except ValueError as error:
            return self.fail(str(error), now)
        self._poll_after = min(max(page.poll_after, LEAST_PAUSE), LONGEST_PAUSE)
        goes_on = page.more and page.cursor != self._cursor
        self._cursor = page.cursor
        self._heard(now)
        events = self.remembered.take(page, now)
        pause = 0.0 if goes_on else self._poll_after * (1 - self._chance() / 10)
        return Turn(pause, events, page.server_time if page.reset else None)

    def fail(self, why: str, now: float, retry_after: float | None = None) -> Turn:
        """Take note that a poll has brought nothing."""
        if self._told is None and now - self._heard_at >= SILENT_SECONDS:
            self._tell(
                f"the feed of {self._url} has been silent for {now - self._heard_at:.0f} s ({why}):"
                " players who are suspended or signed out meanwhile stay until it is back",
            )
        pause = self._poll_after
        if retry_after is not None:
            pause = min(max(retry_after, pause), LONGEST_PAUSE)
        return Turn(pause * (1 + self._chance() / 2))

    def _refused(self, answer: BackendAnswer) -> Turn:
        if answer.status == UNAUTHORIZED:
            why = "it is wrong or revoked"
            remedy = f"make one with `{NEW_KEY}`"
        else:
            why = f"it may not read the feed, or not for {self._server}"
            remedy = f"make one without --redeem-only, with `{NEW_KEY} --server '{self._server}'`"
        self._tell(f"{self._url} refuses the server key ({answer}): {why}; {remedy}")
        return Turn(REFUSED_PAUSE * (1 + self._chance() / 2))

    def _tell(self, trouble: str) -> None:
        if trouble != self._told:
            logger.warning("%s", trouble)
        self._told = trouble

    def _heard(self, now: float) -> None:
        if self._told is not None:
            logger.warning("the feed of %s is back after %.0f s", self._url, now - self._heard_at)
        self._heard_at, self._told = now, None


class _Reader:
    """What the two ways of polling have in common."""

    def __init__(
        self,
        backend: LoginBackend,
        server: str,
        on_event: OnEvent,
        on_reset: OnReset,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Take the backend, the server's own name, and what to call."""
        self._backend = backend
        self._feed = Feed(backend.url, server, time.monotonic(), chance)
        self._on_event, self._on_reset = on_event, on_reset
        self._stopped = threading.Event()

    def end_of(self, player: TicketHolder, fence: int | None = None) -> FeedEvent | None:
        """Return what has ended a ticket, or None if nothing did in the last eleven minutes."""
        events = self._feed.remembered.of(player.account_id)
        return next((event for event in events if event.ends(player, fence)), None)

    def new_name_of(self, player: TicketHolder) -> str | None:
        """Return the name that the player got since the ticket was issued, or None."""
        events = self._feed.remembered.of(player.account_id)
        return next((event.username for event in reversed(events) if event.renames(player)), None)

    def stop(self) -> None:
        """Stop at once: a poll that is under way ends by itself, and brings nothing any more."""
        self._stopped.set()

    def _begin(self) -> Future[BackendAnswer]:
        return self._backend.begin(self._feed.path())

    def _taken(self, answer: BackendAnswer) -> float:
        return self._deliver(self._feed.take(answer, time.monotonic()))

    def _failed(self, error: Exception) -> float:
        why = f"{type(error).__name__}: {error}".rstrip(": ")
        return self._deliver(self._feed.fail(why, time.monotonic()))

    def _deliver(self, turn: Turn) -> float:
        """Call the server back; return for how long to wait."""
        if turn.reset_at is not None:
            logger.warning("the feed was reset: every player must send a new ticket")
            self._call(self._on_reset, turn.reset_at)
        for event in turn.events:
            self._call(self._on_event, event)
        return turn.pause

    def _call(self, callback: Callable[[Any], object], value: object) -> None:
        try:
            if not self._stopped.is_set():
                callback(value)
        except Exception:
            logger.exception("a callback of the feed failed")


class Revocations(_Reader):
    """Polls in a thread, which calls back; `start` it once."""

    def start(self) -> None:
        """Begin to poll."""
        threading.Thread(target=self._run, name="revocations", daemon=True).start()

    def _run(self) -> None:
        while not self._stopped.is_set():
            poll = self._begin()
            try:
                answer = poll.result(CALL_SECONDS)
            except Exception as error:  # noqa: BLE001  # go on polling, whatever happens
                pause = self._failed(error)
            else:
                pause = self._taken(answer)
            self._stopped.wait(pause)


class AsyncRevocations(_Reader):
    """Polls in a task, which calls back: run `run()` until it is cancelled, or stopped."""

    async def run(self) -> None:
        """Poll until `stop`, or until the task is cancelled."""
        while not self._stopped.is_set():
            poll = asyncio.wrap_future(self._begin())
            try:
                answer = await asyncio.wait_for(poll, CALL_SECONDS)
            except Exception as error:  # noqa: BLE001  # go on polling, whatever happens
                pause = self._failed(error)
            else:
                pause = self._taken(answer)
            await asyncio.sleep(pause)
