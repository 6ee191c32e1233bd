"""Reading secrets within a request's time, from the stand-in and from an unreachable store."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader
from botocore.session import Session

from auth.errors import Unavailable
from auth.external.connection import DatabaseSecret
from auth.external.secret_store import START_SECONDS, SecretStore
from local.processes import free_port
from local.stack import Stack


def test_a_store_out_of_reach_is_not_asked_again_at_once(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failed read, following requests get their 503 without another time-out."""
    now = [0.0]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    secret_store = SecretStore(lambda: now[0])
    with pytest.raises(Unavailable, match="EndpointConnectionError"):
        secret_store.read("tokens", DatabaseSecret)
    began = time.perf_counter()
    with pytest.raises(Unavailable, match="just out of reach"):
        secret_store.read("tokens", DatabaseSecret)
    assert time.perf_counter() - began < 0.01
    now[0] += 2.1
    with pytest.raises(Unavailable, match="EndpointConnectionError"):
        secret_store.read("tokens", DatabaseSecret)


def test_no_read_begins_late_in_a_request(stack: Stack) -> None:
    """A read that might outlast the function is not started; the next request may read."""
    now = [0.0]
    secret_store = SecretStore(lambda: now[0])
    with secret_store.budget(START_SECONDS):
        secret = secret_store.read("game-login/local/database", DatabaseSecret)
        assert secret.username == "game_login"
        now[0] += 3.1
        with pytest.raises(Unavailable, match="no time left"):
            secret_store.read("game-login/local/database", DatabaseSecret)
    with secret_store.budget(START_SECONDS):
        assert secret_store.read("game-login/local/database", DatabaseSecret) == secret


def test_a_forgotten_client_is_made_again_from_memory(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a snapshot a new client is made without reading botocore's files again."""
    secret_store = SecretStore()
    read: list[str] = []
    load_file = JSONFileLoader.load_file

    def spy(loader: JSONFileLoader, path: str) -> object:
        read.append(path)
        return load_file(loader, path)

    monkeypatch.setattr(JSONFileLoader, "load_file", spy)
    made: list[object] = []
    create_client = Session.create_client

    def count(session: Session, *arguments: Any, **options: Any) -> object:
        made.append(create_client(session, *arguments, **options))
        return made[-1]

    monkeypatch.setattr(Session, "create_client", count)
    secret_store.prepare()
    assert read
    read.clear()
    secret_store.forget()
    assert secret_store.read("game-login/local/database", DatabaseSecret).username == "game_login"
    assert len(made) == 2
    assert read == []


def test_only_the_files_of_one_service_are_looked_for(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client is created without listing the folders of all AWS services."""
    listed: list[str] = []
    listdir = os.listdir

    def spy(path: str) -> list[str]:
        listed.append(Path(path).name)
        return listdir(path)

    monkeypatch.setattr(os, "listdir", spy)
    SecretStore().prepare()
    assert set(listed) == {"secretsmanager"}


@pytest.fixture
def empty(stack: Stack) -> Iterator[str]:
    """Return the name of a secret without a value."""
    client = stack.secrets_manager.client()
    client.create_secret(Name="empty")
    yield "empty"
    client.delete_secret(SecretId="empty", ForceDeleteWithoutRecovery=True)


def test_an_empty_secret_is_filled_once(stack: Stack, empty: str) -> None:
    """An empty secret gets its first value and keeps it."""
    secret_store = SecretStore()
    assert secret_store.fill(empty, lambda: {"n": 1})
    assert not secret_store.fill(empty, lambda: {"n": 2})
    assert secret_store.read(empty, dict) == {"n": 1}


def test_an_empty_secret_is_filled_by_one_of_two(stack: Stack, empty: str) -> None:
    """If two processes find it empty at the same time, only one stores its value."""

    def overtaken() -> dict[str, object]:
        assert SecretStore().fill(empty, lambda: {"n": 1})
        return {"n": 2}

    secret_store = SecretStore()
    assert not secret_store.fill(empty, overtaken)
    assert secret_store.read(empty, dict) == {"n": 1}


def test_a_rotated_secret_is_not_filled(stack: Stack, empty: str) -> None:
    """A value stored by another process is kept, even after the first version is gone."""
    stack.secrets_manager.client().put_secret_value(SecretId=empty, SecretString='{"n": 3}')
    assert not SecretStore().fill(empty, lambda: {"n": 1})
    assert SecretStore().read(empty, dict) == {"n": 3}


def test_filling_fails_visibly(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing secret or an unreachable store is reported by name and cause."""
    with pytest.raises(Unavailable, match=r"secret nowhere: ResourceNotFoundException"):
        SecretStore().fill("nowhere", dict)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Unavailable, match=r"secret nowhere: EndpointConnectionError"):
        SecretStore().fill("nowhere", dict)
