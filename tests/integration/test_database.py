"""The database when all is well, and every way in which it can fail under a request."""

import os
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pymysql
import pytest
from flask import Flask

import handler
from auth.app import create_app
from auth.connection import (
    Connection,
    DatabaseSecret,
    Duplicate,
    Failure,
    Kind,
    Statement,
    connect,
    tls_context,
)
from auth.database import Database
from auth.database_users import grant_application
from auth.errors import Unavailable
from auth.migrate import FOLDER, migrate, migrations_in
from auth.secret_store import SecretStore
from auth.settings import Settings
from auth.times import new_id, system_clock
from local.mariadb import Users
from local.stack import Stack
from tests.conftest import Tables
from tests.engines import MYSQL, READ_ONLY, STATEMENT_LIMIT, RuledServer
from tests.events import Answer
from tests.players import PASSWORD, Player, call

KEY = "a-key-of-the-client-0001"
NEW_PASSWORD = "seven wooden ladders tonight"
OUTSIDE_TRANSACTIONS = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"  # refused within one


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory, stack: Stack) -> Iterator[RuledServer]:
    """Return a server of this file's own, so that the shared one is never touched."""
    server = RuledServer(tmp_path_factory.mktemp("fragile"), Users("for-admin", "for-players"))
    try:
        server.start()
        with server.connect() as connection:
            migrate(connection, migrations_in(FOLDER))
            grant_application(connection, server.application)
        stack.secrets_manager.put("fragile/database", msgspec.to_builtins(server.application))
        yield server
    finally:
        server.stop()


@pytest.fixture
def fragile_tables(fragile: RuledServer) -> Iterator[Tables]:
    """Return the tables of the fragile server, empty."""
    with fragile.connect() as connection:
        tables = Tables(connection)
        tables.empty()
        yield tables


@pytest.fixture
def serve(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Settings], Flask]]:
    """Return a way to have the handler served by a new container with these settings."""
    applications: list[Flask] = []

    def serve(settings: Settings) -> Flask:
        applications.append(create_app(settings))
        monkeypatch.setattr(handler, "application", applications[-1])
        return applications[-1]

    yield serve
    for application in applications:
        application.extensions["database"].close()


@pytest.fixture
def warm(tables: Tables, settings: Settings, serve: Callable[[Settings], Flask]) -> Database:
    """Return the database of a container that has just answered a request."""
    database: Database = serve(settings).extensions["database"]
    assert call("GET", "/v1/health").status == 200
    return database


@pytest.fixture
def fragile_player(
    fragile: RuledServer,
    fragile_tables: Tables,
    settings: Settings,
    serve: Callable[[Settings], Flask],
) -> Player:
    """Return a player of a warm container on the fragile server."""
    serve(
        replace(
            settings,
            database_secret_id="fragile/database",
            database_ca_file=str(fragile.ca_file),
        )
    )
    player = Player()
    assert player.register().status == 201
    return player


def ask(database: Database, sql: str) -> dict[str, Any]:
    """Run a query on the container's own connection and return its one row."""
    database.start_request()
    (row,) = database.execute(sql).rows
    return row


def is_unavailable(answer: Answer) -> bool:
    """Tell whether an answer is the 503 of the contract."""
    error = answer.json["error"]
    return (
        (answer.status, error["code"]) == (503, "unavailable")
        and int(answer.headers["retry-after"]) >= 1
        and error["retry_after"] == int(answer.headers["retry-after"])
    )


def statements_run(tables: Tables) -> int:
    """Return how many statements that touch rows the server has run so far."""
    status = tables.run(
        "SHOW GLOBAL STATUS WHERE Variable_name IN"
        " ('Com_select', 'Com_insert', 'Com_update', 'Com_delete', 'Com_begin', 'Com_set_option')"
    )
    return sum(int(row["Value"]) for row in status)


