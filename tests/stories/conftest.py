"""Starts the same processes as `make run` in front of the handler, once per file of stories."""

from collections.abc import Iterator

import pytest

from local.offline import Offline
from local.processes import free_port
from local.stack import Stack


@pytest.fixture(scope="module")
def offline(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Offline]:
    """Return a running `serverless offline` with the local gateway."""
    offline = Offline(free_port(), tmp_path_factory.mktemp("offline"), stack.environment())
    offline.start()
    yield offline
    offline.stop()
