"""Migrations: each is applied once, with several runners at a time and after a failed run."""

import json
import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from auth.external.connection import Connection
from auth.jobs.migrate import FOLDER, MigrationError, migrate, migrations_in
from local.database_server import DatabaseServer
from local.stack import ROOT
from tests.conftest import Tables
from tests.play.engines import wait_for_statement
from tests.play.sources import created_tables

# A runner in its own process: it reports when it is connected and starts when told to.
RUNNER = """
import json, sys
from pathlib import Path
import msgspec
from auth.external.connection import DatabaseSecret, connect, tls_context
from auth.jobs.migrate import migrate, migrations_in

secret, ca_file, folder = sys.argv[1:]
admin = msgspec.json.decode(secret, type=DatabaseSecret)
connection = connect(admin, tls_context(ca_file), read_seconds=60.0, statement_seconds=0)
print("ready", flush=True)
sys.stdin.readline()
print(json.dumps(migrate(connection, migrations_in(Path(folder)))))
connection.close()
"""


@pytest.fixture
def schema(connection: Connection) -> Tables:
    """Return the schema, emptied."""
    return Tables(connection)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty folder for migrations."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    return folder


class Runner:
    """A runner in its own process."""

    def __init__(self, server: DatabaseServer, folder: Path) -> None:
        secret = msgspec.json.encode(server.admin).decode()
        self._process = subprocess.Popen(
            [sys.executable, "-c", RUNNER, secret, str(server.ca_file), str(folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def get_ready(self) -> None:
        """Wait until it is connected."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def go(self) -> None:
        """Let it start."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def applied(self) -> list[str]:
        """Wait for its end and return the names of the applied migrations."""
        output, _ = self._process.communicate(timeout=60)
        assert self._process.returncode == 0
        names: list[str] = json.loads(output)
        return names

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def runner(
    server: DatabaseServer, connection: Connection, folder: Path
) -> Iterator[Callable[[], Runner]]:
    """Return a function that starts runners over the folder."""
    runners: list[Runner] = []

    def start() -> Runner:
        runners.append(Runner(server, folder))
        return runners[-1]

    yield start
    for one in runners:
        one.kill()


def write(folder: Path, **files: str) -> None:
    """Write migrations: first="SQL" becomes 0001_first.sql, the next 0002_..., and so on."""
    for number, (name, sql) in enumerate(files.items(), 1):
        (folder / f"{number:04}_{name}.sql").write_text(sql)


def noted(schema: Tables) -> list[tuple[str, bool]]:
    """Return the recorded migrations, and whether each is marked finished."""
    rows = schema.run("SELECT name, finished_at FROM schema_migrations ORDER BY name")
    return [(row["name"], row["finished_at"] is not None) for row in rows]


def tables_of(schema: Tables) -> set[str]:
    """Return the names of the schema's tables."""
    return {str(name) for row in schema.run("SHOW TABLES") for name in row.values()}


def test_empty_schema(connection: Connection, schema: Tables) -> None:
    """An empty schema gets all our tables, in order, and each file is recorded."""
    names = migrate(connection, migrations_in(FOLDER))
    assert names == sorted(path.name for path in FOLDER.glob("*.sql"))
    assert tables_of(schema) == {*created_tables(), "schema_migrations"}
    assert {"accounts", "sessions", "rate_limits"} <= set(created_tables())
    assert noted(schema) == [(name, True) for name in names]


def test_twice(connection: Connection, schema: Tables) -> None:
    """A second run has nothing to do and changes nothing."""
    migrate(connection, migrations_in(FOLDER))
    before = schema.run("SELECT * FROM schema_migrations")
    assert migrate(connection, migrations_in(FOLDER)) == []
    assert schema.run("SELECT * FROM schema_migrations") == before


def test_next_version(connection: Connection, schema: Tables, folder: Path) -> None:
    """A new file is applied to the existing schema; the rows stay."""
    write(folder, first="CREATE TABLE first (n INT)")
    assert migrate(connection, migrations_in(folder)) == ["0001_first.sql"]
    schema.run("INSERT INTO first VALUES (7)")
    write(
        folder,
        first="CREATE TABLE first (n INT)",
        second="ALTER TABLE first ADD COLUMN m INT NOT NULL DEFAULT 8",
    )
    assert migrate(connection, migrations_in(folder)) == ["0002_second.sql"]
    assert schema.run("SELECT n, m FROM first") == [{"n": 7, "m": 8}]


@pytest.mark.parametrize("number", [2, 5])
def test_runners_at_once(
    runner: Callable[[], Runner], schema: Tables, folder: Path, number: int
) -> None:
    """With several runners at a time each file is applied by exactly one."""
    write(
        folder,
        first="CREATE TABLE first (n INT)",
        second="INSERT INTO first SELECT SLEEP(0.2)",
        third="ALTER TABLE first ADD COLUMN m INT",
        fourth="INSERT INTO first VALUES (1, 1)",
    )
    runners = [runner() for _ in range(number)]
    for one in runners:
        one.get_ready()
    for one in runners:
        one.go()
    applied = [name for one in runners for name in one.applied()]
    assert applied == sorted(path.name for path in folder.iterdir())
    assert schema.count("first") == 2


def test_statement_fails(connection: Connection, schema: Tables, folder: Path) -> None:
    """A failure names file and cause and keeps earlier files; once fixed, the next run goes on."""
    first, third = "CREATE TABLE first (n INT)", "CREATE TABLE third (n INT)"
    write(folder, first=first, second="ALTER TABLE frist ADD COLUMN m INT", third=third)
    with pytest.raises(MigrationError, match=r"0002_second\.sql: error 1146 NO_SUCH_TABLE\Z"):
        migrate(connection, migrations_in(folder))
    assert tables_of(schema) == {"first", "schema_migrations"}
    assert noted(schema) == [("0001_first.sql", True)]
    write(folder, first=first, second="ALTER TABLE first ADD COLUMN m INT", third=third)
    assert migrate(connection, migrations_in(folder)) == ["0002_second.sql", "0003_third.sql"]
    assert tables_of(schema) == {"first", "third", "schema_migrations"}


def test_table_of_another_program(connection: Connection, schema: Tables, folder: Path) -> None:
    """A table that none of our runs can have created is never taken for the migration's own."""
    schema.run("CREATE TABLE first (something_else INT)")
    write(folder, first="CREATE TABLE first (n INT)")
    for _ in range(2):
        with pytest.raises(
            MigrationError, match=r"0001_first\.sql: error 1050 TABLE_EXISTS_ERROR\Z"
        ):
            migrate(connection, migrations_in(folder))


def test_change_of_rows_fails(connection: Connection, schema: Tables, folder: Path) -> None:
    """A statement that fails half-way through its rows changes none of them."""
    write(
        folder,
        first="CREATE TABLE first (n INT PRIMARY KEY)",
        second="INSERT INTO first VALUES (1), (2), (1)",
    )
    with pytest.raises(MigrationError, match=r"0002_second\.sql: error 1062 DUP_ENTRY"):
        migrate(connection, migrations_in(folder))
    assert schema.count("first") == 0


def test_no_value_is_told(connection: Connection, schema: Tables, folder: Path) -> None:
    """A failure names the error and the key but no value, because CI prints it for all to read."""
    write(
        folder,
        first="CREATE TABLE first (secret VARCHAR(40))",
        second="INSERT INTO first VALUES ('canary-4711'), ('canary-4711')",
        third="ALTER TABLE first ADD UNIQUE KEY one_each (secret)",
    )
    with pytest.raises(MigrationError) as caught:
        migrate(connection, migrations_in(folder))
    assert str(caught.value) == "0003_third.sql: error 1062 DUP_ENTRY on key one_each"
    # Nor does Lambda print any, causes included.
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_one_statement_a_file(connection: Connection, schema: Tables, folder: Path) -> None:
    """A file with two statements is refused before either takes effect."""
    write(folder, first="CREATE TABLE first (n INT); CREATE TABLE second (n INT)")
    with pytest.raises(MigrationError, match=r"0001_first\.sql: error 1064 PARSE_ERROR\Z"):
        migrate(connection, migrations_in(folder))
    assert tables_of(schema) == {"schema_migrations"}


def test_percent_signs(connection: Connection, schema: Tables, folder: Path) -> None:
    """A migration's text is used literally, percent signs included."""
    write(folder, first="CREATE TABLE first (n INT COMMENT '100 % of %s')")
    assert migrate(connection, migrations_in(folder)) == ["0001_first.sql"]
    assert "100 % of %s" in str(schema.run("SHOW CREATE TABLE first"))


def test_applied_file_is_edited(connection: Connection, schema: Tables, folder: Path) -> None:
    """A file edited after it was applied is refused, and no later file is applied."""
    write(folder, first="CREATE TABLE first (n INT)")
    migrate(connection, migrations_in(folder))
    write(folder, first="CREATE TABLE first (n BIGINT)", second="CREATE TABLE second (n INT)")
    with pytest.raises(MigrationError, match=r"0001_first\.sql was edited after it was applied"):
        migrate(connection, migrations_in(folder))
    assert tables_of(schema) == {"first", "schema_migrations"}


@pytest.mark.parametrize("sql", ["CREATE TABLE second (n INT)", "ALTER TABLE first ADD m INT"])
@pytest.mark.parametrize("took_effect", [True, False])
def test_killed_before_the_note(
    connection: Connection, schema: Tables, folder: Path, sql: str, *, took_effect: bool
) -> None:
    """If a runner died between a change and its record, the next one goes on in both cases."""
    write(
        folder, first="CREATE TABLE first (n INT)", second=sql, third="CREATE TABLE third (n INT)"
    )
    migrate(connection, migrations_in(folder)[:1])
    migration = migrations_in(folder)[1]
    schema.run(
        "INSERT INTO schema_migrations (name, checksum) VALUES (%s, %s)",
        migration.name,
        migration.checksum,
    )
    if took_effect:
        schema.run(sql)
    assert migrate(connection, migrations_in(folder)) == ["0002_second.sql", "0003_third.sql"]
    assert [finished for _, finished in noted(schema)] == [True, True, True]
    shown = str(schema.run("SHOW CREATE TABLE first")) + str(tables_of(schema))
    assert "`m` int" in shown or "second" in shown


@pytest.mark.parametrize(
    "sql", ["CREATE TABLE slow AS SELECT SLEEP(0.7) AS n", "INSERT INTO first SELECT SLEEP(0.7)"]
)
def test_killed_while_it_runs(
    runner: Callable[[], Runner], connection: Connection, schema: Tables, folder: Path, sql: str
) -> None:
    """A runner killed with SIGKILL during a statement does not block the next one."""
    write(
        folder, first="CREATE TABLE first (n INT)", second=sql, third="CREATE TABLE third (n INT)"
    )
    victim = runner()
    victim.get_ready()
    victim.go()
    wait_for_statement(schema, sql)
    victim.kill()
    assert migrate(connection, migrations_in(folder)) == ["0002_second.sql", "0003_third.sql"]
    assert [finished for _, finished in noted(schema)] == [True, True, True]
    assert schema.count("slow" if "slow" in sql else "first") == 1


def test_connection_is_lost(server: DatabaseServer, connection: Connection, folder: Path) -> None:
    """A run that loses its connection names the file; the next run goes on."""
    sql = "CREATE TABLE first AS SELECT SLEEP(IFNULL(@patience, 0)) AS n"
    write(folder, first=sql)
    Tables(connection).run("SET @patience = 5")  # for this connection only
    with ThreadPoolExecutor() as pool, server.connect() as other:
        run = pool.submit(migrate, connection, migrations_in(folder))
        wait_for_statement(Tables(other), sql)
        number = connection.thread_id()  # type: ignore[no-untyped-call]
        Tables(other).run(f"KILL CONNECTION {number}")
        failure = run.exception()
    with server.connect() as next_connection:
        assert migrate(next_connection, migrations_in(folder)) == ["0001_first.sql"]
    assert isinstance(failure, MigrationError), repr(failure)
    assert str(failure).startswith("0001_first.sql: ")


@pytest.mark.parametrize(
    "name",
    [
        "1_first.sql",
        "00001_first.sql",
        "0001-first.sql",
        "0001_First.sql",
        "first.sql",
        "0001_.sql",
    ],
)
def test_bad_file_names(folder: Path, name: str) -> None:
    """A file with a malformed name is refused by name before any file is applied."""
    write(folder, good="CREATE TABLE good (n INT)")
    (folder / name).write_text("CREATE TABLE bad (n INT)")
    with pytest.raises(MigrationError, match=re.escape(name)):
        migrations_in(folder)


def test_double_numbers(folder: Path) -> None:
    """Two files with one number are refused, because their order is unknown."""
    write(folder, first="CREATE TABLE first (n INT)")
    (folder / "0001_other.sql").write_text("CREATE TABLE other (n INT)")
    with pytest.raises(MigrationError, match="the same number"):
        migrations_in(folder)


def test_order(folder: Path) -> None:
    """Files are applied in the order of their numbers."""
    for number in (10, 9, 2, 1):
        (folder / f"{number:04}_x.sql").write_text("SELECT 1")
    names = [migration.name for migration in migrations_in(folder)]
    assert names == ["0001_x.sql", "0002_x.sql", "0009_x.sql", "0010_x.sql"]