class Wire:
    """Cuts the line around the statements that a test names, as a broken network would.

    `answered`: the server runs the statement and its answer is lost; otherwise the line is cut
    before the statement is sent.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cuts = 0
        self._monkeypatch = monkeypatch

    def cut_at(self, beginning: str, *, answered: bool, times: int = 1) -> None:
        """Cut the line at the next so many statements that begin like this."""
        query = Connection.query

        def fragile_query(connection: Connection, sql: str, unbuffered: bool = False) -> int:  # noqa: FBT001, FBT002
            text = sql.decode(errors="replace") if isinstance(sql, bytes) else sql
            if self.cuts >= times or not text.startswith(beginning):
                return query(connection, sql, unbuffered)
            self.cuts += 1
            if not answered:
                _shut(connection)
                return query(connection, sql, unbuffered)
            query(connection, sql, unbuffered)
            _shut(connection)
            # Reads what will never come.
            return int(connection._read_query_result())  # type: ignore[attr-defined]  # noqa: SLF001

        self._monkeypatch.setattr(Connection, "query", fragile_query)


def _shut(connection: Connection) -> None:
    connection._sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]  # noqa: SLF001


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    """Return a line to the database that can be cut."""
    return Wire(monkeypatch)


# TLS


def test_server_of_another_ca(
    tables: Tables,
    settings: Settings,
    certificates: Path,
    serve: Callable[[Settings], Flask],
) -> None:
    """A server whose certificate another CA signed gets no statement, and the player a 503."""
    serve(replace(settings, database_ca_file=str(certificates / "ca.pem")))
    before = statements_run(tables)
    assert is_unavailable(Player().register())
    assert statements_run(tables) == before


def test_certificate_of_another_ca(stack: Stack, certificates: Path) -> None:
    """The certificate itself is what the connection to a server of another CA fails at."""
    with pytest.raises(Failure) as refused:
        connect(stack.mariadb.application, tls_context(str(certificates / "ca.pem")))
    # 19: not signed by a CA of ours, which both call by the same name here (X509_V_ERR).
    assert _tls_error(refused.value).verify_code == 19


@pytest.fixture
def another_name(monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a name of this machine that the server's certificate does not hold."""
    resolve = socket.getaddrinfo
    name = "database.example.com"

    def resolve_it(host: str, *arguments: Any, **more: Any) -> Any:
        return resolve("127.0.0.1" if host == name else host, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_it)
    return name


def test_certificate_of_another_host(stack: Stack, another_name: str) -> None:
    """A certificate of the right CA is refused where it is not that of the host."""
    secret = msgspec.structs.replace(stack.mariadb.application, host=another_name)
    with pytest.raises(Failure) as refused:
        connect(secret, tls_context(str(stack.mariadb.ca_file)))
    assert "Hostname mismatch" in _tls_error(refused.value).verify_message


def test_server_of_another_host(
    stack: Stack,
    tables: Tables,
    settings: Settings,
    another_name: str,
    serve: Callable[[Settings], Flask],
) -> None:
    """A server that answers for another host gets no statement, and the player a 503."""
    secret = msgspec.structs.replace(stack.mariadb.application, host=another_name)
    stack.secrets_manager.put("another-host/database", msgspec.to_builtins(secret))
    serve(replace(settings, database_secret_id="another-host/database"))
    before = statements_run(tables)
    assert is_unavailable(Player().register())
    assert statements_run(tables) == before


def test_plain_text_is_refused(stack: Stack) -> None:
    """The server lets nobody in without TLS."""
    secret = stack.mariadb.application
    with pytest.raises(pymysql.OperationalError):
        pymysql.connect(
            host=secret.host,
            port=secret.port,
            user=secret.username,
            password=secret.password,
            ssl_disabled=True,
        )


def test_connection_is_encrypted(warm: Database) -> None:
    """The container's connection uses TLS 1.2 or newer."""
    version = ask(warm, "SHOW SESSION STATUS LIKE 'Ssl_version'")["Value"]
    assert version in ("TLSv1.2", "TLSv1.3")


