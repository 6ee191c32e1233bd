"""Operators' lists: complete, page by page, and each page reads few rows."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from auth.credentials.usernames import username_key
from auth.external.database import Database
from auth.flows.suspensions import NO_END
from auth.jobs.operator_views import LAST, PAGE
from auth.store.account_lists import AccountLists
from auth.store.records import Account
from tests.conftest import Tables
from tests.play.operators import Operator

READ = "SHOW SESSION STATUS LIKE 'Handler\\_read\\_%'"
TEN = "(" + " UNION ALL ".join(f"SELECT {digit} AS d" for digit in range(10)) + ")"
ADD = (
    "INSERT INTO accounts (id, username, username_key, password_hash, created_at, suspended_until)"
    " SELECT UNHEX(RPAD(LPAD(HEX(n), 12, '0'), 32, '0')), CONCAT('tester-', LPAD(n, 6, '0')),"
    " CONCAT('tester-', LPAD(n, 6, '0')), 'x', NOW(6), IF(n %% 3 = 0, '9999-12-31', NULL) FROM"
    " (SELECT %s + a.d + 10 * b.d + 100 * c.d AS n"
    f" FROM {TEN} AS a, {TEN} AS b, {TEN} AS c) AS numbers"
)
AT_ONCE = 1000
COUNTED = {f"Handler_read_{way}" for way in ("first", "key", "last", "next", "prev", "rnd_next")}


@pytest.fixture(params=[1000, pytest.param(1_000_000, marks=pytest.mark.long)])
def accounts(tables: Tables, request: pytest.FixtureRequest) -> int:
    """Return the number of accounts; a third of them is suspended for good."""
    total: int = request.param
    for first in range(0, total, AT_ONCE):
        tables.run(ADD, first)
    return total


def name_of(number: int) -> str:
    """Return the name of an account."""
    return f"tester-{number:06}"


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
        ("players find", {"name": "TESTER-"}, range(1000)),
        ("players find", {"name": "tester-0001"}, range(100, 200)),
        ("players list", {}, range(999, -1, -1)),
        ("players list", {"suspended": True}, range(0, 1000, 3)),
    ],
)
@pytest.mark.parametrize("accounts", [1000], indirect=True)
def test_every_page(
    accounts: int, command: str, arguments: dict[str, Any], wanted: Sequence[int]
) -> None:
    """The pages have every account once, in order, and 50 of them each."""
    found = pages(Operator(), command, **arguments)
    assert [name for page in found for name in page] == [name_of(number) for number in wanted]
    assert all(len(page) == PAGE for page in found[:-1])


def test_rows_read(accounts: int, warm: Database) -> None:
    """Of each list the server reads at most a row more than a page has, on every page."""
    lists, limit = AccountLists(warm), PAGE + 1
    walks: list[tuple[int, Callable[[Account | None], list[Account]]]] = [
        (accounts, lambda last: lists.named(b"tester-", username_key_of(last), limit)),
        (accounts, lambda last: lists.newest(b"\0" * 16, last.id if last else LAST, limit)),
        (-(-accounts // 3), lambda last: lists.suspended(NO_END, last.id if last else b"", limit)),
    ]
    with warm.budget(8):
        of_itself = reads_of_itself(warm)
        before = reads(warm)
    for expected, read in walks:
        found, last, over = 0, None, False
        while not over:
            with warm.budget(8):
                rows = read(last)
                after = reads(warm)
            used, before = after - before - of_itself, after
            over = len(rows) < limit
            # At its end a list looks for one row more, and that of suspensions in two places.
            assert used <= (limit if not over else len(rows) + 2)
            found += len(rows[:PAGE])
            last = rows[PAGE - 1] if not over else None
        assert found == expected


def username_key_of(account: Account | None) -> bytes:
    """Return the canonical name of an account, or the key before all names."""
    return username_key(account.username) if account else b""


def reads(database: Database) -> int:
    """Return how many rows the connection has read."""
    found = database.execute(READ).rows
    return sum(int(row["Value"]) for row in found if row["Variable_name"] in COUNTED)


def reads_of_itself(database: Database) -> int:
    """Return how many rows the question about the rows reads."""
    first = reads(database)
    return reads(database) - first
