"""Backends with one planted mistake each, which the checker must catch.

The mistake is planted in the handler processes only, before the application is created.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from auth.external.connection import Connection, Statement
from auth.external.database import Database
from auth.external.failures import Duplicate
from auth.store.accounts import AccountTable
from auth.store.rate_limits import BucketTable, Charge
from auth.store.records import Account, Event, Identity, Session
from auth.store.sign_ins import SignIns


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
    add = AccountTable.add

    def look_first(
        table: AccountTable,
        account: Account,
        session: Session,
        event: Event,
        *,
        username_key: bytes,
        registration_key: bytes | None = None,
        identity: Identity | None = None,
    ) -> None:
        sign_ins = SignIns(table._database)  # noqa: SLF001  # no public way to get it
        if sign_ins.by_username_key(username_key, None, account.created_at):
            raise Duplicate("username_key")
        add(
            table,
            account,
            session,
            event,
            username_key=username_key,
            registration_key=registration_key,
            identity=identity,
        )

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


BROKEN_BUILDS = {
    "limits in memory": BrokenBuild(
        "rate limits in process memory", _limits_in_memory, ("guesses are bounded",)
    ),
    "select then insert": BrokenBuild(
        "SELECT then INSERT instead of a unique key",
        _select_then_insert,
        ("one account per name",),
    ),
    "autocommit off": BrokenBuild(
        "autocommit off", _autocommit_off, ("ended sessions stay ended", "no failure signs out")
    ),
    "commit again": BrokenBuild(
        "an unknown COMMIT sent again blindly", _commit_again, ("own name is never refused",)
    ),
}
