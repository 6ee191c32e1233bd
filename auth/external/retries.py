"""Which failures of the database are worth another try, how often, and after which pause."""

from auth.external.failures import FailureKind

PAUSE_SECONDS = (0.1, 0.3)
# The victims of one deadlock must not come back together, or they only make the next one.
DEADLOCK_PAUSE_SECONDS = (0.01, 0.15)

CONNECTION_IS_GOOD = {FailureKind.LOCK_WAIT, FailureKind.DEADLOCK, FailureKind.TOO_SLOW}
TRIES = {
    FailureKind.LOST: 2,
    FailureKind.READ_ONLY: 2,
    FailureKind.LOCK_WAIT: 2,
    FailureKind.DEADLOCK: 4,
}


def tries_of(kind: FailureKind, *, repeatable: bool) -> int:
    """Return how often work is done at most if it fails like this.

    If the connection was lost, the work may have taken effect: it is sent again only if that is
    safe. After any other failure nothing has.
    """
    return 1 if kind == FailureKind.LOST and not repeatable else TRIES.get(kind, 1)


def deadlock_pause(nth: int) -> tuple[float, float]:
    """Return the shortest and the longest pause after the nth deadlock; the longest doubles."""
    shortest, longest = DEADLOCK_PAUSE_SECONDS
    return shortest, longest * 2 ** (nth - 1)
