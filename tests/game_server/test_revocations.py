"""The two ways of polling the feed, in a thread and in an event loop, with a backend in trouble."""

import asyncio
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import login_backend
import pytest
from feed_events import FeedEvent
from login_backend import LoginBackend
from revocations import AsyncRevocations, Revocations

from local.stack import ROOT
from tests.game_server.feed_pages import EVE, Holder, event, page
from tests.game_server.scripted_backend import KEY, Scripted, ScriptedBackend, failure

QUICK = 0.1


class Told:
    """A game server that only listens."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def on_event(self, event: FeedEvent) -> None:
        """Keep the type."""
        self.heard.append(event.type)

    def on_reset(self, at: float) -> None:
        """Keep the time."""
        self.heard.append(at)


@contextmanager
def in_a_thread(url: str, told: Told) -> Iterator[Revocations]:
    """Poll in a thread."""
    revocations = Revocations(LoginBackend(url, KEY), "eu-1", told.on_event, told.on_reset)
    revocations.start()
    yield revocations
    revocations.stop()


@contextmanager
def in_a_loop(url: str, told: Told) -> Iterator[AsyncRevocations]:
    """Poll in an event loop, which runs in a thread of the test."""
    revocations = AsyncRevocations(LoginBackend(url, KEY), "eu-1", told.on_event, told.on_reset)
    loop = asyncio.new_event_loop()
    task = loop.create_task(revocations.run())

    def run() -> None:
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=run)
    thread.start()
    yield revocations
    began = time.monotonic()
    loop.call_soon_threadsafe(task.cancel)
    thread.join()
    loop.close()
    assert time.monotonic() - began < 1


WAYS = pytest.mark.parametrize("way", [in_a_thread, in_a_loop])
Way = Callable[[str, Told], AbstractContextManager[Revocations | AsyncRevocations]]


def wait_for(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait until something is true."""
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at, "it did not happen"
        time.sleep(0.01)


@WAYS
def test_told(way: Way) -> None:
    """The server is told of each event once, and of a reset before the events of its page."""
    first, second = event("account-purged"), event("session-revoked", session_id="session-1")
    with ScriptedBackend(
        Scripted(200, page(first, more=True, cursor="c1", poll_after=QUICK)),
        Scripted(200, page(first, second, cursor="c2", poll_after=QUICK)),
        Scripted(200, page(event("account-purged", EVE), reset=True, poll_after=QUICK)),
        Scripted(200, page(poll_after=QUICK)),
    ) as backend:
        told = Told()
        with way(backend.url, told) as revocations:
            wait_for(lambda: len(backend.asked) >= 5)
            assert revocations.end_of(Holder(EVE)) is not None
            assert revocations.end_of(Holder()) is None, "the reset forgot it"
    assert told.heard[:2] == ["account-purged", "session-revoked"]
    assert isinstance(told.heard[2], float)
    assert told.heard[3:] == ["account-purged"]
    paths = [path.partition("after=")[2] for path, _, _ in backend.asked[:3]]
    assert paths == ["", "c1", "c2"]
    assert {sent for _, sent, _ in backend.asked} == {f"Bearer {KEY}"}


@WAYS
def test_trouble(way: Way, caplog: pytest.LogCaptureFixture) -> None:
    """A backend in trouble of any kind is asked again; nothing of the key is logged."""
    caplog.set_level(logging.DEBUG)
    with ScriptedBackend(
        Scripted(200, page(poll_after=QUICK)),
        failure(404, "not_found"),
        failure(429, "rate_limited", Retry_After="0"),
        failure(503, "unavailable", Retry_After="soon"),
        Scripted(502, "<html>Bad Gateway"),
        Scripted(302, "", {"Location": "/elsewhere"}),
        Scripted(200, "[1"),
        Scripted(200, [1]),
        Scripted(200, "[" * 100_000),
        Scripted(0),
        Scripted(200, page(event("account-purged"), poll_after=QUICK)),
    ) as backend:
        told = Told()
        with way(backend.url, told):
            wait_for(lambda: told.heard)
    assert all(path.startswith("/v1/server/events?") for path, _, _ in backend.asked)
    assert "k" * 43 not in caplog.text


