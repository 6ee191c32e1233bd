"""The clean-up over several runs: it continues, shares its time, and steps around locks."""

import itertools
import logging
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

import handler
from auth.external import connection
from auth.external.connection import Statement
from auth.external.database import Database
from auth.external.secret_store import SecretStore
from auth.jobs import cleaning
from auth.jobs.cleaning import CleanUp, clean_up
from auth.settings import Settings
from auth.times import system_clock
from local.stack import Stack
from tests.conftest import Tables
from tests.play.sources import ROOT

ROWS_AT_ONCE = 20_000
SESSIONS_EACH = 40
RUNS = 10
WALKS = ("sessions", "rate_limits", "events", "accounts", "operations", "events_by_account")
NUMBERS = (
    "WITH d AS (SELECT 0 AS n"
    + "".join(f" UNION ALL SELECT {digit}" for digit in range(1, 10))
    + ") SELECT {columns} FROM (SELECT {first} + a.n + 10 * b.n + 100 * c.n + 1000 * e.n"
    " + 10000 * f.n AS n FROM d a, d b, d c, d e, d f) numbers WHERE n < {end}"
)
KEY = "UNHEX(LEFT(SHA2({n}, 256), 32))"  # MD5 is no longer part of MySQL
KILLED = (
    "import sys; from auth.jobs import cleaning, walks; import handler;"
    " cleaning.BATCH = int(sys.argv[1]); walks.SAVE_SECONDS = 0.0; handler.clean_up({}, None)"
)


