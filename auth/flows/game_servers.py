"""Game servers: the tickets by which players get into them."""

from auth.credentials import tickets
from auth.credentials.token_keys import TokenKeys
from auth.flows.rate_limits import TICKETS_BY_ACCOUNT, RateLimits
from auth.flows.sessions import Caller, subject_of
from auth.times import Clock


class Tickets:
    """Issues tickets."""

    def __init__(
        self, keys: TokenKeys, issuer: str, limits: RateLimits, seconds: int, clock: Clock
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._limits = limits
        self.seconds = seconds
        self._clock = clock

    def issue(self, caller: Caller, server: str) -> str:
        """Return a ticket with which the caller may connect to a server.

        Raises:
            TooManyAttempts.
            Unavailable: it cannot be decided now.
        """
        now = self._clock()
        self._limits.charge(TICKETS_BY_ACCOUNT, caller.account.id, now=now)
        use = tickets.use_of(self._issuer, server, self.seconds)
        subject = subject_of(caller.account, caller.session_id)
        return tickets.issue(self._keys.ring(), use, subject, now)
