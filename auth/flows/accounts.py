"""What a player can do with an account. Each use case reads as the policy does.

Passwords are verified and hashed outside any transaction: they take a hundred times as long as a
statement. Rate limits are charged before hashing and refunded unless the password was wrong.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from auth.credentials.passwords import Passwords, check_password, refuse_guessable, same_password
from auth.credentials.refresh_tokens import RefreshToken
from auth.credentials.usernames import check_username, username_key
from auth.errors import (
    AccountSuspended,
    ApiError,
    IdempotencyKeyReused,
    InvalidCredentials,
    TooManyAttempts,
    Unavailable,
    UsernameTaken,
    WeakNewPassword,
    WeakPassword,
    WrongCurrentPassword,
    WrongPassword,
)
from auth.external.connection import Duplicate, MissingParent
from auth.flows.rate_limits import (
    LOGIN_BY_ACCOUNT,
    LOGIN_BY_ACCOUNT_AND_ADDRESS,
    LOGIN_BY_ADDRESS,
    LOGIN_FROM_KNOWN_DEVICE,
    PASSWORD_CHANGE_BY_ACCOUNT,
    PASSWORD_CHECK_BY_ACCOUNT,
    REGISTRATION_BY_ADDRESS,
    Charge,
    RateLimits,
    network_of,
)
from auth.flows.sessions import Sessions, SignedIn, new_session
from auth.logs import note
from auth.store.records import Account, Session, SignInRow
from auth.store.store import Store
from auth.times import Clock, id_text, new_id

FOR_GOOD = 9999  # an account with `suspended_until` in this year is suspended without an end


@dataclass(frozen=True)
class Login:
    """What somebody signs in or registers with, and from where; it never prints the password."""

    username: str
    password: str
    address: str
    device: str | None = None

    def __repr__(self) -> str:
        return "Login(...)"


class Accounts:
    """Registration, signing in, and the account's own settings."""

    def __init__(
        self,
        store: Store,
        sessions: Sessions,
        rate_limits: RateLimits,
        passwords: Passwords,
        clock: Clock,
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._rate_limits = rate_limits
        self._passwords = passwords
        self._clock = clock

    # Registration

    def register(self, login: Login, idempotency_key: str | None) -> SignedIn:
        """Open an account and sign it in.

        Raises:
            InvalidUsername, WeakPassword, TooManyAttempts: refused before anything is done.
            UsernameTaken, IdempotencyKeyReused: see `_registered_before`.
        """
        check_username(login.username)
        check_password(login.password, login.username)
        now = self._clock()
        network = network_of(login.address)
        charge = self._rate_limits.charge(REGISTRATION_BY_ADDRESS, network, now=now)
        self._refuse_guessable(login.password, login.username, [charge])
        account = Account(
            id=new_id(now),
            username=login.username,
            password_hash=self._passwords.hash(login.password),
            epoch=0,
            suspended_until=None,
            suspension_reason=None,
            created_at=now,
        )
        session, token = new_session(account, login.device, now)
        registration_key = _digest(idempotency_key)
        try:
            self._store.add_account(
                account, username_key(login.username), registration_key, session
            )
        except Duplicate as duplicate:
            return self._registered_before(login, registration_key, duplicate)
        _note(account, session)
        note("registered")
        return self._sessions.signed_in(account, session, token, now)

    def _registered_before(
        self, login: Login, registration_key: bytes | None, duplicate: Duplicate
    ) -> SignedIn:
        """Tell a registration whose answer was lost from a name that is taken.

        Raises:
            IdempotencyKeyReused: the key registered another name, or with another password.
            UsernameTaken: somebody else has the name.
        """
        now = self._clock()
        sign_in = registration_key and self._store.sign_in_by_registration_key(
            registration_key, now
        )
        if not sign_in:
            if duplicate.key == "registration_key":
                raise Unavailable("the account of this registration was deleted meanwhile")
            raise UsernameTaken
        account = sign_in.account
        if username_key(account.username) != username_key(login.username):
            raise IdempotencyKeyReused
        _note(account)
        # Or the key would open a way around the limit on signing in.
        key = username_key(login.username)
        charge = self._rate_limits.charge(LOGIN_BY_ACCOUNT, key, now=now)
        if not self._passwords.verify(account.password_hash, login.password):
            note("sign_in_failed")
            raise IdempotencyKeyReused
        self._refuse_suspended(account)
        self._rate_limits.give_back([charge])
        return self._open_session(sign_in, login.device)

    # Signing in

    def log_in(self, login: Login, known_device: str | None) -> SignedIn:
        """Sign a player in.

        Args:
            known_device: a refresh token of an earlier session, as proof of a known device. If it
                is the current token of a living session, that session ends.

        Raises:
            InvalidCredentials, AccountSuspended, TooManyAttempts.
        """
        presented = self._sessions.presented(known_device)
        return self._open_session(self._proven(login, presented), login.device, presented)

    def check_credentials(self, login: Login) -> Account:
        """Return the account that name and password belong to, and open no session.

        Raises:
            InvalidCredentials, AccountSuspended, TooManyAttempts.
        """
        account = self._proven(login, None).account
        note("signed_in")
        return account

    def _proven(self, login: Login, presented: RefreshToken | None) -> SignInRow:
        """Return the account whose password this is; takes as long for an unknown name."""
        key = username_key(login.username)
        sign_in = self._store.sign_in_by_username_key(key, presented, self._clock())
        if sign_in is not None:
            _note(sign_in.account)
        charges = self._charge_login(login, sign_in, presented)
        password_hash = sign_in.account.password_hash if sign_in else None
        fits = self._passwords.verify(password_hash, login.password)
        if sign_in is None or not fits:
            note("sign_in_failed")
            raise InvalidCredentials
        self._refuse_suspended(sign_in.account)
        self._rate_limits.give_back(charges)
        if self._passwords.needs_rehash(sign_in.account.password_hash):
            return replace(sign_in, account=self._rehash(sign_in.account, login.password))
        return sign_in

    def _charge_login(
        self, login: Login, sign_in: SignInRow | None, presented: RefreshToken | None
    ) -> list[Charge]:
        """Charge what limits guessing.

        A known device has a bucket for each session it had, which no holder of another session's
        token can empty. If it is empty, the device is limited like any other.
        """
        now = self._clock()
        # Keyed by the name, whether or not an account has it.
        key, network = username_key(login.username), network_of(login.address)
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

    def _refuse_suspended(self, account: Account) -> None:
        if account.suspended_until is not None and account.is_suspended(self._clock()):
            for_good = account.suspended_until.year == FOR_GOOD
            note("suspended_sign_in")
            raise AccountSuspended(
                None if for_good else account.suspended_until, account.suspension_reason or ""
            )

    def _rehash(self, account: Account, password: str) -> Account:
        """Store a hash with today's parameters; the password is known only now."""
        password_hash = self._passwords.hash(password)
        self._store.replace_hash(account, password_hash)
        return replace(account, password_hash=password_hash)

    def _open_session(
        self, sign_in: SignInRow, device: str | None, presented: RefreshToken | None = None
    ) -> SignedIn:
        try:
            signed_in = self._sessions.open(sign_in, device, presented)
        except MissingParent:
            raise InvalidCredentials("the account was deleted meanwhile") from None
        _note(signed_in.account, signed_in.session)
        note("signed_in")
        return signed_in

    # The account's own settings

    def change_password(
        self, session: Session, account: Account, current: str, new: str
    ) -> SignedIn:
        """Change the password; this session goes on with new tokens, all others end.

        A call whose answer was lost can be repeated: if `current` no longer fits but `new` does,
        the tokens of the first answer are given again, unless they have been used.

        Raises:
            WeakNewPassword, TooManyAttempts.
            WrongCurrentPassword: `current` is wrong.
            InvalidToken: the session ended meanwhile.
        """
        _check_new_password(current, new, account.username)
        attempt = self._charge_password_check(account)
        try:
            success = self._rate_limits.charge(
                PASSWORD_CHANGE_BY_ACCOUNT, account.id, now=self._clock()
            )
        except TooManyAttempts:
            if repeated := self._repeated_change(session, account, new, [attempt]):
                return repeated
            raise
        try:
            self._refuse_guessable(new, account.username, [attempt], WeakNewPassword)
            if not self._passwords.verify(account.password_hash, current):
                # A second guess at the password, so a second charge.
                charges = [attempt, success, self._charge_password_check(account)]
                if repeated := self._repeated_change(session, account, new, charges):
                    return repeated
                note("password_check_failed")
                raise WrongCurrentPassword
            return self._changed(session, account, new, attempt)
        except ApiError:
            self._rate_limits.give_back([success])
            raise

    def _changed(self, session: Session, account: Account, new: str, attempt: Charge) -> SignedIn:
        signed_in = self._sessions.change_password(
            session,
            account,
            self._passwords.hash(new),
            lambda stored: self._passwords.verify(stored, new),
        )
        self._rate_limits.give_back([attempt])
        note("password_changed")
        return signed_in

    def _repeated_change(
        self, session: Session, account: Account, new: str, charges: Sequence[Charge]
    ) -> SignedIn | None:
        """Give the answer of an earlier call again, which changed the password to `new`.

        None: there was no such call, or the token of its answer has been used.
        """
        if not self._passwords.verify(account.password_hash, new):
            return None
        repeated = self._sessions.renewed(session, account, self._clock())
        if repeated is not None:
            self._rate_limits.give_back(charges)
            note("password_change_repeated")
        return repeated

    def delete(self, account: Account, password: str) -> None:
        """Delete the account, all its sessions with it; its name is free again.

        Raises:
            TooManyAttempts.
            WrongPassword: the password is wrong.
        """
        charge = self._charge_password_check(account)
        if not self._passwords.verify(account.password_hash, password):
            note("password_check_failed")
            raise WrongPassword
        # If nothing was deleted, our own first try may have done it, whose answer was lost.
        if not self._store.delete_account(account) and self._store.account_exists(account.id):
            raise Unavailable("the account changed while it was deleted")
        self._rate_limits.give_back([charge])
        note("account_deleted")

    def _charge_password_check(self, account: Account) -> Charge:
        return self._rate_limits.charge(PASSWORD_CHECK_BY_ACCOUNT, account.id, now=self._clock())

    def _refuse_guessable(
        self,
        password: str,
        username: str,
        charges: Sequence[Charge],
        error: type[WeakPassword] = WeakPassword,
    ) -> None:
        """Refuse a password that is easy to guess, and refund: nothing was guessed at."""
        try:
            refuse_guessable(password, username)
        except WeakPassword as weak:
            self._rate_limits.give_back(charges)
            raise error(weak.fields["password"]) from None


def _check_new_password(current: str, new: str, username: str) -> None:
    try:
        check_password(new, username)
    except WeakPassword as weak:
        raise WeakNewPassword(weak.fields["password"]) from None
    if same_password(current, new):
        raise WeakNewPassword("Choose a password other than the current one.")


def _digest(idempotency_key: str | None) -> bytes | None:
    """Return what is stored of a key; unkeyed, so that it outlives the MAC keys."""
    if idempotency_key is None:
        return None
    return hashlib.sha256(b"registration" + idempotency_key.encode()).digest()[:16]


def _note(account: Account, session: Session | None = None) -> None:
    note(account_id=id_text(account.id))
    if session is not None:
        note(session_id=id_text(session.id))
