"""Tells a game server when a player signs out, is suspended or is renamed.

`Revocations` polls the backend's feed in a thread, `AsyncRevocations` in a task of an event loop.

    backend = LoginBackend("https://login.example.com", server_key)
    revocations = Revocations(backend, "eu-1:7777", on_event, on_reset)
    revocations.start()

The callbacks run in that thread or task: let them return soon, and lock what they share with your
other threads.

`on_event(event)` is called once for each event: close those of your seats that it ends, which
`event.ends(player, fence)` tells. Events of the last eleven minutes are remembered for players who
enter after them: first add the seat, then ask `revocations.end_of(player, fence)`, so that no event
falls between the two.

`on_reset(at)` is called if events may be missing, as after the restore of a backup. Then each seat
must send a new ticket within 60 seconds, one issued after `at`. Wait two seconds before you ask for
it, since both times have whole seconds. Players who enter later with a ticket from before the reset
must send a new one, too: ask `revocations.must_renew(player)` when you have added the seat.

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
KEEP_SECONDS = 660.0  # longer than any ticket lasts; a page repeats only what the last ones had
SILENT_SECONDS = 30.0
RESET_SECONDS = 60.0  # for each seat to send a new ticket
FIRST_PAUSE = 2.0
LEAST_PAUSE, LONGEST_PAUSE = 0.1, 60.0  # whatever the backend asks for
REFUSED_PAUSE = 60.0  # after the key was refused
OK, NOT_FOUND = 200, 404
INVALID_KEY, WRONG_SERVER = "invalid_server_key", "wrong_server"  # codes of errors

OnEvent = Callable[[FeedEvent], object]
OnReset = Callable[[float], object]


@dataclass(frozen=True)
class PollResult:
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
            new = []
            for event in page.events:
                if self._seen.pop(event.id, None) is None:
                    new.append(event)
                    self._events.setdefault(event.account_id, {})[event.id] = event
                    self._taken.append((now, event))
                self._seen[event.id] = now
            self._forget(
                now
            )  # only now: after a long silence, the page repeats what came before it
            return new

    def of(self, account_id: str) -> list[FeedEvent]:
        """Return an account's events, the first one first."""
        with self._lock:
            return list(self._events.get(account_id, {}).values())

    def _forget(self, now: float) -> None:
        while self._seen and now - self._seen[next(iter(self._seen))] >= KEEP_SECONDS:
            del self._seen[next(iter(self._seen))]
        while self._taken and now - self._taken[0][0] >= KEEP_SECONDS:
            _, event = self._taken.popleft()
            events = self._events[event.account_id]
            del events[event.id]
            if not events:
                del self._events[event.account_id]


class Feed:
    """What to ask the backend next, and what its answers mean. `now` is of a monotonic clock."""

    def __init__(self, url: str, server: str, now: float, jitter: Callable[[], float]) -> None:
        self.remembered = Remembered()
        self._url, self._server = url, server
        self._cursor: str | None = None
        self.reset_at = float("-inf")  # when the last reset was, by the backend's clock
        self._poll_after = FIRST_PAUSE
        self._heard_at = now
        self._logged: str | None = None  # the trouble that the log knows of
        self._jitter = jitter

    def path(self) -> str:
        """Return the path of the next poll."""
        query = {"server": self._server}
        if self._cursor is not None:
            query["after"] = self._cursor
        return f"{EVENTS_PATH}?{urllib.parse.urlencode(query)}"

    def take(self, answer: BackendAnswer, now: float) -> PollResult:
        """Take an answer of whatever kind."""
        if answer.code in {INVALID_KEY, WRONG_SERVER}:
            return self._refused(answer)
        if answer.status == NOT_FOUND:  # rolled back, for example
            why = "the backend answers 404; does its version have the feed?"
            return self.fail(why, now, answer.retry_after)
        if answer.status != OK:
            return self.fail(str(answer), now, answer.retry_after)
        try:
            page = read_page(answer.content)
        except ValueError as error:
            return self.fail(str(error), now)
        events = self.remembered.take(page, now)
        self._poll_after = min(max(page.poll_after, LEAST_PAUSE), LONGEST_PAUSE)
        goes_on = page.more and page.cursor != self._cursor
        self._cursor = page.cursor
        self._heard(now)
        if page.reset:
            self.reset_at = page.server_time
        pause = 0.0 if goes_on else self._poll_after * (1 - self._jitter() / 10)
        return PollResult(pause, events, page.server_time if page.reset else None)

    def fail(self, why: str, now: float, retry_after: float | None = None) -> PollResult:
        """Take note that a poll has brought nothing."""
        if self._logged is None and now - self._heard_at >= SILENT_SECONDS:
            self._log_once(
                f"the feed of {self._url} has been silent for {now - self._heard_at:.0f} s ({why}):"
                " players who are suspended or signed out meanwhile stay until it is back",
            )
        pause = self._poll_after
        if retry_after is not None:
            pause = min(max(retry_after, pause), LONGEST_PAUSE)
        return PollResult(pause * (1 + self._jitter() / 2))

    def _refused(self, answer: BackendAnswer) -> PollResult:
        if answer.code == INVALID_KEY:
            why = "it is wrong or revoked"
            remedy = f"make one with `{NEW_KEY}`"
        else:
            why = f"it may not read the feed, or not for {self._server}"
            remedy = f"make one without --redeem-only, with `{NEW_KEY} --server '{self._server}'`"
        self._log_once(f"{self._url} refuses the server key ({answer}): {why}; {remedy}")
        return PollResult(REFUSED_PAUSE * (1 + self._jitter() / 2))

    def _log_once(self, trouble: str) -> None:
        if trouble != self._logged:
            logger.warning("%s", trouble)
        self._logged = trouble

    def _heard(self, now: float) -> None:
        if self._logged is not None:
            logger.warning("the feed of %s is back after %.0f s", self._url, now - self._heard_at)
        self._heard_at, self._logged = now, None


