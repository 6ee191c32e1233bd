"""The rows of the tables as values, such as accounts, sessions and events.

Each column is named once, here. Column lists, INSERT statements and the mapping of rows derive from
these names. Each condition on a session is written in SQL and in Python, side by side.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from enum import IntEnum
from fnmatch import fnmatchcase

from auth.errors import Reason
from auth.external.connection import Row, Value

MAX_SESSIONS = 50  # rows of one account, lasting or not (OWASP ASVS 5.0, 7.1.2)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The part of an account that its owner sees in every answer.

    `generated_name`: the name was not chosen by the player. `epoch`: raised when all
    sessions, or all but one, end.
    """

    id: bytes
    username: str
    created_at: datetime
    epoch: int
    guest: bool = False
    generated_name: bool = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id.hex()})"


@dataclass(frozen=True, kw_only=True, repr=False)
class Account(Profile):
    """A row of `accounts`. Never prints the password hash.

    `has_password`: False while the hash fits no password. `renamed_at`: the last change of a chosen
    name.
    """

    password_hash: str
    suspended_until: datetime | None = None
    suspension_reason: str | None = None
    has_password: bool = True
    renamed_at: datetime | None = None

    def is_suspended(self, now: datetime) -> bool:
        """Tell whether the account is suspended at this time."""
        return self.suspended_until is not None and self.suspended_until > now


# In SQL, `a` is an account and `s` one of its sessions.
LASTS = (
    "s.ended_at IS NULL AND s.idle_expires_at > %(now)s AND s.expires_at > %(now)s"
    " AND s.epoch = a.epoch"
)
USABLE = f"{LASTS} AND (a.suspended_until IS NULL OR a.suspended_until <= %(now)s)"


@dataclass(frozen=True, kw_only=True)
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
        """Return the time at which the session expires unless it is refreshed."""
        return min(self.idle_expires_at, self.expires_at)

    def lasts(self, account: Account, now: datetime) -> bool:
        """Tell whether this session of `account` has not ended; in SQL: `LASTS`."""
        return self.ended_at is None and self.ends_at() > now and self.epoch == account.epoch

    def usable(self, account: Account, now: datetime) -> bool:
        """Tell whether it lasts and the account is not suspended; in SQL: `USABLE`."""
        return self.lasts(account, now) and not account.is_suspended(now)

    def why_unusable(self, account: Account, now: datetime) -> Reason | None:
        """Return the reason for the log; None: the session is usable."""
        if self.usable(account, now):
            return None
        if self.lasts(account, now):
            return Reason.SUSPENDED
        is_revoked = self.ended_at is not None or self.epoch != account.epoch
        return Reason.REVOKED if is_revoked else Reason.EXPIRED


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A row of `identities`: a proof of an account other than its password."""

    id: bytes
    account_id: bytes
    provider: str
    subject: bytes
    created_at: datetime
    last_used_at: datetime


@dataclass(frozen=True, kw_only=True)
class RecoveryCode:
    """A row of `recovery_codes`. It never prints the hash.

    `expires_at`: of a code that an operator has made; after it there is no code.
    """

    account_id: bytes
    hash: str
    created_at: datetime
    expires_at: datetime | None = None

    def __repr__(self) -> str:
        return f"RecoveryCode({self.account_id.hex()})"

    def lasts(self, now: datetime) -> bool:
        """Tell whether it has not expired; in SQL: `CODE_LASTS`."""
        return self.expires_at is None or self.expires_at > now


CODE_LASTS = "(r.expires_at IS NULL OR r.expires_at > %(now)s)"  # `r` is a recovery code


class EventKind(IntEnum):
    """What can happen to an account. The numbers are stored: never reuse one."""

    REGISTERED = 1
    UPGRADED = 2
    RENAMED = 3
    PASSWORD_CHANGED = 4
    RECOVERED = 5
    RECOVERY_CODE_MADE = 6
    SIGNED_OUT_EVERYWHERE = 7
    SESSION_ENDED = 8
    REFRESH_REUSED = 9
    SUSPENDED = 10
    SUSPENSION_LIFTED = 11
    ACCOUNT_PURGED = 12
    CONNECTION_SUPERSEDED = 13


@dataclass(frozen=True, kw_only=True)
class Event:
    """A row of `events`. `data` is JSON, for operators and game servers.

    `account_id`: None if the event is no part of an account's history.
    """

    id: bytes
    at: datetime
    account_id: bytes | None
    kind: EventKind
    session_id: bytes | None = None
    data: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A row of `operations`: what an operator did, or was refused.

    `arn` is what the operator's client claims; `role` is certain. `result` is the answer in JSON,
    without codes and keys.
    """

    command_id: bytes
    digest: bytes
    at: datetime
    role: str
    arn: str
    command: str
    account_id: bytes | None
    reason: str
    outcome: str
    result: bytes
    request_id: str


