"""Events of sessions that have ended, put straight into the table."""

from datetime import datetime

from auth.external.connection import Value
from auth.times import new_id
from tests.conftest import FakeClock, Tables


def add_events(tables: Tables, clock: FakeClock, number: int) -> None:
    """Add events of sessions that ended now."""
    rows = ", ".join(f"({n})" for n in range(number))
    tables.run("CREATE TEMPORARY TABLE numbers (n INT)")
    tables.run(f"INSERT INTO numbers VALUES {rows}")
    tables.run(
        "INSERT INTO events (id, at, account_id, kind, session_id)"
        f" SELECT {_id('id')}, %s, {_id('account')}, 8, {_id('session')}"
        " FROM numbers",
        clock(),
    )
    tables.run("DROP TEMPORARY TABLE numbers")


ADD = (
    "INSERT INTO events (id, at, account_id, kind, session_id)"
    " VALUES (%(id)s, %(at)s, %(account_id)s, 8, %(session_id)s)"
)


def ended_at(moment: datetime) -> dict[str, Value]:
    """Return the values of the end of some session."""
    names = ("id", "account_id", "session_id")
    return {"at": moment, **{name: new_id(moment) for name in names}}


def _id(name: str) -> str:
    """Return the expression for an id of a number; MySQL 9.7 has no MD5."""
    return f"LEFT(UNHEX(SHA2(CONCAT('{name}', n), 256)), 16)"
