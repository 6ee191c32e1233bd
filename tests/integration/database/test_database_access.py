"""Access to the database: TLS, and the rights of the application's user."""

import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pymysql
import pytest

from auth.external.connection import Connection, Statement, connect, tls_context
from auth.external.database import Database
from auth.external.failures import DatabaseFailure, FailureKind
from auth.settings import Settings
from local.stack import Stack
from tests.conftest import Tables
from tests.play.containers import Serve, ask, statements_run
from tests.play.engines import MYSQL
from tests.play.events import is_unavailable
from tests.play.players import Player

# TLS


def test_server_of_another_ca(
    tables: Tables,
    settings: Settings,
    certificates: Path,
    serve: Serve,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A server with a certificate of another CA gets no statement, and the player gets a 503.

    The log distinguishes it from an unreachable server.
    """
    serve(replace(settings, database_ca_file=str(certificates / "ca.pem")))
    before = statements_run(tables)
    assert is_unavailable(Player().register())
    assert statements_run(tables) == before
    assert "TLS failed" in caplog.text
    assert "unreachable" not in caplog.text


def test_certificate_of_another_ca(stack: Stack, certificates: Path) -> None:
    """Connecting to a server of another CA fails because of its certificate."""
    with pytest.raises(DatabaseFailure) as refused:
        connect(stack.database.application, tls_context(str(certificates / "ca.pem")))
    assert refused.value.kind == FailureKind.TLS
    # 19: not signed by one of our CAs; both CAs have the same name here (X509_V_ERR).
    assert _tls_error(refused.value).verify_code == 19


def test_server_that_hangs_up(stack: Stack) -> None:
    """A server that hangs up during the handshake is unreachable, not a man in the middle."""
    greeting = bytearray()

    def greet_and_hang_up(listener: socket.socket) -> None:
        with socket.create_connection((secret.host, secret.port)) as real:
            greeting.extend(real.recv(4096))
        client, _ = listener.accept()
        with client:
            client.sendall(greeting)
            client.recv(4096)  # the request for TLS, and perhaps the start of the handshake

    secret = stack.database.application
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=greet_and_hang_up, args=(listener,))
        server.start()
        there = msgspec.structs.replace(secret, port=listener.getsockname()[1])
        with pytest.raises(DatabaseFailure) as refused:
            connect(there, tls_context(str(stack.database.ca_file)))
        server.join()
    assert refused.value.kind in (FailureKind.UNREACHABLE, FailureKind.LOST)


@pytest.fixture
def another_name(monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a name of this machine that is missing from the server's certificate."""
    resolve = socket.getaddrinfo
    name = "database.example.com"

    def resolve_it(host: str, *arguments: Any, **more: Any) -> Any:
        return resolve("127.0.0.1" if host == name else host, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_it)
    return name


def test_certificate_of_another_host(stack: Stack, another_name: str) -> None:
    """A certificate of the right CA is refused if it is for another host."""
    secret = msgspec.structs.replace(stack.database.application, host=another_name)
    with pytest.raises(DatabaseFailure) as refused:
        connect(secret, tls_context(str(stack.database.ca_file)))
    assert "Hostname mismatch" in _tls_error(refused.value).verify_message


def test_server_of_another_host(
    stack: Stack, tables: Tables, settings: Settings, another_name: str, serve: Serve
) -> None:
    """A server with another host's certificate gets no statement, and the player gets a 503."""
    secret = msgspec.structs.replace(stack.database.application, host=another_name)
    stack.secrets_manager.put("another-host/database", msgspec.to_builtins(secret))
    serve(replace(settings, database_secret_id="another-host/database"))
    before = statements_run(tables)
    assert is_unavailable(Player().register())
    assert statements_run(tables) == before


def test_plain_text_is_refused(stack: Stack) -> None:
    """The server refuses connections without TLS."""
    secret = stack.database.application
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


def _tls_error(failure: DatabaseFailure) -> ssl.SSLCertVerificationError:
    cause = failure.__context__
    assert isinstance(cause, pymysql.OperationalError)
    error = cause.original_exception  # type: ignore[attr-defined]  # not in the stubs
    assert isinstance(error, ssl.SSLCertVerificationError)
    assert failure.kind == FailureKind.TLS
    return error


# Rights of the application's user


@pytest.fixture
def application_connection(stack: Stack) -> Iterator[Connection]:
    """Return a connection of the application's user."""
    connection = connect(stack.database.application, tls_context(str(stack.database.ca_file)))
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
    """The application's user may only read and write rows of its own schema."""
    with pytest.raises(DatabaseFailure) as refused:
        application_connection.run(Statement(sql), 5.0)
    # Access denied: to a schema, to a file, to a table, to the server, to grant.
    assert refused.value.number in (1044, 1045, 1142, 1227, 1410)


def test_grants(application_connection: Connection) -> None:
    """The application has only SELECT, INSERT, UPDATE and DELETE on its schema, over TLS."""
    rows = application_connection.run(Statement("SHOW GRANTS"), 5.0).rows
    usage, rights = [str(value) for row in rows for value in row.values()]
    if MYSQL:  # it stores the way of signing in apart from the rights
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