@pytest.fixture(autouse=True)
def no_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a session be deleted as soon as it has ended."""
    monkeypatch.setenv("SESSION_HISTORY_DAYS", "0")


@pytest.fixture
def database(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """Return a database that waits one second for a lock."""
    monkeypatch.setattr(connection, "LOCK_WAIT_SECONDS", 1)
    database = Database(SecretStore(), settings.database_secret_id, settings.database_ca_file)
    yield database
    database.close()


def add(tables: Tables, table: str, columns: str, values: str, count: int) -> None:
    """Let the server add so many rows; `n` in `values` is the number of a row."""
    for first in range(0, count, ROWS_AT_ONCE):
        end = min(first + ROWS_AT_ONCE, count)
        numbers = NUMBERS.format(columns=values, first=first, end=end)
        tables.run(f"INSERT INTO {table} ({columns}) {numbers}")


def fill(tables: Tables, count: int) -> None:
    """Add so many sessions and as many buckets, in no order; every second one has expired."""
    now = "UTC_TIMESTAMP(6)"
    key, owner = KEY.format(n="n"), KEY.format(n=f"FLOOR(n / {SESSIONS_EACH})")
    expiry = f"{now} + INTERVAL IF(n % 2, 1, -1) DAY"
    add(
        tables,
        "accounts",
        "id, username, username_key, password_hash, created_at",
        f"{key}, CONCAT('p', n), CONCAT('p', n), '', {now}",
        math.ceil(count / SESSIONS_EACH),
    )
    add(
        tables,
        "sessions",
        "id, account_id, tail_hash, counter, epoch, created_at, rotated_at, idle_expires_at,"
        " expires_at",
        f"{key}, {owner}, REPEAT('t', 32), 0, 0, {now}, {now}, {expiry}, {now} + INTERVAL 2 DAY",
        count,
    )
    tat = int((time.time() - 86_400) * 1_000_000)
    add(
        tables,
        "rate_limits",
        "bucket, tat",
        f"{key}, {tat} + IF(n % 2, 2, 0) * 86400000000",
        count,
    )


def add_expired(tables: Tables, count: int) -> None:
    """Add an account with sessions of the ids 1, 2, 3 and so on, which have expired."""
    fill(tables, 1)
    tables.run("DELETE FROM sessions")
    tables.run("DELETE FROM rate_limits")
    (account,) = tables.run("SELECT id FROM accounts")
    for number in range(1, count + 1):
        tables.add_session(account["id"], id=_id(number), ended_at=system_clock())


def position(tables: Tables, table: str) -> bytes:
    """Return the noted position of a walk."""
    rows = tables.run("SELECT value FROM state WHERE name = %s", f"clean_up {table}")
    value: bytes = rows[0]["value"] if rows else b""
    return value


def kill_a_run(tables: Tables, batch: int) -> None:
    """Start a run in a process of its own, and kill it as soon as it has come further."""
    before = {table: position(tables, table) for table in ("sessions", "rate_limits")}
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(batch)], cwd=ROOT)
    try:
        while process.poll() is None and any(
            position(tables, table) == before[table] for table in before
        ):
            time.sleep(0.005)
    finally:
        process.kill()
    assert process.wait() == -9


def steps(limit: int) -> tuple[float, Callable[[], float]]:
    """Return the time limit for so many batches, and a clock for which each takes a second."""
    ticks = itertools.count()
    return limit - 0.5, lambda: float(next(ticks))


@pytest.mark.parametrize(
    ("rows", "batch", "killed"),
    [
        pytest.param(1000, 5, False, id="small"),
        pytest.param(1000, 5, True, id="small, with a killed run"),
        pytest.param(1_000_000, 500, True, id="large", marks=pytest.mark.long),
    ],
)
def test_ten_runs(
    tables: Tables,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    rows: int,
    batch: int,
    *,
    killed: bool,
) -> None:
    """Short runs visit every row of all tables in a bounded number, even if one is killed."""
    monkeypatch.setattr(cleaning, "BATCH", batch)
    fill(tables, rows)
    accounts = math.ceil(math.ceil(rows / SESSIONS_EACH) / batch) + 1  # walked twice in every run
    limit = int(2 * rows / batch / (RUNS - 0.5)) + 2 * accounts + 1  # and the empty events
    runs: list[CleanUp] = []
    completed: set[str] = set()
    while len(completed) < len(WALKS):
        assert len(runs) < RUNS
        if killed and len(runs) == RUNS // 2:
            kill_a_run(tables, batch)
        runs.append(clean_up(database, system_clock, *steps(limit), history_days=0))
        completed |= {table for table, done in runs[-1].completed.items() if done}
    assert len(runs) in ({RUNS - 1, RUNS} if killed else {RUNS})
    assert runs[0].deleted["sessions"] > 0
    assert runs[0].deleted["rate_limits"] > 0
    assert tables.count("sessions") == tables.count("rate_limits") == rows // 2
    clean_up(database, system_clock, 3600.0, history_days=0)
    assert tables.count("sessions") == tables.count("rate_limits") == rows // 2


def test_a_new_walk(tables: Tables, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its end a walk begins at the first key again, in the next run."""
    monkeypatch.setattr(cleaning, "BATCH", 2)
    for _ in range(2):
        tables.run("DELETE FROM accounts")
        add_expired(tables, 5)
        done = clean_up(database, system_clock, 60.0, history_days=0)
        assert done.deleted["sessions"] == 5
        assert done.completed == dict.fromkeys(WALKS, True)
        assert position(tables, "sessions") == b""


@pytest.mark.parametrize(
    "value", [b"", b"x", b"\xff" * 16, b"y" * 255], ids=["empty", "short", "last key", "long"]
)
def test_garbled_position(tables: Tables, database: Database, value: bytes) -> None:
    """A position that cannot be one starts the walk from the beginning."""
    add_expired(tables, 3)
    for walk in WALKS:
        tables.run("INSERT INTO state VALUES (%s, %s)", f"clean_up {walk}", value)
    assert clean_up(database, system_clock, 60.0, history_days=0).deleted["sessions"] == 3


def test_wrong_position(tables: Tables, database: Database) -> None:
    """A position that is wrong costs one run: the next one starts from the beginning."""
    add_expired(tables, 3)
    tables.run("INSERT INTO state VALUES ('clean_up sessions', %s)", b"y" * 16)
    assert clean_up(database, system_clock, 60.0, history_days=0).deleted["sessions"] == 0
    assert clean_up(database, system_clock, 60.0, history_days=0).deleted["sessions"] == 3


