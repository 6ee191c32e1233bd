"""What a player can do with an account. Each use case reads as the policy does.

Passwords are verified and hashed outside any transaction: they take a hundred times as long as a
statement. Rate limits are charged before hashing and given back when it was no guess.
"""

import hashlib
from dataclasses import dataclass, replace

from auth.connection import Duplicate, MissingParent
from auth.errors import (
    AccountSuspended,
    IdempotencyKeyReused,
    InvalidCredentials,
    Unavailable,
    UsernameTaken,
    WeakPassword,
)
from auth.logs import note
from auth.passwords import Passwords, check_password, refuse_guessable
from auth.rate_limits import (
    LOGIN_BY_ACCOUNT,
    LOGIN_BY_ACCOUNT_AND_ADDRESS,
    LOGIN_BY_ADDRESS,
    LOGIN_FROM_KNOWN_DEVICE,
    PASSWORD_CHECK_BY_ACCOUNT,
    REGISTRATION_BY_ADDRESS,
    Charge,
    RateLimits,
    network_of,
)
from auth.records import Account, Session
from auth.sessions import Sessions, SignedIn, new_session
from auth.store import Store
from auth.times import Clock, id_text, new_id
from auth.usernames import check_username, username_key

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
        self._refuse_guessable(login.password, login.username, charge)
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
        _note("registered", account)
        return self._sessions.signed_in(account, session, token, now)

    def _registered_before(
        self, login: Login, registration_key: bytes | None, duplicate: Duplicate
    ) -> SignedIn:
        """Tell a registration whose answer was lost from a name that is taken.

        Raises:
            IdempotencyKeyReused: the key registered another name, or with another password.
            UsernameTaken: somebody else has the name.
        """
        account = registration_key and self._store.account_by_registration_key(registration_key)
        if not account:
            if duplicate.key == "registration_key":
                raise Unavailable("the account of this registration was deleted meanwhile")
            raise UsernameTaken
        if username_key(account.username) != username_key(login.username):
            raise IdempotencyKeyReused
        # Or the key would open a way around the limit on signing in.
        key = username_key(login.username)
        charge = self._rate_limits.charge(LOGIN_BY_ACCOUNT, key, now=self._clock())
        if not self._passwords.verify(account.password_hash, login.password):
            note("sign_in_failed")
            raise IdempotencyKeyReused
        self._refuse_suspended(account)
        self._rate_limits.give_back([charge])
        return self._open_session(account, login.device)

    # Signing in

    def log_in(self, login: Login, known_device: str | None) -> SignedIn:
        """Sign a player in.

        Args:
            known_device: a refresh token of an earlier session, as proof of a known device.

        Raises:
            InvalidCredentials, AccountSuspended, TooManyAttempts.
        """
        return self._open_session(self.check_credentials(login, known_device), login.device)

    def check_credentials(self, login: Login, known_device: str | None = None) -> Account:
        """Return the account that name and password belong to; takes as long for an unknown name.

        Raises:
            InvalidCredentials, AccountSuspended, TooManyAttempts.
        """
        account = self._store.account_by_username_key(username_key(login.username))
        charges = self._charge_login(login, account, self._sessions.known_account_id(known_device))
        fits = self._passwords.verify(account.password_hash if account else None, login.password)
        if account is None or not fits:
            note("sign_in_failed")
            raise InvalidCredentials
        self._refuse_suspended(account)
        self._rate_limits.give_back(charges)
        if self._passwords.needs_rehash(account.password_hash):
            return self._rehash(account, login.password)
        return account

    def _charge_login(
        self, login: Login, account: Account | None, known_account_id: bytes | None
    ) -> list[Charge]:
        """Charge what limits guessing; a known device has a bucket that no stranger can empty."""
        if account is not None and account.id == known_account_id:
            return self._rate_limits.charge_all(
                [(LOGIN_FROM_KNOWN_DEVICE, (account.id,))], self._clock()
            )
        # Keyed by the name, whether or not an account has it.
        key, network = username_key(login.username), network_of(login.address)
        return self._rate_limits.charge_all(
            [
                (LOGIN_BY_ADDRESS, (network,)),
                (LOGIN_BY_ACCOUNT_AND_ADDRESS, (key, network)),
                (LOGIN_BY_ACCOUNT, (key,)),
            ],
            self._clock(),
        )

    def _refuse_suspended(self, account: Account) -> None:
        if account.suspended_until is not None and account.is_suspended(self._clock()):
            for_good = account.suspended_until.year == FOR_GOOD
            _note("suspended_sign_in", account)
            raise AccountSuspended(
                None if for_good else account.suspended_until, account.suspension_reason or ""
            )

    def _rehash(self, account: Account, password: str) -> Account:
        """Store a hash with today's parameters; the password is known only now."""
        password_hash = self._passwords.hash(password)
        self._store.replace_hash(account, password_hash)
        return replace(account, password_hash=password_hash)

    def _open_session(self, account: Account, device: str | None) -> SignedIn:
        try:
            signed_in = self._sessions.open(account, device)
        except MissingParent:
            raise InvalidCredentials("the account was deleted meanwhile") from None
        _note("signed_in", account)
        return signed_in

    # The account's own settings

    def change_password(
        self, session: Session, account: Account, current: str, new: str
    ) -> SignedIn:
        """Change the password; this session goes on with new tokens, all others end.

        A call whose answer was lost can be repeated: where `current` no longer fits but `new`
        already does, there is nothing left to do but to hand out tokens again.

        Raises:
            WeakPassword, TooManyAttempts.
            InvalidCredentials: `current` is wrong.
            InvalidToken: the session ended meanwhile.
        """
        check_password(new, account.username)
        charges = [self._charge_password_check(account)]
        self._refuse_guessable(new, account.username, charges[0])
        new_hash: str | None = None
        if self._passwords.verify(account.password_hash, current):
            new_hash = self._passwords.hash(new)
        else:
            # A second guess at the password, so a second charge.
            charges.append(self._charge_password_check(account))
            self._verify_password(account, new)
        signed_in = self._sessions.renew(session, account, new_hash)
        self._rate_limits.give_back(charges)
        _note("password_changed", account)
        return signed_in

    def delete(self, account: Account, password: str) -> None:
        """Delete the account, all its sessions with it; its name is free again.

        Raises:
            TooManyAttempts.
            InvalidCredentials: the password is wrong.
        """
        charge = self._charge_password_check(account)
        self._verify_password(account, password)
        # Not deleted may also mean: by our own first try, whose answer was lost.
        if not self._store.delete_account(account) and self._store.account_by_id(account.id):
            raise Unavailable("the account changed while it was deleted")
        self._rate_limits.give_back([charge])
        _note("account_deleted", account)

    def _charge_password_check(self, account: Account) -> Charge:
        return self._rate_limits.charge(PASSWORD_CHECK_BY_ACCOUNT, account.id, now=self._clock())

    def _refuse_guessable(self, password: str, username: str, charge: Charge) -> None:
        """Refuse a password that is easy to guess; what is refused was no guess at anything."""
        try:
            refuse_guessable(password, username)
        except WeakPassword:
            self._rate_limits.give_back([charge])
            raise

    def _verify_password(self, account: Account, password: str) -> None:
        if not self._passwords.verify(account.password_hash, password):
            _note("password_check_failed", account)
            raise InvalidCredentials


def _digest(idempotency_key: str | None) -> bytes | None:
    """Return what is stored of a key; unkeyed, so that it outlives the MAC keys."""
    if idempotency_key is None:
        return None
    return hashlib.sha256(b"registration" + idempotency_key.encode()).digest()[:16]


def _note(event: str, account: Account) -> None:
    note(event, account_id=id_text(account.id))
