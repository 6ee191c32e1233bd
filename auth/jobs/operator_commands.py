"""The commands of operators that change something, each one function over the flows."""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from auth.credentials.passwords import Passwords
from auth.credentials.recovery_codes import new_recovery_code, shown
from auth.credentials.usernames import username_key
from auth.errors import InvalidUsername, UsernameTaken
from auth.flows import rate_limits
from auth.flows.accounts import Accounts
from auth.flows.feed import Feed
from auth.flows.history import AccountHistory, Export
from auth.flows.rate_limits import Limit, RateLimits
from auth.flows.renaming import Renamings
from auth.flows.suspensions import NO_END, Suspensions, shown_end
from auth.jobs.operator_events import (
    LAST_KEY,
    Arguments,
    Command,
    OfAccount,
    Outcome,
    Progress,
    Role,
)
from auth.refusals import (
    Changed,
    InvalidCommand,
    NameRefused,
    NoSuchSession,
    NothingToCancel,
)
from auth.store.account_lists import AccountLists
from auth.store.accounts import AccountTable
from auth.store.events import new_event
from auth.store.records import Account, EventKind, RecoveryCode, Session
from auth.store.recovery_codes import RecoveryCodeTable
from auth.store.sessions import SessionTable
from auth.texts import without_controls
from auth.times import Clock, parse_id, rfc3339

COUNTED, COUNTING_SECONDS = 10_000, 4.0  # accounts in one statement, and the time for all
BATCH = 500  # accounts whose sessions end in one transaction
MAX_MESSAGE = 255  # characters of what a suspended player reads
CODE_LIFETIME = timedelta(hours=24)
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

_DURATION = re.compile("([1-9][0-9]{0,4})([mhdw])")


class SuspendArguments(OfAccount, kw_only=True):
    """How long, and what the player reads."""

    player_reason: str
    for_: str | None = msgspec.field(default=None, name="for")
    until: str | None = None
    for_good: bool = False
    replace: bool = False


class SignOutArguments(OfAccount):
    """One session, or all."""

    session: str | None = None


class Nothing(Arguments):
    """No arguments."""


class RenameArguments(OfAccount):
    """The new name."""

    username: str


class RecoverArguments(OfAccount):
    """Whether to void the code instead."""

    cancel: bool = False


@dataclass(frozen=True)
class NewCode:
    """A recovery code that was just made, with its hash."""

    text: str
    hash: str


