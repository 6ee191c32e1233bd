"""The feed's pages and events: what the backend tells about players, and whose seat that ends."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

logger = logging.getLogger(__name__)

SESSION_REVOKED = "session-revoked"
ALL_SESSIONS_REVOKED = "all-sessions-revoked"
CREDENTIAL_CHANGE = "credential-change"
ACCOUNT_DISABLED = "account-disabled"
ACCOUNT_ENABLED = "account-enabled"
ACCOUNT_PURGED = "account-purged"
IDENTIFIER_CHANGED = "identifier-changed"
CONNECTION_SUPERSEDED = "connection-superseded"

# What each type cannot do without.
NEEDED = {
    SESSION_REVOKED: ("session_id",),
    ALL_SESSIONS_REVOKED: (),
    CREDENTIAL_CHANGE: (),
    ACCOUNT_DISABLED: (),
    ACCOUNT_ENABLED: (),
    ACCOUNT_PURGED: (),
    IDENTIFIER_CHANGED: ("username",),
    CONNECTION_SUPERSEDED: ("fence",),
}
MEMBERS = {
    **dict.fromkeys(("session_id", "username", "reason", "until", "message"), str),
    **dict.fromkeys(("epoch", "fence"), int),
}


class TicketHolder(Protocol):
    """Whoever came in with a ticket; `player_tokens.Player` is one."""

    @property
    def account_id(self) -> str: ...
    @property
    def session_id(self) -> str: ...
    @property
    def epoch(self) -> int: ...
    @property
    def issued_at(self) -> int: ...


@dataclass(frozen=True)
class FeedEvent:
    """Something that happened to an account. `at`: when, in seconds since 1970."""

    id: str
    at: float
    type: str
    account_id: str
    session_id: str | None = None  # session-revoked: which; credential-change: the one that goes on
    epoch: int | None = None
    fence: int | None = None
    username: str | None = None  # the account's new one
    reason: str | None = None
    until: str | None = None  # account-disabled: when it ends, if ever, as RFC 3339
    message: str | None = None  # account-disabled: what the player may read

    def ends(self, player: TicketHolder, fence: int | None = None) -> bool:
        """Tell whether it ends what this player was let in for; `fence`: of a redeemed ticket."""
        if player.account_id != self.account_id:
            return False
        if self.type == SESSION_REVOKED:
            return player.session_id == self.session_id
        if self.type in {ALL_SESSIONS_REVOKED, ACCOUNT_DISABLED, CREDENTIAL_CHANGE}:
            goes_on = self.type == CREDENTIAL_CHANGE and player.session_id == self.session_id
            return not goes_on and self._is_later_than(player)
        if self.type == CONNECTION_SUPERSEDED:
            return fence is not None and self.fence is not None and fence < self.fence
        return self.type == ACCOUNT_PURGED

    def _is_later_than(self, player: TicketHolder) -> bool:
        if self.epoch is None:  # recorded by a backend of an earlier version
            return player.issued_at <= self.at
        return player.epoch < self.epoch

    def renames(self, player: TicketHolder) -> bool:
        """Tell whether it gives this player another name than the ticket's."""
        is_theirs = player.account_id == self.account_id and self.username is not None
        return is_theirs and self.at >= player.issued_at  # a ticket's seconds are whole


@dataclass(frozen=True)
class Page:
    """An answer of the feed."""

    events: list[FeedEvent]
    cursor: str
    more: bool
    poll_after: float
    server_time: float
    reset: bool


def read_page(content: Mapping[str, Any]) -> Page:
    """Return the page in an answer; ignore types of events and members that are unknown.

    Raises:
        ValueError: it is no page.
    """
    events, cursor, more = content.get("events"), content.get("cursor"), content.get("more")
    if not (isinstance(events, list) and isinstance(cursor, str) and isinstance(more, bool)):
        raise ValueError("the feed's answer has no events, cursor or more")  # noqa: TRY004  # a bad answer
    return Page(
        [event for event in map(_event, events) if event is not None],
        cursor,
        more,
        _finite(content.get("poll_after")),
        seconds_of(content.get("server_time")),
        reset=content.get("reset") is True,
    )


def _finite(value: Any) -> float:
    try:
        number = float(value) if type(value) in {int, float} else math.nan
    except OverflowError:
        number = math.nan
    if not math.isfinite(number):  # Python reads NaN and 1e999 in JSON, too
        raise ValueError("the feed's answer has no poll_after")
    return number


def seconds_of(text: object) -> float:
    """Return a time in RFC 3339 as seconds since 1970.

    Raises:
        ValueError: it is no such time.
    """
    time = datetime.fromisoformat(text) if isinstance(text, str) else None
    if time is None or time.tzinfo is None:
        raise ValueError("a time of the feed is not in RFC 3339")
    return time.timestamp()


def _event(content: Any) -> FeedEvent | None:
    kind = content.get("type") if isinstance(content, dict) else None
    if not isinstance(kind, str) or kind not in NEEDED:
        return None
    try:
        return _known_event(kind, content)
    except ValueError as error:
        logger.warning("ignored an event of type %s: %s", kind, error)
        return None


def _known_event(kind: str, content: Mapping[str, Any]) -> FeedEvent:
    event_id, account_id = content.get("id"), content.get("account_id")
    if not isinstance(event_id, str) or not isinstance(account_id, str):
        raise ValueError("id or account_id is missing")  # noqa: TRY004  # a bad answer
    members = {name: content[name] for name in MEMBERS if content.get(name) is not None}
    wrong = [name for name, value in members.items() if type(value) is not MEMBERS[name]]
    missing = [name for name in NEEDED[kind] if name not in members]
    if wrong or missing:
        raise ValueError(f"{', '.join(wrong + missing)}: missing or of a wrong form")
    return FeedEvent(event_id, seconds_of(content.get("at")), kind, account_id, **members)
