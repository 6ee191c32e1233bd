"""The deployment's job: it sets up the schema, users, rights and keys."""

import json
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

import handler
from auth.credentials.keys import TokenSecret, key_ring
from auth.external import resuming
from auth.external.connection import Connection, DatabaseSecret, connect, tls_context
from auth.external.failures import DatabaseFailure
from auth.external.secret_store import SecretStore
from auth.jobs import preparation
from auth.jobs.database_users import grant_application
from auth.jobs.migrate import FOLDER, MigrationError
from local.database_server import DatabaseServer
from local.processes import free_port
from local.stack import Stack
from tests.conftest import Tables


@pytest.fixture
def deployed(
    stack: Stack, server: DatabaseServer, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> Tables:
    """Return the empty schema of the server in the handler's environment."""
    admin = Tables(connection)
    admin.run(f"DROP USER IF EXISTS {server.application.username}")
    for name, secret in (("admin", server.admin), ("application", server.application)):
        stack.secrets_manager.client().delete_secret(
            SecretId=f"migrations/{name}", ForceDeleteWithoutRecovery=True
        )
        stack.secrets_manager.put(f"migrations/{name}", msgspec.to_builtins(secret))
    monkeypatch.setenv("DATABASE_ADMIN_SECRET_ID", "migrations/admin")
    monkeypatch.setenv("DATABASE_SECRET_ID", "migrations/application")
    monkeypatch.setenv("DATABASE_CA_FILE", str(server.ca_file))
    return admin


def test_handler_migrates(deployed: Tables, server: DatabaseServer) -> None:
    """The Lambda function sets up schema and user from nothing, and may run twice."""
    tls = tls_context(str(server.ca_file))
    with pytest.raises(DatabaseFailure):
        connect(server.application, tls)
    assert handler.migrate({}, None) == {"applied": sorted(p.name for p in FOLDER.glob("*.sql"))}
    connect(server.application, tls).close()
    assert handler.migrate({}, None) == {"applied": []}
    with connect(server.application, tls) as application:
        assert Tables(application).count("accounts") == 0


class PausedDatabase:
    """A route to a database that first refuses connections, then drops one, then serves."""

    def __init__(self, server: DatabaseServer) -> None:
        self.port = free_port()
        self._server = server
        self._refused = threading.Timer(1.0, self._resume)
        self._refused.start()
        self._hung_up = False
        self._listener: socket.socket | None = None

    def _resume(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        with suppress(OSError):  # it is closed
            while True:
                near, _ = self._listener.accept()
                if not self._hung_up:
                    self._hung_up = True
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self._server.port))
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=_pass_on, args=(source, target), daemon=True).start()

    def stop(self) -> None:
        """Stop serving."""
        self._refused.cancel()
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        self._refused.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with source:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)


def test_database_that_resumes(deployed: Tables, server: DatabaseServer, stack: Stack) -> None:
    """A deployment waits for a paused Aurora to resume instead of failing."""
    paused = PausedDatabase(server)
    through = msgspec.structs.replace(server.application, port=paused.port)
    put_version(stack, "AWSCURRENT", through)
    try:
        assert handler.migrate({}, None)["applied"]
    finally:
        paused.stop()


def set_by_hand(deployed: Tables, username: str, password: str) -> None:
    """Change a user's password in the database only."""
    deployed.run(f"ALTER USER '{username}'@'%' IDENTIFIED BY '{password}'")


def put_version(stack: Stack, stage: str, secret: DatabaseSecret) -> None:
    """Store another version of the application's secret."""
    stack.secrets_manager.client().put_secret_value(
        SecretId="migrations/application",
        SecretString=json.dumps(msgspec.to_builtins(secret)),
        VersionStages=[stage],
    )


def test_handler_keeps_a_rotated_password(
    deployed: Tables, server: DatabaseServer, stack: Stack
) -> None:
    """The job keeps a password that the database has from AWSPENDING.

    The database is in this state between two steps of a rotation that changes the password of a
    single user, such as AWS's own rotation for an existing database.
    """
    handler.migrate({}, None)
    rotated = msgspec.structs.replace(server.application, password="the next one")
    put_version(stack, "AWSPENDING", rotated)
    set_by_hand(deployed, rotated.username, rotated.password)
    handler.migrate({}, None)
    tls = tls_context(str(server.ca_file))
    connect(rotated, tls).close()
    with pytest.raises(DatabaseFailure, match="1045"):
        connect(server.application, tls)