@dataclass(frozen=True, kw_only=True)
class ServerKey:
    """A row of `server_keys`: for which game servers a key may act. It never prints the digest.

    `redeem_only`: it may not read the feed, which has the events of all accounts.
    """

    id: bytes
    secret_hash: bytes
    label: str
    pattern: str
    redeem_only: bool
    created_at: datetime
    revoked_at: datetime | None

    def __repr__(self) -> str:
        return f"ServerKey({self.id.hex()})"

    def may_act_for(self, server: str) -> bool:
        """Tell whether the key is for this server."""
        return fnmatchcase(server, self.pattern)


@dataclass(frozen=True, kw_only=True)
class Redemption:
    """A row of `connections`: the last ticket that was redeemed for an account."""

    account_id: bytes
    ticket: bytes
    fence: int
    key_id: bytes
    server: str
    redeemed_at: datetime


@dataclass(frozen=True)
class SignInRow:
    """The data that a sign-in needs about an account, read by one statement.

    `sessions` counts all sessions, ended ones included; `least_used` is the first to be replaced,
    and `least_used_lasts` tells whether it still lasts.
    `device_is_known`: the presented refresh token belongs to a session with the account's epoch.
    `session_goes_on`: it is also the current token of a session that lasts.
    """

    account: Account
    sessions: int
    least_used: bytes | None
    least_used_lasts: bool
    device_is_known: bool
    session_goes_on: bool


PROFILE = tuple(field.name for field in fields(Profile))
ACCOUNT = tuple(field.name for field in fields(Account))
SESSION = tuple(field.name for field in fields(Session))
_FLAGS = {field.name for field in fields(Account) if field.type is bool}  # numbers in the database
IDENTITY = tuple(field.name for field in fields(Identity))
EVENT = tuple(field.name for field in fields(Event))
OPERATION = tuple(field.name for field in fields(Operation))
RECOVERY_CODE = tuple(field.name for field in fields(RecoveryCode))
SERVER_KEY = tuple(field.name for field in fields(ServerKey))
REDEMPTION = tuple(field.name for field in fields(Redemption))
# The columns to read: PyMySQL takes 10 us per column, so ids that are known are left out.
_PROFILE_READ = tuple(name for name in PROFILE if name != "id")
_ACCOUNT_READ = tuple(name for name in ACCOUNT if name != "id")
_SESSION_READ = tuple(name for name in SESSION if name not in ("id", "account_id"))


def _columns(table: str, names: Iterable[str]) -> str:
    """Return a SELECT list; the aliases distinguish columns with one name in both tables."""
    return ", ".join(f"{table}.{name} AS {table}_{name}" for name in names)


PROFILE_COLUMNS = _columns("a", _PROFILE_READ)
ACCOUNT_COLUMNS = _columns("a", _ACCOUNT_READ)
SESSION_COLUMNS = _columns("s", _SESSION_READ)


def profile_of(row: Row, account_id: bytes) -> Profile:
    """Return the profile in a row that has the PROFILE_COLUMNS."""
    return Profile(id=account_id, **_account_values(row, _PROFILE_READ))


def account_of(row: Row, account_id: bytes) -> Account:
    """Return the account in a row that has the ACCOUNT_COLUMNS."""
    return Account(id=account_id, **_account_values(row, _ACCOUNT_READ))


def _account_values(row: Row, names: Iterable[str]) -> Row:
    found = {name: row[f"a_{name}"] for name in names}
    return {name: bool(value) if name in _FLAGS else value for name, value in found.items()}


def session_of(row: Row, session_id: bytes, account_id: bytes) -> Session:
    """Return the session in a row that has the SESSION_COLUMNS."""
    values = {name: row[f"s_{name}"] for name in _SESSION_READ}
    return Session(id=session_id, account_id=account_id, **values)


Record = Account | Session | Identity | RecoveryCode | Event | Operation | ServerKey | Redemption


def values_of(record: Record) -> dict[str, Value]:
    """Return the values of a record as query parameters, named like the columns."""
    return {
        name: int(value) if isinstance(value, int) else value
        for name, value in vars(record).items()
    }


def insert_into(table: str, names: Iterable[str]) -> str:
    """Return the statement that inserts a row; its parameters are named like the columns."""
    places = ", ".join(f"%({name})s" for name in names)
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})"


ADD_SESSION = insert_into("sessions", SESSION)
ADD_IDENTITY = insert_into("identities", IDENTITY)