def _tls_error(failure: Failure) -> ssl.SSLCertVerificationError:
    cause = failure.__context__
    assert isinstance(cause, pymysql.OperationalError)
    error = cause.original_exception  # type: ignore[attr-defined]  # not in the stubs
    assert isinstance(error, ssl.SSLCertVerificationError)
    assert failure.kind == Kind.UNREACHABLE
    return error


# What the application's user may do


@pytest.fixture
def application_connection(stack: Stack) -> Iterator[Connection]:
    """Return a connection of the application's user."""
    connection = connect(stack.mariadb.application, tls_context(str(stack.mariadb.ca_file)))
    with connection:
        yield connection


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE rate_limits",
        "TRUNCATE TABLE rate_limits",
        "CREATE TABLE mine (n INT)",
        "CREATE INDEX mine ON rate_limits (tat)",
        "ALTER TABLE accounts ADD COLUMN mine INT",
        "CREATE VIEW mine AS SELECT 1",
        "CREATE DATABASE mine",
        "DROP DATABASE game_login",
        "CREATE USER mine",
        "GRANT SELECT ON game_login.* TO game_login",
        "SELECT * FROM mysql.global_priv",
        "SELECT * FROM mysql.user",
        "USE mysql",
        "CREATE TABLE gamexlogin.mine (n INT)",
        "SELECT * FROM gamexlogin.mine",
        "SELECT 1 INTO OUTFILE '/tmp/mine'",
        "SET GLOBAL read_only = 1",
    ],
)
def test_application_is_refused(application_connection: Connection, sql: str) -> None:
    """The application's user may do nothing but read and write the rows of its own schema."""
    with pytest.raises((Failure, pymysql.ProgrammingError)) as refused:
        application_connection.run(Statement(sql), 5.0)
    cause = refused.value.__context__ if isinstance(refused.value, Failure) else refused.value
    assert isinstance(cause, pymysql.MySQLError)
    # Access denied: to a schema, to a file, to a table, to the server, to grant.
    assert cause.args[0] in (1044, 1045, 1142, 1227, 1410)


