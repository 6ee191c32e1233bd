"""A resuming database is waited for; any other failure is raised at once."""

from typing import Any

import pytest

from auth.external.failures import DatabaseFailure
from auth.external.resuming import PAUSE_SECONDS, RESUME_SECONDS, wait_for


class Database:
    """A database that fails once with each of these codes, then answers; with its own clock."""

    def __init__(self, *numbers: int, seconds: float = 0) -> None:
        self.numbers = list(numbers)
        self.seconds = seconds
        self.now = 0.0
        self.tries = 0

    def connect(self) -> Any:
        """Try to connect."""
        self.tries += 1
        self.now += self.seconds
        if self.numbers:
            raise DatabaseFailure(self.numbers.pop(0))
        return "connection"

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    def wait(self) -> Any:
        """Wait for the database."""
        return wait_for(self.connect, lambda: self.now, self.sleep)


def test_asleep() -> None:
    """Connecting is retried until the database is reachable and stops hanging up."""
    database = Database(2003, 2003, 2013)
    assert database.wait() == "connection"
    assert database.tries == 4
    assert database.now == 3 * PAUSE_SECONDS


@pytest.mark.parametrize("number", [1045, 1040, 1049])
def test_another_failure(number: int) -> None:
    """A failure other than sleep is not waited for."""
    database = Database(number)
    with pytest.raises(DatabaseFailure):
        database.wait()
    assert database.tries == 1


def test_giving_up() -> None:
    """A database that stays unreachable is given up, with the reason."""
    database = Database(*[2003] * 1000, seconds=2)
    with pytest.raises(DatabaseFailure, match=r"unreachable \(2003\)"):
        database.wait()
    assert RESUME_SECONDS <= database.now < RESUME_SECONDS + 5
