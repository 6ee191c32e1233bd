"""Steps of the clock, and polls of the feed: never at once.

The feed expects clocks that differ by a minute at most. A step is more for the requests that are
under way; so no poll runs during a step, nor until the requests from before it have ended.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOK_SECONDS = 0.02


class Steps:
    """Keeps steps and polls apart. `under_way`: when each request now in progress began."""

    def __init__(self, now: Callable[[], float], under_way: Callable[[], list[float]]) -> None:
        self._now = now
        self._under_way = under_way
        self._stepped_at = -1.0
        self._polls = 0
        self._steps = 0
        self._changed = threading.Condition()

    @contextmanager
    def step(self) -> Iterator[None]:
        """Wait for the polls that are under way, and let none begin inside."""
        with self._changed:
            self._steps += 1
            self._changed.wait_for(lambda: not self._polls)
        try:
            yield
        finally:
            with self._changed:
                self._stepped_at = self._now()
                self._steps -= 1
                self._changed.notify_all()

    @contextmanager
    def no_step(self) -> Iterator[None]:
        """Wait until no request from before a step is under way, and let no step happen inside."""
        with self._changed:
            while not self._is_quiet():
                self._changed.wait(LOOK_SECONDS)
            self._polls += 1
        try:
            yield
        finally:
            with self._changed:
                self._polls -= 1
                self._changed.notify_all()

    def _is_quiet(self) -> bool:
        return not self._steps and all(began > self._stepped_at for began in self._under_way())