def test_lost_position(tables: Tables, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that finds no position starts from the beginning."""
    monkeypatch.setattr(cleaning, "BATCH", 2)
    add_expired(tables, 6)
    assert clean_up(database, system_clock, *steps(1), history_days=0).deleted["sessions"] == 2
    assert position(tables, "sessions") == _id(2)
    (account,) = tables.run("SELECT id FROM accounts")
    tables.add_session(account["id"], id=bytes(16), ended_at=system_clock())
    tables.run("DELETE FROM state")
    assert clean_up(database, system_clock, 60.0, history_days=0).deleted["sessions"] == 5


@pytest.mark.parametrize("released", [True, False])
def test_locked_rows(
    tables: Tables,
    database: Database,
    stack: Stack,
    monkeypatch: pytest.MonkeyPatch,
    *,
    released: bool,
) -> None:
    """A batch with a locked row is retried at the end of the walk, and else by the next walk."""
    monkeypatch.setattr(cleaning, "BATCH", 2)
    add_expired(tables, 6)
    with stack.database.connect() as other:
        other.run(Statement("BEGIN"), 5.0)
        other.run(Statement("SELECT id FROM sessions WHERE id = %s FOR UPDATE", (_id(1),)), 5.0)

        def monotonic() -> float:
            if released and tables.count("sessions") == 2:
                other.run(Statement("ROLLBACK"), 5.0)
            return time.monotonic()

        done = clean_up(database, system_clock, 60.0, monotonic, history_days=0)
        assert done.deleted["sessions"] == (6 if released else 4)
        assert done.completed == {
            **dict.fromkeys(WALKS, True),
            "sessions": released,
        }
        other.run(Statement("ROLLBACK"), 5.0)
    done = clean_up(database, system_clock, 60.0, history_days=0)
    assert done.deleted["sessions"] == (0 if released else 2)
    assert done.completed == dict.fromkeys(WALKS, True)


def test_locked_rows_in_use(
    tables: Tables, database: Database, stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    """The clean-up does not wait for a row that stays, if a player's transaction holds it."""
    add_expired(tables, 6)
    tables.run("UPDATE sessions SET ended_at = NULL WHERE id = %s", _id(3))
    with stack.database.connect() as other, caplog.at_level(logging.WARNING):
        other.run(Statement("BEGIN"), 5.0)
        other.run(Statement("SELECT id FROM sessions WHERE id = %s FOR UPDATE", (_id(3),)), 5.0)
        done = clean_up(database, system_clock, 60.0, history_days=0)
    assert done.deleted["sessions"] == 5
    assert caplog.messages == []


def test_many_crowded_accounts(
    tables: Tables, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch trims a few accounts only; the next one continues with the others."""
    monkeypatch.setattr("auth.store.expired.CROWDED_AT_ONCE", 2)
    monkeypatch.setattr(cleaning, "CROWDED_AT_ONCE", 2)
    fill(tables, 5 * SESSIONS_EACH)
    tables.run("UPDATE sessions SET idle_expires_at = expires_at")
    for account in tables.run("SELECT id FROM accounts"):
        for _ in range(11):
            tables.add_session(account["id"])
    done = clean_up(database, system_clock, 60.0, history_days=0)
    assert done.deleted["sessions"] == 5
    assert tables.count("sessions") == 250
    assert done.completed["accounts"]


def test_log(tables: Tables, caplog: pytest.LogCaptureFixture) -> None:
    """The log line has the rows deleted, and tells for each table if its walk was completed."""
    add_expired(tables, 3)
    with caplog.at_level(logging.INFO):
        handler.clean_up({}, None)
    (line,) = [vars(one) for one in caplog.records if vars(one).get("event") == "cleaned_up"]
    assert (line["sessions"], line["rate_limits"]) == (3, 0)
    assert [line[f"{walk}_completed"] for walk in WALKS] == [True] * len(WALKS)


def _id(number: int) -> bytes:
    return number.to_bytes(16, "big")
