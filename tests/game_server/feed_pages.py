"""Pages of the feed, and players whom they may concern, for tests."""

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any

from login_backend import BackendAnswer

ADA, EVE = "account-ada", "account-eve"
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)

_numbers = count(1)


@dataclass(frozen=True)
class Holder:
    """A player with a ticket."""

    account_id: str = ADA
    session_id: str = "session-1"
    epoch: int = 7
    issued_at: int = int(NOW.timestamp())


def event(kind: str, account_id: str = ADA, **members: object) -> dict[str, Any]:
    """Return an event with an id of its own, unless it is given."""
    number = next(_numbers)
    head = {"id": f"event-{number}", "at": "2026-11-28T12:00:01Z", "type": kind}
    return {**head, "account_id": account_id, **members}


def page(*events: dict[str, Any], **members: object) -> dict[str, Any]:
    """Return a page."""
    head = {"cursor": "c1", "more": False, "poll_after": 2, "server_time": "2026-11-28T12:00:02Z"}
    return {"events": list(events), **head, **members}


def answered(*events: dict[str, Any], **members: object) -> BackendAnswer:
    """Return an answer with a page."""
    return BackendAnswer(200, page(*events, **members))
