"""The two ways of polling the feed, in a thread and in an event loop, with a backend in trouble."""

import asyncio
import logging
import math
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager

import login_backend
import pytest
from feed_events import FeedEvent
from login_backend import BackendAnswer, LoginBackend
from revocations import AsyncRevocations, Feed, PollResult, Revocations

from local.stack import ROOT
from tests.game_server.feed_pages import EVE, Holder, event, page
from tests.game_server.scripted_backend import KEY, Scripted, ScriptedBackend, failure, wait_for

QUICK = 0.1
STOP_SECONDS = login_backend.CALL_SECONDS / 2  # long before a stuck request would end by itself


class Listener:
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
def in_a_thread(url: str, listener: Listener) -> Iterator[Revocations]:
    """Poll in a thread."""
    backend = LoginBackend(url, KEY)
    revocations = Revocations(backend, "eu-1", listener.on_event, listener.on_reset)
    revocations.start()
    try:
        yield revocations
    finally:
        revocations.stop()


@contextmanager
def in_a_loop(url: str, listener: Listener) -> Iterator[AsyncRevocations]:
    """Poll in an event loop, which runs in a thread of the test."""
    backend = LoginBackend(url, KEY)
    revocations = AsyncRevocations(backend, "eu-1", listener.on_event, listener.on_reset)
    loop = asyncio.new_event_loop()
    task = loop.create_task(revocations.run())

    def run() -> None:
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield revocations
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(STOP_SECONDS)
        assert not thread.is_alive()
        loop.close()


WAYS = pytest.mark.parametrize("way", [in_a_thread, in_a_loop])
Way = Callable[[str, Listener], AbstractContextManager[Revocations | AsyncRevocations]]


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
        listener = Listener()
        with way(backend.url, listener) as revocations:
            wait_for(lambda: len(backend.asked) >= 5)
            assert revocations.end_of(Holder(EVE)) is not None
            assert revocations.end_of(Holder()) is None, "the reset forgot it"
            assert revocations.must_renew(Holder())
            assert not revocations.must_renew(Holder(issued_at=Holder().issued_at + 3))
    assert listener.heard[:2] == ["account-purged", "session-revoked"]
    assert isinstance(listener.heard[2], float)
    assert listener.heard[3:] == ["account-purged"]
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
        Scripted(200, page(poll_after=math.nan)),
        Scripted(200, page(poll_after=10**400)),
        Scripted(0),
        Scripted(200, page(event("account-purged"), poll_after=QUICK)),
    ) as backend:
        listener = Listener()
        with way(backend.url, listener):
            wait_for(lambda: listener.heard)
    assert all(path.startswith("/v1/server/events?") for path, _, _ in backend.asked)
    assert "k" * 43 not in caplog.text


@WAYS
def test_a_poll_that_cannot_begin(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure of any kind, such as a lack of threads, does not end the polling."""
    begin, failures = LoginBackend.begin, [RuntimeError("can't start new thread")]

    def begin_later(backend: LoginBackend, path: str) -> Future[BackendAnswer]:
        if failures:
            raise failures.pop()
        return begin(backend, path)

    monkeypatch.setattr(LoginBackend, "begin", begin_later)
    monkeypatch.setattr("revocations.FIRST_PAUSE", QUICK)
    with ScriptedBackend(Scripted(200, page(event("account-purged")))) as backend:
        listener = Listener()
        with way(backend.url, listener):
            wait_for(lambda: listener.heard)
    assert failures == []


@WAYS
def test_a_mistake_of_the_feed(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure while an answer is taken does not end the polling, either."""
    take, failures = Feed.take, [OverflowError("too large"), LookupError("no such event")]

    def take_later(feed: Feed, answer: BackendAnswer, now: float) -> PollResult:
        if failures:
            raise failures.pop()
        return take(feed, answer, now)

    monkeypatch.setattr(Feed, "take", take_later)
    monkeypatch.setattr("revocations.FIRST_PAUSE", QUICK)
    with ScriptedBackend(Scripted(200, page(event("account-purged")))) as backend:
        listener = Listener()
        with way(backend.url, listener):
            wait_for(lambda: listener.heard)
    assert failures == []


@WAYS
def test_a_callback_that_fails(way: Way, caplog: pytest.LogCaptureFixture) -> None:
    """A mistake in the game server's own code is logged, and the feed goes on."""

    class Clumsy(Listener):
        def on_event(self, event: FeedEvent) -> None:
            super().on_event(event)
            raise LookupError("no such seat")

    events = [event("account-purged"), event("account-purged", EVE)]
    with ScriptedBackend(
        *(Scripted(200, page(*events[:number], poll_after=QUICK)) for number in (1, 2))
    ) as backend:
        listener = Clumsy()
        with way(backend.url, listener):
            wait_for(lambda: len(listener.heard) == 2)
    assert caplog.text.count("LookupError: no such seat") == 2


@WAYS
def test_a_stuck_request(way: Way) -> None:
    """A request without an answer does not hold up the end, and what it brings then is dropped."""
    with ScriptedBackend(Scripted(200, page(event("account-purged")))) as backend:
        backend.may_answer.clear()
        listener = Listener()
        with way(backend.url, listener):
            wait_for(lambda: backend.asked)
            began = time.monotonic()
        assert time.monotonic() - began < STOP_SECONDS
        backend.may_answer.set()
        wait_for(lambda: backend.answered)
        time.sleep(0.3)
        assert listener.heard == []


@WAYS
def test_time_out(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that does not come in time is given up, and asked for again."""
    monkeypatch.setattr("revocations.CALL_SECONDS", 1.0)
    monkeypatch.setattr("revocations.FIRST_PAUSE", QUICK)
    with ScriptedBackend(Scripted(200, page(event("account-purged")))) as backend:
        backend.may_answer.clear()
        listener = Listener()
        with way(backend.url, listener):
            wait_for(lambda: len(backend.asked) >= 2)
            backend.may_answer.set()
            wait_for(lambda: listener.heard == ["account-purged"])


STUCK = """
import sys
from login_backend import BackendAnswer, LoginBackend
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
            try:
                wait_for(lambda: backend.asked)
                process.communicate(b"\n", timeout=STOP_SECONDS)
                assert process.returncode == 0
            finally:
                process.kill()


def test_one_tls_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificates are read once, not for each call, which would cost milliseconds."""
    read: list[object] = []
    load = ssl.SSLContext.load_default_certs

    def load_default_certs(context: ssl.SSLContext, *purpose: ssl.Purpose) -> None:
        read.append(context)
        load(context, *purpose)

    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", load_default_certs)
    backend = LoginBackend("https://127.0.0.1:9", KEY)
    for _ in range(3):
        with pytest.raises(OSError, match="refused"):
            backend.begin("/").result(20)
    assert len(read) == 1


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
            poll.result(8)  # the answer takes ten seconds


def test_a_long_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer without end is not read to its end."""
    monkeypatch.setattr(login_backend, "MAX_ANSWER_BYTES", 100)
    with (
        ScriptedBackend(Scripted(200, "x" * 101)) as backend,
        pytest.raises(ValueError, match="longer than 100 bytes"),
    ):
        LoginBackend(backend.url, KEY).begin("/").result(10)
