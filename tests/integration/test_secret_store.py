"""Reading secrets inside a request's time, from the stand-in and from nothing at all."""

import time

import pytest

from auth.connection import DatabaseSecret
from auth.errors import Unavailable
from auth.secret_store import SecretStore
from local.processes import free_port
from local.stack import Stack


def test_a_store_out_of_reach_is_not_asked_again_at_once(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests that follow a failed read get their 503 without waiting for another time-out."""
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
    """A read that might outlast the function is not begun; the next request may."""
    now = [0.0]
    secret_store = SecretStore(lambda: now[0])
    secret_store.start_request()
    assert secret_store.read("game-login/local/database", DatabaseSecret).username == "game_login"
    now[0] += 3.1
    with pytest.raises(Unavailable, match="no time left"):
        secret_store.read("game-login/local/database", DatabaseSecret)
    secret_store.start_request()
    assert secret_store.read("game-login/local/database", DatabaseSecret).username == "game_login"
