"""Guests: players without a name and a password, known by a secret on their device.

The client stores the secret before it calls, and one call creates the guest or signs it in, so a
lost answer is harmless. An upgrade makes a guest a player, in place.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import partial

from auth.credentials.guest_secrets import check_guest_secret, subject_of
from auth.credentials.password_policy import PasswordPolicy
from auth.credentials.passwords import Passwords
from auth.credentials.usernames import check_username, generated_username, username_key
from auth.errors import (
    GuestsDisabled,
    InvalidCredentials,
    NotAGuest,
    Unavailable,
    UnknownGuest,
    UsernameTaken,
    WrongGuestSecret,
)
from auth.external.failures import Duplicate
from auth.flows.admission import Admission
from auth.flows.confirmation import Confirmations
from auth.flows.rate_limits import (
    GUEST_BY_ADDRESS,
    NAME_BY_ADDRESS,
    PASSWORD_CHECK_BY_ACCOUNT,
    Limited,
    RateLimits,
    network_of,
)
from auth.flows.renewal import Renewals
from auth.flows.sessions import CallingSession, SignedIn
from auth.logs import note
from auth.store.events import new_event
from auth.store.identities import GUEST, IdentityTable
from auth.store.rate_limits import Charge
from auth.store.records import Account, EventKind, Identity, Profile, SignInRow
from auth.store.renewals import Renewal, RenewalTable
from auth.store.sign_ins import SignIns
from auth.times import Clock, id_text, new_id

NAME_TRIES = 3  # of a generated name that is taken


@dataclass(frozen=True)
class Visit:
    """A guest secret and its source. It never prints the secret."""

    guest_secret: str
    address: str
    device: str | None

    def __repr__(self) -> str:
        return "Visit(...)"


@dataclass(frozen=True)
class Upgrade:
    """The name and password that a guest chooses. It never prints them."""

    username: str
    password: str
    guest_secret: str
    address: str

    def __repr__(self) -> str:
        return "Upgrade(...)"


class Guests:
    """Creates guests, signs them in, and makes them players."""

    def __init__(
        self,
        identities: IdentityTable,
        sign_ins: SignIns,
        admission: Admission,
        rate_limits: RateLimits,
        passwords: Passwords,
        clock: Clock,
        *,
        enabled: bool,
    ) -> None:
        self._identities = identities
        self._sign_ins = sign_ins
        self._admission = admission
        self._rate_limits = rate_limits
        self._passwords = passwords
        self._clock = clock
        self._enabled = enabled

    def enter(self, visit: Visit, *, create: bool) -> tuple[SignedIn, bool]:
        """Sign in the guest of a secret, or create one; True: it was created.

        Raises:
            WeakGuestSecret: the secret is not random.
            UnknownGuest: no account has it, and `create` is False.
            GuestsDisabled, TooManyAttempts: no guest may be created, in general or for now.
            AccountSuspended: the guest is suspended.
        """
        check_guest_secret(visit.guest_secret)
        subject = subject_of(visit.guest_secret)
        if sign_in := self._sign_ins.by_guest_secret(subject, self._clock()):
            return self._sign_in(sign_in, subject, visit, create=create), False
        if not create:
            raise UnknownGuest
        if not self._enabled:
            raise GuestsDisabled
        now = self._clock()
        charge = self._rate_limits.charge(GUEST_BY_ADDRESS, network_of(visit.address), now=now)
        with self._rate_limits.refunded_if_unavailable([charge]):
            created = self._create(subject, visit.device)
        if created is not None:
            return created, True
        self._rate_limits.refund([charge])  # a parallel call with the same secret was faster
        sign_in = self._sign_ins.by_guest_secret(subject, self._clock())
        if sign_in is None:
            raise Unavailable("the guest was deleted meanwhile")
        return self._sign_in(sign_in, subject, visit, create=create), False

    def _sign_in(
        self, sign_in: SignInRow, subject: bytes, visit: Visit, *, create: bool
    ) -> SignedIn:
        note(account_id=id_text(sign_in.account.id))
        self._admission.refuse_suspended(sign_in.account)
        self._identities.use(GUEST, subject, self._clock())
        try:
            return self._admission.admit(sign_in, visit.device, [])
        except InvalidCredentials:
            if not create:
                raise UnknownGuest from None
            raise Unavailable("the guest was deleted meanwhile") from None

    def _create(self, subject: bytes, device: str | None) -> SignedIn | None:
        """Create a guest; None: another call has just created it.

        Raises:
            Unavailable: no free name was found, or the database did not do it.
        """
        for _ in range(NAME_TRIES):
            now = self._clock()
            account = new_guest(self._passwords.unusable_hash(), now)
            identity = new_identity(account, subject, now)
            try:
                return self._admission.admit_new(account, device, identity=identity)
            except Duplicate as duplicate:
                if duplicate.key != "username_key":
                    return None
        raise Unavailable("no free name was found")


class Upgrades:
    """Makes guests players with a name and a password."""

    def __init__(
        self,
        table: RenewalTable,
        renewals: Renewals,
        confirmations: Confirmations,
        rate_limits: RateLimits,
        policy: PasswordPolicy,
        clock: Clock,
    ) -> None:
        self._table = table
        self._renewals = renewals
        self._confirmations = confirmations
        self._rate_limits = rate_limits
        self._policy = policy
        self._clock = clock

    def upgrade(self, calling: CallingSession, chosen: Upgrade) -> SignedIn:
        """Give a guest a name and a password; the guest secret and all other sessions end.

        Safe to repeat after a lost answer.

        Raises:
            InvalidUsername, WeakPassword, TooManyAttempts: refused before anything is done.
            WrongGuestSecret: it is not this guest's.
            UsernameTaken: another account has the name.
            NotAGuest: the account has a password already, and this call did not set it.
        """
        check_username(chosen.username)
        self._policy.check(chosen.password, chosen.username)
        account = calling.account
        check: Limited = ((PASSWORD_CHECK_BY_ACCOUNT, (account.id,)),)
        if account.has_password:
            return self._repeated(calling, chosen, check)
        is_own = username_key(chosen.username) == username_key(account.username)
        name = () if is_own else ((NAME_BY_ADDRESS, (network_of(chosen.address),)),)
        charges = self._rate_limits.charge_all((*check, *name), self._clock())
        if self._is_owner(calling, chosen, charges):
            return self._set(calling, chosen)
        # An upgrade by a parallel call ends the secret, too.
        with self._rate_limits.refunded_if_unavailable(charges[:1]):
            calling = self._renewals.current(calling)
        if not calling.account.has_password:
            note("guest_secret_check_failed")
            raise WrongGuestSecret
        self._rate_limits.refund(charges[:1])
        return self._repeated(calling, chosen, check)

    def _is_owner(self, calling: CallingSession, chosen: Upgrade, charges: list[Charge]) -> bool:
        """Refuse a guessable password, judge the secret, and refund what a guess does not cost."""
        with self._rate_limits.refunded_if_weak(charges):
            self._policy.refuse_guessable(chosen.password, chosen.username)
        with self._rate_limits.refunded_if_unavailable(charges[:1]):
            is_owner = self._confirmations.is_guest(calling.account, chosen.guest_secret)
        if is_owner:
            self._rate_limits.refund(charges[:1])
        return is_owner

    def _set(self, calling: CallingSession, chosen: Upgrade) -> SignedIn:
        try:
            upgraded = self._renewals.set_password(
                calling, chosen.password, partial(self._store, chosen)
            )
        except Duplicate:
            raise UsernameTaken from None
        # A parallel call may have chosen another name.
        if upgraded is None or not _has_name(upgraded.account, chosen.username):
            raise NotAGuest
        note("upgraded")
        return upgraded

    def _store(self, chosen: Upgrade, renewal: Renewal) -> None:
        event = new_event(
            EventKind.UPGRADED,
            renewal.account.id,
            renewal.now,
            renewal.session.id,
            epoch=renewal.epoch,
            username=chosen.username,
            former=renewal.account.username,
        )
        key = username_key(chosen.username)
        self._table.upgrade(renewal, chosen.username, key, event)

    def _repeated(self, calling: CallingSession, chosen: Upgrade, check: Limited) -> SignedIn:
        """Give the answer of an earlier call again, if this one is its repetition."""
        if not _has_name(calling.account, chosen.username):
            raise NotAGuest
        charges = self._rate_limits.charge_all(check, self._clock())
        repeated = self._renewals.repeated(calling, chosen.password)
        if repeated is None:
            note("password_check_failed")
            raise NotAGuest
        self._rate_limits.refund(charges)
        note("upgrade_repeated")
        return repeated


def new_guest(unusable_hash: str, now: datetime) -> Account:
    """Return a guest's account that is not stored yet."""
    return Account(
        id=new_id(now),
        username=generated_username(),
        password_hash=unusable_hash,
        epoch=0,
        created_at=now,
        has_password=False,
        guest=True,
        generated_name=True,
    )


def new_identity(account: Account, subject: bytes, now: datetime) -> Identity:
    """Return a guest's identity that is not stored yet."""
    return Identity(
        id=new_id(now),
        account_id=account.id,
        provider=GUEST,
        subject=subject,
        created_at=now,
        last_used_at=now,
    )


def _has_name(account: Profile, username: str) -> bool:
    return username_key(account.username) == username_key(username)
