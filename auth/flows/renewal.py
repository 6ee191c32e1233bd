"""A new password for an account: the calling session goes on with a new token, all others end.

The token derives from the stored hash, so a call that is repeated after a lost answer, or twice in
parallel, gets the same one; see `refresh_tokens.renewed_tail`.
"""

from collections.abc import Callable
from datetime import datetime

from auth.credentials import refresh_tokens
from auth.credentials.passwords import Passwords
from auth.credentials.refresh_tokens import RefreshToken
from auth.credentials.token_keys import TokenKeys
from auth.errors import Unavailable
from auth.flows.sessions import IDLE_LIFETIME, CallingSession, Sessions, SignedIn
from auth.store.renewals import Renewal
from auth.times import Clock

TRIES = 3  # of a change that meets refreshes of the same session


class Renewals:
    """Sets passwords, and finds the tokens of the calls that did."""

    def __init__(
        self, sessions: Sessions, keys: TokenKeys, passwords: Passwords, clock: Clock
    ) -> None:
        self._sessions = sessions
        self._keys = keys
        self._passwords = passwords
        self._clock = clock

    def set_password(
        self, calling: CallingSession, new: str, store: Callable[[Renewal], None]
    ) -> SignedIn | None:
        """Set a password by `store`; None: another call was faster and set another one.

        Raises:
            InvalidToken: the session ended meanwhile.
            Unavailable: the account changed meanwhile, or the outcome is unknown.
        """
        old_hash, new_hash = calling.account.password_hash, self._passwords.hash(new)
        for _ in range(TRIES):
            now = self._clock()
            calling = self._try(calling, new_hash, now, store)
            stored = calling.account.password_hash
            if stored != old_hash:
                break  # the password has changed; otherwise a refresh moved the session on
        else:
            raise Unavailable("the account changed while its password was set")
        # The stored hash is ours, or that of a parallel call.
        if stored != new_hash and not self._passwords.verify(stored, new):
            return None
        answered = self._answered(calling, now)
        if answered is None:
            raise Unavailable("the session changed while the password was set")
        return answered

    def repeated(self, calling: CallingSession, new: str) -> SignedIn | None:
        """Give the answer of an earlier call again, which set this password.

        None: there was no such call, or the token of its answer has been used.
        """
        if not self._passwords.verify(calling.account.password_hash, new):
            return None
        return self._answered(calling, self._clock())

    def current(self, calling: CallingSession) -> CallingSession:
        """Return a calling session as it is now.

        Raises:
            InvalidToken: it ended meanwhile.
        """
        return self._sessions.usable_session(calling.session.id, calling.account.id)

    def _answered(self, calling: CallingSession, now: datetime) -> SignedIn | None:
        """Return the session with the token of its last renewal, unless that was used."""
        session, account = calling.session, calling.account
        for key in self._keys.ring().mac_keys.values():
            tail = refresh_tokens.renewed_tail(
                key, session.id, session.counter, account.password_hash
            )
            if refresh_tokens.hash_of(tail) == session.tail_hash:
                token = RefreshToken(account.id, session.id, session.counter, tail)
                return self._sessions.signed_in(
                    account, token, session.created_at, session.ends_at(), now
                )
        return None

    def _try(
        self,
        calling: CallingSession,
        new_hash: str,
        now: datetime,
        store: Callable[[Renewal], None],
    ) -> CallingSession:
        """Run the statement, and read its outcome: it may have run twice, or another was faster."""
        session, account = calling.session, calling.account
        key = self._keys.ring().current_mac
        tail = refresh_tokens.renewed_tail(key, session.id, session.counter + 1, new_hash)
        tail_hash = refresh_tokens.hash_of(tail)
        store(Renewal(account, session, new_hash, tail_hash, now, now + IDLE_LIFETIME))
        return self.current(calling)
