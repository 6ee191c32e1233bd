"""Recovery: a code that the player has written down, in place of a lost password or a lost device.

Using a code ends every session and gives the next code. After a lost answer the player signs in
with the new password, or with the new guest secret.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from auth.credentials.guest_secrets import check_guest_secret, subject_of
from auth.credentials.password_policy import PasswordPolicy, refused_as_new
from auth.credentials.passwords import Passwords
from auth.credentials.recovery_codes import new_recovery_code, read_recovery_code, shown
from auth.credentials.usernames import username_key
from auth.errors import (
    GuestSecretInUse,
    NoPassword,
    NotAGuest,
    Unavailable,
    WrongRecoveryCode,
)
from auth.external.failures import Duplicate
from auth.flows.admission import Admission
from auth.flows.confirmation import Confirmation, Confirmations
from auth.flows.rate_limits import (
    RECOVERY_BY_ACCOUNT_AND_ADDRESS,
    RECOVERY_BY_ADDRESS,
    RateLimits,
    network_of,
)
from auth.flows.sessions import CallingSession, SignedIn
from auth.logs import note
from auth.store.events import new_event
from auth.store.identities import GUEST, IdentityTable
from auth.store.rate_limits import Charge
from auth.store.records import Account, Event, EventKind, RecoveryCode, Session, SignInRow
from auth.store.recovery_codes import Recovery, RecoveryCodeTable
from auth.store.sign_ins import SignIns
from auth.times import Clock, id_text


@dataclass(frozen=True)
class RecoveryAttempt:
    """A name, a code, and exactly one new proof of the account. It prints none of them."""

    username: str
    recovery_code: str
    new_password: str | None
    guest_secret: str | None
    address: str
    device: str | None

    def __repr__(self) -> str:
        return "RecoveryAttempt(...)"


@dataclass(frozen=True)
class Recovered:
    """The session of a player who has come back, and the next code, which it never prints."""

    signed_in: SignedIn
    recovery_code: str

    def __repr__(self) -> str:
        return f"Recovered({self.signed_in})"


class RecoveryCodes:
    """Makes recovery codes for players who are signed in."""

    def __init__(
        self,
        table: RecoveryCodeTable,
        confirmations: Confirmations,
        passwords: Passwords,
        clock: Clock,
    ) -> None:
        self._table = table
        self._confirmations = confirmations
        self._passwords = passwords
        self._clock = clock

    def make(self, calling: CallingSession, confirmation: Confirmation) -> tuple[str, datetime]:
        """Return a new code in place of the earlier one, and its time.

        Raises:
            TooManyAttempts.
            WrongPassword, WrongGuestSecret: the confirmation is wrong.
        """
        account = calling.account
        with self._confirmations.change(account, confirmation):
            text, now = new_recovery_code(), self._clock()
            code = RecoveryCode(
                account_id=account.id, hash=self._passwords.hash(text), created_at=now
            )
            event = new_event(EventKind.RECOVERY_CODE_MADE, account.id, now, calling.session.id)
            # If nothing was changed, our own first try may have done it, and its answer was lost.
            replaced = self._table.replace(account, code, event)
            if not replaced and not self._table.has(account.id, code.hash):
                raise Unavailable("the account changed while its recovery code was made")
        note("recovery_code_made")
        return shown(text), now


class Recoveries:
    """Lets players back in by a recovery code, at a limited rate."""

    def __init__(
        self,
        table: RecoveryCodeTable,
        identities: IdentityTable,
        sign_ins: SignIns,
        admission: Admission,
        rate_limits: RateLimits,
        passwords: Passwords,
        policy: PasswordPolicy,
        clock: Clock,
    ) -> None:
        self._table = table
        self._identities = identities
        self._sign_ins = sign_ins
        self._admission = admission
        self._rate_limits = rate_limits
        self._passwords = passwords
        self._policy = policy
        self._clock = clock

    def recover(self, attempt: RecoveryAttempt) -> Recovered:
        """Give an account a new password, or a guest the secret of a new device, and sign in.

        Raises:
            InvalidRequest: it is no recovery code, or it has a typing error.
            WeakNewPassword, WeakGuestSecret, TooManyAttempts: refused before the code is judged.
            WrongRecoveryCode: the name or the code is wrong, or another call has used it.
            AccountSuspended, NoPassword, NotAGuest, GuestSecretInUse: the code stays good.
        """
        text = read_recovery_code(attempt.recovery_code)
        self._check_rules(attempt)
        charges = self._charge(attempt)
        if attempt.new_password is not None:
            with refused_as_new(), self._rate_limits.refunded_if_weak(charges):
                self._policy.refuse_guessable(attempt.new_password, attempt.username)
        with self._rate_limits.refunded_if_unavailable(charges):
            sign_in, code = self._proven(attempt, text)
            self._admission.refuse_suspended(sign_in.account)
            _check_kind(sign_in.account, attempt)
            return self._use(sign_in, code, attempt)

    def _charge(self, attempt: RecoveryAttempt) -> list[Charge]:
        # Keyed by the name, whether or not an account has it.
        key, network = username_key(attempt.username), network_of(attempt.address)
        limited = (
            (RECOVERY_BY_ACCOUNT_AND_ADDRESS, (key, network)),
            (RECOVERY_BY_ADDRESS, (network,)),
        )
        return self._rate_limits.charge_all(limited, self._clock())

    def _check_rules(self, attempt: RecoveryAttempt) -> None:
        if attempt.new_password is None:
            check_guest_secret(attempt.guest_secret or "")
            return
        with refused_as_new():
            self._policy.check(attempt.new_password, attempt.username)

    def _proven(self, attempt: RecoveryAttempt, text: str) -> tuple[SignInRow, RecoveryCode]:
        """Return the account and its code, if this is it.

        It takes the same statements and as long for an unknown name and for no code.
        """
        key, now = username_key(attempt.username), self._clock()
        code = self._table.by_username_key(key)
        sign_in = self._sign_ins.by_username_key(key, None, now)
        if sign_in is not None:
            note(account_id=id_text(sign_in.account.id))
        known = code if code is not None and code.lasts(now) else None
        fits = self._passwords.verify(known.hash if known else None, text)
        if sign_in is None or known is None or not fits:
            note("recovery_failed")
            raise WrongRecoveryCode
        return sign_in, known

    def _use(self, sign_in: SignInRow, code: RecoveryCode, attempt: RecoveryAttempt) -> Recovered:
        """Spend the code and open a session, in one transaction.

        Raises:
            WrongRecoveryCode: another call was faster.
        """
        following, now, account = new_recovery_code(), self._clock(), sign_in.account
        recovery = Recovery(account, code, self._passwords.hash(following), now)
        if attempt.new_password is not None:
            password_hash = self._passwords.hash(attempt.new_password)
            use = partial(self._set_password, recovery, password_hash)
        else:
            password_hash = account.password_hash
            use = partial(self._set_guest_secret, recovery, attempt.guest_secret or "")
        recovered = replace(account, password_hash=password_hash, epoch=recovery.epoch)
        # Every older session has another epoch.
        sign_in = replace(sign_in, account=recovered, least_used_lasts=False)
        signed_in = self._admission.admit_recovered(sign_in, attempt.device, use)
        if signed_in is None:
            note("recovery_failed")
            raise WrongRecoveryCode
        return Recovered(signed_in, shown(following))

    def _set_password(self, recovery: Recovery, password_hash: str, session: Session) -> bool:
        used = self._table.set_password(recovery, password_hash, session, _event(recovery, session))
        return used or self._is_used(recovery)

    def _set_guest_secret(self, recovery: Recovery, guest_secret: str, session: Session) -> bool:
        subject = subject_of(guest_secret)
        # Not even the guest's own, so that no other device keeps it.
        if self._identities.find(GUEST, subject) is not None:
            raise GuestSecretInUse
        event = _event(recovery, session)
        try:
            used = self._table.set_guest_secret(recovery, subject, session, event)
        except Duplicate:
            raise GuestSecretInUse from None
        return used or self._is_used(recovery)

    def _is_used(self, recovery: Recovery) -> bool:
        """Tell whether our own first try did it, and its answer was lost."""
        return self._table.has(recovery.account.id, recovery.new_code_hash)


def _event(recovery: Recovery, session: Session) -> Event:
    account_id, epoch = recovery.account.id, recovery.epoch
    return new_event(EventKind.RECOVERED, account_id, recovery.now, session.id, epoch=epoch)


def _check_kind(account: Account, attempt: RecoveryAttempt) -> None:
    if attempt.new_password is not None and not account.has_password:
        raise NoPassword
    if attempt.guest_secret is not None and account.has_password:
        raise NotAGuest
