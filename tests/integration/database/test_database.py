"""The connection to the database in normal operation, and with slow statements and locks."""

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from auth.errors import Unavailable
from auth.external.connection import DatabaseSecret, Statement
from auth.external.database import REQUEST_SECONDS, Database
from auth.external.failures import Duplicate, WrongStatement
from auth.times import new_id, system_clock
from local.stack import Stack
from tests.conftest import Tables
from tests.play.containers import ask, statements_run
from tests.play.engines import MYSQL, STATEMENT_LIMIT
from tests.play.events import Answer, is_unavailable
from tests.play.players import Player, call

NEW_PASSWORD = "seven wooden ladders tonight"
OUTSIDE_TRANSACTIONS = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"  # refused within one


# The warm connection


def test_connection_is_reused(warm: Database) -> None:
    """All requests of a container share one connection."""
    first = ask(warm, "SELECT CONNECTION_ID() AS id")
    player = Player()
    assert player.register().status == 201
    assert player.me().status == 200
    assert player.log_in("not the password").status == 401
    assert call("GET", "/no/such/route").status == 404
    assert ask(warm, "SELECT CONNECTION_ID() AS id") == first


def test_killed_while_idle(warm: Database, tables: Tables) -> None:
    """A connection that the server closed between two requests is replaced, unnoticed by players.

    This holds for any first statement of the next request.
    """
    player = Player()
    requests: list[Callable[[], Answer]] = [
        player.register,
        player.log_in,
        player.refresh,
        player.me,
        lambda: player.change_password(NEW_PASSWORD),
        player.log_out,
        player.log_in,
        player.delete,
        lambda: call("GET", "/v1/health"),
    ]
    for request in requests:
        before = ask(warm, "SELECT CONNECTION_ID() AS id")["id"]
        tables.run(f"KILL CONNECTION {before}")
        answer = request()
        assert answer.status in (200, 201), answer.text
        assert ask(warm, "SELECT CONNECTION_ID() AS id")["id"] != before


def test_session_settings(warm: Database) -> None:
    """The session is in autocommit, READ COMMITTED and strict mode, with bounded waiting times."""
    row = ask(
        warm,
        "SELECT @@autocommit AS autocommit, @@sql_mode AS mode, @@time_zone AS zone,"
        " @@innodb_lock_wait_timeout AS row_wait, @@lock_wait_timeout AS table_wait,"
        f" @@{STATEMENT_LIMIT} AS statement, @@character_set_connection AS encoding",
    )
    assert row["autocommit"] == 1
    with warm.budget(REQUEST_SECONDS):
        isolation = warm.execute("SHOW SESSION VARIABLES LIKE 't%_isolation'").rows
    assert {variable["Value"] for variable in isolation} == {"READ-COMMITTED"}
    assert {"STRICT_ALL_TABLES", "STRICT_TRANS_TABLES"} <= set(row["mode"].split(","))
    assert row["zone"] == "+00:00"
    assert row["row_wait"] == row["table_wait"] == 2
    assert row["statement"] == (3000 if MYSQL else 3)  # milliseconds in MySQL, seconds in MariaDB
    assert row["encoding"] == "utf8mb4"


def test_sees_what_others_commit(warm: Database, tables: Tables) -> None:
    """A warm container sees another one's changes at once, not a frozen snapshot."""
    player = Player()
    player.register()
    assert player.me().status == 200
    tables.run("UPDATE accounts SET epoch = epoch + 1")
    assert player.me().code == "invalid_token"
    assert player.refresh().code == "session_ended"
    tables.run("UPDATE accounts SET epoch = epoch - 1")
    assert player.me().status == 200


def test_strict_mode(warm: Database, tables: Tables) -> None:
    """A value that does not fit its column is an error and never truncated."""
    with warm.budget(REQUEST_SECONDS), pytest.raises(WrongStatement):
        warm.execute(
            "INSERT INTO accounts (id, username, username_key, password_hash, created_at)"
            " VALUES (%s, %s, %s, %s, %s)",
            new_id(system_clock()),
            "x" * 25,
            b"x" * 25,
            "hash",
            system_clock(),
        )
    assert tables.count("accounts") == 0
    assert call("GET", "/v1/health").status == 200


