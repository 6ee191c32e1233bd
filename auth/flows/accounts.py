"""Registration, signing in, deletion. Each flow reads in the order of its rules.

Passwords are verified and hashed outside any transaction: they take a hundred times as long as a
statement. Rate limits are charged before hashing and refunded unless the password was wrong.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime

from auth.credentials.password_policy import PasswordPolicy
from auth.credentials.passwords import Passwords
from auth.credentials.refresh_tokens import RefreshToken
from auth.credentials.usernames import check_username, username_key
from auth.errors import (
    IdempotencyKeyReused,
    InvalidCredentials,
    TooManyAttempts,
    Unavailable,
    UsernameTaken,
    WrongGuestSecret,
)
from auth.external.failures import Duplicate
from auth.flows.admission import Admission
from auth.flows.confirmation import Confirmation, Confirmations
from auth.flows.rate_limits import (
    LOGIN_BY_ACCOUNT,
    LOGIN_BY_ACCOUNT_AND_ADDRESS,
    LOGIN_BY_ADDRESS,
    LOGIN_FROM_KNOWN_DEVICE,
    NAME_BY_ADDRESS,
    RateLimits,
    network_of,
)
from auth.flows.sessions import Sessions, SignedIn
from auth.logs import note
from auth.store.accounts import AccountTable
from auth.store.events import new_event
from auth.store.rate_limits import Charge
from auth.store.records import Account, EventKind, SignInRow
from auth.store.sign_ins import SignIns
from auth.times import Clock, id_text, new_id


@dataclass(frozen=True)
class Attempt:
    """A name and a password to sign in or register with, and their source.

    It never prints the password.
    """

    username: str
    password: str
    address: str
    device: str | None = None

    def __repr__(self) -> str:
        return "Attempt(...)"


class Accounts:
    """Registers accounts, signs players in, and deletes accounts."""

    def __init__(
        self,
        table: AccountTable,
        sign_ins: SignIns,
        sessions: Sessions,
        admission: Admission,
        confirmations: Confirmations,
        rate_limits: RateLimits,
        passwords: Passwords,
        policy: PasswordPolicy,
        clock: Clock,
    ) -> None:
        self._table = table
        self._sign_ins = sign_ins
        self._sessions = sessions
        self._admission = admission
        self._confirmations = confirmations
        self._rate_limits = rate_limits
        self._passwords = passwords
        self._policy = policy
        self._clock = clock

    def register(self, attempt: Attempt, idempotency_key: str | None) -> SignedIn:
        """Open an account and sign it in.

        Raises:
            InvalidUsername, WeakPassword, TooManyAttempts: refused before anything is done.
            UsernameTaken, IdempotencyKeyReused: see `_registered_before`.
        """
        check_username(attempt.username)
        self._policy.check(attempt.password, attempt.username)
        now = self._clock()
        network = network_of(attempt.address)
        charge = self._rate_limits.charge(NAME_BY_ADDRESS, network, now=now)
        with self._rate_limits.refunded_if_weak([charge]):
            self._policy.refuse_guessable(attempt.password, attempt.username)
        account = new_account(attempt.username, self._passwords.hash(attempt.password), now)
        registration_key = _digest(idempotency_key)
        try:
            return self._admission.admit_new(
                account, attempt.device, registration_key=registration_key
            )
        except Duplicate as duplicate:
            return self._registered_before(attempt, registration_key, duplicate)

    def _registered_before(
        self, attempt: Attempt, registration_key: bytes | None, duplicate: Duplicate
    ) -> SignedIn:
        """Tell a registration that repeats a lost one from a name that is taken.

        Raises:
            IdempotencyKeyReused: the key registered another name, or with another password.
            UsernameTaken: another account has the name.
        """
        now = self._clock()
        sign_in = registration_key and self._sign_ins.by_registration_key(registration_key, now)
        if registration_key and not sign_in:
            # Or MariaDB has committed the account, but does not show it yet.
            sign_in = self._sign_ins.by_registration_key(registration_key, now, locked=True)
        if not sign_in:
            if duplicate.key == "registration_key":
                raise Unavailable("the account of this registration was deleted meanwhile")
            raise UsernameTaken
        account = sign_in.account
        if username_key(account.username) != username_key(attempt.username):
            raise IdempotencyKeyReused
        note(account_id=id_text(account.id))
        # Or the key would open a way around the limit on signing in.
        key = username_key(attempt.username)
        charge = self._rate_limits.charge(LOGIN_BY_ACCOUNT, key, now=now)
        if not self._passwords.verify(account.password_hash, attempt.password):
            note("sign_in_failed")
            raise IdempotencyKeyReused
        return self._admission.admit(sign_in, attempt.device, [charge])

    def log_in(self, attempt: Attempt, known_device: str | None) -> SignedIn:
        """Sign a player in.

        Args:
            known_device: a refresh token of an earlier session, as proof of a known device. If it
                is the current token of a living session, that session ends.

        Raises:
            InvalidCredentials, AccountSuspended, TooManyAttempts.
        """
        presented = self._sessions.presented(known_device)
        sign_in, charges = self._proven(attempt, presented)
        return self._admission.admit(sign_in, attempt.device, charges, presented)

    def check_credentials(self, attempt: Attempt) -> Account:
        """Return the account that name and password belong to, and open no session.

        Raises:
            InvalidCredentials, AccountSuspended, TooManyAttempts.
        """
        sign_in, charges = self._proven(attempt, None)
        self._rate_limits.refund(charges)
        note("signed_in")
        return sign_in.account

    def _proven(
        self, attempt: Attempt, presented: RefreshToken | None
    ) -> tuple[SignInRow, list[Charge]]:
        """Return the account, if the password fits, and the charges to refund.

        It takes as long for an unknown name.
        """
        key = username_key(attempt.username)
        sign_in = self._sign_ins.by_username_key(key, presented, self._clock())
        if sign_in is not None:
            note(account_id=id_text(sign_in.account.id))
        charges = self._charge_login(attempt, sign_in, presented)
        password_hash = sign_in.account.password_hash if sign_in else None
        with self._rate_limits.refunded_if_unavailable(charges):
            fits = self._passwords.verify(password_hash, attempt.password)
            if sign_in is None or not fits:
                note("sign_in_failed")
                raise InvalidCredentials
            self._admission.refuse_suspended(sign_in.account)
            if self._passwords.needs_rehash(sign_in.account.password_hash):
                account = self._rehash(sign_in.account, attempt.password)
                sign_in = replace(sign_in, account=account)
        return sign_in, charges

    def _charge_login(
        self, attempt: Attempt, sign_in: SignInRow | None, presented: RefreshToken | None
    ) -> list[Charge]:
        """Charge the limits on guesses.

        A known device has a bucket for each session it had, which no holder of another session's
        token can empty. If it is empty, the device is limited like any other.
        """
        now = self._clock()
        # Keyed by the name, whether or not an account has it.
        key, network = username_key(attempt.username), network_of(attempt.address)
        any_device = (
            (LOGIN_BY_ADDRESS, (network,)),
            (LOGIN_BY_ACCOUNT_AND_ADDRESS, (key, network)),
            (LOGIN_BY_ACCOUNT, (key,)),
        )
        if sign_in is None or presented is None or not sign_in.device_is_known:
            return self._rate_limits.charge_all(any_device, now)
        subject = (sign_in.account.id, presented.session_id)
        try:
            return [self._rate_limits.charge(LOGIN_FROM_KNOWN_DEVICE, *subject, now=now)]
        except TooManyAttempts as known:
            try:
                return self._rate_limits.charge_all(any_device, now)
            except TooManyAttempts as unknown:
                raise min(known, unknown, key=lambda error: error.retry_after) from None

    def _rehash(self, account: Account, password: str) -> Account:
        """Store a hash with today's parameters; the password is known only now."""
        password_hash = self._passwords.hash(password)
        self._table.replace_hash(account, password_hash)
        return replace(account, password_hash=password_hash)

    def delete(self, account: Account, confirmation: Confirmation) -> None:
        """Delete the account and all that belongs to it; its name is free again.

        Raises:
            TooManyAttempts.
            WrongPassword, WrongGuestSecret: the confirmation is wrong.
        """
        try:
            self._confirmations.check(account, confirmation)
        except WrongGuestSecret:
            if self._table.find(account.id):
                raise
            return  # a parallel call has just deleted the account, and its secret with it
        if not self.purge(account):
            raise Unavailable("the account changed while it was deleted")
        note("account_deleted")

    def purge(self, account: Account) -> bool:
        """Delete an account, without a confirmation; False: it changed since it was read."""
        event = new_event(EventKind.ACCOUNT_PURGED, account.id, self._clock())
        # If nothing was deleted, our own first try may have done it, and its answer was lost.
        return self._table.delete(account, event) or self._table.find(account.id) is None


def new_account(username: str, password_hash: str, now: datetime) -> Account:
    """Return an account that is not stored yet."""
    return Account(
        id=new_id(now), username=username, password_hash=password_hash, epoch=0, created_at=now
    )


def _digest(idempotency_key: str | None) -> bytes | None:
    """Return the stored digest of a key; unkeyed, so that it outlives the MAC keys."""
    if idempotency_key is None:
        return None
    return hashlib.sha256(b"registration" + idempotency_key.encode()).digest()[:16]