class _Reader:
    """What the two ways of polling have in common."""

    def __init__(
        self,
        backend: LoginBackend,
        server: str,
        on_event: OnEvent,
        on_reset: OnReset,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Take the backend, the server's own name, and what to call."""
        self._backend = backend
        self._feed = Feed(backend.url, server, time.monotonic(), jitter)
        self._on_event, self._on_reset = on_event, on_reset

    def end_of(self, player: TicketHolder, fence: int | None = None) -> FeedEvent | None:
        """Return what has ended a ticket, or None if nothing did in the last eleven minutes."""
        events = self._feed.remembered.of(player.account_id)
        return next((event for event in events if event.ends(player, fence)), None)

    def new_name_of(self, player: TicketHolder) -> str | None:
        """Return the name that the player got since the ticket was issued, or None."""
        events = self._feed.remembered.of(player.account_id)
        return next((event.username for event in reversed(events) if event.renames(player)), None)

    def must_renew(self, player: TicketHolder) -> bool:
        """Tell whether the ticket was issued before the feed's last reset: ask for a new one."""
        return player.issued_at <= self.reset_at

    @property
    def reset_at(self) -> float:
        """Return when the feed's last reset was, or minus infinity."""
        return self._feed.reset_at

    def _begin(self) -> Future[BackendAnswer]:
        return self._backend.begin(self._feed.path())

    def _taken(self, answer: BackendAnswer) -> float:
        return self._deliver(self._feed.take(answer, time.monotonic()))

    def _failed(self, error: Exception) -> float:
        why = f"{type(error).__name__}: {error}".rstrip(": ")
        return self._deliver(self._feed.fail(why, time.monotonic()))

    def _deliver(self, result: PollResult) -> float:
        """Call the server back; return for how long to wait."""
        if result.reset_at is not None:
            logger.warning("the feed was reset: every player must send a new ticket")
            self._call(self._on_reset, result.reset_at)
        for event in result.events:
            self._call(self._on_event, event)
        return result.pause

    def _call(self, callback: Callable[[Any], object], value: object) -> None:
        try:
            callback(value)
        except Exception:
            logger.exception("a callback of the feed failed")


class Revocations(_Reader):
    """Polls in a thread, which calls back; `start` it once."""

    def __init__(
        self,
        backend: LoginBackend,
        server: str,
        on_event: OnEvent,
        on_reset: OnReset,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Take the backend, the server's own name, and what to call."""
        super().__init__(backend, server, on_event, on_reset, jitter)
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin to poll."""
        threading.Thread(target=self._run, name="revocations", daemon=True).start()

    def stop(self) -> None:
        """Stop at once: a poll that is under way ends by itself, and brings nothing any more."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._stopped.wait(self._poll())

    def _poll(self) -> float:
        """Poll once, whatever happens; return for how long to wait until the next poll."""
        try:
            return self._taken(self._begin().result(CALL_SECONDS))
        except Exception as error:  # noqa: BLE001  # the thread must go on
            return self._failed(error)

    def _call(self, callback: Callable[[Any], object], value: object) -> None:
        if not self._stopped.is_set():
            super()._call(callback, value)


class AsyncRevocations(_Reader):
    """Polls in a task, which calls back: run `run()` until you cancel it."""

    async def run(self) -> None:
        """Poll until the task is cancelled."""
        while True:
            await asyncio.sleep(await self._poll())

    async def _poll(self) -> float:
        """Poll once, whatever happens; return for how long to wait until the next poll."""
        try:
            poll = asyncio.wrap_future(self._begin())
            return self._taken(await asyncio.wait_for(poll, CALL_SECONDS))
        except Exception as error:  # noqa: BLE001  # the task must go on
            return self._failed(error)