def test_times_are_utc(warm: Database, tables: Tables) -> None:
    """A time is read from the database as it was written: aware, in UTC, to the microsecond."""
    player = Player()
    player.register()
    moment = datetime(2040, 2, 29, 23, 59, 59, 123456, tzinfo=UTC)
    with warm.budget(REQUEST_SECONDS):
        warm.execute("UPDATE accounts SET suspended_until = %s", moment)
    assert ask(warm, "SELECT suspended_until FROM accounts")["suspended_until"] == moment
    (row,) = tables.run("SELECT CAST(suspended_until AS CHAR) AS text FROM accounts")
    assert row["text"] == "2040-02-29 23:59:59.123456"


def test_unusual_values(warm: Database) -> None:
    """Any bytes, and quotes, backslashes, nulls and emoji in text, are read as written."""
    text = "' OR 1=1 -- \\ \" \x00 % %s \N{PILE OF POO} \u0000"
    every_byte = bytes(range(256))
    with warm.budget(REQUEST_SECONDS):
        (row,) = warm.execute("SELECT %s AS text, %s AS octets", text, every_byte).rows
    assert row == {"text": text, "octets": every_byte}


@pytest.mark.parametrize(
    "value", [["a", "b"], ("a",), {"a": 1}, {"a"}, True, False, 0.0, 1.5, float("nan"), object()]
)
def test_values_that_are_no_values(warm: Database, tables: Tables, value: Any) -> None:
    """A list, a bool or a float never becomes SQL: no statement is sent."""
    before = statements_run(tables)
    with warm.budget(REQUEST_SECONDS), pytest.raises(TypeError, match="not a value for a query"):
        warm.execute("SELECT id FROM accounts WHERE username = %s", value)
    assert statements_run(tables) == before
    assert call("GET", "/v1/health").status == 200


def test_no_budget(warm: Database, tables: Tables) -> None:
    """A statement outside a budget is a bug that shows at once: it is not sent."""
    before = statements_run(tables)
    with pytest.raises(RuntimeError, match="no budget"):
        warm.execute("SELECT 1")
    assert statements_run(tables) == before


def test_budgets_inside_one_another(warm: Database) -> None:
    """Inside an inner budget only its own time counts; afterwards the outer one applies again."""
    with warm.budget(0.0):
        with warm.budget(REQUEST_SECONDS):
            warm.ping()
        with pytest.raises(Unavailable, match="time is up"):
            warm.ping()


def test_slow_statement(warm: Database) -> None:
    """The server itself ends a statement after three seconds; the connection stays usable."""
    assert Player().register().status == 201
    identity = ask(warm, "SELECT CONNECTION_ID() AS id")
    began = time.monotonic()
    with pytest.raises(Unavailable, match="too slow"):
        ask(warm, "SELECT SLEEP(3.8) FROM accounts")
    assert 2.5 < time.monotonic() - began < 3.9
    assert ask(warm, "SELECT CONNECTION_ID() AS id") == identity


def test_slow_change(warm: Database, tables: Tables) -> None:
    """A slow change does not outlast the budget either.

    MariaDB ends it and changes nothing. MySQL never ends a statement that writes: there our own
    time-out drops the connection, and the outcome counts as unknown.
    """
    player = Player()
    assert player.register().status == 201
    identity = ask(warm, "SELECT CONNECTION_ID() AS id")
    began = time.monotonic()
    late = pytest.raises(Unavailable, match="lost" if MYSQL else "too slow")
    with warm.budget(REQUEST_SECONDS), late:
        warm.execute_once("UPDATE accounts SET epoch = epoch + 1 + SLEEP(4.4)")
    seconds = time.monotonic() - began
    assert 3.8 < seconds < 4.4 if MYSQL else 2.5 < seconds < 3.9
    assert (ask(warm, "SELECT CONNECTION_ID() AS id") == identity) is not MYSQL
    time.sleep(1.0)
    epochs = [row["epoch"] for row in tables.run("SELECT epoch FROM accounts")]
    assert epochs == [1 if MYSQL else 0]


def test_transaction_is_whole(warm: Database, tables: Tables) -> None:
    """A transaction with a refused second statement is rolled back and does not stay open."""
    insert = Statement("INSERT INTO rate_limits VALUES (%s, 0)", (b"1" * 16,))
    with warm.budget(REQUEST_SECONDS), pytest.raises(Duplicate):
        warm.transact(insert, insert)
    assert tables.count("rate_limits") == 0
    with warm.budget(REQUEST_SECONDS):
        warm.execute(OUTSIDE_TRANSACTIONS)
        warm.execute("BEGIN")
        with pytest.raises(Unavailable, match="1568"):  # the sign of an open one
            warm.execute(OUTSIDE_TRANSACTIONS)


