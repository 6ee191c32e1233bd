"""The number of guesses that may pass: burst, and rate times time, as in docs/promises/security.md.

One property of the checker, in its own module because it counts and the others compare.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tests.faults.history import Action, Call, History, grouped

# A refill may count so much early, since requests reach a bucket out of order (decisions/0004).
ORDER_SECONDS = 1.0


@dataclass(frozen=True)
class _Limit:
    """A bucket: its subject, its burst, then one guess every `seconds`.

    `enough` guesses show that it was used up, if that is fewer than `burst`.
    """

    name: str
    kind: Action
    subject: Callable[[Call], str]
    burst: int
    seconds: int
    enough: int = 0


_LIMITS = (
    _Limit("address", Action.LOG_IN, lambda call: call.address, 20, 10),
    _Limit("account and address", Action.LOG_IN, lambda call: f"{call.name} {call.address}", 5, 60),
    _Limit("account", Action.LOG_IN, lambda call: call.name, 20, 300),
    # Its own bucket (10, one a minute), then that of the account (20, one in five minutes).
    _Limit("known device", Action.GUESS_FROM_DEVICE, lambda call: call.account, 30, 50, enough=10),
    _Limit("password check", Action.GUESS_TO_DELETE, lambda call: call.account, 5, 60),
)


def guesses_are_bounded(history: History) -> Iterator[str]:
    """Yield each subject with more guesses than burst and rate times time allow."""
    for limit in _LIMITS:
        for subject, calls in _guesses(limit, history.calls).items():
            count, allowed = _most_above(calls, limit, history.steps_back)
            if count > allowed:
                yield f"by {limit.name}, {subject}: {count} guesses, {allowed:.1f} allowed"


def limits_not_reached(calls: Iterable[Call]) -> list[str]:
    """Return the limits that were never used up: about those, so few guesses prove nothing."""
    seen = tuple(calls)
    return [
        limit.name
        for limit in _LIMITS
        if max(map(len, _guesses(limit, seen).values()), default=0) < (limit.enough or limit.burst)
    ]


def _guesses(limit: _Limit, calls: Iterable[Call]) -> dict[str, list[Call]]:
    """Return the guesses that a limit applies to, by its subject."""
    wrong = (call for call in calls if call.code == "invalid_credentials")
    return grouped((call for call in wrong if call.kind == limit.kind), limit.subject)


def _most_above(calls: Iterable[Call], limit: _Limit, steps_back: int) -> tuple[int, float]:
    """Return the count and the bound of the span that breaks the limit most."""
    ordered = sorted(calls, key=lambda call: call.clock_ended)
    worst = (0, 0.0)
    for last, until in enumerate(ordered):
        for first, since in enumerate(ordered[: last + 1]):
            seconds = until.clock_ended - since.clock_began + ORDER_SECONDS
            # A clock that is set back allows one more guess (docs/decisions/0004).
            span = (last - first + 1, limit.burst + steps_back + seconds / limit.seconds)
            worst = max(worst, span, key=lambda each: each[0] - each[1])
    return worst
