"""The terminal output of the commands: one line per step, and one for an error."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Problem(Exception):
    """An error for the user: the cause and the remedy."""


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)  # noqa: T201


@contextmanager
def step(text: str) -> Iterator[None]:
    """Print the step's name at its start, and its duration at the end."""
    began = time.monotonic()
    sys.stdout.write(f"{text} ... ")
    sys.stdout.flush()
    try:
        yield
    except BaseException:
        say("failed")
        raise
    say(f"{time.monotonic() - began:.1f} s")
