"""The daily cleaning deletes dead rows and keeps the rest, unnoticed by players."""

import itertools
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

import handler
from auth.errors import Unavailable
from auth.external.connection import Connection, Result, Statement
from auth.external.database import Database
from auth.external.secret_store import SecretStore
from auth.jobs import cleaning
from auth.jobs.cleaning import clean_up
from auth.settings import Settings
from auth.times import new_id, system_clock
from tests.conftest import Tables
from tests.play.players import Player

DAY = timedelta(days=1)
LOWEST, HIGHEST = bytes(16), b"\xff" * 16


class Context:
    """Lambda's information about a run."""

    def __init__(self, milliseconds: int) -> None:
        self._milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        """Return the remaining time."""
        return self._milliseconds


@pytest.fixture(autouse=True)
def no_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """Delete sessions as soon as they have ended; the history has its own test."""
    monkeypatch.setenv("SESSION_HISTORY_DAYS", "0")


@pytest.fixture
def account_id(player: Player, tables: Tables) -> bytes:
    """Return the id of an account without sessions, in a database without rate-limit buckets."""
    tables.run("DELETE FROM sessions")
    tables.run("DELETE FROM rate_limits")
    (row,) = tables.run("SELECT id FROM accounts")
    identifier: bytes = row["id"]
    return identifier


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """Return a database as the cleaning job opens it."""
    database = Database(SecretStore(), settings.database_secret_id, settings.database_ca_file)
    yield database
    database.close()


def add_session(
    tables: Tables,
    account_id: bytes,
    session_id: bytes | None = None,
    *,
    idle: timedelta = DAY,
    expires: timedelta = DAY,
    epoch: int = 0,
    ended: bool = False,
) -> bytes:
    """Add a session that expires after this interval and return its id."""
    now = system_clock()
    return tables.add_session(
        account_id,
        id=session_id or new_id(now),
        epoch=epoch,
        idle_expires_at=now + idle,
        expires_at=now + expires,
        ended_at=now if ended else None,
    )


def add_bucket(tables: Tables, bucket: bytes, *, full_in: float) -> bytes:
    """Add a bucket that is full again after so many seconds."""
    tat = int((time.time() + full_in) * 1_000_000)
    tables.run("INSERT INTO rate_limits VALUES (%s, %s)", bucket, tat)
    return bucket


def ids(tables: Tables, table: str = "sessions", key: str = "id") -> set[bytes]:
    """Return the keys of a table's rows."""
    return {row[key] for row in tables.run(f"SELECT {key} FROM {table}")}


def numbered(number: int) -> bytes:
    """Return the key with this position in the order."""
    return number.to_bytes(16, "big")


def counts(deleted: dict[str, int]) -> tuple[int, int]:
    """Return how many sessions and buckets were deleted; nothing else was."""
    assert {name for name, number in deleted.items() if number} <= {"sessions", "rate_limits"}
    return deleted["sessions"], deleted["rate_limits"]


def cleaned(context: Context | None = None) -> tuple[int, int]:
    """Run the clean-up, and return how many sessions and buckets it deleted."""
    return counts(handler.clean_up({}, context))


def test_dead_sessions(tables: Tables, account_id: bytes) -> None:
    """Expired, idle and ended sessions are deleted; the living one stays.

    A session that ended because the account's epoch was raised stays until it would have expired.
    """
    living = add_session(tables, account_id)
    add_session(tables, account_id, idle=-DAY)
    add_session(tables, account_id, expires=-DAY)
    add_session(tables, account_id, ended=True)
    tables.run("UPDATE accounts SET epoch = 1")
    tables.run("UPDATE sessions SET epoch = 1")
    revoked = add_session(tables, account_id, epoch=0)
    add_session(tables, account_id, epoch=0, idle=-DAY)
    assert cleaned() == (4, 0)
    assert ids(tables) == {living, revoked}


