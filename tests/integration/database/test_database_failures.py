"""Every way in which the database itself can fail during a request."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import msgspec
import pytest

from auth.errors import Unavailable
from auth.external.connection import Connection, connect, tls_context
from auth.external.database import REQUEST_SECONDS, Database
from auth.external.failures import DatabaseFailure
from auth.external.secret_store import SecretStore
from auth.jobs.database_users import grant_application
from auth.jobs.migrate import FOLDER, migrate, migrations_in
from auth.settings import Settings
from local.database_server import Users
from local.stack import Stack
from tests.conftest import Tables
from tests.play.containers import Serve, ask
from tests.play.engines import READ_ONLY, RuledServer
from tests.play.events import is_unavailable
from tests.play.players import PASSWORD, Player, call, running

NEW_PASSWORD = "seven wooden ladders tonight"


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory, stack: Stack) -> Iterator[RuledServer]:
    """Return a server used by this file only, so that the shared one stays intact."""
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
    """Return the tables of the fragile server, emptied."""
    with fragile.connect() as connection:
        tables = Tables(connection)
        tables.empty()
        yield tables


@pytest.fixture
def fragile_player(
    fragile: RuledServer, fragile_tables: Tables, settings: Settings, serve: Serve
) -> Player:
    """Return a player of a warm container on the fragile server."""
    serve(
        replace(
            settings, database_secret_id="fragile/database", database_ca_file=str(fragile.ca_file)
        )
    )
    player = Player()
    assert player.register().status == 201
    return player


@pytest.mark.parametrize("variable", READ_ONLY)
def test_server_is_read_only(fragile_player: Player, fragile_tables: Tables, variable: str) -> None:
    """A read-only server gives 503 for writes and answers reads; later all requests succeed."""
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
    database: Database = running().database
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
    """If the server has no connection left, a request tries once more and then gives 503."""
    database: Database = running().database
    database.close()
    (usual,) = fragile_tables.run("SELECT @@max_connections AS n")
    tls = tls_context(str(fragile.ca_file))
    others: list[Connection] = []
    fragile_tables.run("SET GLOBAL max_connections = 10")
    try:
        with suppress(DatabaseFailure):
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
    """While the database is down players get a quick 503; after its restart requests succeed."""
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
    """Acknowledged changes survive a kill of the server."""
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


def test_server_is_killed_after_a_recovery(
    fragile: RuledServer, fragile_player: Player, fragile_tables: Tables
) -> None:
    """An acknowledged recovery survives a kill of the server: its password and its code work."""
    code = fragile_player.saved_code()
    lost = fragile_player.on_another_device()
    recovered = lost.recover(code, NEW_PASSWORD)
    os.kill(fragile.pid(), signal.SIGKILL)
    assert recovered.status == 200
    fragile.stop()
    fragile.start()
    assert lost.on_another_device().log_in().status == 200
    assert lost.on_another_device().log_in(PASSWORD).status == 401
    assert lost.me().status == 200
    assert fragile_player.refresh().code == "session_ended"
    assert lost.recover(code, PASSWORD).status == 401
    assert lost.recover(recovered.json["recovery_code"], PASSWORD).status == 200


def test_server_hangs(fragile: RuledServer, fragile_player: Player) -> None:
    """A server that does not answer costs a request no more than its budget."""
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


def test_attempts_are_limited(
    stack: Stack, settings: Settings, fragile: RuledServer, fragile_tables: Tables
) -> None:
    """A failing request opens at most three connections to the server."""
    database = Database(SecretStore(), "fragile/database", str(fragile.ca_file))
    before = _connections_tried(fragile_tables)
    try:
        with database.budget(REQUEST_SECONDS):
            for _ in range(5):
                with pytest.raises(Unavailable):
                    database.execute("KILL CONNECTION_ID()")
    finally:
        database.close()
    assert _connections_tried(fragile_tables) <= before + 3
