"""Runs the example game server together with the local stack."""

import sys
from collections.abc import Mapping
from pathlib import Path

from local.processes import Process, Program, accepts
from local.stack import ROOT

READY_SECONDS = 15.0


class GameServer(Program):
    """One `clients/game_server/socket_server.py` that trusts the local backend's tokens."""

    def __init__(
        self, port: int, folder: Path, backend: str, environment: Mapping[str, str]
    ) -> None:
        """Take its port, a folder for its log, the backend's URL and the stack's environment."""
        self._port = port
        self._folder = folder
        self.url = f"ws://127.0.0.1:{port}"
        # Only this part of the stack's environment, since a game server needs no secret.
        self._environment = {
            "GAME_LOGIN_URL": backend,
            "TOKEN_ISSUER": environment["TOKEN_ISSUER"],
            "TOKEN_AUDIENCE": environment["TOKEN_AUDIENCE"],
            "HOST": "127.0.0.1",
            "PORT": str(port),
        }

    @property
    def log(self) -> Path:
        """Return the path of the log file."""
        return self._folder / "game.log"

    def start(self) -> None:
        """Start the server and wait until players can connect.

        Raises:
            Problem: the server does not start.
        """
        command = [sys.executable, "-u", str(ROOT / "clients" / "game_server" / "socket_server.py")]
        self._process = Process.ready(
            "game",
            command,
            self._folder,
            self._environment,
            until=lambda: accepts(self._port),
            seconds=READY_SECONDS,
        )
