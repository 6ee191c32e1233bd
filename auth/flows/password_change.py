"""A change of the password: this session goes on with new tokens, all others end.

A call is safe to repeat after a lost answer: if the current password no longer fits but the new one
does, the tokens of the first answer are given again, unless they have been used.
"""

from collections.abc import Sequence

from auth.credentials.password_policy import PasswordPolicy, refused_as_new, same_password
from auth.credentials.passwords import Passwords
from auth.errors import (
    ApiError,
    NoPassword,
    TooManyAttempts,
    Unavailable,
    WeakNewPassword,
    WrongCurrentPassword,
)
from auth.flows.rate_limits import CHANGE_BY_ACCOUNT, PASSWORD_CHECK_BY_ACCOUNT, RateLimits
from auth.flows.renewal import Renewals
from auth.flows.sessions import CallingSession, SignedIn
from auth.logs import note
from auth.store.events import new_event
from auth.store.rate_limits import Charge
from auth.store.records import Account, EventKind
from auth.store.renewals import Renewal, RenewalTable
from auth.times import Clock


class PasswordChanges:
    """Changes passwords, at a limited rate."""

    def __init__(
        self,
        table: RenewalTable,
        renewals: Renewals,
        rate_limits: RateLimits,
        passwords: Passwords,
        policy: PasswordPolicy,
        clock: Clock,
    ) -> None:
        self._table = table
        self._renewals = renewals
        self._rate_limits = rate_limits
        self._passwords = passwords
        self._policy = policy
        self._clock = clock

    def change(self, calling: CallingSession, current: str, new: str) -> SignedIn:
        """Change the password.

        Raises:
            WeakNewPassword, TooManyAttempts.
            NoPassword: the account is a guest's.
            WrongCurrentPassword: `current` is wrong.
            InvalidToken: the session ended meanwhile.
            Unavailable: the account changed meanwhile, or the outcome is unknown.
        """
        account = calling.account
        if not account.has_password:
            raise NoPassword
        self._check_rules(current, new, account.username)
        limited = (
            (PASSWORD_CHECK_BY_ACCOUNT, (account.id,)),
            (CHANGE_BY_ACCOUNT, (account.id,)),
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
        with refused_as_new(), self._rate_limits.refunded_if_weak([attempt]):
            self._policy.refuse_guessable(new, account.username)
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
        repeated = self._renewals.repeated(calling, new)
        if repeated is not None:
            self._rate_limits.refund(charges)
            note("password_change_repeated")
        return repeated

    def _changed(self, calling: CallingSession, new: str) -> SignedIn:
        """Store the new password."""
        changed = self._renewals.set_password(calling, new, self._store)
        if changed is None:
            raise Unavailable("the account changed while its password was changed")
        return changed

    def _store(self, renewal: Renewal) -> None:
        kind = EventKind.PASSWORD_CHANGED
        event = new_event(
            kind, renewal.account.id, renewal.now, renewal.session.id, epoch=renewal.epoch
        )
        self._table.change_password(renewal, event)

    def _charge_check(self, account: Account) -> Charge:
        return self._rate_limits.charge(PASSWORD_CHECK_BY_ACCOUNT, account.id, now=self._clock())

    def _check_rules(self, current: str, new: str, username: str) -> None:
        with refused_as_new():
            self._policy.check(new, username)
        if same_password(current, new):
            raise WeakNewPassword("Choose a password other than the current one.")
