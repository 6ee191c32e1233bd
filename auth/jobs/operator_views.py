"""The commands of operators that read: find players, and see what happened to an account.

They show ids and times, never a hash or a token. Lists have 50 rows a page; `next` of one page is
`after` of the following one.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from auth.credentials.usernames import MAX_LENGTH, username_key
from auth.flows.rate_limits import RateLimits
from auth.flows.suspensions import shown_end
from auth.jobs.operate import RUNNING, find_account, id_in
from auth.jobs.operator_commands import read_time, sign_in_buckets
from auth.jobs.operator_events import Arguments, Command, OfAccount, Outcome, Role
from auth.refusals import InvalidCommand
from auth.store.account_lists import AccountLists
from auth.store.accounts import AccountTable
from auth.store.events import EventTable
from auth.store.operations import EVER, OperationTable
from auth.store.records import Account, Event, Operation, Session
from auth.store.recovery_codes import RecoveryCodeTable
from auth.store.sessions import SessionTable
from auth.times import Clock, id_text, rfc3339

PAGE = 50
MAX_EVENTS = 1000
NOT_NEXT = "Give the value of `next`."
FIRST, LAST = b"\0" * 16, b"\xff" * 16  # ids


class FindArguments(Arguments):
    """The beginning of a name, or a whole id."""

    name: str
    after: str | None = None


class ListArguments(Arguments):
    """Suspended accounts, or those since a time."""

    suspended: bool = False
    since: str | None = None
    after: str | None = None


class LogArguments(Arguments):
    """Of one account or all, since a time."""

    account: str | None = None
    since: str | None = None
    after: str | None = None


@dataclass(frozen=True)
class OperatorViews:
    """The commands, with the tables that they read."""

    accounts: AccountTable
    lists: AccountLists
    sessions: SessionTable
    events: EventTable
    codes: RecoveryCodeTable
    operations: OperationTable
    limits: RateLimits
    clock: Clock

    def all(self) -> list[Command]:
        """Return the commands."""
        return [
            Command("players find", Role.VIEW, FindArguments, self.find),
            Command("players list", Role.VIEW, ListArguments, self.list_accounts),
            Command("players show", Role.VIEW, OfAccount, self.show),
            Command("players sessions", Role.VIEW, OfAccount, self.list_sessions),
            Command("players events", Role.VIEW, OfAccount, self.list_events),
            Command("log", Role.VIEW, LogArguments, self.list_operations),
        ]

    def find(self, arguments: FindArguments) -> Outcome:
        """Find accounts by the beginning of the name, or one by its id."""
        text = arguments.name.strip()
        if not text:
            raise InvalidCommand(fields={"name": "Give the beginning of a name, or an id."})
        if (identifier := id_in(text)) is not None:
            one = self.accounts.find(identifier)
            return self._page([one] if one else [], "")
        if len(text) > MAX_LENGTH or not text.isascii():
            return self._page([], "")
        after = username_key(arguments.after or "")
        found = self.lists.named(username_key(text), after, PAGE + 1)
        return self._page(found, found[PAGE - 1].username if len(found) > PAGE else "")

    def list_accounts(self, arguments: ListArguments) -> Outcome:
        """List the suspended accounts, or the newest ones."""
        if arguments.suspended and arguments.since:
            raise InvalidCommand(fields={"since": "Send either this or suspended."})
        if arguments.suspended:
            return self._list_suspended(arguments.after)
        since = _id_at(read_time(arguments.since, "since")) if arguments.since else FIRST
        before = _id(arguments.after, "after") if arguments.after else LAST
        found = self.lists.newest(since, before, PAGE + 1)
        return self._page(found, id_text(found[PAGE - 1].id) if len(found) > PAGE else "")

    def _list_suspended(self, after: str | None) -> Outcome:
        until, last = self.clock(), LAST
        if after is not None:
            time, _, identifier = after.partition("/")
            until, last = read_time(time, "after"), _id(identifier, "after")
        found = self.lists.suspended(until, last, PAGE + 1)
        end = found[PAGE - 1] if len(found) > PAGE else None
        following = f"{end.suspended_until:%Y-%m-%dT%H:%M:%S.%fZ}/{id_text(end.id)}" if end else ""
        return self._page(found, following)

    def _page(self, found: Sequence[Account], following: str) -> Outcome:
        rows = [self._account(one) for one in found[:PAGE]]
        return Outcome({"players": rows, "next": following or None}, changed=False)

    def show(self, account: Account) -> Outcome:
        """Show an account, and why a sign-in is limited now."""
        now = self.clock()
        sessions, code = self.sessions.all_of(account.id), self.codes.find(account.id)
        lasting = [one for one in sessions if one.lasts(account, now)]
        used = max((one.rotated_at for one in sessions), default=None)
        by = self.operations.suspension(account.id) if account.is_suspended(now) else None
        result = {
            **self._account(account),
            "suspended_by": _operation(by) if by else None,
            "renamed_at": _time(account.renamed_at),
            "sessions": len(lasting),
            "last_used_at": _time(used),
            "recovery_code": bool(code and code.lasts(now)),
            "limits": self._limits(account, sessions, now),
        }
        return Outcome(result, changed=False)

    def _limits(
        self, account: Account, sessions: Sequence[Session], now: datetime
    ) -> list[dict[str, Any]]:
        """Return the limits that refuse a sign-in now, and for how many seconds."""
        buckets = sign_in_buckets(account, sessions)
        waits = self.limits.waits([bucket.limited for bucket in buckets], now)
        return [
            {
                "limit": bucket.limit.name,
                "seconds": wait,
                "session_id": id_text(bucket.session_id) if bucket.session_id else None,
            }
            for bucket, wait in zip(buckets, waits, strict=True)
            if wait
        ]

    def list_sessions(self, account: Account) -> Outcome:
        """List an account's sessions, ended ones included, the last used first."""
        now = self.clock()
        found = sorted(
            self.sessions.all_of(account.id), key=lambda one: one.rotated_at, reverse=True
        )
        rows = [_session(one, account, now) for one in found]
        return Outcome({"username": account.username, "sessions": rows}, changed=False)

    def list_events(self, account: Account) -> Outcome:
        """List what happened to an account, the newest first, with its former names."""
        rows = [_event(one) for one in self.events.newest(account.id, MAX_EVENTS)]
        return Outcome({"username": account.username, "events": rows}, changed=False)

    def list_operations(self, arguments: LogArguments) -> Outcome:
        """List what operators did, the newest first: to one account, or at all."""
        text = arguments.account
        account_id = None if text is None else self._account_id(text)
        since = read_time(arguments.since, "since") if arguments.since else EVER
        before = self._operation_before(arguments.after) if arguments.after else None
        found = self.operations.newest(account_id, PAGE + 1, since=since, before=before)
        names = self.lists.usernames({one.account_id for one in found if one.account_id})
        rows = [
            {**_operation(one), "username": names.get(one.account_id or b"")}
            for one in found[:PAGE]
        ]
        following = id_text(found[PAGE - 1].command_id) if len(found) > PAGE else None
        return Outcome(
            {"operations": rows, "next": following}, changed=False, account_id=account_id
        )

    def _account_id(self, text: str) -> bytes:
        """Return an account's id, which may be that of a deleted one."""
        return id_in(text) or find_account(self.accounts, text).id

    def _operation_before(self, after: str) -> Operation:
        found = self.operations.find(_id(after, "after"))
        if found is None:
            raise InvalidCommand(fields={"after": NOT_NEXT})
        return found

    def _account(self, account: Account) -> dict[str, Any]:
        suspended = account.is_suspended(self.clock())
        return {
            "id": id_text(account.id),
            "username": account.username,
            "created_at": rfc3339(account.created_at),
            "guest": account.guest,
            "suspended": suspended,
            "suspended_until": shown_end(account.suspended_until) if suspended else None,
            "suspension_reason": account.suspension_reason if suspended else None,
        }