@pytest.mark.parametrize("days", ["0", "1", "30"])
def test_history(
    tables: Tables, account_id: bytes, monkeypatch: pytest.MonkeyPatch, days: str
) -> None:
    """A session that has ended or expired is kept for exactly SESSION_HISTORY_DAYS."""
    monkeypatch.setenv("SESSION_HISTORY_DAYS", days)
    since = int(days) * DAY
    kept = {
        add_session(tables, account_id),
        add_session(tables, account_id, idle=-since + DAY / 24),
        add_session(tables, account_id, expires=-since + DAY / 24),
    }
    add_session(tables, account_id, idle=-since)
    add_session(tables, account_id, expires=-since)
    ended = add_session(tables, account_id, ended=True)
    tables.run(
        "UPDATE sessions SET ended_at = ended_at - INTERVAL %s DAY WHERE id = %s", int(days), ended
    )
    assert cleaned() == (3, 0)
    assert ids(tables) == kept


def test_history_by_default(
    tables: Tables, account_id: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the setting a session is kept for thirty days after its end."""
    monkeypatch.delenv("SESSION_HISTORY_DAYS")
    kept = add_session(tables, account_id, idle=-29 * DAY)
    add_session(tables, account_id, idle=-30 * DAY)
    assert handler.clean_up({}, None)["sessions"] == 1
    assert ids(tables) == {kept}


def test_drained_buckets(tables: Tables, account_id: bytes) -> None:
    """A bucket that is full again carries no information and is deleted; a charged one stays."""
    charged = add_bucket(tables, b"charged".ljust(16), full_in=30)
    add_bucket(tables, b"drained".ljust(16), full_in=-0.001)
    add_bucket(tables, b"long ago".ljust(16), full_in=-1e6)
    assert cleaned() == (0, 2)
    assert ids(tables, "rate_limits", "bucket") == {charged}


def test_players_notice_nothing(tables: Tables) -> None:
    """Cleaning signs no player out and refunds no guess."""
    player = Player()
    player.register()
    guesses = [player.log_in("not the password").status for _ in range(5)]
    assert guesses == [401] * 5
    ended = player.on_another_device()
    ended.address = "203.0.113.8"
    assert ended.log_in().status == 200
    ended.log_out()
    assert handler.clean_up({}, None)["sessions"] == 1
    assert player.me().status == 200
    assert player.refresh().status == 200
    assert player.log_in("not the password").status == 429
    assert ended.refresh().code == "session_ended"


def test_suspended_player(tables: Tables, account_id: bytes) -> None:
    """A session outlives a suspension that does not end it."""
    session = add_session(tables, account_id)
    tables.run("UPDATE accounts SET suspended_until = %s", system_clock() + DAY)
    assert cleaned() == (0, 0)
    assert ids(tables) == {session}


def test_nothing_to_do(tables: Tables) -> None:
    """Cleaning empty tables deletes nothing."""
    assert cleaned() == (0, 0)


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 6, 7, 9, 10])
def test_batches(
    tables: Tables, account_id: bytes, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    """Rows at a batch's border are deleted or kept like all others."""
    monkeypatch.setattr(cleaning, "BATCH", 3)
    living, charged = set(), set()
    for number in range(1, rows + 1):
        session = add_session(tables, account_id, numbered(number), ended=number % 2 == 0)
        bucket = add_bucket(tables, numbered(number), full_in=60 if number % 2 else -60)
        if number % 2:
            living.add(session)
            charged.add(bucket)
    assert cleaned() == (rows // 2, rows // 2)
    assert ids(tables) == living
    assert ids(tables, "rate_limits", "bucket") == charged


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 500])
def test_all_dead(
    tables: Tables, account_id: bytes, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """If every row is dead, none is left, whatever the size of the batches."""
    monkeypatch.setattr(cleaning, "BATCH", batch)
    for number in range(1, 7):
        add_session(tables, account_id, numbered(number), ended=True)
        add_bucket(tables, numbered(number), full_in=-60)
    assert cleaned() == (6, 6)


def test_rows_in_one_statement(
    tables: Tables, account_id: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One statement deletes, and so locks, a hundred rows at most, however many have expired."""
    deleted: list[int] = []
    run = Connection.run

    def spy(connection: Connection, statement: Statement, seconds: float) -> Result:
        result = run(connection, statement, seconds)
        if statement.sql.startswith("DELETE"):
            deleted.append(result.changed)
        return result

    monkeypatch.setattr(Connection, "run", spy)
    for number in range(1, 251):
        add_session(tables, account_id, numbered(number), ended=True)
        add_bucket(tables, numbered(number), full_in=-60)
    assert counts(handler.clean_up({}, None)) == (250, 250)
    assert sorted(deleted) == [50, 50, 100, 100, 100, 100]


@pytest.mark.parametrize("batch", [1, 2, 3, 500])
@pytest.mark.parametrize(
    "key",
    [LOWEST, numbered(1), HIGHEST[:-1] + b"\xfe", HIGHEST],
    ids=["lowest", "second", "last but one", "highest"],
)
def test_edges_of_the_keys(
    tables: Tables, account_id: bytes, monkeypatch: pytest.MonkeyPatch, batch: int, key: bytes
) -> None:
    """The lowest and the highest possible key are reached as well."""
    monkeypatch.setattr(cleaning, "BATCH", batch)
    add_session(tables, account_id, key, ended=True)
    add_bucket(tables, key, full_in=-60)
    between = b"between".ljust(16)
    add_session(tables, account_id, between)
    assert cleaned() == (1, 1)
    assert ids(tables) == {between}


def test_time_is_up(tables: Tables, account_id: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run without time left does one batch; later runs do the rest."""
    monkeypatch.setattr(cleaning, "BATCH", 2)
    for number in range(1, 6):
        add_session(tables, account_id, numbered(number), ended=True)
        add_bucket(tables, numbered(number), full_in=-60)
    hurried = Context(milliseconds=10_000)  # the reserve that a run keeps
    assert cleaned(hurried) == (2, 0)
    assert ids(tables) == {numbered(3), numbered(4), numbered(5)}
    assert cleaned(hurried) == (2, 0)
    assert cleaned(Context(milliseconds=60_000)) == (1, 5)
    assert tables.count("sessions") == tables.count("rate_limits") == 0


def test_hurry_never_starves_the_buckets(
    tables: Tables, account_id: bytes, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If time runs out while deleting buckets, the next run deletes the rest."""
    monkeypatch.setattr(cleaning, "BATCH", 2)
    for number in range(1, 7):
        add_bucket(tables, numbered(number), full_in=-60)
    ticks = itertools.count()
    done = clean_up(database, system_clock, 6.5, lambda: float(next(ticks)), history_days=0)
    assert counts(done.deleted) == (0, 4)


def test_each_batch_has_its_own_budget(
    tables: Tables, account_id: bytes, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run may take longer than a request: the time-out starts anew for each batch."""
    monkeypatch.setattr(cleaning, "BATCH", 1)
    for number in range(1, 8):
        add_session(tables, account_id, numbered(number), ended=True)
    ticks = itertools.count()
    database = Database(
        SecretStore(),
        settings.database_secret_id,
        settings.database_ca_file,
        monotonic=lambda: float(next(ticks)),  # each look at the clock takes a second
    )
    try:
        done = clean_up(database, system_clock, 3600.0, history_days=0)
    finally:
        database.close()
    assert done.deleted["sessions"] == 7
    assert next(ticks) > 16


def test_now_is_read_once(tables: Tables, account_id: bytes, database: Database) -> None:
    """The job's clock decides about expiry, not the database's clock."""
    session = add_session(tables, account_id)

    def tomorrow() -> datetime:
        return system_clock() + 2 * DAY

    done = clean_up(database, system_clock, 60.0, history_days=0)
    assert counts(done.deleted) == (0, 0)
    assert ids(tables) == {session}
    done = clean_up(database, tomorrow, 60.0, history_days=0)
    assert counts(done.deleted) == (1, 0)


def test_database_is_out_of_reach(monkeypatch: pytest.MonkeyPatch, tables: Tables) -> None:
    """A run that cannot read its secret fails visibly."""
    monkeypatch.setenv("DATABASE_SECRET_ID", "no/such/secret")
    with pytest.raises(Unavailable, match="no/such/secret"):
        handler.clean_up({}, None)
