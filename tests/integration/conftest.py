"""Containers that serve requests; each answer is checked against docs/contract/openapi.json."""

import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

import handler
from auth.api.application import Application
from auth.app import create_app
from auth.credentials.passwords import Passwords
from auth.credentials.token_keys import TokenKeys
from auth.external.connection import Connection, connect, tls_context
from auth.external.database import Database
from auth.settings import Settings
from local.database_server import SCHEMA, DatabaseServer, Users
from local.stack import Stack
from tests.conftest import Tables
from tests.integration.jobs.rotating import FIRST, SECOND, SECRET, SecretsManagerSide
from tests.integration.secrets.studio import NAME, Studio
from tests.play.containers import Container, Secrets, Serve, Switch
from tests.play.crowd import WORKERS, Crowd, Request, quick_application
from tests.play.events import Answer
from tests.play.judge import description
from tests.play.players import call


@pytest.fixture(autouse=True)
def _described(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the handler check each answer to a well-formed API Gateway request."""
    http = handler.http

    def checked(event: Any, context: object) -> dict[str, Any]:
        answer = http(event, context)
        try:
            method, path = event["requestContext"]["http"]["method"], event["rawPath"]
        except (TypeError, KeyError, IndexError):
            return answer  # not an HTTP request
        if event.get("version") == "2.0" and isinstance(method, str) and isinstance(path, str):
            description().check(method, path, Answer.of(answer))
        return answer

    monkeypatch.setattr(handler, "http", checked)


@pytest.fixture
def serve(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Return a function that starts a container with these settings and lets it serve requests."""
    applications: list[Application] = []

    def serve(settings: Settings) -> Application:
        applications.append(create_app(settings))
        monkeypatch.setattr(handler, "application", applications[-1])
        return applications[-1]

    yield serve
    for application in applications:
        application.close()


@pytest.fixture
def warm(tables: Tables, settings: Settings, serve: Serve) -> Database:
    """Return the database of a container that has already answered a request."""
    database: Database = serve(settings).database
    assert call("GET", "/v1/health").status == 200
    return database


@pytest.fixture
def switch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Switch]:
    """Return a function that selects the container that answers from now on."""
    containers = []

    def switch(container: Container) -> None:
        containers.append(container)
        monkeypatch.setattr(handler, "application", container.application)

    yield switch
    for container in containers:
        container.close()


@pytest.fixture
def secrets(stack: Stack) -> Secrets:
    """Return the secrets, for a test to change."""
    return Secrets(stack.secrets_manager.client())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DatabaseServer]:
    """Return a server used by one file only, which may be left in any state."""
    server = DatabaseServer(
        tmp_path_factory.mktemp("migrations"), Users("for-admin", "for-players")
    )
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def connection(server: DatabaseServer) -> Iterator[Connection]:
    """Return the admin's connection to an empty schema."""
    tls = tls_context(str(server.ca_file))
    with connect(server.admin, tls, read_seconds=60.0, statement_seconds=0) as connection:
        tables = Tables(connection)
        tables.run(f"DROP DATABASE IF EXISTS {SCHEMA}")
        tables.run(f"CREATE DATABASE {SCHEMA}")
        tables.run(f"USE {SCHEMA}")
        yield connection


@pytest.fixture
def aws(
    stack: Stack, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SecretsManagerSide]:
    """Return Secrets Manager with a secret, after `migrate` has created its user."""
    side = SecretsManagerSide(stack, tables)
    monkeypatch.setenv("DATABASE_SECRET_ID", SECRET)
    handler.migrate({}, None)
    yield side
    for user in (FIRST, SECOND):
        tables.run(f"DROP USER IF EXISTS {user}")


@pytest.fixture
def studio(
    stack: Stack, tables: Tables, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Studio]:
    """Return a studio with containers that answer in turn."""

    def start(studio: Studio) -> list[Any]:
        keys = functools.partial(TokenKeys, monotonic=lambda: studio.now)
        monkeypatch.setattr("auth.app.TokenKeys", keys)
        quick = replace(settings, token_secret_id=NAME, rate_limit_scale=10_000.0)
        return [create_app(quick, passwords=Passwords(8, 1)) for _ in range(3)]

    studio = Studio(stack, start)
    monkeypatch.setattr(handler, "application", studio.containers[0])
    yield studio
    for container in studio.containers:
        container.close()


@pytest.fixture(scope="module")
def crowd(stack: Stack) -> Iterator[Crowd]:
    """Return fifty warm containers and let the test hash as they do, or they would rehash."""
    application = quick_application()
    crowd = Crowd()
    try:
        crowd.send([Request("GET", "/v1/health")] * WORKERS)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(handler, "application", application)
            yield crowd
    finally:
        crowd.stop()
        application.close()
