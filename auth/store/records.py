"""What the application remembers: an account, and a session of it.

The rows of the tables as values; `store` reads and writes them.
"""

from dataclasses import dataclass
from datetime import datetime

from auth.errors import Reason

MAX_SESSIONS = 50  # rows of one account, living and dead (OWASP ASVS 5.0, 7.1.2)


@dataclass(frozen=True)
class Account:
    """A row of `accounts`; it never prints its hash."""

    id: bytes
    username: str
    password_hash: str
    epoch: int
    suspended_until: datetime | None
    suspension_reason: str | None
    created_at: datetime

    def __repr__(self) -> str:
        return f"Account(id={self.id.hex()})"

    def is_suspended(self, now: datetime) -> bool:
        """Tell whether the account may not sign in at this time."""
        return self.suspended_until is not None and self.suspended_until > now


@dataclass(frozen=True)
class Session:
    """A row of `sessions`."""

    id: bytes
    account_id: bytes
    tail_hash: bytes
    counter: int
    rotation_key: bytes | None
    epoch: int
    device: str | None
    created_at: datetime
    rotated_at: datetime
    idle_expires_at: datetime
    expires_at: datetime
    ended_at: datetime | None

    def ends_at(self) -> datetime:
        """Return when it ends unless it is refreshed."""
        return min(self.idle_expires_at, self.expires_at)

    def is_alive(self, account: Account, now: datetime) -> bool:
        """Tell whether this session of `account` may still be used."""
        return self.refusal(account, now) is None

    def refusal(self, account: Account, now: datetime) -> Reason | None:
        """Return why this session of `account` may not be used; None: it may."""
        if self.ended_at is not None or self.epoch != account.epoch:
            return Reason.REVOKED
        if self.ends_at() <= now:
            return Reason.EXPIRED
        return Reason.SUSPENDED if account.is_suspended(now) else None


@dataclass(frozen=True)
class SignInRow:
    """What a sign-in needs to know of an account: one statement reads all of it.

    `sessions` counts its sessions, living and dead; `least_used` is the one that goes first.
    `device_is_known`: the refresh token presented is of a session with the account's epoch.
    `session_goes_on`: it is the current one of a living session.
    """

    account: Account
    sessions: int
    least_used: bytes | None
    device_is_known: bool
    session_goes_on: bool