def test_handler_keeps_a_password_that_fits(
    deployed: Tables, server: DatabaseServer, stack: Stack
) -> None:
    """While AWSCURRENT's password is accepted, none is set, whatever AWSPENDING holds."""
    handler.migrate({}, None)
    pending = msgspec.structs.replace(server.application, password="the next one")
    put_version(stack, "AWSPENDING", pending)
    handler.migrate({}, None)
    tls = tls_context(str(server.ca_file))
    connect(server.application, tls).close()
    with pytest.raises(DatabaseFailure, match="1045"):
        connect(pending, tls)


@pytest.mark.parametrize("pending", [None, "same user", "other user", "other address"])
def test_handler_heals_a_password_that_fits_nowhere(
    deployed: Tables,
    server: DatabaseServer,
    stack: Stack,
    caplog: pytest.LogCaptureFixture,
    pending: str | None,
) -> None:
    """If the database accepts no version, as after a restore, the current password is set.

    The password of the rotation's other user stays unchanged.
    """
    handler.migrate({}, None)
    waiting = msgspec.structs.replace(server.application, username="game_login_clone")
    waiting = msgspec.structs.replace(waiting, password="it waits")
    deployed.run("DROP USER IF EXISTS game_login_clone")
    with server.connect() as admin:
        grant_application(admin, waiting)
    changes: dict[str, dict[str, Any]] = {
        "same user": {"password": "never set"},
        "other user": {"username": waiting.username, "password": waiting.password},
        "other address": {"password": "never set", "port": 1},
    }
    if pending:
        changed = msgspec.structs.replace(server.application, **changes[pending])
        put_version(stack, "AWSPENDING", changed)
    set_by_hand(deployed, server.application.username, "of the restored database")
    handler.migrate({}, None)
    tls = tls_context(str(server.ca_file))
    connect(server.application, tls).close()
    connect(waiting, tls).close()
    assert [r for r in caplog.records if getattr(r, "event", "") == "password_set"]
    assert server.application.password not in caplog.text
    caplog.clear()
    handler.migrate({}, None)
    assert not [r for r in caplog.records if getattr(r, "event", "") == "password_set"]


def test_handler_heals_missing_rights(deployed: Tables, server: DatabaseServer) -> None:
    """A user that lost its rights gets them back, with the same password."""
    handler.migrate({}, None)
    schema = server.application.dbname.replace("_", r"\_")
    deployed.run(f"REVOKE ALL ON `{schema}`.* FROM {server.application.username}")
    handler.migrate({}, None)
    with connect(server.application, tls_context(str(server.ca_file))) as application:
        assert Tables(application).count("accounts") == 0


def test_handler_sets_no_password_of_a_database_out_of_reach(
    deployed: Tables, server: DatabaseServer, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password is set only if it was refused; any other failure fails the deployment."""
    handler.migrate({}, None)
    monkeypatch.setattr(resuming, "RESUME_SECONDS", 5.0)  # not a minute and a half
    elsewhere = msgspec.structs.replace(server.application, port=1, password="not this one")
    put_version(stack, "AWSCURRENT", elsewhere)
    with pytest.raises(DatabaseFailure, match="2003"):
        handler.migrate({}, None)
    connect(server.application, tls_context(str(server.ca_file))).close()


def test_handler_takes_what_rds_manages(
    deployed: Tables, stack: Stack, server: DatabaseServer
) -> None:
    """The admin's secret may come from RDS, which stores name and password but no address."""
    client = stack.secrets_manager.client()
    value = json.dumps({"username": server.admin.username, "password": server.admin.password})
    client.put_secret_value(SecretId="migrations/admin", SecretString=value)
    assert handler.migrate({}, None)["applied"]


def test_handler_makes_the_first_token_keys(
    deployed: Tables, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty token secret gets working keys, once."""
    client = stack.secrets_manager.client()
    client.create_secret(Name="migrations/tokens")
    monkeypatch.setenv("TOKEN_SECRET_ID", "migrations/tokens")
    handler.migrate({}, None)
    made = SecretStore().read("migrations/tokens", TokenSecret)
    assert key_ring(made).current_signing.algorithm == "ES256"
    handler.migrate({}, None)
    assert SecretStore().read("migrations/tokens", TokenSecret) == made


def test_handler_fails_visibly(deployed: Tables, tmp_path: Path) -> None:
    """A failing migration fails the invocation, and so the deployment."""
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparation, "FOLDER", tmp_path)
        with pytest.raises(MigrationError, match=r"0001_first\.sql"):
            handler.migrate({}, None)
    handler.migrate({}, None)
