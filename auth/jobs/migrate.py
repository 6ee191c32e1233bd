"""Brings the schema up to date: numbered SQL files, each applied once.

Each file has one statement, since MySQL commits each DDL statement by itself: so a file is applied
or not, even if the run is killed. The table `schema_migrations` records the start and the end of
each file. The next run repeats a file that was started but not finished, and accepts that its
change may exist already.
"""

import hashlib
import logging
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from auth.external.connection import Connection, Row, Statement, Value
from auth.external.failures import DatabaseFailure

logger = logging.getLogger(__name__)

FOLDER = Path(__file__).parents[1] / "store" / "migrations"
LOCK = "game_login_migrations"
LOCK_WAIT_SECONDS = 60
SECONDS = 600.0  # for one statement: changing a large table takes long
ALREADY_THERE = {1050, 1060, 1061, 1091, 1826}  # table, column, key; nothing to drop; foreign key

_FILE_NAME = re.compile(r"\d{4}_[a-z0-9_]+\.sql")
_LOG_TABLE = """
    CREATE TABLE IF NOT EXISTS schema_migrations (
        name VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
        checksum CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
        finished_at DATETIME(6) NULL
    ) ENGINE = InnoDB
"""


class MigrationError(Exception):
    """The schema could not be migrated; the text names the file and the cause."""


@dataclass(frozen=True)
class Migration:
    """One migration file."""

    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """Return the SHA-256 of the file, which must not change after it was applied."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations_in(folder: Path) -> list[Migration]:
    """Return the migrations of a folder, in order.

    Raises:
        MigrationError: a file has an invalid name, or a number that is used twice.
    """
    paths = sorted(folder.glob("*.sql"))
    for path in paths:
        if not _FILE_NAME.fullmatch(path.name):
            raise MigrationError(f"{path.name}: rename it like 0001_add_accounts.sql")
    if len({path.name[:4] for path in paths}) < len(paths):
        raise MigrationError(f"two files in {folder.name} have the same number: rename one of them")
    return [Migration(path.name, path.read_text()) for path in paths]


def migrate(connection: Connection, migrations: Sequence[Migration]) -> list[str]:
    """Apply the pending migrations in order, and return the names of their files.

    Raises:
        MigrationError: one failed (earlier ones stay applied, and the next run continues after
            them), an applied one was edited, or another run does not finish.
    """
    locked = _run(connection, "SELECT GET_LOCK(%s, %s) AS locked", LOCK, LOCK_WAIT_SECONDS)
    if not locked[0]["locked"]:
        raise MigrationError(
            f"another migration has been running for {LOCK_WAIT_SECONDS} s: wait for it to finish,"
            " then run this one again"
        )
    try:
        _run(connection, _LOG_TABLE)
        rows = _run(connection, "SELECT name, checksum, finished_at FROM schema_migrations")
        noted = {row["name"]: row for row in rows}
        return [m.name for m in migrations if _apply(connection, m, noted.get(m.name))]
    finally:
        if connection.open:
            _run(connection, "SELECT RELEASE_LOCK(%s)", LOCK)


def _apply(connection: Connection, migration: Migration, noted: Row | None) -> bool:
    """Apply one migration unless that was done earlier; return whether it was applied now."""
    name, checksum = migration.name, migration.checksum
    if noted and noted["finished_at"]:
        if noted["checksum"] != checksum:
            raise MigrationError(
                f"{name} was edited after it was applied: restore the file, and put the change into"
                " a new migration"
            )
        return False
    _run(
        connection,
        "REPLACE INTO schema_migrations (name, checksum) VALUES (%s, %s)",
        name,
        checksum,
    )
    # DDL commits by itself; any other change and its record are one transaction.
    _run(connection, "BEGIN")
    try:
        _run(connection, migration.sql)
    except DatabaseFailure as failure:
        begun = noted is not None and noted["checksum"] == checksum
        if not (begun and failure.number in ALREADY_THERE):
            with suppress(DatabaseFailure):  # the connection itself may have failed
                _run(connection, "ROLLBACK")
                _run(connection, "DELETE FROM schema_migrations WHERE name = %s", name)
            raise MigrationError(f"{name}: {failure.in_full()}") from None
    _run(
        connection,
        "UPDATE schema_migrations SET finished_at = UTC_TIMESTAMP(6) WHERE name = %s",
        name,
    )
    _run(connection, "COMMIT")
    logger.info("applied the migration %s", name, extra={"event": "migrated"})
    return True


def _run(connection: Connection, sql: str, *parameters: Value) -> list[Row]:
    return connection.run(Statement(sql, parameters), SECONDS).rows