@dataclass(frozen=True)
class OperatorCommands:
    """The commands, with the flows and tables that they call."""

    lists: AccountLists
    accounts: AccountTable
    sessions: SessionTable
    codes: RecoveryCodeTable
    suspensions: Suspensions
    renamings: Renamings
    owners: Accounts
    history: AccountHistory
    feed: Feed
    limits: RateLimits
    passwords: Passwords
    render: Callable[[Export], dict[str, Any]]
    clock: Clock
    monotonic: Callable[[], float] = time.monotonic

    def all(self) -> list[Command]:
        """Return the commands."""
        return [
            Command("suspend", Role.SUPPORT, SuspendArguments, self.suspend),
            Command("lift", Role.SUPPORT, OfAccount, self.lift),
            Command("sign-out", Role.SUPPORT, SignOutArguments, self.sign_out),
            Command("note", Role.SUPPORT, OfAccount, self.note, needs_reason=True),
            Command("unlock", Role.SUPPORT, OfAccount, self.unlock),
            Command("rename", Role.SUPPORT, RenameArguments, self.rename),
            Command(
                *("recover", Role.SUPPORT, RecoverArguments, self.recover), prepare=self.new_code
            ),
            Command("delete", Role.OWN, OfAccount, self.delete),
            Command("sign-out everybody", Role.OWN, Nothing, self.count, batch=self.sign_out_batch),
            Command("export", Role.OWN, OfAccount, self.export),
        ]

    def suspend(self, account: Account, arguments: SuspendArguments) -> Outcome:
        """Suspend an account: its sessions end, and it cannot sign in."""
        message = arguments.player_reason
        if (
            not message.strip()
            or len(message) > MAX_MESSAGE
            or message != without_controls(message)
        ):
            reason = f"Use 1 to {MAX_MESSAGE} characters on one line; the player reads them."
            raise InvalidCommand(fields={"player_reason": reason})
        until = self._end(arguments)
        self.suspensions.suspend(account, until, message, replace=arguments.replace)
        result = {
            "username": account.username,
            "until": shown_end(until),
            "player_reason": message,
        }
        return Outcome(result)

    def lift(self, account: Account) -> Outcome:
        """End a suspension; old sessions stay ended."""
        changed = self.suspensions.lift(account)
        return Outcome({"username": account.username}, changed)

    def sign_out(self, account: Account, arguments: SignOutArguments) -> Outcome:
        """End one session of an account, or all."""
        now = self.clock()
        if arguments.session is None:
            event = new_event(EventKind.SIGNED_OUT_EVERYWHERE, account.id, now)
            if not self.accounts.end_sessions(account.id, event):
                raise Changed
            return Outcome({"username": account.username})
        try:
            session_id = parse_id(arguments.session)
        except ValueError:
            raise NoSuchSession from None
        event = new_event(EventKind.SESSION_ENDED, account.id, now, session_id)
        if not self.sessions.end(session_id, account.id, now, event):
            raise NoSuchSession
        result = {"username": account.username, "session": arguments.session}
        return Outcome(result)

    def note(self, account: Account) -> Outcome:
        """Keep a remark about an account: the operation's reason."""
        return Outcome({"username": account.username}, changed=False)

    def unlock(self, account: Account) -> Outcome:
        """Make the rate limits of an account full again, so that an attacked player gets in."""
        buckets = sign_in_buckets(account, self.sessions.all_of(account.id))
        own = (rate_limits.PASSWORD_CHECK_BY_ACCOUNT, rate_limits.CHANGE_BY_ACCOUNT)
        limited = [bucket.limited for bucket in buckets]
        emptied = self.limits.forgive(
            [*limited, *((limit, (account.id,)) for limit in own)], self.clock()
        )
        return Outcome({"username": account.username, "limits": emptied}, emptied > 0)

    def rename(self, account: Account, arguments: RenameArguments) -> Outcome:
        """Give an account another name."""
        result = {"username": arguments.username, "former": account.username}
        if arguments.username == account.username:
            return Outcome(result, changed=False)
        try:
            renamed = self.renamings.rename_by_operator(account, arguments.username)
        except InvalidUsername as invalid:
            raise NameRefused(fields=invalid.fields) from None
        except UsernameTaken:
            raise NameRefused(fields={"username": "Another account has this name."}) from None
        if not renamed:
            raise Changed
        return Outcome(result)

    def new_code(self, arguments: RecoverArguments) -> NewCode | None:
        """Return a recovery code with its hash, which takes its time; None: none is wanted."""
        if arguments.cancel:
            return None
        text = new_recovery_code()
        return NewCode(text, self.passwords.hash(text))

    def recover(self, account: Account, _: RecoverArguments, new: NewCode | None) -> Outcome:
        """Make a recovery code for a player, good for 24 hours; it replaces the player's own."""
        now = self.clock()
        if new is None:
            if not self.codes.cancel(account.id, now):
                raise NothingToCancel
            return Outcome({"username": account.username, "cancelled": True})
        code = RecoveryCode(
            account_id=account.id,
            hash=new.hash,
            created_at=now,
            expires_at=now + CODE_LIFETIME,
        )
        event = new_event(EventKind.RECOVERY_CODE_MADE, account.id, now)
        if not self.codes.replace(account, code, event):
            raise Changed
        result = {"username": account.username, "expires_at": rfc3339(now + CODE_LIFETIME)}
        return Outcome(result, once={"recovery_code": shown(new.text)})

    def delete(self, account: Account) -> Outcome:
        """Delete an account and all that belongs to it, as its owner would."""
        if not self.owners.purge(account):
            raise Changed
        return Outcome(once={"username": account.username})  # the name is not kept

    def count(self, _: Nothing) -> Outcome:
        """Return how many accounts a sign-out of everybody concerns, or at least how many."""
        end = self.monotonic() + COUNTING_SECONDS
        accounts, last = self.lists.count(b"", COUNTED)
        while last is not None and self.monotonic() < end:
            more, last = self.lists.count(last, COUNTED)
            accounts += more
        return Outcome({"accounts": accounts, "finished": last is None}, changed=accounts > 0)

    def sign_out_batch(self, progress: Progress) -> Progress:
        """End the sessions of the next accounts. Game servers are not told of each.

        At the end, each of them lets every player send a new ticket.
        """
        last, ended = self.lists.end_sessions(progress.reached, BATCH)
        if last is None:
            self.feed.begin_generation()  # last, so that no game server misses it
        return Progress(LAST_KEY if last is None else last, progress.accounts + ended)

    def export(self, account: Account) -> Outcome:
        """Return everything that is stored about a player, as the player's own export."""
        document = self.render(self.history.everything(account))
        result = {"username": account.username}
        return Outcome(result, changed=False, once={"export": document})

    def _end(self, arguments: SuspendArguments) -> datetime:
        chosen = [arguments.for_ is not None, arguments.until is not None, arguments.for_good]
        if sum(chosen) != 1:
            raise InvalidCommand(fields={"for": "Send exactly one of for, until and for_good."})
        if arguments.for_good:
            return NO_END
        now = self.clock()
        until = (
            now + _duration(arguments.for_)
            if arguments.for_
            else read_time(arguments.until or "", "until")
        )
        if not now < until < NO_END.replace(month=1, day=1):
            raise InvalidCommand(fields={"until": "The end must lie in the future."})
        return until


@dataclass(frozen=True)
class Bucket:
    """A limit with its subject; `session_id`: of the known device that it is for."""

    limit: Limit
    subject: tuple[bytes, ...]
    session_id: bytes | None = None

    @property
    def limited(self) -> tuple[Limit, tuple[bytes, ...]]:
        """Return it as `RateLimits` takes it."""
        return self.limit, self.subject


def sign_in_buckets(account: Account, sessions: Iterable[Session]) -> list[Bucket]:
    """Return the limits on signing in to an account; those by address cannot be known.

    A session that outlived a new epoch proves no known device.
    """
    known = (one.id for one in sessions if one.epoch == account.epoch)
    return [
        Bucket(rate_limits.LOGIN_BY_ACCOUNT, (username_key(account.username),)),
        Bucket(rate_limits.SESSIONS_BY_ACCOUNT, (account.id,)),
        *(
            Bucket(rate_limits.LOGIN_FROM_KNOWN_DEVICE, (account.id, one), session_id=one)
            for one in known
        ),
    ]


def _duration(text: str) -> timedelta:
    found = _DURATION.fullmatch(text)
    if found is None:
        raise InvalidCommand(fields={"for": "Write a duration as 30m, 12h, 7d or 4w."})
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def read_time(text: str, field: str) -> datetime:
    """Return a time that an operator has typed, in UTC.

    Raises:
        InvalidCommand: it is none, or has no zone.
    """
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise InvalidCommand(fields={field: "Write a time as 2027-01-31T12:00:00Z."})
