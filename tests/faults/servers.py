"""The database and the Secrets Manager stand-in of the fault tests, and ways to break them.

Both MariaDB and MySQL understand the statements here.
"""

import os
import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from auth.external.connection import Connection, DatabaseSecret, Statement, connect, tls_context
from auth.external.failures import DatabaseFailure
from auth.jobs.database_users import grant_application
from local.database_server import Users
from local.stack import Stack
from tests.play.engines import RuledServer

PATIENCE_SECONDS = 20.0
MOST = "max_connections"
GONE = 1094  # unknown thread id: the connection has closed


class Server(RuledServer):
    """A database server that can be broken."""

    def kill(self) -> None:
        """Kill the server, as a power failure would."""
        os.kill(self.pid(), signal.SIGKILL)
        self.stop()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop the process while its connections stay open."""
        pid = self.pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def run(self, *statements: str) -> list[dict[str, Any]]:
        """Run statements as the admin, and return the rows of the last."""
        rows: list[dict[str, Any]] = []
        with self.connect() as connection:
            for sql in statements:
                rows = connection.run(Statement(sql), PATIENCE_SECONDS).rows
        return rows

    def connections_of(self, *users: str) -> list[int]:
        """Return the connections of these users."""
        with self.connect() as admin:
            return _connections_of(admin, *users)

    def cut(self, *numbers: int) -> None:
        """Close connections."""
        with self.connect() as admin:
            _cut(admin, *numbers)

    def cut_all_of(self, *users: str) -> None:
        """Close the connections of these users; fail if they have none."""
        connections = self.connections_of(*users)
        assert connections, f"{' and '.join(users)} are not connected"
        self.cut(*connections)

    def new_user(self, username: str) -> DatabaseSecret:
        """Create a user afresh with the application's rights, and return its secret."""
        secret = msgspec.structs.replace(
            self.application, username=username, password=secrets.token_urlsafe(16)
        )
        with self.connect() as connection:
            connection.run(Statement(f"DROP USER IF EXISTS {username}"), PATIENCE_SECONDS)
            grant_application(connection, secret)
        return secret

    def set_password(self, secret: DatabaseSecret) -> None:
        """Give a user the password of this secret."""
        self.run(f"ALTER USER {secret.username} IDENTIFIED BY '{secret.password}'")

    @contextmanager
    def set_to(self, variable: str, value: int) -> Iterator[None]:
        """Set a global variable for a while."""
        (row,) = self.run(f"SELECT @@GLOBAL.{variable} AS usual")
        self.run(f"SET GLOBAL {variable} = {value}")
        try:
            yield
        finally:
            self.run(f"SET GLOBAL {variable} = {row['usual']}")

    @contextmanager
    def locked(self, table: str) -> Iterator[None]:
        """Keep all rows of a table locked, and the places of new ones."""
        gaps = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"  # without it, rows can be added
        with self.connect() as connection:
            connection.run(Statement(gaps), PATIENCE_SECONDS)
            connection.run(Statement("BEGIN"), PATIENCE_SECONDS)
            connection.run(Statement(f"SELECT * FROM {table} FOR UPDATE"), PATIENCE_SECONDS)
            yield
            connection.run(Statement("ROLLBACK"), PATIENCE_SECONDS)

    @contextmanager
    def exhausted(self) -> Iterator[None]:
        """Use up the server's connections, those of the handlers included."""
        tls, taken = tls_context(str(self.ca_file)), list[Connection]()
        user, handlers = self.new_user("glutton"), self.application.username
        # The admin connects first: later, the refused handlers would compete for its connection.
        with self.connect() as admin:
            (row,) = admin.run(Statement(f"SELECT @@GLOBAL.{MOST} AS usual"), PATIENCE_SECONDS).rows
            admin.run(Statement(f"SET GLOBAL {MOST} = 10"), PATIENCE_SECONDS)
            try:
                end = time.monotonic() + PATIENCE_SECONDS
                while not taken or _connections_of(admin, handlers):
                    assert time.monotonic() < end, "could not take the handlers' connections"
                    _cut(admin, *_connections_of(admin, handlers))
                    with suppress(DatabaseFailure):
                        while True:
                            taken.append(connect(user, tls))
                yield
            finally:
                for connection in taken:
                    connection.drop()
                # By the same connection: the server may not have noticed that others are free.
                admin.run(Statement(f"SET GLOBAL {MOST} = {row['usual']}"), PATIENCE_SECONDS)


def _connections_of(admin: Connection, *users: str) -> list[int]:
    names = ", ".join(f"'{user}'" for user in users)
    sql = f"SELECT id AS number FROM information_schema.processlist WHERE user IN ({names})"
    return [row["number"] for row in admin.run(Statement(sql), PATIENCE_SECONDS).rows]


def _cut(admin: Connection, *numbers: int) -> None:
    for number in numbers:
        try:
            admin.run(Statement(f"KILL CONNECTION {number}"), PATIENCE_SECONDS)
        except DatabaseFailure as failure:
            if failure.number != GONE:
                raise


class Servers:
    """Both servers."""

    def __init__(self, folder: Path) -> None:
        self._stack = Stack(folder, rate_limit_scale="1")
        usual = self._stack.database
        users = Users(usual.admin.password, usual.application.password)
        self.database = Server(usual.folder, users)
        self._stack.database = self.database

    def start(self) -> None:
        """Start both, with the schema and the secrets."""
        self._stack.start()

    def stop(self) -> None:
        """Stop both."""
        self._stack.stop()

    @property
    def secrets_address(self) -> tuple[str, int]:
        """Return the address of the Secrets Manager stand-in."""
        port = self._stack.secrets_manager.endpoint.rpartition(":")[2]
        return "127.0.0.1", int(port)

    @property
    def secrets_client(self) -> Any:
        """Return a client of the Secrets Manager stand-in."""
        return self._stack.secrets_manager.client()

    def environment(self) -> dict[str, str]:
        """Return the handler's environment."""
        return self._stack.environment()
