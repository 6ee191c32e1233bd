"""The database's password is rotated while players play, without a new deployment."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from auth.external.connection import DatabaseSecret
from auth.external.secret_store import SecretStore
from auth.settings import Settings
from local.stack import Stack
from tests.conftest import Tables
from tests.play.containers import Container, Secrets, Switch, ask
from tests.play.engines import cut_connections
from tests.play.events import is_unavailable
from tests.play.players import Player, call, running

DATABASE = "rotated/database"
ROTATING_USER = "rotating"


class Rotation:
    """A database user with a rotated password, and the secret that names the user."""

    def __init__(self, tables: Tables, secrets: Secrets, secret: DatabaseSecret) -> None:
        self._tables = tables
        self.secrets = secrets
        self.secret = msgspec.structs.replace(secret, username=ROTATING_USER, password="first")
        tables.run(f"DROP USER IF EXISTS {ROTATING_USER}")
        tables.run(f"CREATE USER {ROTATING_USER} IDENTIFIED BY 'first' REQUIRE SSL")
        tables.run(f"GRANT SELECT, INSERT, UPDATE, DELETE ON `game\\_login`.* TO {ROTATING_USER}")
        secrets.create(DATABASE, self.secret)

    def with_password(self, password: str) -> DatabaseSecret:
        """Return the secret with another password."""
        return msgspec.structs.replace(self.secret, password=password)

    def change_in_database(self, password: str) -> None:
        """Change the user's password in the database."""
        self._tables.run(f"ALTER USER {ROTATING_USER} IDENTIFIED BY '{password}'")

    def cut_connections(self) -> None:
        """Close the user's connections."""
        cut_connections(self._tables, ROTATING_USER)


@pytest.fixture
def rotation(
    stack: Stack, tables: Tables, secrets: Secrets, settings: Settings, switch: Switch
) -> Iterator[Rotation]:
    """Return a rotation ahead of a warm container."""
    rotation = Rotation(tables, secrets, stack.database.application)
    switch(Container(replace(settings, database_secret_id=DATABASE)))
    assert call("GET", "/v1/health").status == 200
    yield rotation
    rotation.cut_connections()
    tables.run(f"DROP USER {ROTATING_USER}")


def test_password_is_rotated(rotation: Rotation) -> None:
    """A warm container that loses its connection after a rotation reads the secret again."""
    player = Player()
    assert player.register().status == 201
    rotation.change_in_database("second")
    rotation.secrets.put(DATABASE, rotation.with_password("second"))
    rotation.cut_connections()
    assert player.refresh().status == 200
    assert player.log_in().status == 200


def test_gap_of_a_rotation(rotation: Rotation) -> None:
    """While the database is ahead of AWSCURRENT, the connection uses AWSPENDING's password."""
    version = rotation.secrets.put(DATABASE, rotation.with_password("second"), "AWSPENDING")
    rotation.change_in_database("second")
    rotation.cut_connections()
    assert call("GET", "/v1/health").status == 200
    rotation.secrets.promote(DATABASE, version)
    rotation.cut_connections()
    assert call("GET", "/v1/health").status == 200


def test_cold_start_in_the_gap(rotation: Rotation, settings: Settings, switch: Switch) -> None:
    """A container that starts during a rotation gets in as well."""
    rotation.secrets.put(DATABASE, rotation.with_password("second"), "AWSPENDING")
    rotation.change_in_database("second")
    switch(Container(replace(settings, database_secret_id=DATABASE)))
    assert call("GET", "/v1/health").status == 200


def test_rotation_ends_meanwhile(rotation: Rotation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rotation that ends between the reads of AWSCURRENT and AWSPENDING fails no request."""
    version = rotation.secrets.put(DATABASE, rotation.with_password("second"), "AWSPENDING")
    rotation.change_in_database("second")
    rotation.cut_connections()
    read, stages = SecretStore.read, []

    def read_late(store: SecretStore, secret_id: str, form: Any, stage: str = "AWSCURRENT") -> Any:
        if stage == "AWSPENDING":
            rotation.secrets.promote(DATABASE, version)
            rotation.secrets.client.update_secret_version_stage(
                SecretId=DATABASE, VersionStage="AWSPENDING", RemoveFromVersionId=version
            )
        stages.append(stage)
        return read(store, secret_id, form, stage)

    monkeypatch.setattr(SecretStore, "read", read_late)
    assert call("GET", "/v1/health").status == 200
    assert stages == ["AWSCURRENT", "AWSPENDING", "AWSCURRENT"]


def test_rotation_that_has_only_begun(
    rotation: Rotation, settings: Settings, switch: Switch
) -> None:
    """A pending password that the database does not have yet fails no request."""
    rotation.secrets.put(DATABASE, rotation.with_password("second"), "AWSPENDING")
    rotation.cut_connections()
    assert call("GET", "/v1/health").status == 200
    switch(Container(replace(settings, database_secret_id=DATABASE)))
    assert call("GET", "/v1/health").status == 200


def test_two_rotations_missed(rotation: Rotation) -> None:
    """A container that was idle through two rotations gets in with the pending password."""
    rotation.secrets.put(DATABASE, rotation.with_password("second"))
    rotation.secrets.put(DATABASE, rotation.with_password("third"), "AWSPENDING")
    rotation.change_in_database("third")
    rotation.cut_connections()
    assert call("GET", "/v1/health").status == 200


def test_open_connections_survive(rotation: Rotation, secrets: Secrets) -> None:
    """A rotation closes no connection, so a container goes on without reading a secret."""
    player = Player()
    player.register()
    database = running().database
    before = ask(database, "SELECT CONNECTION_ID() AS id")
    rotation.change_in_database("second")
    secrets.put(DATABASE, rotation.with_password("second"))
    assert player.refresh().status == 200
    assert ask(database, "SELECT CONNECTION_ID() AS id") == before


def test_no_password_fits(rotation: Rotation) -> None:
    """If the database accepts no version of the secret, players get 503 until it does."""
    rotation.change_in_database("nobody knows")
    rotation.cut_connections()
    for _ in range(2):
        began = time.monotonic()
        assert is_unavailable(call("GET", "/v1/health"))
        assert time.monotonic() - began < 4.0
    rotation.secrets.put(DATABASE, rotation.with_password("nobody knows"))
    assert call("GET", "/v1/health").status == 200


def test_database_moves(rotation: Rotation) -> None:
    """If the database has moved, the next request reads its address again."""
    elsewhere = msgspec.structs.replace(rotation.secret, port=1)
    rotation.secrets.put(DATABASE, elsewhere)
    running().close()
    assert call("GET", "/v1/health").status == 200  # the cached secret is still valid
    rotation.change_in_database("second")
    rotation.cut_connections()
    assert is_unavailable(call("GET", "/v1/health"))
    rotation.secrets.put(DATABASE, rotation.with_password("second"))
    assert call("GET", "/v1/health").status == 200
