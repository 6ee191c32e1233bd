"""The owner's confirmation of a call that must not follow from a stolen access token alone.

A player confirms with the password, a guest with the guest secret of the device.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from auth.credentials.guest_secrets import is_guest_secret, subject_of
from auth.credentials.passwords import Passwords
from auth.errors import ApiError, WrongGuestSecret, WrongPassword
from auth.flows.rate_limits import (
    CHANGE_BY_ACCOUNT,
    PASSWORD_CHECK_BY_ACCOUNT,
    Limited,
    RateLimits,
)
from auth.logs import note
from auth.store.identities import GUEST, IdentityTable
from auth.store.records import Account
from auth.times import Clock


@dataclass(frozen=True)
class Confirmation:
    """Exactly one of the two. It never prints them."""

    password: str | None = None
    guest_secret: str | None = None

    def __repr__(self) -> str:
        return "Confirmation(...)"


class Confirmations:
    """Checks confirmations, at a limited rate."""

    def __init__(
        self, table: IdentityTable, rate_limits: RateLimits, passwords: Passwords, clock: Clock
    ) -> None:
        self._table = table
        self._rate_limits = rate_limits
        self._passwords = passwords
        self._clock = clock

    def check(self, account: Account, confirmation: Confirmation) -> None:
        """Check that the owner of the account is calling.

        Raises:
            TooManyAttempts.
            WrongPassword, WrongGuestSecret: the confirmation is wrong.
        """
        with self._charged(account, confirmation, ()):
            pass

    @contextmanager
    def change(
        self, account: Account, confirmation: Confirmation | None, also: Limited = ()
    ) -> Iterator[None]:
        """Check that the owner is calling, and that it is not one of too many changes.

        The charge for the change is refunded if the work inside fails; those of `also` stay. With
        None the change needs no confirmation.

        Raises:
            TooManyAttempts, WrongPassword, WrongGuestSecret: as `check`.
        """
        limited = ((CHANGE_BY_ACCOUNT, (account.id,)), *also)
        with self._charged(account, confirmation, limited):
            yield

    @contextmanager
    def _charged(
        self, account: Account, confirmation: Confirmation | None, limited: Limited
    ) -> Iterator[None]:
        check = ((PASSWORD_CHECK_BY_ACCOUNT, (account.id,)),) if confirmation else ()
        charges = self._rate_limits.charge_all((*check, *limited), self._clock())
        attempt, change = charges[: len(check)], charges[len(check) :][:1]
        try:
            with self._rate_limits.refunded_if_unavailable(attempt):
                if confirmation:
                    self._refuse_wrong(account, confirmation)
            self._rate_limits.refund(attempt)
            yield
        except ApiError:
            self._rate_limits.refund(change)
            raise

    def _refuse_wrong(self, account: Account, confirmation: Confirmation) -> None:
        if confirmation.guest_secret is not None:
            if not self.is_guest(account, confirmation.guest_secret):
                note("guest_secret_check_failed")
                raise WrongGuestSecret
        elif not self._passwords.verify(account.password_hash, confirmation.password or ""):
            note("password_check_failed")
            raise WrongPassword

    def is_guest(self, account: Account, guest_secret: str) -> bool:
        """Tell whether the account has this guest secret."""
        if not is_guest_secret(guest_secret):
            return False
        identity = self._table.find(GUEST, subject_of(guest_secret))
        return identity is not None and identity.account_id == account.id
