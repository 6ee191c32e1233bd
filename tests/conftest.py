"""The servers that all tests share: started once, emptied before each test."""

import importlib
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import handler
from auth.app import create_app
from auth.external.connection import Connection, Statement
from auth.settings import Settings
from auth.store.records import SESSION, Session, insert_into
from auth.times import new_id, system_clock
from local.certificates import make_certificates
from local.stack import Stack, keep_proxies_out
from tests.play.players import Player
from tests.play.sources import created_tables

PATIENCE_SECONDS = 60.0  # to delete all rows of a large table, on a slow disk


class FakeClock:
    """The system clock plus the time that a test has added."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return system_clock() + self.ahead

    def advance(self, **interval: float) -> None:
        """Let time pass: seconds=, minutes=, hours=, days=."""
        self.ahead += timedelta(**interval)


class Tables:
    """The database as its administrator sees it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def run(self, sql: str, /, *parameters: Any, **named: Any) -> list[dict[str, Any]]:
        """Run a statement and return its rows."""
        return self._connection.run(Statement(sql, parameters or named), PATIENCE_SECONDS).rows

    def count(self, table: str) -> int:
        """Return the number of rows in a table."""
        number: int = self.run(f"SELECT COUNT(*) AS n FROM {table}")[0]["n"]
        return number

    def add_session(self, account_id: bytes, **other: Any) -> bytes:
        """Add a session, by default one that lasts for a day, and return its id."""
        now = system_clock()
        session = Session(
            id=new_id(now),
            account_id=account_id,
            tail_hash=bytes(32),
            counter=0,
            rotation_key=None,
            epoch=0,
            device=None,
            created_at=now,
            rotated_at=now,
            idle_expires_at=now + timedelta(days=1),
            expires_at=now + timedelta(days=1),
            ended_at=None,
        )
        session = replace(session, **other)
        self.run(insert_into("sessions", SESSION), **vars(session))
        return session.id

    def empty(self) -> None:
        """Delete every row that players created."""
        for table in created_tables():
            self.run(f"DELETE FROM {table}")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Start MariaDB and Secrets Manager, and point this process's environment at them."""
    stack = Stack(tmp_path_factory.mktemp("stack"), rate_limit_scale="1")
    try:
        keep_proxies_out(os.environ)
        stack.start()
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        os.environ.update(stack.environment())
        importlib.reload(handler)  # it reads the environment on import
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def tables(stack: Stack) -> Iterator[Tables]:
    """Return the tables, emptied."""
    with stack.database.connect() as connection:
        tables = Tables(connection)
        tables.empty()
        yield tables


@pytest.fixture
def settings(stack: Stack) -> Settings:
    """Return the settings of the running servers."""
    return Settings.from_environment(stack.environment())


@pytest.fixture
def clock(
    tables: Tables, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeClock]:
    """Return the clock that the handler uses, so that a test can let time pass."""
    clock = FakeClock()
    application = create_app(settings, clock=clock)
    monkeypatch.setattr(handler, "application", application)
    yield clock
    application.close()


@pytest.fixture
def player(tables: Tables) -> Player:
    """Return a registered player."""
    player = Player()
    assert player.register().status == 201
    return player


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """Return a folder with a server certificate that another CA signed."""
    make_certificates(tmp_path / "other-ca")
    return tmp_path / "other-ca"
