"""A change of the password: this session goes on with new tokens, all others end.

A call is safe to repeat after a lost answer: if the current password no longer fits but the new one
does, the tokens of the first answer are given again, unless they have been used.
"""

from collections.abc import Sequence
from datetime import datetime

from auth.credentials import refresh_tokens
from auth.credentials.passwords import (
    Passwords,
    check_password,
    refuse_guessable,
    same_password,
)
from auth.credentials.refresh_tokens import RefreshToken
from auth.credentials.token_keys import TokenKeys
from auth.errors import (
    ApiError,
    TooManyAttempts,
    Unavailable,
    WeakNewPassword,
    WeakPassword,
    WrongCurrentPassword,
)
from auth.flows.rate_limits import (
    PASSWORD_CHANGE_BY_ACCOUNT,
    PASSWORD_CHECK_BY_ACCOUNT,
    RateLimits,
)
from auth.flows.sessions import IDLE_LIFETIME, CallingSession, Sessions, SignedIn
from auth.logs import note
from auth.store.rate_limits import Charge
from auth.store.records import Account
from auth.store.sessions import SessionTable
from auth.times import Clock

TRIES = 3  # of a change that meets refreshes of the same session


class PasswordChanges:
    """Changes passwords, at a limited rate."""

    def __init__(
        self,
        table: SessionTable,
        sessions: Sessions,
        keys: TokenKeys,
        rate_limits: RateLimits,
        passwords: Passwords,
        clock: Clock,
    ) -> None:
        self._table = table
        self._sessions = sessions
        self._keys = keys
        self._rate_limits = rate_limits
        self._passwords = passwords
        self._clock = clock

    def change(self, calling: CallingSession, current: str, new: str) -> SignedIn:
        """Change the password.

        Raises:
            WeakNewPassword, TooManyAttempts.
            WrongCurrentPassword: `current` is wrong.
            InvalidToken: the session ended meanwhile.
            Unavailable: the account changed meanwhile, or the outcome is unknown.
        """
        account = calling.account
        _check_rules(current, new, account.username)
        limited = (
            (PASSWORD_CHECK_BY_ACCOUNT, (account.id,)),
            (PASSWORD_CHANGE_BY_ACCOUNT, (account.id,)),
        )
        try:
            attempt, success = self._rate_limits.charge_all(limited, self._clock())
        except TooManyAttempts:
            # A repetition is no further change, and a guess at the new password alone.
            if repeated := self._repeated(calling, new, [self._charge_check(account)]):
                return repeated
            raise
        try:
            return self._confirmed(calling, current, new, attempt, success)
        except ApiError:
            self._rate_limits.refund([success])
            raise

    def _confirmed(
        self, calling: CallingSession, current: str, new: str, attempt: Charge, success: Charge
    ) -> SignedIn:
        account = calling.account
        self._refuse_guessable(new, account.username, attempt)
        if not self._passwords.verify(account.password_hash, current):
            # The new password is tried against the hash, too: a second guess, so a second charge.
            charges = [attempt, success, self._charge_check(account)]
            if repeated := self._repeated(calling, new, charges):
                return repeated
            note("password_check_failed")
            raise WrongCurrentPassword
        self._rate_limits.refund([attempt])
        changed = self._changed(calling, new)
        note("password_changed")
        return changed

    def _repeated(
        self, calling: CallingSession, new: str, charges: Sequence[Charge]
    ) -> SignedIn | None:
        """Give the answer of an earlier call again, which changed the password to `new`.

        None: there was no such call, or the token of its answer has been used.
        """
        if not self._passwords.verify(calling.account.password_hash, new):
            return None
        repeated = self._renewed(calling, self._clock())
        if repeated is not None:
            self._rate_limits.refund(charges)
            note("password_change_repeated")
        return repeated

    def _changed(self, calling: CallingSession, new: str) -> SignedIn:
        """Store the new password.

        Two parallel calls with the same password agree on the hash that was stored first, and
        answer with the same token.
        """
        old_hash, new_hash = calling.account.password_hash, self._passwords.hash(new)
        for _ in range(TRIES):
            now = self._clock()
            calling = self._try_to_change(calling, new_hash, now)
            stored = calling.account.password_hash
            if stored != old_hash:
                break  # the password has changed; otherwise a refresh moved the session on
        renewed = self._renewed(calling, now)
        if renewed is None or stored == old_hash or not self._fits(stored, new_hash, new):
            raise Unavailable("the account changed while its password was changed")
        return renewed

    def _fits(self, stored: str, new_hash: str, new: str) -> bool:
        """Tell whether the stored hash is that of the new password, ours or a parallel call's."""
        return stored == new_hash or self._passwords.verify(stored, new)

    def _try_to_change(
        self, calling: CallingSession, new_hash: str, now: datetime
    ) -> CallingSession:
        """Run the statement, and read its outcome: it may have run twice, or another was faster."""
        session, account = calling.session, calling.account
        key = self._keys.ring().current_mac
        tail = refresh_tokens.renewed_tail(key, session.id, session.counter + 1, new_hash)
        self._table.change_password(
            session, account, new_hash, refresh_tokens.hash_of(tail), now, now + IDLE_LIFETIME
        )
        return self._sessions.usable_session(session.id, account.id)

    def _renewed(self, calling: CallingSession, now: datetime) -> SignedIn | None:
        """Return the session with the token of its last password change, unless that was used."""
        session, account = calling.session, calling.account
        for key in self._keys.ring().mac_keys.values():
            tail = refresh_tokens.renewed_tail(
                key, session.id, session.counter, account.password_hash
            )
            if refresh_tokens.hash_of(tail) == session.tail_hash:
                token = RefreshToken(account.id, session.id, session.counter, tail)
                return self._sessions.signed_in(account, session, token, now)
        return None

    def _charge_check(self, account: Account) -> Charge:
        return self._rate_limits.charge(PASSWORD_CHECK_BY_ACCOUNT, account.id, now=self._clock())

    def _refuse_guessable(self, new: str, username: str, attempt: Charge) -> None:
        """Refuse a password that is easy to guess, and refund: nothing was guessed at."""
        try:
            refuse_guessable(new, username)
        except WeakPassword as weak:
            self._rate_limits.refund([attempt])
            raise WeakNewPassword(weak.fields["password"]) from None


def _check_rules(current: str, new: str, username: str) -> None:
    try:
        check_password(new, username)
    except WeakPassword as weak:
        raise WeakNewPassword(weak.fields["password"]) from None
    if same_password(current, new):
        raise WeakNewPassword("Choose a password other than the current one.")
