"""Backends with one planted mistake each, which the checker must catch.

The mistake is planted in the handler processes only, before the application is created.
"""

import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from auth.credentials.tickets import Ticket
from auth.external.connection import Connection, Result, Statement
from auth.external.database import Database
from auth.external.failures import Duplicate
from auth.flows import feed, redemptions
from auth.flows.admission import Admission
from auth.flows.redemptions import Redemptions
from auth.jobs.operate import Operate
from auth.jobs.operator_events import Command, CommandEvent, done, refused
from auth.refusals import Refusal
from auth.store import connections, recovery_codes
from auth.store.accounts import AccountTable
from auth.store.connections import Standing
from auth.store.events import recorded
from auth.store.rate_limits import BucketTable, Charge
from auth.store.records import Account, Event, EventKind, Identity, ServerKey, Session, SignInRow
from auth.store.sign_ins import _NO_TOKEN, SignIns


@dataclass(frozen=True)
class BrokenBuild:
    """A mistake, the function that plants it, and the properties of which one must catch it."""

    mistake: str
    plant: Callable[[], None]
    caught_by: tuple[str, ...]


def _limits_in_memory() -> None:
    buckets: dict[bytes, int] = {}

    def charge(_: BucketTable, charges: Sequence[Charge], now: int, slack: int) -> bool:
        arrivals = [max(buckets.get(one.bucket, 0), now) for one in charges]
        charged = tuple(zip(charges, arrivals, strict=True))
        if any(arrival - now > one.tolerance for one, arrival in charged):
            return False
        buckets.update({one.bucket: arrival + one.interval for one, arrival in charged})
        return True

    def refund(_: BucketTable, charges: dict[bytes, int]) -> None:
        for bucket, microseconds in charges.items():
            buckets[bucket] -= microseconds

    def exchange(
        table: BucketTable, refunds: dict[bytes, int], one: Charge, now: int, slack: int
    ) -> bool:
        accepted = charge(table, [one], now, slack)
        if accepted:
            refund(table, refunds)
        return accepted

    BucketTable.charge = charge  # type: ignore[assignment,method-assign]
    BucketTable.arrival_times = lambda *_: buckets  # type: ignore[method-assign]
    BucketTable.exchange = exchange  # type: ignore[assignment,method-assign]
    BucketTable.refund = refund  # type: ignore[assignment,method-assign]


def _select_then_insert() -> None:
    def is_there(sign_ins: SignIns, account: Account, **keys: Any) -> bool:
        return bool(sign_ins.by_username_key(keys["username_key"], None, account.created_at))

    _look_before_adding(is_there, "username_key")


def _select_guest_then_insert() -> None:
    def by_guest_secret(sign_ins: SignIns, subject: bytes, now: datetime) -> SignInRow | None:
        one = "SELECT account_id FROM identities WHERE subject = %(key)s LIMIT 1"
        return sign_ins._read(f"a.id = ({one})", subject, _NO_TOKEN, now)  # noqa: SLF001

    def is_there(sign_ins: SignIns, account: Account, **keys: Any) -> bool:
        identity: Identity | None = keys.get("identity")
        return bool(identity and by_guest_secret(sign_ins, identity.subject, account.created_at))

    SignIns.by_guest_secret = by_guest_secret  # type: ignore[assignment,method-assign]
    _look_before_adding(is_there, "identity")


def _look_before_adding(is_there: Callable[..., bool], key: str) -> None:
    """Have a new account refused only if a SELECT finds another one."""
    add = AccountTable.add

    def look_first(
        table: AccountTable, account: Account, session: Session, event: Event, **keys: Any
    ) -> None:
        if is_there(SignIns(table._database), account, **keys):  # noqa: SLF001  # no public way
            raise Duplicate(key)
        add(table, account, session, event, **keys)

    AccountTable.add = look_first  # type: ignore[assignment,method-assign]


def _autocommit_off() -> None:
    begin = Connection.__init__

    def begin_without(connection: Connection, *arguments: Any, **more: Any) -> None:
        begin(connection, *arguments, **{**more, "autocommit": False})

    Connection.__init__ = begin_without  # type: ignore[assignment,method-assign]


def _commit_again() -> None:
    """Have a repeated transaction take the row of its own first try for another account's."""
    transact = Database.transact

    def transact_blindly(database: Database, *statements: Statement) -> int:
        try:
            return transact(database, *statements)
        except Duplicate as duplicate:
            raise Duplicate("username_key") from duplicate

    Database.transact = transact_blindly  # type: ignore[assignment,method-assign]


def _code_not_compared() -> None:
    """Have a recovery check the code first, and then change the account whatever it is by then."""
    recovery_codes._AS_READ = " WHERE a.id = %(account_id)s"  # noqa: SLF001  # no public way


def _operations_apart() -> None:
    """Have a command change the account first, and be recorded in a transaction of its own."""

    def once(operate: Operate, command: Command, sent: CommandEvent, request_id: str) -> Any:
        operation = operate._operation(sent, request_id)  # noqa: SLF001  # no public way
        stored = operate.operations.find(operation.command_id)
        if stored is None:
            try:
                outcome = operate._run(command, sent)  # noqa: SLF001
            except Refusal as refusal:
                code, account_id, answer = refusal.code, refusal.account_id, refused(refusal)
            else:
                code, account_id, answer = "done", outcome.account_id, done(outcome)
            result = msgspec.json.encode({**answer, "request_id": request_id})
            stored = replace(operation, outcome=code, account_id=account_id, result=result)
            with suppress(Duplicate):
                operate.operations.add(stored)
        return {**msgspec.json.decode(stored.result), "operation": sent.command_id}

    Operate._once = once  # type: ignore[assignment,method-assign]  # noqa: SLF001