def test_grants(application_connection: Connection) -> None:
    """The application's rights are SELECT, INSERT, UPDATE and DELETE on its schema, over TLS."""
    rows = application_connection.run(Statement("SHOW GRANTS"), 5.0).rows
    usage, rights = [str(value) for row in rows for value in row.values()]
    if MYSQL:  # it keeps how somebody signs in apart from the rights
        assert usage == "GRANT USAGE ON *.* TO `game_login`@`%`"
        (row,) = application_connection.run(Statement("SHOW CREATE USER CURRENT_USER()"), 5.0).rows
        (made,) = row.values()
        assert made.startswith(
            "CREATE USER `game_login`@`%` IDENTIFIED WITH 'caching_sha2_password' AS "
        )
        assert " REQUIRE SSL " in made
    else:
        assert usage.startswith("GRANT USAGE ON *.* TO `game_login`@`%` IDENTIFIED BY PASSWORD")
        assert usage.endswith(" REQUIRE SSL")
    assert rights == (
        "GRANT SELECT, INSERT, UPDATE, DELETE ON `game\\_login`.* TO `game_login`@`%`"
    )


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
    """A connection that the server closed between two requests is replaced, and no player sees it.

    Whatever the first statement of the request is.
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
    """The connection commits by itself, reads what is committed, is strict, patient to a point."""
    row = ask(
        warm,
        "SELECT @@autocommit AS autocommit, @@sql_mode AS mode, @@time_zone AS zone,"
        " @@innodb_lock_wait_timeout AS row_wait, @@lock_wait_timeout AS table_wait,"
        f" @@{STATEMENT_LIMIT} AS statement, @@character_set_connection AS encoding",
    )
    assert row["autocommit"] == 1
    isolation = warm.execute("SHOW SESSION VARIABLES LIKE 't%%_isolation'").rows
    assert {variable["Value"] for variable in isolation} == {"READ-COMMITTED"}
    assert {"STRICT_ALL_TABLES", "STRICT_TRANS_TABLES"} <= set(row["mode"].split(","))
    assert row["zone"] == "+00:00"
    assert row["row_wait"] == row["table_wait"] == 2
    assert row["statement"] == (3000 if MYSQL else 3)  # in milliseconds, or in seconds
    assert row["encoding"] == "utf8mb4"


def test_sees_what_others_commit(warm: Database, tables: Tables) -> None:
    """A warm container sees at once what another one has changed: no frozen snapshot."""
    player = Player()
    player.register()
    assert player.me().status == 200
    tables.run("UPDATE accounts SET epoch = epoch + 1")
    assert player.me().code == "invalid_token"
    assert player.refresh().code == "session_ended"
    tables.run("UPDATE accounts SET epoch = epoch - 1")
    assert player.me().status == 200


def test_strict_mode(warm: Database, tables: Tables) -> None:
    """A value that does not fit its column is an error, never cut to fit."""
    with pytest.raises(pymysql.DataError):
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
    """A time comes back from the database as it went in: aware, in UTC, to the microsecond."""
    player = Player()
    player.register()
    moment = datetime(2040, 2, 29, 23, 59, 59, 123456, tzinfo=UTC)
    warm.start_request()
    warm.execute("UPDATE accounts SET suspended_until = %s", moment)
    assert ask(warm, "SELECT suspended_until FROM accounts")["suspended_until"] == moment
    (row,) = tables.run("SELECT CAST(suspended_until AS CHAR) AS text FROM accounts")
    assert row["text"] == "2040-02-29 23:59:59.123456"


def test_unusual_values(warm: Database) -> None:
    """Text with quotes, backslashes, nulls and emoji, and any bytes, come back as they went in."""
    text = "' OR 1=1 -- \\ \" \x00 % %s \N{PILE OF POO} \u0000"
    every_byte = bytes(range(256))
    warm.start_request()
    (row,) = warm.execute("SELECT %s AS text, %s AS octets", text, every_byte).rows
    assert row == {"text": text, "octets": every_byte}


@pytest.mark.parametrize(
    "value", [["a", "b"], ("a",), {"a": 1}, {"a"}, True, False, 0.0, 1.5, float("nan"), object()]
)
def test_values_that_are_no_values(warm: Database, tables: Tables, value: Any) -> None:
    """A list, a bool or a float never becomes SQL: nothing is sent at all."""
    before = statements_run(tables)
    with pytest.raises(TypeError, match="not a value for a query"):
        warm.execute("SELECT id FROM accounts WHERE username = %s", value)
    assert statements_run(tables) == before
    assert call("GET", "/v1/health").status == 200


def test_slow_statement(warm: Database) -> None:
    """The server itself ends a statement after three seconds; the connection stays good."""
    assert Player().register().status == 201
    identity = ask(warm, "SELECT CONNECTION_ID() AS id")
    began = time.monotonic()
    with pytest.raises(Unavailable, match="too slow"):
        ask(warm, "SELECT SLEEP(3.8) FROM accounts")
    assert 2.5 < time.monotonic() - began < 3.9
    assert ask(warm, "SELECT CONNECTION_ID() AS id") == identity


def test_slow_change(warm: Database, tables: Tables) -> None:
    """A change that is slow by itself takes no longer than the budget either.

    MariaDB ends it, and nothing is changed. MySQL ends no statement that writes: there our own
    patience ends, and the connection is given up; the outcome counts as unknown.
    """
    player = Player()
    assert player.register().status == 201
    identity = ask(warm, "SELECT CONNECTION_ID() AS id")
    began = time.monotonic()
    warm.start_request()
    with pytest.raises(Unavailable, match="lost" if MYSQL else "too slow"):
        warm.execute("UPDATE accounts SET epoch = epoch + 1 + SLEEP(4.4)", repeatable=False)
    seconds = time.monotonic() - began
    assert 3.8 < seconds < 4.4 if MYSQL else 2.5 < seconds < 3.9
    assert (ask(warm, "SELECT CONNECTION_ID() AS id") == identity) is not MYSQL
    time.sleep(1.0)
    epochs = [row["epoch"] for row in tables.run("SELECT epoch FROM accounts")]
    assert epochs == [1 if MYSQL else 0]


# Locks


def test_row_is_locked(warm: Database, stack: Stack) -> None:
    """A row that somebody else keeps locked gives 503 within the budget; then all is well again."""
    player = Player()
    player.register()
    with stack.mariadb.connect() as other:
        other.run(Statement("BEGIN"), 5.0)
        other.run(Statement("SELECT * FROM sessions FOR UPDATE"), 5.0)
        began = time.monotonic()
        assert is_unavailable(player.refresh())
        assert 3.5 < time.monotonic() - began < 8.0  # 2 s of waiting, twice
        other.run(Statement("ROLLBACK"), 5.0)
    assert player.refresh().status == 200
    assert player.me().status == 200


def test_deadlock(warm: Database, stack: Stack, tables: Tables) -> None:
    """A request that the server chose as a deadlock's victim is done again, unseen."""
    player = Player()
    player.register()
    with stack.mariadb.connect() as other, ThreadPoolExecutor() as pool:
        other.run(Statement("BEGIN"), 5.0)
        for number in range(200):  # the server picks whoever has changed less
            row = (number.to_bytes(16, "big"), number)
            other.run(Statement("INSERT INTO rate_limits VALUES (%s, %s)", row), 5.0)
        other.run(Statement("SELECT * FROM sessions FOR UPDATE"), 5.0)
        deleting = pool.submit(player.delete)  # locks the account, then waits for the session
        _wait_for_lock_wait(tables)
        other.run(Statement("SELECT * FROM accounts FOR UPDATE"), 5.0)
        other.run(Statement("COMMIT"), 5.0)
        answer = deleting.result()
    assert answer.status == 200, answer.text
    assert _deadlocks(tables) >= 1
    assert tables.count("accounts") == 0


