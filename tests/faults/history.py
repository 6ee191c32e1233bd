"""The history of a run: every call with its answer, and the accounts in the database at the end."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from auth.store.records import EventKind
from tests.faults.seats import Fed, Polled, Seat, Wrote

K = TypeVar("K")
V = TypeVar("V")


class Action(StrEnum):
    """The request that a call makes."""

    REGISTER = "register"
    LOG_IN = "log in"
    CREATE_GUEST = "create a guest"
    ENTER = "enter as a guest"
    UPGRADE = "upgrade"
    REFRESH = "refresh"
    ME = "me"
    CHANGE_PASSWORD = "change password"
    MAKE_CODE = "make a recovery code"
    RECOVER = "recover"
    LOG_OUT = "log out"
    LOG_OUT_EVERYWHERE = "log out everywhere"
    END_SESSION = "end another session"
    DELETE = "delete"
    GUESS_FROM_DEVICE = "guess from a known device"
    GUESS_TO_DELETE = "guess to delete"
    HEALTH = "health"
    SUSPEND = "suspend"
    LIFT = "lift a suspension"
    SIGN_OUT = "sign out a player"
    TICKET = "get a ticket"
    REDEEM = "redeem a ticket"
    POLL = "poll the feed"


BY_OPERATOR = (Action.SUSPEND, Action.LIFT, Action.SIGN_OUT)


@dataclass(frozen=True)
class Call:
    """One call and its answer, as the caller saw them.

    `began` and `ended` are seconds since the run began. `clock_began` and `clock_ended` are the
    seconds that the handlers' clock had advanced by then, steps included. Calls of one `intent` are
    tries of one action, repeated until the outcome is known.

    An operator's command has the status that such an answer would have over HTTP.
    """

    kind: Action
    intent: int
    began: float
    ended: float
    clock_began: float
    clock_ended: float
    status: int  # 0: no answer
    code: str = ""
    retry_after: int = 0
    # The request. The account and the session are those of the token, except that a call that ends
    # another session has that session.
    name: str = ""
    password: str = ""
    secret: str = ""  # the digest of a guest secret
    recovery: str = ""  # a recovery code
    address: str = ""
    key: str = ""  # the Idempotency-Key, or the id of an operator's command
    account: str = ""
    session: str = ""
    token: str = ""
    server: str = ""  # the name of a game server
    redeemer: str = ""  # which of the game servers, by its key
    ticket: str = ""
    # The answer.
    gave_account: str = ""
    gave_session: str = ""
    gave_token: str = ""
    gave_access: str = ""
    gave_recovery: str = ""
    gave_name: str = ""
    gave_ticket: str = ""
    gave_fence: int = 0
    answer: str = ""  # to an operator or a poll, as JSON
    # Whether it was refused because an operator came between its effect and its answer, perhaps.
    refused_late: bool = False

    @property
    def failed(self) -> bool:
        """Tell whether the service failed, so that the outcome of the call is unknown."""
        return self.status == 0 or self.status >= 500

    @property
    def done(self) -> bool:
        """Tell whether the call was acknowledged."""
        return self.status in (200, 201)

    @property
    def may_have_happened(self) -> bool:
        """Tell whether the call may have taken effect."""
        return self.done or self.failed or self.refused_late

    def __str__(self) -> str:
        subject = self.name or self.session or self.account or self.secret
        answer = f"{self.status} {self.code}".strip()
        return f"{self.began:.2f}-{self.ended:.2f} s: {self.kind} of {subject}: {answer}"


@dataclass(frozen=True)
class Window:
    """A span of a run in which the service must serve: no call in it may fail."""

    began: float
    ended: float


@dataclass(frozen=True)
class Operated:
    """An operation in the database at the end, with the answer that it stores."""

    command_id: str
    account: str
    outcome: str
    answer: str


@dataclass(frozen=True)
class Happened:
    """An event in the database at the end; `session` is empty if no session caused it."""

    account: str
    kind: EventKind
    session: str = ""


@dataclass(frozen=True)
class History:
    """A whole run."""

    calls: tuple[Call, ...]
    accounts: tuple[tuple[str, str], ...] = ()  # at the end: (id, canonical name)
    guests: tuple[tuple[str, str], ...] = ()  # at the end: (digest of the secret, account)
    epochs: tuple[tuple[str, int], ...] = ()  # at the end: (account, epoch)
    operations: tuple[Operated, ...] = ()
    events: tuple[Happened, ...] = ()
    windows: tuple[Window, ...] = ()
    no_operators: tuple[Window, ...] = ()  # spans in which operators' commands may fail
    seats: tuple[Seat, ...] = ()
    polls: tuple[Polled, ...] = ()
    writes: tuple[Wrote, ...] = ()
    fed: tuple[Fed, ...] = ()
    steps_back: int = 0  # how often the handlers' clock was set back

    @property
    def failures(self) -> int:
        """Return the number of failed calls."""
        return sum(call.failed for call in self.calls)

    @property
    def longest(self) -> float:
        """Return the time of the slowest answer, in seconds."""
        return max((call.ended - call.began for call in self.calls), default=0.0)


def grouped(values: Iterable[V], key: Callable[[V], K]) -> dict[K, list[V]]:
    """Return values grouped by their key."""
    groups: dict[K, list[V]] = defaultdict(list)
    for value in values:
        groups[key(value)].append(value)
    return groups
