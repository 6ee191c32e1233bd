"""Adds the example's folder to the import path: a game server has its files in one folder."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack import ROOT, Stack
from tests.conftest import Tables
from tests.game_server.keyed import HttpBackend, running_backend

sys.path.insert(0, str(ROOT / "clients" / "game_server"))


@pytest.fixture
def backend(stack: Stack, tables: Tables, tmp_path: Path) -> Iterator[HttpBackend]:
    """Return the backend behind HTTP."""
    with running_backend(stack, tmp_path) as backend:
        yield backend
