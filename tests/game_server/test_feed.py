"""What the pages of the feed mean: whose seat ends, what is asked next, and what the log says."""

import logging
import math

import pytest
from feed_events import FeedEvent, read_page
from login_backend import BackendAnswer
from revocations import Feed, PollResult

from tests.game_server.feed_pages import ADA, EVE, NOW, Holder, answered, event, page

ELSEWHERE = Holder(session_id="session-2")
LATER = Holder(epoch=8)
STRANGER = Holder(EVE)
URL = "https://login.example.com"


def feed() -> Feed:
    """Return a feed without jitter, at time 0."""
    return Feed(URL, "eu-1:7777", 0.0, lambda: 0.0)


def only(content: dict[str, object]) -> FeedEvent:
    """Return the event that is read from its JSON."""
    (found,) = read_page(page(content)).events
    return found


def kinds(result: PollResult) -> list[str]:
    """Return the types of a result's events."""
    return [event.type for event in result.events]


@pytest.mark.parametrize(
    ("content", "ended", "staying"),
    [
        (event("session-revoked", session_id="session-1"), [Holder(), LATER], [ELSEWHERE]),
        (event("all-sessions-revoked", epoch=8), [Holder(), ELSEWHERE], [LATER]),
        (event("account-disabled", epoch=8, reason="suspended"), [Holder(), ELSEWHERE], [LATER]),
        (event("account-disabled", epoch=8, until=None, message=None), [Holder()], [LATER]),
        (event("credential-change", epoch=8, session_id="session-1"), [ELSEWHERE], [Holder()]),
        (event("credential-change", epoch=8), [Holder(), ELSEWHERE], [LATER]),
        (event("account-purged"), [Holder(), ELSEWHERE, LATER, Holder(epoch=99)], []),
        (event("account-enabled"), [], [Holder(epoch=0), LATER]),
        (event("account-enabled", epoch=9), [], [Holder(epoch=0), LATER]),
        (event("identifier-changed", username="Grace"), [], [Holder(), LATER]),
        (event("all-sessions-revoked"), [Holder()], [Holder(issued_at=int(NOW.timestamp()) + 2)]),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else "",
)
def test_whose_seat_ends(
    content: dict[str, object], ended: list[Holder], staying: list[Holder]
) -> None:
    """An event ends the seats of its account that it means, and no others."""
    found = only(content)
    assert [holder for holder in ended if not found.ends(holder)] == []
    assert [holder for holder in [*staying, STRANGER] if found.ends(holder)] == []


def test_superseded() -> None:
    """A later connection ends those with a smaller fence, and none whose fence is unknown."""
    found = only(event("connection-superseded", fence=500))
    assert [found.ends(Holder(), fence) for fence in (499, 500, 501, None)] == [
        *(True, False, False, False)
    ]
    assert not found.ends(STRANGER, 1)


def test_new_names() -> None:
    """A name is new to a ticket that was issued before the change; a guest may get one, too."""
    for content in (
        event("identifier-changed", username="Grace"),
        event("credential-change", epoch=8, session_id="session-1", username="Grace"),
    ):
        found = only(content)
        assert found.renames(Holder())
        assert not found.renames(STRANGER)
        assert not found.renames(Holder(issued_at=int(NOW.timestamp()) + 2))
    assert not only(event("credential-change", epoch=8, session_id="session-1")).renames(Holder())


def test_what_is_unknown(caplog: pytest.LogCaptureFixture) -> None:
    """Unknown types and members are ignored; known types of a wrong form are logged, too."""
    result = feed().take(
        answered(
            event("device-lost", epoch=9),
            event("account-purged", colour="red"),
            event("session-revoked"),
            event("connection-superseded", fence="high"),
            event("all-sessions-revoked", epoch=True),
            {"type": "account-purged"},
            event("account-purged", at="yesterday"),
            {"type": 7},
            colour="blue",
        ),
        1.0,
    )
    assert kinds(result) == ["account-purged"]
    assert len(caplog.messages) == 5
    assert "session-revoked: session_id" in caplog.messages[0]


@pytest.mark.parametrize(
    "content",
    [
        {},
        page(cursor=None),
        page(events={}),
        page(more="no"),
        page(poll_after="2"),
        page(poll_after=True),
        page(poll_after=math.nan),
        page(poll_after=math.inf),
        page(poll_after=10**400),
        page(server_time="2026-11-28T12:00:02"),
        page(server_time=1),
    ],
)
def test_no_page(content: dict[str, object]) -> None:
    """Whatever is no page changes nothing: the same question is asked again."""
    reader = feed()
    reader.take(answered(cursor="c7"), 1.0)
    before = reader.path()
    assert reader.take(BackendAnswer(200, content), 2.0) == PollResult(2.0)
    assert reader.path() == before


def test_repeats() -> None:
    """An event is told once, however often it comes, and even after a long silence of the feed."""
    reader, repeated = feed(), event("account-purged")
    assert kinds(reader.take(answered(repeated, repeated), 0.0)) == ["account-purged"]
    for now in (2.0, 600.0, 1200.0, 9000.0):  # each time counts anew
        assert kinds(reader.take(answered(repeated), now)) == []
    reader.take(answered(), 9661.0)  # nothing is kept for ever
    assert kinds(reader.take(answered(repeated), 9662.0)) == ["account-purged"]


def test_memory() -> None:
    """What an event ended is known for eleven minutes, and forgotten then."""
    reader = feed()
    for now, epoch in ((0.0, 8), (10.0, 9)):
        reader.take(answered(event("all-sessions-revoked", epoch=epoch)), now)
    reader.take(answered(), 659.0)
    assert [found.epoch for found in reader.remembered.of(ADA)] == [8, 9]
    reader.take(answered(), 661.0)
    assert [found.epoch for found in reader.remembered.of(ADA)] == [9]
    reader.take(answered(), 671.0)
    assert reader.remembered.of(ADA) == []


def test_cursor() -> None:
    """Each poll goes on from the last page, and names the server."""
    reader = feed()
    assert reader.path() == "/v1/server/events?server=eu-1%3A7777"
    reader.take(answered(cursor="c 1"), 1.0)
    assert reader.path() == "/v1/server/events?server=eu-1%3A7777&after=c+1"


def test_more() -> None:
    """If there is more, it is asked for at once, unless the backend makes no progress."""
    reader = feed()
    assert reader.take(answered(more=True, cursor="c1"), 1.0).pause == 0
    assert reader.take(answered(more=True, cursor="c2"), 1.0).pause == 0
    assert reader.take(answered(more=True, cursor="c2"), 1.0).pause == 2
    assert reader.take(answered(cursor="c3", poll_after=5), 1.0).pause == 5


def test_reset() -> None:
    """A reset forgets everything, says since when, and then applies the events of its page."""
    reader = feed()
    known = event("all-sessions-revoked", epoch=8)
    reader.take(answered(known, event("account-purged", EVE)), 1.0)
    result = reader.take(answered(known, reset=True), 2.0)
    assert result.reset_at == NOW.timestamp() + 2
    assert kinds(result) == ["all-sessions-revoked"]
    assert reader.remembered.of(EVE) == []
    assert len(reader.remembered.of(ADA)) == 1
    assert reader.take(answered(), 3.0).reset_at is None
    reader.take(answered(), 700.0)
    assert reader.remembered.of(ADA) == []


def test_pauses() -> None:
    """Trouble is retried after the last `poll_after`, or later if the backend asks for that."""
    reader = feed()
    assert reader.fail("no answer", 1.0).pause == 2
    reader.take(answered(poll_after=7), 1.0)
    for status in (401, 403, 404, 429, 500, 503):  # without a code: not the backend's own
        assert reader.take(BackendAnswer(status, {}), 2.0).pause == 7
        assert reader.take(BackendAnswer(status, {}, retry_after=20), 2.0).pause == 20
        assert reader.take(BackendAnswer(status, {}, retry_after=1), 2.0).pause == 7
        assert reader.take(BackendAnswer(status, {}, retry_after=90_000), 2.0).pause == 60
    for status, code in ((401, "invalid_server_key"), (403, "wrong_server")):
        refusal = BackendAnswer(status, {"error": {"code": code}})
        assert reader.take(refusal, 2.0).pause == 60
    assert reader.take(answered(poll_after=0), 3.0).pause == 0.1
    assert reader.take(answered(poll_after=86_400), 3.0).pause == 60


def test_jitter() -> None:
    """Servers that were started together do not poll together; none polls later than it should."""
    reader = Feed(URL, "eu-1:7777", 0.0, lambda: 1.0)
    assert reader.take(answered(poll_after=10), 1.0).pause == 9
    assert reader.fail("no answer", 2.0).pause == 15


def test_silence(caplog: pytest.LogCaptureFixture) -> None:
    """After 30 s of silence the log says so once, and once that the feed is back."""
    caplog.set_level(logging.INFO)
    reader = feed()
    for now in (10.0, 29.0, 30.0, 40.0, 400.0):
        reader.fail("TimeoutError", now)
    (line,) = caplog.messages
    assert "silent for 30 s (TimeoutError)" in line
    for now in (401.0, 402.0):
        reader.take(answered(), now)
    assert caplog.messages[1:] == [f"the feed of {URL} is back after 401 s"]
    reader.fail("TimeoutError", 403.0)
    assert len(caplog.messages) == 2


def test_a_backend_without_a_feed(caplog: pytest.LogCaptureFixture) -> None:
    """If the backend does not know the route, the log asks for its version, not for a new key."""
    reader = feed()
    for now in (10.0, 31.0):
        reader.take(BackendAnswer(404, {"error": {"code": "not_found"}}), now)
    (line,) = caplog.messages
    assert "the backend answers 404; does its version have the feed?" in line
    assert "key" not in line


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        (401, "invalid_server_key", "make one with `python -m operate servers add LABEL`"),
        (403, "wrong_server", "without --redeem-only"),
    ],
)
def test_a_refused_key(
    caplog: pytest.LogCaptureFixture, status: int, code: str, remedy: str
) -> None:
    """The log says once what to do about a key that is refused, and when it works."""
    reader = feed()
    for now in (1.0, 61.0, 121.0):
        reader.take(BackendAnswer(status, {"error": {"code": code}}), now)
        reader.fail("TimeoutError", now + 1)
    (line,) = caplog.messages
    assert f"({status} {code})" in line
    assert remedy in line
    reader.take(answered(), 200.0)
    assert "is back" in caplog.messages[1]
