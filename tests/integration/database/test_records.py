"""Records: Python and SQL agree about every row."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from auth.external.database import REQUEST_SECONDS, Database
from auth.store.records import (
    ACCOUNT,
    CODE_LASTS,
    LASTS,
    RECOVERY_CODE,
    SESSION,
    USABLE,
    Account,
    RecoveryCode,
    Session,
    insert_into,
    values_of,
)
from auth.store.sessions import SessionTable
from auth.times import new_id
from tests.conftest import Tables

NOW = datetime(2026, 11, 27, 12, 0, 0, 123456, tzinfo=UTC)
MOMENTS = {
    "just before": NOW - timedelta(microseconds=1),
    "now": NOW,
    "just after": NOW + timedelta(microseconds=1),
}


def accounts() -> Iterator[Account]:
    """Yield an account for each state of suspension."""
    for name, until in {"never": None, **MOMENTS}.items():
        yield Account(
            id=new_id(NOW),
            username=name.replace(" ", "-"),
            password_hash="no hash",
            epoch=7,
            suspended_until=until,
            suspension_reason=None if until is None else "cheating",
            created_at=NOW,
        )


def sessions(account: Account) -> Iterator[Session]:
    """Yield a session of an account for each way of lasting or ending."""
    for ended, idle, expires, epoch in product(
        (None, *MOMENTS.values()), MOMENTS.values(), MOMENTS.values(), (6, 7, 8)
    ):
        yield Session(
            id=new_id(NOW),
            account_id=account.id,
            tail_hash=bytes(range(32)),
            counter=3,
            rotation_key=bytes(16),
            epoch=epoch,
            device="a phone",
            created_at=NOW - timedelta(days=2),
            rotated_at=NOW - timedelta(days=1),
            idle_expires_at=idle,
            expires_at=expires,
            ended_at=ended,
        )


Row = tuple[Session, Account]


@pytest.fixture
def rows(tables: Tables) -> list[Row]:
    """Return sessions with their accounts, as written."""
    rows = [(session, account) for account in accounts() for session in sessions(account)]
    names = (*ACCOUNT, "username_key")
    for account in {account.id: account for _, account in rows}.values():
        key = account.username.encode()
        tables.run(insert_into("accounts", names), **values_of(account), username_key=key)
    for session, _ in rows:
        tables.run(insert_into("sessions", SESSION), **values_of(session))
    return rows


def asked(tables: Tables, condition: str) -> dict[bytes, Any]:
    """Return the value of a condition for each session, computed by the database."""
    sql = f"SELECT s.id, {condition} AS fits FROM sessions s JOIN accounts a ON a.id = s.account_id"
    return {row["id"]: bool(row["fits"]) for row in tables.run(sql, now=NOW)}


def test_conditions(tables: Tables, rows: list[Row]) -> None:
    """Python and the database agree on each session: whether it lasts, and whether it is usable."""
    lasts = {session.id: session.lasts(account, NOW) for session, account in rows}
    usable = {session.id: session.usable(account, NOW) for session, account in rows}
    assert asked(tables, LASTS) == lasts
    assert asked(tables, USABLE) == usable
    assert 0 < sum(usable.values()) < sum(lasts.values()) < len(rows)


def test_recovery_codes(tables: Tables) -> None:
    """Python and the database agree on each code: at the moment of its expiry there is none."""
    lasts = {}
    for account, expires in zip(accounts(), (None, *MOMENTS.values()), strict=True):
        key = account.username.encode()
        names = (*ACCOUNT, "username_key")
        tables.run(insert_into("accounts", names), **values_of(account), username_key=key)
        code = RecoveryCode(
            account_id=account.id, hash="no hash", created_at=NOW, expires_at=expires
        )
        tables.run(insert_into("recovery_codes", RECOVERY_CODE), **values_of(code))
        lasts[account.id] = code.lasts(NOW)
    sql = f"SELECT r.account_id AS id, {CODE_LASTS} AS fits FROM recovery_codes r"
    assert {row["id"]: bool(row["fits"]) for row in tables.run(sql, now=NOW)} == lasts
    assert list(lasts.values()) == [True, False, False, True]


def test_reasons(rows: list[Row]) -> None:
    """A session has a reason to be refused if and only if it is not usable."""
    for session, account in rows:
        assert (session.why_unusable(account, NOW) is None) == session.usable(account, NOW)


def test_every_column(rows: list[Row], warm: Database) -> None:
    """A session and its account are read as they were written, column by column."""
    table = SessionTable(warm)
    with warm.budget(REQUEST_SECONDS):
        for session, account in rows[:: len(rows) // 12]:
            assert table.find(session.id, account.id) == (session, account)
