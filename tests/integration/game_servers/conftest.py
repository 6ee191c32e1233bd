"""The game server of these tests."""

import pytest

from tests.conftest import Tables
from tests.play.game_servers import PollingServer


@pytest.fixture
def server(tables: Tables) -> PollingServer:
    """Return a game server that has a key for all servers, and has polled before."""
    server = PollingServer()
    server.poll()
    return server
