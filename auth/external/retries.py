"""The retry policy for database failures: which to retry, how often, after which pause."""

from auth.external.failures import FailureKind

PAUSE_SECONDS = (0.1, 0.3)
# The victims of a deadlock must not retry at the same moment, or they cause the next one.
DEADLOCK_PAUSE_SECONDS = (0.01, 0.15)

CONNECTION_IS_GOOD = {FailureKind.LOCK_WAIT, FailureKind.DEADLOCK, FailureKind.TOO_SLOW}
TRIES = {
    FailureKind.LOST: 2,
    FailureKind.READ_ONLY: 2,
    FailureKind.LOCK_WAIT: 2,
    FailureKind.DEADLOCK: 4,
}


def tries_of(kind: FailureKind, *, repeatable: bool) -> int:
    """Return the maximum number of attempts for work that fails like this.

    After a lost connection the work may have taken effect, so it is repeated only if that is safe.
    After any other failure it has not taken effect.
    """
    return 1 if kind == FailureKind.LOST and not repeatable else TRIES.get(kind, 1)


def deadlock_pause(nth: int) -> tuple[float, float]:
    """Return the shortest and the longest pause after the nth deadlock; the longest one doubles."""
    shortest, longest = DEADLOCK_PAUSE_SECONDS
    return shortest, longest * 2 ** (nth - 1)