@WAYS
def test_a_callback_that_fails(way: Way, caplog: pytest.LogCaptureFixture) -> None:
    """A mistake in the game server's own code is logged, and the feed goes on."""

    class Clumsy(Told):
        def on_event(self, event: FeedEvent) -> None:
            super().on_event(event)
            raise LookupError("no such seat")

    events = [event("account-purged"), event("account-purged", EVE)]
    with ScriptedBackend(
        *(Scripted(200, page(*events[:number], poll_after=QUICK)) for number in (1, 2))
    ) as backend:
        told = Clumsy()
        with way(backend.url, told):
            wait_for(lambda: len(told.heard) == 2)
    assert caplog.text.count("LookupError: no such seat") == 2


@WAYS
def test_a_stuck_request(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request without an answer does not hold up the end, and what it brings then is dropped."""
    with ScriptedBackend(Scripted(200, page(event("account-purged")))) as backend:
        backend.may_answer.clear()
        told = Told()
        with way(backend.url, told):
            wait_for(lambda: backend.asked)
            began = time.monotonic()
        assert time.monotonic() - began < 1
        backend.may_answer.set()
        time.sleep(0.3)
        assert told.heard == []


@WAYS
def test_time_out(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that does not come in time is given up, and asked for again."""
    monkeypatch.setattr("revocations.CALL_SECONDS", 0.2)
    with ScriptedBackend(Scripted(200, page(event("account-purged")))) as backend:
        backend.may_answer.clear()
        told = Told()
        with way(backend.url, told):
            wait_for(lambda: len(backend.asked) >= 2)
            backend.may_answer.set()
            wait_for(lambda: told.heard == ["account-purged"])


STUCK = """
import sys
from login_backend import LoginBackend
from revocations import Revocations
revocations = Revocations(LoginBackend(*sys.argv[1:]), "eu-1", print, print)
revocations.start()
sys.stdin.readline()
revocations.stop()
"""


def test_the_end_of_the_process() -> None:
    """A process ends at once, though a request of its thread is stuck."""
    with ScriptedBackend(Scripted(200, page())) as backend:
        backend.may_answer.clear()
        with subprocess.Popen(
            [sys.executable, "-c", STUCK, backend.url, KEY],
            cwd=ROOT / "clients" / "game_server",
            stdin=subprocess.PIPE,
        ) as process:
            wait_for(lambda: backend.asked, 20)
            process.communicate(b"\n", timeout=5)
            assert process.returncode == 0


@pytest.mark.parametrize(
    ("url", "key", "problem"),
    [
        ("http://login.example.com", KEY, "must be https"),
        ("https://login.example.com", "", "must begin with glsk_"),
        ("https://login.example.com", "glsk_a\r\nX: y", "must begin with glsk_"),
        ("https://login.example.com", "eyJhbGciOi", "must begin with glsk_"),
    ],
)
def test_bad_settings(url: str, key: str, problem: str) -> None:
    """A URL that would give the key away is refused, and so is what cannot be a key, unquoted."""
    with pytest.raises(ValueError, match=problem) as caught:
        LoginBackend(url, key)
    assert key == "" or key not in str(caught.value)


def test_a_slow_answer() -> None:
    """An answer that comes byte by byte is given up, so that no thread is left behind."""
    with ScriptedBackend(Scripted(200, "x" * 100)) as backend:
        backend.pause = 0.1
        poll = LoginBackend(backend.url, KEY).begin("/", seconds=0.5)
        with pytest.raises(TimeoutError, match="too slow"):
            poll.result(5)


def test_a_long_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer without end is not read to its end."""
    monkeypatch.setattr(login_backend, "MAX_ANSWER_BYTES", 100)
    with (
        ScriptedBackend(Scripted(200, "x" * 101)) as backend,
        pytest.raises(ValueError, match="too long"),
    ):
        LoginBackend(backend.url, KEY).begin("/").result(10)
