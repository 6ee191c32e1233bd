"""Events that no gateway sends: no 5xx, no exception, and bounded memory.

`make fuzz` runs this with 100 000 inputs. `test_hostile_bodies` covers bodies in well-formed
events.
"""

import copy
import json
import logging
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as examples
from hypothesis import strategies as st

import handler
from tests.integration.contract.contract import CODES, LOGIN, REGISTER, ROUTES, TUTORIAL
from tests.integration.hostile.test_hostile_bodies import FIELDS, _quick, junk, tokens, words  # noqa: F401
from tests.play.events import http_event
from tests.play.guests import new_secret
from tests.play.players import Player

pytestmark = pytest.mark.search

INPUTS = int(os.environ.get("FUZZ_INPUTS", "4000"))
AT_ONCE = 5000  # Hypothesis remembers its inputs, so one large run would measure that memory
SMALLEST_BATCH = 6
MAX_SECONDS = 5.0
MAX_GROWTH_MIB = 128

paths = st.sampled_from([route.path for route in (*ROUTES, *TUTORIAL)])
methods = st.sampled_from([*("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS")]) | words
texts = words | tokens | paths | st.text(st.characters(), max_size=20)  # lone surrogates too
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=30) | texts,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner)
        | st.dictionaries(texts | st.integers() | st.none(), inner, max_size=4)
    ),
    max_leaves=8,
)
# Places at which an event can be changed, and the new values.
PLACES = (
    *(("version",), ("rawPath",), ("headers",), ("body",), ("isBase64Encoded",), ("cookies",)),
    *(("requestContext",), ("requestContext", "http"), ("requestContext", "requestId")),
    *(("requestContext", "http", name) for name in ("method", "sourceIp", "path", "protocol")),
    *(("headers", name) for name in ("authorization", "content-type", "idempotency-key")),
    *(("headers", name) for name in ("Content-Length", "transfer-encoding", "x-forwarded-for")),
    *(("headers", "host"), ("rawQueryString",), ("queryStringParameters",), ("stageVariables",)),
)
bodies = (
    st.none()
    | words
    | st.binary(max_size=100)
    | st.dictionaries(st.sampled_from(FIELDS), junk | words, max_size=4)
    | st.dictionaries(st.sampled_from(FIELDS), junk, max_size=4).map(json.dumps)
    | st.sampled_from((1, 500, 8192, 8193, 9000)).map(lambda size: "[" * size)
)


@dataclass(frozen=True)
class Batch:
    """An API Gateway event and changes to it: each applied alone, then all together."""

    route: tuple[str, str]
    body: str | bytes | dict[str, Any] | None  # a dictionary: other fields in the right body
    new_name: bool
    changes: list[tuple[tuple[str, ...], Any]]
    no_event: Any

    def events(self, player: Player) -> list[Any]:
        """Return the events, sent by a player."""
        body = self.body
        if isinstance(body, dict):
            new_name = {"username": f"{player.username}-new"} if self.new_name else {}
            body = json.dumps(right_body(player, self.route) | new_name | body)
        headers = {"content-type": "application/json"}
        headers["authorization"] = f"Bearer {player.access_token}"
        event = http_event(*self.route, body, headers)
        alone = [changed(event, [one]) for one in self.changes]
        return [event, *alone, changed(event, self.changes), self.no_event]


OF_GUESTS = {("POST", "/v1/guest"), ("POST", "/v1/me/upgrade")}
real_routes = st.sampled_from(
    [(route.method, route.path) for route in (*ROUTES, *TUTORIAL, LOGIN, *(REGISTER,) * 5)]
)
other_routes = st.tuples(methods, paths | texts)
weak = {"password": "12345678", "new_password": "12345678"}
right_bodies = st.sampled_from(({}, {}, {}, {"device": "a" * 9000}, weak, weak))
new_names = st.sampled_from((True, True, False))
changes = st.lists(st.tuples(st.sampled_from(PLACES), anything), min_size=3, max_size=5)
# Few draws reach the rare outcomes, 409 and 422.
aimed = st.builds(
    Batch,
    route=real_routes,
    body=st.sampled_from(({}, {}, {"username": "player-1"}, weak)),
    new_name=new_names,
    changes=changes,
    no_event=anything,
)
batches = aimed | st.builds(
    Batch,  # each kind of route and of body in half of them
    route=st.booleans().flatmap(lambda real: real_routes if real else other_routes),
    body=st.booleans().flatmap(lambda right: right_bodies if right else bodies),
    new_name=new_names,
    changes=changes,
    no_event=anything,
)