def test_table_is_locked(warm: Database, stack: Stack, tables: Tables) -> None:
    """A table that is being changed gives 503 within the budget, and nobody goes on waiting."""
    player = Player()
    player.register()
    with stack.mariadb.connect() as other:
        other.run(Statement("LOCK TABLES sessions WRITE"), 5.0)
        began = time.monotonic()
        assert is_unavailable(player.refresh())
        assert 1.8 < time.monotonic() - began < 8.0
        waiting = "SELECT info FROM information_schema.processlist WHERE info LIKE 'UPDATE sess%%'"
        assert tables.run(waiting) == []
        other.run(Statement("UNLOCK TABLES"), 5.0)
    assert player.refresh().status == 200


def _wait_for_lock_wait(tables: Tables) -> None:
    end = time.monotonic() + 5.0
    waiting = "SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
    while not tables.run(waiting):
        assert time.monotonic() < end, "nobody waits for a lock"
        time.sleep(0.11)  # the server renews that table ten times a second


def _deadlocks(tables: Tables) -> int:
    sql = "SELECT count AS n FROM information_schema.innodb_metrics WHERE name = 'lock_deadlocks'"
    return int(tables.run(sql)[0]["n"])


# The server fails


@pytest.mark.parametrize("variable", READ_ONLY)
def test_server_is_read_only(fragile_player: Player, fragile_tables: Tables, variable: str) -> None:
    """On a server that only reads, writing gives 503 and reading works; afterwards all does."""
    fragile_tables.run(f"SET GLOBAL {variable} = 1")
    try:
        assert is_unavailable(fragile_player.refresh())
        assert is_unavailable(Player().register())
        assert fragile_player.me().status == 200
    finally:
        fragile_tables.run("SET GLOBAL read_only = 0")
    assert fragile_player.refresh().status == 200
    assert fragile_tables.count("accounts") == 1


