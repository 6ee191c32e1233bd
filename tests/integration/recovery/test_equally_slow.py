"""Refused recoveries take equally long, whatever the account has."""

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from statistics import median

import pytest

import handler
from auth.app import create_app
from auth.credentials.passwords import Passwords
from auth.settings import Settings
from local.stack import Stack
from tests.integration.recovery.wrong_codes import attempt
from tests.play.guests import new_secret

MOST = 0.03  # of one verification


@pytest.fixture(autouse=True)
def _described() -> None:
    """Leave the answers unchecked: that would take longer than the requests."""


@pytest.fixture
def _quick(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a container answer that hashes cheaply and limits nothing."""
    settings = replace(Settings.from_environment(stack.environment()), rate_limit_scale=1e6)
    application = create_app(settings, passwords=Passwords(8, 1))
    monkeypatch.setattr(handler, "application", application)
    yield
    application.close()


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU time that this thread takes for some work."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


@pytest.mark.parametrize("rounds", [400, pytest.param(2000, marks=pytest.mark.search)])
@pytest.mark.usefixtures("_quick")
def test_equally_slow(refused: dict[str, str], rounds: int) -> None:
    """The medians of each kind, interleaved, differ by less than 3 % of one verification.

    The requests hash cheaply, so that Argon2's own variation does not hide a difference: that each
    makes one verification, with the parameters of every other, is `test_one_answer`'s. It is
    compared with a verification of full cost in the same run.
    """
    passwords = Passwords()
    hashed = passwords.hash("a password")
    samples: dict[str, list[float]] = {kind: [] for kind in refused}
    verifications = []
    order, secret = list(refused.items()), new_secret()
    for number in range(rounds):
        secrets.SystemRandom().shuffle(order)
        for kind, name in order:
            samples[kind].append(cpu_seconds(partial(attempt, name, guest_secret=secret)))
        if number % (rounds // 40) == 0:
            verifications.append(cpu_seconds(lambda: passwords.verify(hashed, "another")))
    one = median(verifications)
    medians = {kind: median(values) for kind, values in samples.items()}
    ratio = (max(medians.values()) - min(medians.values())) / one
    assert ratio < MOST, f"{ratio:.1%} of {one * 1000:.1f} ms: {medians}"
