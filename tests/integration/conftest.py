"""Containers to be asked, every answer of which is held against docs/openapi.json."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

import handler
from auth.app import create_app
from auth.database import Database
from auth.settings import Settings
from local.stack import Stack
from tests.conftest import Tables
from tests.events import Answer
from tests.integration.containers import Container, Secrets, Serve, Switch
from tests.openapi import description
from tests.players import call


@pytest.fixture(autouse=True)
def _described(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the handler check each of its answers to a request of API Gateway's form."""
    http = handler.http

    def checked(event: Any, context: object) -> dict[str, Any]:
        answer = http(event, context)
        try:
            method, path = event["requestContext"]["http"]["method"], event["rawPath"]
        except (TypeError, KeyError, IndexError):
            return answer  # no HTTP request at all
        if event.get("version") == "2.0" and isinstance(method, str) and isinstance(path, str):
            description().check(method, path, Answer.of(answer))
        return answer

    monkeypatch.setattr(handler, "http", checked)


@pytest.fixture
def serve(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Return a way to have the handler served by a new container with these settings."""
    applications: list[Flask] = []

    def serve(settings: Settings) -> Flask:
        applications.append(create_app(settings))
        monkeypatch.setattr(handler, "application", applications[-1])
        return applications[-1]

    yield serve
    for application in applications:
        application.extensions["database"].close()


@pytest.fixture
def warm(tables: Tables, settings: Settings, serve: Serve) -> Database:
    """Return the database of a container that has just answered a request."""
    database: Database = serve(settings).extensions["database"]
    assert call("GET", "/v1/health").status == 200
    return database


@pytest.fixture
def switch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Switch]:
    """Return a way to say which container answers from now on."""
    containers = []

    def switch(container: Container) -> None:
        containers.append(container)
        monkeypatch.setattr(handler, "application", container.application)

    yield switch
    for container in containers:
        container.close()


@pytest.fixture
def secrets(stack: Stack) -> Secrets:
    """Return the secrets, to be changed."""
    return Secrets(stack.secrets_manager.client())
