"""Starts the same processes as `make run` in front of the handler, once per file of stories."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import operate.functions
from local.offline import Offline
from local.processes import free_port
from local.stack import Stack
from tests.conftest import Tables
from tests.play.terminals import Terminal


@pytest.fixture(scope="module")
def offline(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Offline]:
    """Return a running `serverless offline` with the local gateway."""
    offline = Offline(free_port(), tmp_path_factory.mktemp("offline"), stack.environment())
    offline.start()
    yield offline
    offline.stop()


@pytest.fixture
def operated(
    offline: Offline, tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Offline:
    """Return a running stack without accounts, which `python -m operate` finds as `local`."""
    lines = (f"{name}={value}\n" for name, value in offline.operate_environment().items())
    environment = tmp_path / "env"
    environment.write_text("".join(lines))
    monkeypatch.setattr(operate.functions, "LOCAL_ENVIRONMENT", environment)
    return offline


@pytest.fixture
def terminal(operated: Offline, tmp_path: Path) -> Terminal:
    """Return an operator's terminal."""
    return Terminal(tmp_path, operated.operate_environment())
