"""The commands of operators that change something, each one function over the flows."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from auth.credentials.passwords import Passwords
from auth.credentials.recovery_codes import new_recovery_code, shown
from auth.credentials.usernames import username_key
from auth.errors import InvalidUsername, Unavailable, UsernameTaken
from auth.flows import rate_limits
from auth.flows.accounts import Accounts
from auth.flows.history import AccountHistory, Export
from auth.flows.rate_limits import Limited, RateLimits
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
from auth.store.records import Account, EventKind, RecoveryCode
from auth.store.recovery_codes import RecoveryCodeTable
from auth.store.sessions import SessionTable
from auth.texts import without_controls
from auth.times import Clock, parse_id, rfc3339

BATCH = 500  # accounts whose sessions end in one transaction
MAX_MESSAGE = 255  # characters of what a suspended player reads
CODE_LIFETIME = timedelta(hours=24)
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

_DURATION = re.compile(r"([1-9]\d{0,4})([mhdw])")


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
class OperatorCommands:
    """The commands, with the flows and tables that they call."""

    lists: AccountLists
    accounts: AccountTable
    sessions: SessionTable
    codes: RecoveryCodeTable
    suspensions: Suspensions
    renamings: Renamings
    purges: Accounts
    history: AccountHistory
    limits: RateLimits
    passwords: Passwords
    render: Callable[[Export], dict[str, Any]]
    clock: Clock

    def all(self) -> list[Command]:
        """Return the commands."""
        return [
            Command("suspend", Role.SUPPORT, SuspendArguments, self.suspend),
            Command("lift", Role.SUPPORT, OfAccount, self.lift),
            Command("sign-out", Role.SUPPORT, SignOutArguments, self.sign_out),
            Command("note", Role.SUPPORT, OfAccount, self.note, needs_reason=True),
            Command("unlock", Role.SUPPORT, OfAccount, self.unlock),
            Command("rename", Role.SUPPORT, RenameArguments, self.rename),
            Command("recover", Role.SUPPORT, RecoverArguments, self.recover),
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
        result = {"username": account.username, "until": shown_end(until)}
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
        emptied = self.limits.forgive(buckets_of(account, self._session_ids(account)))
        return Outcome({"username": account.username, "limits": emptied}, emptied > 0)

    def rename(self, account: Account, arguments: RenameArguments) -> Outcome:
        """Give an account another name."""
        try:
            self.renamings.rename_by_operator(account, arguments.username)
        except InvalidUsername as invalid:
            raise NameRefused(fields=invalid.fields) from None
        except UsernameTaken:
            raise NameRefused(fields={"username": "Another account has this name."}) from None
        result = {"username": arguments.username, "former": account.username}
        return Outcome(result)

    def recover(self, account: Account, arguments: RecoverArguments) -> Outcome:
        """Make a recovery code for a player, good for 24 hours; it replaces the player's own."""
        now = self.clock()
        if arguments.cancel:
            if not self.codes.cancel(account.id):
                raise NothingToCancel
            return Outcome({"username": account.username, "cancelled": True})
        text, expires_at = new_recovery_code(), now + CODE_LIFETIME
        # Hashed inside the transaction, which has locked nothing yet but the operation's own row.
        code = RecoveryCode(
            account_id=account.id,
            hash=self.passwords.hash(text),
            created_at=now,
            expires_at=expires_at,
        )
        event = new_event(EventKind.RECOVERY_CODE_MADE, account.id, now)
        if not self.codes.replace(account, code, event):
            raise Changed
        result = {"username": account.username, "expires_at": rfc3339(expires_at)}
        return Outcome(result, once={"recovery_code": shown(text)})

    def delete(self, account: Account) -> Outcome:
        """Delete an account and all that belongs to it, as its owner would."""
        try:
            self.purges.purge(account)
        except Unavailable:
            raise Changed from None
        return Outcome(once={"username": account.username})  # the name is not kept

    def count(self, _: Nothing) -> Outcome:
        """Return how many accounts a sign-out of everybody concerns."""
        return Outcome({"accounts": self.lists.count(), "finished": False})

    def sign_out_batch(self, progress: Progress) -> Progress:
        """End the sessions of the next accounts. Game servers are not told of each."""
        last, ended = self.lists.end_sessions(progress.reached, BATCH)
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

    def _session_ids(self, account: Account) -> list[bytes]:
        return [session.id for session in self.sessions.all_of(account.id)]


def buckets_of(account: Account, session_ids: list[bytes]) -> Limited:
    """Return the limits on an account; those by address cannot be known."""
    known = ((rate_limits.LOGIN_FROM_KNOWN_DEVICE, (account.id, one)) for one in session_ids)
    return (
        (rate_limits.LOGIN_BY_ACCOUNT, (username_key(account.username),)),
        (rate_limits.PASSWORD_CHECK_BY_ACCOUNT, (account.id,)),
        (rate_limits.CHANGE_BY_ACCOUNT, (account.id,)),
        (rate_limits.SESSIONS_BY_ACCOUNT, (account.id,)),
        *known,
    )


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
