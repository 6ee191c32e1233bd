"""Events as no gateway would send them: never a 5xx, never an exception, and no end of memory.

`make fuzz` runs this with 100 000 inputs. Bodies that arrive in good order are the subject of
`test_hostile_bodies`.
"""

import json
import logging
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as examples
from hypothesis import strategies as st

import handler
from tests.events import http_event
from tests.integration.test_contract import CODES, ROUTES, TUTORIAL
from tests.integration.test_hostile_bodies import FIELDS, _quick, junk, tokens, words  # noqa: F401
from tests.players import PASSWORD

INPUTS = int(os.environ.get("FUZZ_INPUTS", "2000"))
AT_ONCE = 2000  # Hypothesis keeps what it has tried, so one run of all would take its own memory
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
    max_leaves=12,
)
# Where an event can be changed, and how.
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
    | st.dictionaries(st.sampled_from(FIELDS), junk, max_size=4).map(json.dumps)
    | st.just(json.dumps({"username": "fuzz-1", "password": PASSWORD, "refresh_token": ""}))
    | st.integers(1, 9000).map(lambda size: "[" * size)
)


@st.composite
def damaged_events(draw: st.DrawFn) -> Any:
    """Return an event of API Gateway with up to three things changed in it."""
    event = http_event(draw(methods), draw(paths | texts), draw(bodies))
    event["headers"]["content-type"] = "application/json"
    for place in draw(st.lists(st.sampled_from(PLACES), max_size=3)):
        part: Any = event
        for name in place[:-1]:
            part = part.get(name) if isinstance(part, dict) else None
        if isinstance(part, dict):
            part[place[-1]] = draw(anything)
    return event


events = damaged_events() | anything


def peak_mib() -> float:
    """Return the most memory that this process has ever held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def check(event: object) -> None:
    """Send an event; check that it is answered in the contract's form and before long."""
    began = time.monotonic()
    answer = handler.http(event, None)
    assert time.monotonic() - began < MAX_SECONDS
    assert isinstance(answer["statusCode"], int)
    assert 200 <= answer["statusCode"] < 500, answer
    assert isinstance(answer["body"], str)
    assert len(answer["body"]) < 100_000
    assert all(isinstance(value, str) for value in answer["headers"].values())
    if answer["statusCode"] >= 400 and answer["body"].startswith("{"):
        assert CODES[json.loads(answer["body"])["error"]["code"]] == answer["statusCode"]
    json.dumps(answer).encode()  # Lambda sends it as JSON


def fuzz(inputs: int, number: int = 0) -> None:
    """Send so many events, the same ones for the same number."""
    settings = examples(
        max_examples=inputs,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    seed(number)(settings(given(events)(check)))()


@pytest.fixture
def _silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write no log: a test keeps every line of it."""
    monkeypatch.setattr(logging.getLogger("auth"), "level", logging.CRITICAL + 1)


@pytest.mark.usefixtures("_silent", "player")
@pytest.mark.parametrize("part", range(-(-INPUTS // AT_ONCE)))
def test_any_event(part: int) -> None:
    """Whatever comes as an event is answered, in time and without using up the memory."""
    fuzz(100, number=part)  # what is loaded once is loaded then
    before = peak_mib()
    fuzz(min(AT_ONCE, INPUTS), number=part)
    assert peak_mib() - before < MAX_GROWTH_MIB


def _raises(event: Any) -> None:
    len(event["requestContext"])


_kept: list[bytearray] = []


def _keeps_memory(event: Any) -> None:
    _kept.append(bytearray(os.urandom(1024) * 512))


def _takes_long(event: Any) -> None:
    time.sleep(0.01)


@pytest.mark.usefixtures("_silent", "player")
@pytest.mark.parametrize("plant", [_raises, _keeps_memory, _takes_long])
def test_this_can_fail(plant: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that raises, keeps memory or takes its time is found."""
    right = handler.http

    def wrong(event: object, context: object) -> dict[str, Any]:
        plant(event)
        return right(event, context)

    monkeypatch.setattr(handler, "http", wrong)
    monkeypatch.setattr(sys.modules[__name__], "MAX_SECONDS", 0.01 if plant is _takes_long else 5.0)
    before = peak_mib()
    try:
        fuzz(400)
    except Exception:  # noqa: BLE001  # whatever the handler raised, or the check
        return
    finally:
        _kept.clear()
    assert plant is _keeps_memory
    assert peak_mib() - before > MAX_GROWTH_MIB