def _session(session: Session, account: Account, now: datetime) -> dict[str, Any]:
    reason = session.why_unusable(account, now)
    return {
        "id": id_text(session.id),
        "device": session.device,
        "created_at": rfc3339(session.created_at),
        "last_used_at": rfc3339(session.rotated_at),
        "expires_at": rfc3339(session.ends_at()),
        "state": reason.value if reason else "usable",
    }


def _event(event: Event) -> dict[str, Any]:
    return {
        "at": rfc3339(event.at),
        "type": event.kind.name.lower(),
        "session_id": id_text(event.session_id) if event.session_id else None,
        "data": msgspec.json.decode(event.data) if event.data else None,
    }


def _operation(operation: Operation) -> dict[str, Any]:
    return {
        "operation": id_text(operation.command_id),
        "at": rfc3339(operation.at),
        "role": operation.role,
        "operator": operation.arn,
        "command": operation.command,
        "account_id": id_text(operation.account_id) if operation.account_id else None,
        "reason": operation.reason,
        "outcome": operation.outcome,
        "result": _result(operation),
        "request_id": operation.request_id,
    }


def _result(operation: Operation) -> dict[str, Any]:
    """Return what the operator was told; nothing if the account is gone, or it is under way."""
    if not operation.result or operation.outcome == RUNNING:
        return {}
    answer: dict[str, Any] = msgspec.json.decode(operation.result)
    result: dict[str, Any] = answer.get("result", {})
    return result


def _time(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment else None


def _id(text: str, field: str) -> bytes:
    try:
        return uuid.UUID(text).bytes
    except ValueError:
        raise InvalidCommand(fields={field: NOT_NEXT}) from None


def _id_at(moment: datetime) -> bytes:
    """Return the least id of a time: ids are UUIDv7, which begin with the milliseconds."""
    milliseconds = max(0, int(moment.timestamp() * 1000)) & (1 << 48) - 1
    return milliseconds.to_bytes(6, "big") + b"\0" * 10
