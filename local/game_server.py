"""The example game server, run beside the local stack."""

import sys
from collections.abc import Mapping
from pathlib import Path

from local.processes import Process, accepts
from local.stack import ROOT

READY_SECONDS = 15.0


class GameServer:
    """One `examples/socket_server.py` that trusts the local backend's tokens."""

    def __init__(
        self, port: int, folder: Path, backend: str, environment: Mapping[str, str]
    ) -> None:
        """Take its port, a folder for its log, the backend's URL and the stack's environment."""
        self._port = port
        self._folder = folder
        self._process: Process | None = None
        self.url = f"ws://127.0.0.1:{port}"
        # Of the stack's environment no more than this: a game server needs no secret.
        self._environment = {
            "GAME_LOGIN_URL": backend,
            "TOKEN_ISSUER": environment["TOKEN_ISSUER"],
            "TOKEN_AUDIENCE": environment["TOKEN_AUDIENCE"],
            "HOST": "127.0.0.1",
            "PORT": str(port),
        }

    @property
    def log(self) -> Path:
        """Return the file that it logs to."""
        return self._folder / "game.log"

    def start(self) -> None:
        """Start it and wait until players can connect.

        Raises:
            Problem: it does not start.
        """
        command = [sys.executable, "-u", str(ROOT / "examples" / "socket_server.py")]
        self._process = Process("game", command, self._folder, self._environment)
        try:
            self._process.wait_until(lambda: accepts(self._port), READY_SECONDS)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def is_running(self) -> bool:
        """Tell whether it still runs."""
        return self._process is not None and self._process.is_running()

    def last_lines(self) -> str:
        """Return the end of its log."""
        return "" if self._process is None else self._process.last_lines()
