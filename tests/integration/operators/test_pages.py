"""Operators' lists: complete, page by page, and each page reads few rows."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from auth.external.database import Database
from auth.flows.suspensions import NO_END
from auth.jobs.operator_views import PAGE
from auth.store.account_lists import AccountLists
from auth.store.records import Account
from tests.conftest import Tables
from tests.play.operators import Operator

ACCOUNTS = 1000
READ = "SHOW SESSION STATUS LIKE 'Handler\\_read\\_%%'"
COUNTED = {f"Handler_read_{way}" for way in ("first", "key", "last", "next", "prev", "rnd_next")}


@pytest.fixture
def names(tables: Tables) -> list[str]:
    """Return the names of many accounts; a third is suspended for good."""
    found = [f"tester-{number:05}" for number in range(ACCOUNTS)]
    for first in range(0, ACCOUNTS, 100):
        rows = ", ".join("(%s, %s, %s, 'x', NOW(6), %s)" for _ in range(100))
        tables.run(
            "INSERT INTO accounts (id, username, username_key, password_hash, created_at,"
            f" suspended_until) VALUES {rows}",
            *(
                value
                for number in range(first, first + 100)
                for value in (
                    number.to_bytes(6, "big") + uuid.uuid4().bytes[:10],
                    found[number],
                    found[number].encode(),
                    "9999-12-31" if number % 3 == 0 else None,
                )
            ),
        )
    return found


def pages(operator: Operator, command: str, **arguments: object) -> list[list[str]]:
    """Return the names on all pages of a list."""
    found: list[list[str]] = []
    after: str | None = None
    while after or not found:
        page = operator.must(command, **arguments, **({"after": after} if after else {}))
        found.append([row["username"] for row in page["players"]])
        after = page["next"]
    return found


@pytest.mark.parametrize(
    ("command", "arguments", "wanted"),
    [
        ("players find", {"name": "TESTER-"}, lambda names: names),
        ("players find", {"name": "tester-001"}, lambda names: names[100:200]),
        ("players list", {}, lambda names: names[::-1]),
        ("players list", {"suspended": True}, lambda names: names[::3]),
    ],
)
def test_every_page(
    names: list[str],
    command: str,
    arguments: dict[str, Any],
    wanted: Callable[[list[str]], list[str]],
) -> None:
    """The pages have every account once, in order, and 50 of them each."""
    found = pages(Operator(), command, **arguments)
    assert [name for page in found for name in page] == wanted(names)
    assert all(len(page) == PAGE for page in found[:-1])


@pytest.mark.parametrize("place", [0, ACCOUNTS // 2, ACCOUNTS - 60])
def test_rows_read(names: list[str], warm: Database, place: int) -> None:
    """The server reads at most a row more than a page has, at the beginning and at the end."""
    lists, limit = AccountLists(warm), PAGE + 1
    # The same number of rows is left in each direction.
    after = names[place].encode()
    before = (ACCOUNTS - place).to_bytes(6, "big") + b"\0" * 10
    suspended = place.to_bytes(6, "big") + b"\xff" * 10
    lists_read: list[Callable[[], list[Account]]] = [
        lambda: lists.named(b"tester-", after, limit),
        lambda: lists.newest(b"\0" * 16, before, limit),
        lambda: lists.suspended(NO_END, suspended, limit),
    ]
    for read in lists_read:
        with warm.budget(8):
            before_it = reads(warm)
            rows = read()
            used = reads(warm) - before_it - reads_of_itself(warm)
        assert rows
        assert used <= limit


def reads(database: Database) -> int:
    """Return how many rows the connection has read."""
    found = database.execute(READ.replace("%%", "%")).rows
    return sum(int(row["Value"]) for row in found if row["Variable_name"] in COUNTED)


def reads_of_itself(database: Database) -> int:
    """Return how many rows the question about the rows reads."""
    first = reads(database)
    return reads(database) - first