def test_secret_never_prints_its_password() -> None:
    """No log line or traceback with the database's secret shows its password."""
    secret = DatabaseSecret("ada", "hunter2", "db.example.com", 3306, "game", "mariadb")
    assert "hunter2" not in f"{secret} {secret!r}"


# Locks


def test_row_is_locked(warm: Database, stack: Stack) -> None:
    """A row locked by another connection gives 503 within the budget; later requests succeed."""
    player = Player()
    player.register()
    with stack.database.connect() as other:
        other.run(Statement("BEGIN"), 5.0)
        other.run(Statement("SELECT * FROM sessions FOR UPDATE"), 5.0)
        began = time.monotonic()
        assert is_unavailable(player.refresh())
        assert 3.5 < time.monotonic() - began < 8.0  # two lock waits of 2 s each
        other.run(Statement("ROLLBACK"), 5.0)
    assert player.refresh().status == 200
    assert player.me().status == 200


def test_deadlock(
    warm: Database, stack: Stack, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that the server chose as a deadlock victim is retried after a short pause."""
    pauses: list[float] = []
    monkeypatch.setattr(warm, "_sleep", pauses.append)
    player = Player()
    player.register()
    before = _deadlocks(tables)
    with stack.database.connect() as other, ThreadPoolExecutor() as pool:
        other.run(Statement("BEGIN"), 5.0)
        for number in range(200):  # the server picks the transaction with fewer changes
            row = (number.to_bytes(16, "big"), number)
            other.run(Statement("INSERT INTO rate_limits VALUES (%s, %s)", row), 5.0)
        other.run(Statement("SELECT * FROM sessions FOR UPDATE"), 5.0)
        deleting = pool.submit(player.delete)  # locks the account, then waits for the session
        _wait_for_lock_wait(tables)
        other.run(Statement("SELECT * FROM accounts FOR UPDATE"), 5.0)
        other.run(Statement("COMMIT"), 5.0)
        answer = deleting.result()
    assert answer.status == 200, answer.text
    assert _deadlocks(tables) == before + 1
    assert len(pauses) == 1
    assert 0.01 <= pauses[0] <= 0.15
    assert tables.count("accounts") == 0


def test_a_victim_each_time(
    warm: Database, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request chosen as victim four times gives up; its pauses hold no lock and grow."""
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        assert tables.run("SELECT tat FROM rate_limits FOR UPDATE NOWAIT") == []

    monkeypatch.setattr(warm, "_sleep", pause)
    monkeypatch.setattr(random, "uniform", lambda _shortest, longest: longest)
    with warm.budget(REQUEST_SECONDS), pytest.raises(Unavailable, match="deadlock"):
        warm.transact(
            Statement("INSERT INTO rate_limits VALUES (%s, %s)", (bytes(16), 1)),
            Statement("SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213"),
        )
    assert pauses == [0.15, 0.3, 0.6]
    assert tables.count("rate_limits") == 0


def test_table_is_locked(warm: Database, stack: Stack, tables: Tables) -> None:
    """A table that is being altered gives 503 within the budget, and no statement keeps waiting."""
    player = Player()
    player.register()
    with stack.database.connect() as other:
        other.run(Statement("LOCK TABLES sessions WRITE"), 5.0)
        began = time.monotonic()
        assert is_unavailable(player.refresh())
        assert 1.8 < time.monotonic() - began < 8.0
        waiting = "SELECT info FROM information_schema.processlist WHERE info LIKE 'UPDATE sess%'"
        assert tables.run(waiting) == []
        other.run(Statement("UNLOCK TABLES"), 5.0)
    assert player.refresh().status == 200


def _wait_for_lock_wait(tables: Tables) -> None:
    end = time.monotonic() + 5.0
    waiting = "SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
    while not tables.run(waiting):
        assert time.monotonic() < end, "no statement waits for a lock"
        time.sleep(0.11)  # the server refreshes that table ten times a second


def _deadlocks(tables: Tables) -> int:
    sql = "SELECT count AS n FROM information_schema.innodb_metrics WHERE name = 'lock_deadlocks'"
    return int(tables.run(sql)[0]["n"])