def right_body(player: Player, route: tuple[str, str]) -> dict[str, object]:
    """Return a body that a route accepts."""
    body: dict[str, object] = {
        "username": player.username,
        "password": player.password,
        "refresh_token": player.refresh_token,
        "current_password": player.password,
        "new_password": player.password,
    }
    if route in OF_GUESTS:  # elsewhere it would be a second confirmation
        body |= {"guest_secret": new_secret(), "create": True}
    return body


def changed(event: dict[str, Any], changes: list[tuple[tuple[str, ...], Any]]) -> dict[str, Any]:
    """Return an event with other values in these places."""
    event = copy.deepcopy(event)
    for place, value in changes:
        part: Any = event
        for name in place[:-1]:
            part = part.get(name) if isinstance(part, dict) else None
        if isinstance(part, dict):
            part[place[-1]] = value
    return event


def peak_mib() -> float:
    """Return the peak memory of this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def check(event: object) -> int:
    """Send an event; check that the answer is in the contract's form and in time."""
    began = time.monotonic()
    answer = handler.http(event, None)
    assert time.monotonic() - began < MAX_SECONDS, "too slow"
    assert isinstance(answer["statusCode"], int)
    assert 200 <= answer["statusCode"] < 500, answer
    assert isinstance(answer["body"], str)
    assert len(answer["body"]) < 100_000
    assert all(isinstance(value, str) for value in answer["headers"].values())
    if answer["statusCode"] >= 400 and answer["body"].startswith("{"):
        assert CODES[json.loads(answer["body"])["error"]["code"]] == answer["statusCode"]
    json.dumps(answer).encode()  # Lambda sends it as JSON
    status: int = answer["statusCode"]
    return status


def fuzz(inputs: int, number: int = 0) -> Counter[int]:
    """Send so many events, the same for the same number; return the count of each status."""
    statuses: Counter[int] = Counter()
    settings = examples(
        max_examples=-(-inputs // SMALLEST_BATCH),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )

    def send(batch: Batch) -> None:
        player = Player()
        player.register()
        for event in batch.events(player):
            if statuses.total() < inputs:
                statuses[check(event)] += 1

    seed(number)(settings(given(batches)(send)))()
    return statuses


def fuzz_in_bounds(inputs: int, number: int = 0) -> Counter[int]:
    """Send so many events, and check that memory does not grow."""
    fuzz(100, number)  # loads everything that is loaded only once
    before = peak_mib()
    statuses = fuzz(inputs, number)
    assert peak_mib() - before < MAX_GROWTH_MIB, "too much memory"
    return statuses


@pytest.fixture
def _silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write no log, because a test keeps every line of it."""
    monkeypatch.setattr(logging.getLogger("auth"), "level", logging.CRITICAL + 1)


@pytest.mark.usefixtures("_silent", "player")
@pytest.mark.parametrize("part", range(-(-INPUTS // AT_ONCE)))
def test_any_event(part: int) -> None:
    """Any event is answered, in time and within bounded memory."""
    inputs = min(AT_ONCE, INPUTS - part * AT_ONCE)
    statuses = fuzz_in_bounds(inputs, part)
    assert statuses.total() == inputs
    if inputs >= 2000:  # then they have passed every check
        assert set(statuses) >= {200, 201, 400, 401, 404, 405, 409, 413, 415, 422}, statuses


class Planted(Exception):
    """Raised by a handler that a test has broken."""


def _raises(event: Any) -> None:
    if isinstance(event, dict) and not isinstance(event.get("requestContext"), dict):
        raise Planted("raised")


_kept: list[bytearray] = []


def _keeps_memory(event: Any) -> None:
    _kept.append(bytearray(os.urandom(1024) * 512))


def _takes_long(event: Any) -> None:
    time.sleep(0.01)


@pytest.mark.usefixtures("_silent", "player")
@pytest.mark.parametrize(
    ("plant", "failure", "words"),
    [
        (_raises, Planted, "raised"),
        (_keeps_memory, AssertionError, "too much memory"),
        (_takes_long, AssertionError, "too slow"),
    ],
)
def test_this_can_fail(
    plant: Callable[[Any], None],
    failure: type[Exception],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A handler that raises, keeps memory or is slow fails, each by its own check."""
    right = handler.http

    def wrong(event: object, context: object) -> dict[str, Any]:
        plant(event)
        return right(event, context)

    monkeypatch.setattr(handler, "http", wrong)
    monkeypatch.setattr(sys.modules[__name__], "MAX_SECONDS", 0.01 if plant is _takes_long else 5.0)
    try:
        with pytest.raises(failure, match=words):
            fuzz_in_bounds(400)
    finally:
        _kept.clear()


@pytest.mark.usefixtures("_silent", "player")
def test_an_internal_error_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug that the handler answers with 500 is found."""
    monkeypatch.setattr("serverless_wsgi.handle_request", lambda *_: 1 / 0)
    with pytest.raises(AssertionError, match="went wrong on our side"):
        fuzz(100)