def test_read_only_for_a_moment(
    fragile_player: Player, fragile_tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that a failover left on the reader is replaced, and the request succeeds."""
    database: Database = handler.application.extensions["database"]
    before = ask(database, "SELECT CONNECTION_ID() AS id")["id"]
    drop = Connection.drop

    def drop_and_fail_over(connection: Connection) -> None:
        drop(connection)
        fragile_tables.run("SET GLOBAL read_only = 0")

    fragile_tables.run("SET GLOBAL read_only = 1")
    try:
        with monkeypatch.context() as patch:
            patch.setattr(Connection, "drop", drop_and_fail_over)
            assert fragile_player.refresh().status == 200
    finally:
        fragile_tables.run("SET GLOBAL read_only = 0")
    assert ask(database, "SELECT CONNECTION_ID() AS id")["id"] != before


def test_no_connections_left(
    fragile: RuledServer, fragile_player: Player, fragile_tables: Tables
) -> None:
    """When the server has no connection left, a request asks once more and then gives 503."""
    database: Database = handler.application.extensions["database"]
    database.close()
    (usual,) = fragile_tables.run("SELECT @@max_connections AS n")
    tls = tls_context(str(fragile.ca_file))
    others: list[Connection] = []
    fragile_tables.run("SET GLOBAL max_connections = 10")
    try:
        with suppress(Failure):
            while len(others) < 12:
                others.append(connect(fragile.application, tls))
        assert len(others) < 12
        before = _connections_tried(fragile_tables)
        began = time.monotonic()
        assert is_unavailable(fragile_player.me())
        assert 0.1 <= time.monotonic() - began < 4.0
        assert _connections_tried(fragile_tables) == before + 2
    finally:
        for other in others:
            other.drop()
        fragile_tables.run(f"SET GLOBAL max_connections = {usual['n']}")
    assert fragile_player.me().status == 200


def _connections_tried(tables: Tables) -> int:
    (row,) = tables.run("SHOW GLOBAL STATUS LIKE 'Connections'")
    return int(row["Value"])


def test_server_is_stopped(fragile: RuledServer, fragile_player: Player) -> None:
    """While the database is down players get a quick 503; after its restart all goes on."""
    fragile.stop()
    try:
        for request in (fragile_player.me, fragile_player.refresh, fragile_player.log_in):
            began = time.monotonic()
            assert is_unavailable(request())
            assert time.monotonic() - began < 2.0
        assert is_unavailable(call("GET", "/v1/health"))
    finally:
        fragile.start()
    assert fragile_player.me().status == 200
    assert fragile_player.refresh().status == 200
    assert fragile_player.log_in().status == 200


def test_server_is_killed(fragile: RuledServer, fragile_player: Player) -> None:
    """What was acknowledged before the server was killed is there when it is back."""
    new = Player()
    assert new.register().status == 201
    assert fragile_player.change_password(NEW_PASSWORD).status == 200
    assert new.log_out().status == 200
    os.kill(fragile.pid(), signal.SIGKILL)
    fragile.stop()
    try:
        assert is_unavailable(fragile_player.me())
    finally:
        fragile.start()
    assert fragile_player.me().status == 200
    assert fragile_player.on_another_device().log_in().status == 200
    assert fragile_player.on_another_device().log_in(PASSWORD).status == 401
    assert new.refresh().code == "session_ended"
    assert new.log_in().status == 200


def test_server_hangs(fragile: RuledServer, fragile_player: Player) -> None:
    """A server that says nothing at all costs a request no more than its budget."""
    os.kill(fragile.pid(), signal.SIGSTOP)
    try:
        began = time.monotonic()
        answer = fragile_player.me()
        seconds = time.monotonic() - began
    finally:
        os.kill(fragile.pid(), signal.SIGCONT)
    assert is_unavailable(answer)
    assert 3.0 < seconds < 9.0
    assert fragile_player.me().status == 200


# Lost answers


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("key", [None, KEY])
def test_registration_loses_its_commit(
    warm: Database, tables: Tables, wire: Wire, *, answered: bool, key: str | None
) -> None:
    """A registration whose COMMIT got no answer is never told that its own name is taken."""
    player = Player()
    wire.cut_at("COMMIT", answered=answered)
    answer = player.register(key=key)
    assert wire.cuts == 1
    assert answer.status == 201, answer.text
    assert tables.count("accounts") == 1
    assert tables.count("sessions") == 1
    assert player.me().status == 200
    assert player.refresh().status == 200


@pytest.mark.parametrize("answered", [True, False])
def test_registration_loses_every_commit(
    warm: Database, tables: Tables, wire: Wire, *, answered: bool
) -> None:
    """A registration whose outcome stays unknown is a 503, and can be repeated with its key."""
    player = Player()
    wire.cut_at("COMMIT", answered=answered, times=2)
    answer = player.register(key=KEY)
    assert answer.status == 201 if answered else is_unavailable(answer)
    assert player.register(key=KEY).status == 201
    assert player.me().status == 200
    assert tables.count("accounts") == 1


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("times", [1, 2])
def test_password_change_loses_its_answer(
    warm: Database, wire: Wire, *, answered: bool, times: int
) -> None:
    """A password change whose outcome is unknown is looked up: 200 or 503, never 401."""
    player = Player()
    player.register()
    other = player.on_another_device()
    other.log_in()
    wire.cut_at("UPDATE accounts a JOIN sessions s", answered=answered, times=times)
    answer = player.change_password(NEW_PASSWORD, current=PASSWORD)
    assert wire.cuts == times
    assert answer.status == 200 if times == 1 else is_unavailable(answer)
    repeated = player.change_password(NEW_PASSWORD, current=PASSWORD)
    assert repeated.status == 200, repeated.text
    assert player.me().status == 200
    assert player.refresh().status == 200
    assert other.me().code == "invalid_token"
    assert player.on_another_device().log_in(NEW_PASSWORD).status == 200
    assert player.on_another_device().log_in(PASSWORD).status == 401


def test_statements_of_a_password_change_run_late(
    warm: Database, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the server runs late, after it was given up and sent again, signs nobody out."""
    player = Player()
    player.register()
    run, sent = Connection.run, []

    def run_and_note(connection: Connection, statement: Statement, seconds: float) -> Any:
        sent.append(statement)
        return run(connection, statement, seconds)

    monkeypatch.setattr(Connection, "run", run_and_note)
    assert player.change_password(NEW_PASSWORD, current=PASSWORD).status == 200
    assert player.change_password(NEW_PASSWORD, current=PASSWORD).status == 200  # repeated
    monkeypatch.undo()
    late = [each for each in sent if each.sql.startswith("UPDATE") and "tail_hash" in each.sql]
    assert len(late) == 2
    with stack.mariadb.connect() as connection:
        for statement in late:
            connection.run(statement, 5.0)
    assert player.refresh().status == 200
    assert player.on_another_device().log_in(NEW_PASSWORD).status == 200


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("times", [1, 2])
def test_deletion_loses_its_answer(
    warm: Database, tables: Tables, wire: Wire, *, answered: bool, times: int
) -> None:
    """A deletion whose outcome is unknown is looked up: 200 or 503, never 401."""
    player = Player()
    player.register()
    wire.cut_at("DELETE FROM accounts", answered=answered, times=times)
    answer = player.delete()
    assert wire.cuts == times
    assert answer.status == 200 if times == 1 else is_unavailable(answer)
    if tables.count("accounts"):
        assert player.delete().status == 200
    assert tables.count("accounts") == 0
    assert Player(player.username).register().status == 201


@pytest.mark.parametrize("answered", [True, False])
def test_refresh_loses_its_answer(warm: Database, wire: Wire, *, answered: bool) -> None:
    """A refresh whose outcome is unknown gives the one successor; nobody is signed out."""
    player = Player()
    player.register()
    wire.cut_at("UPDATE sessions s JOIN accounts a", answered=answered)
    assert player.refresh().status == 200
    assert wire.cuts == 1
    assert player.refresh().status == 200


@pytest.mark.parametrize("answered", [True, False])
def test_login_loses_its_answer(
    warm: Database, tables: Tables, wire: Wire, *, answered: bool
) -> None:
    """A sign-in whose outcome is unknown opens one session."""
    player = Player()
    player.register()
    tables.run("DELETE FROM sessions")
    wire.cut_at("INSERT INTO sessions", answered=answered)
    assert player.log_in().status == 200
    assert wire.cuts == 1
    assert tables.count("sessions") == 1
    assert player.me().status == 200


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("everywhere", [True, False])
def test_log_out_loses_its_answer(
    warm: Database, wire: Wire, *, answered: bool, everywhere: bool
) -> None:
    """A sign-out whose outcome is unknown is done again: a 200 means that no token works."""
    player = Player()
    player.register()
    wire.cut_at("UPDATE ", answered=answered)
    assert player.log_out(everywhere=everywhere).status == 200
    assert wire.cuts == 1
    assert player.me().code == "invalid_token"
    assert player.refresh().code == "session_ended"


def test_give_back_is_never_sent_twice(warm: Database, tables: Tables, wire: Wire) -> None:
    """A charge whose giving back got no answer is given back at most once."""
    player = Player()
    player.register()
    assert player.log_in("not the password").status == 401  # charged once, for good
    before = tables.run("SELECT bucket, tat FROM rate_limits ORDER BY bucket")
    wire.cut_at("UPDATE rate_limits", answered=True)
    assert player.log_in().status in (200, 503)
    assert wire.cuts == 1
    after = tables.run("SELECT bucket, tat FROM rate_limits ORDER BY bucket")
    assert [row["bucket"] for row in after] == [row["bucket"] for row in before]
    assert all(old["tat"] <= new["tat"] for old, new in zip(before, after, strict=True))


def test_transaction_is_whole(warm: Database, tables: Tables) -> None:
    """Of a transaction whose second statement is refused nothing stays, not even open."""
    warm.start_request()
    insert = Statement("INSERT INTO rate_limits VALUES (%s, 0)", (b"1" * 16,))
    with pytest.raises(Duplicate):
        warm.transact(insert, insert)
    assert tables.count("rate_limits") == 0
    warm.start_request()
    warm.execute(OUTSIDE_TRANSACTIONS)
    warm.execute("BEGIN")
    with pytest.raises(Unavailable, match="1568"):  # so that is how it shows
        warm.execute(OUTSIDE_TRANSACTIONS)


def test_attempts_are_limited(
    stack: Stack, settings: Settings, fragile: RuledServer, fragile_tables: Tables
) -> None:
    """However a request fails, it asks the server for no more than three connections."""
    database = Database(SecretStore(), "fragile/database", str(fragile.ca_file))
    before = _connections_tried(fragile_tables)
    try:
        for _ in range(5):
            with pytest.raises(Unavailable):
                database.execute("KILL CONNECTION_ID()")
    finally:
        database.close()
    assert _connections_tried(fragile_tables) <= before + 3


def test_secret_never_prints_its_password() -> None:
    """What the database's secret looks like in a log or a traceback has no password in it."""
    secret = DatabaseSecret("ada", "hunter2", "db.example.com", 3306, "game", "mariadb")
    assert "hunter2" not in f"{secret} {secret!r}"
