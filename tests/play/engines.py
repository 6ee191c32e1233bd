"""The differences between MySQL and MariaDB that tests must know."""

import time
from pathlib import Path

from local.database_server import DatabaseServer
from local.engines import chosen
from tests.conftest import Tables

MYSQL = chosen() == "mysql"

# The two servers use different names for the same setting.
STATEMENT_LIMIT = "max_execution_time" if MYSQL else "max_statement_time"
READ_ONLY = ("read_only", "super_read_only") if MYSQL else ("read_only",)  # first turns off both
RULES_THE_SERVER = "SYSTEM_VARIABLES_ADMIN" if MYSQL else "SUPER, READ_ONLY ADMIN"


class RuledServer(DatabaseServer):
    """A server that lets its admin change variables too: to make it read-only, or to exhaust it."""

    def _setup_file(self) -> Path:
        path = super()._setup_file()
        with path.open("a") as setup:
            setup.write(f"GRANT {RULES_THE_SERVER} ON *.* TO '{self.admin.username}'@'%';\n")
        return path

    def pid(self) -> int:
        """Return the server's process id."""
        return int((self.folder / "server.pid").read_text())


def cut_connections(tables: Tables, username: str) -> None:
    """Close all connections of a user."""
    sql = "SELECT id FROM information_schema.processlist WHERE user = %s"
    for row in tables.run(sql, username):
        tables.run(f"KILL CONNECTION {row['id']}")


def wait_for_statement(tables: Tables, sql: str) -> None:
    """Wait until the server is running a statement."""
    end = time.monotonic() + 10.0
    running = "SELECT id FROM information_schema.processlist WHERE info = %s"
    while not tables.run(running, sql):
        assert time.monotonic() < end, "the statement does not run"
        time.sleep(0.02)
    time.sleep(0.1)
    assert tables.run(running, sql), "the statement is over already"