def _suspended_in_the_same_epoch() -> None:
    def suspend(
        table: AccountTable, account: Account, until: datetime, reason: str, event: Event
    ) -> bool:
        change = Statement(
            "UPDATE accounts SET suspended_until = %s, suspension_reason = %s WHERE id = %s",
            (until, reason, account.id),
        )
        return table._database.transact(change, recorded(event)) > 0  # noqa: SLF001

    AccountTable.suspend = suspend  # type: ignore[assignment,method-assign]


def _suspension_not_asked_for() -> None:
    Admission.refuse_suspended = lambda *_: None  # type: ignore[method-assign]


def _ticket_not_compared() -> None:
    """Have a redemption ask neither whether the ticket is used nor whether it is the newest."""
    connections._REPLACE = connections._REPLACE.replace(  # noqa: SLF001  # no public way
        " AND c.ticket = %(last_ticket)s AND c.fence = %(last_fence)s", ""
    )
    try_ = Redemptions._try  # noqa: SLF001

    def try_any(
        flow: Redemptions, standing: Standing | None, key: ServerKey, ticket: Ticket, now: datetime
    ) -> Any:
        last = standing.last if standing else None
        if standing and last and last.key_id != key.id:
            standing = replace(standing, last=replace(last, ticket=bytes(16)))
        return try_(flow, standing, key, ticket, now)

    Redemptions._try = try_any  # type: ignore[assignment,method-assign]  # noqa: SLF001


def _fence_not_raised() -> None:
    setattr(redemptions, "max", lambda *_: 1)  # noqa: B010  # a plain assignment has no type


def _suspension_not_told() -> None:
    """Have suspensions, and the lifts that would tell the same, recorded as what is no news."""
    suspend, lift = AccountTable.suspend, AccountTable.lift

    def silent(event: Event) -> Event:
        return replace(event, kind=EventKind.RECOVERY_CODE_MADE)

    def suspend_silently(
        table: AccountTable, account: Account, until: datetime, reason: str, event: Event
    ) -> bool:
        return suspend(table, account, until, reason, silent(event))

    def lift_silently(table: AccountTable, account: Account, event: Event) -> bool:
        return lift(table, account, silent(event))

    AccountTable.suspend = suspend_silently  # type: ignore[assignment,method-assign]
    AccountTable.lift = lift_silently  # type: ignore[assignment,method-assign]


def _loss_not_told() -> None:
    redemptions._superseded = lambda *_: None  # noqa: SLF001  # no public way


def _cursor_trusts_numbers() -> None:
    """Have the feed take the greatest number that it sees for settled; some COMMITs are slow."""
    feed.SETTLED_AFTER = timedelta(hours=-2)
    run = Connection.run

    def run_slowly(connection: Connection, statement: Statement, seconds: float) -> Result:
        if statement.sql == "COMMIT":
            time.sleep(random.choice((0.0, 0.0, 0.5)))
        return run(connection, statement, seconds)

    Connection.run = run_slowly  # type: ignore[assignment,method-assign]


BROKEN_BUILDS = {
    "limits in memory": BrokenBuild(
        "rate limits in process memory", _limits_in_memory, ("guesses are bounded",)
    ),
    "select then insert": BrokenBuild(
        "SELECT then INSERT instead of a unique key",
        _select_then_insert,
        ("one account per name",),
    ),
    "select guest then insert": BrokenBuild(
        "SELECT then INSERT of a guest instead of a unique key",
        _select_guest_then_insert,
        ("one account per guest secret",),
    ),
    "autocommit off": BrokenBuild(
        "autocommit off", _autocommit_off, ("ended sessions stay ended", "no failure signs out")
    ),
    "commit again": BrokenBuild(
        "an unknown COMMIT sent again blindly", _commit_again, ("own name is never refused",)
    ),
    "code not compared": BrokenBuild(
        "a recovery that compares neither code nor epoch when it uses the code",
        _code_not_compared,
        ("a recovery code works once",),
    ),
    "operations apart": BrokenBuild(
        "operations recorded outside the transaction of the change",
        _operations_apart,
        ("each operation takes effect once", "an operation has one answer"),
    ),
    "same epoch": BrokenBuild(
        "a suspension that does not raise the epoch",
        _suspended_in_the_same_epoch,
        ("ended sessions stay ended", "each operation takes effect once"),
    ),
    "suspension not asked for": BrokenBuild(
        "sign-ins that do not ask for a suspension",
        _suspension_not_asked_for,
        ("a suspension shuts the account out",),
    ),
    "ticket not compared": BrokenBuild(
        "a redemption that does not compare the ticket with the last one",
        _ticket_not_compared,
        ("a ticket has one winner",),
    ),
    "fence not raised": BrokenBuild(
        "a fence that does not rise", _fence_not_raised, ("fences rise",)
    ),
    "suspension not told": BrokenBuild(
        "a suspension, and its end, that game servers are not told of",
        _suspension_not_told,
        ("ended players lose their seats",),
    ),
    "loss not told": BrokenBuild(
        "a game server that is not told of a player's move to another",
        _loss_not_told,
        ("ended players lose their seats",),
    ),
    "cursor trusts numbers": BrokenBuild(
        "a cursor that passes events before they are settled",
        _cursor_trusts_numbers,
        ("every event is delivered",),
    ),
}
