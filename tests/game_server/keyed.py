"""The real backend behind HTTP in a process of its own, and game servers with a server key.

`python -m tests.game_server.keyed PORT` is that process: like a Lambda container, it answers one
request at a time.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from wsgiref.simple_server import make_server

from local.game_server import SERVER_KEY, GameServer
from local.processes import Process, Program, accepts, free_port
from local.stack import ROOT, Stack

POLL_AFTER = 1


class HttpBackend(Program):
    """The backend, which a test can stop and start again."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.environment = stack.environment() | {"POLL_AFTER_SECONDS": str(POLL_AFTER)}

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = Process.ready(
            "backend",
            [sys.executable, "-m", "tests.game_server.keyed", str(self._port)],
            self._folder,
            self.environment,
            ROOT,
            until=lambda: accepts(self._port),
            seconds=20,
        )


@contextmanager
def running_backend(stack: Stack, folder: Path) -> Iterator[HttpBackend]:
    """Run the backend."""
    backend = HttpBackend(stack, folder)
    backend.start()
    try:
        yield backend
    finally:
        backend.stop()


@contextmanager
def keyed_game(
    backend: HttpBackend, folder: Path, key: str, kind: type[GameServer] = GameServer
) -> Iterator[GameServer]:
    """Run a game server with a key; expect neither a token nor the key in its log."""
    game = kind(free_port(), folder, backend.url, backend.environment | {SERVER_KEY: key})
    game.start()
    try:
        yield game
    finally:
        game.stop()
    log = game.log.read_text()
    assert "Traceback" not in log
    assert "eyJ" not in log, "a token is in the log"
    assert key.split("_", 2)[2] not in log, "the key is in the log"


def main() -> None:
    """Answer requests until the process is ended."""
    from tests.play.gateway import gateway  # it starts the backend

    make_server("127.0.0.1", int(sys.argv[1]), gateway).serve_forever()


if __name__ == "__main__":
    main()
