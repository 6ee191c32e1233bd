"""Runs the example game server together with the local stack."""

import sys
from collections.abc import Mapping
from pathlib import Path

from local.processes import Process, Program, accepts
from local.stack import ROOT

READY_SECONDS = 15.0
SERVER_KEY = "GAME_LOGIN_SERVER_KEY"


class GameServer(Program):
    """One `clients/game_server/socket_server.py` that trusts the local backend's tickets."""

    def __init__(
        self, port: int, folder: Path, backend: str, environment: Mapping[str, str]
    ) -> None:
        """Take its port, a folder for its log, the backend's URL and the stack's environment."""
        self._port = port
        self._folder = folder
        self.url = f"ws://127.0.0.1:{port}"
        self.name = f"127.0.0.1:{port}"
        # Only this part of the stack's environment, since a game server needs no secret.
        self._environment = {
            "GAME_LOGIN_URL": backend,
            "TOKEN_ISSUER": environment["TOKEN_ISSUER"],
            "SERVER_NAME": f"127.0.0.1:{port},localhost:{port}",
            "HOST": "127.0.0.1",
            "PORT": str(port),
            # With a server key in the environment it redeems tickets and obeys the feed.
            SERVER_KEY: environment.get(SERVER_KEY, ""),
            "INVENTORY_FILE": str(folder / "inventory.sqlite3"),
        }

    @property
    def log(self) -> Path:
        """Return the path of the log file."""
        return self._folder / "game.log"

    def command(self) -> list[str]:
        """Return the command that starts the server."""
        return [sys.executable, "-u", str(ROOT / "clients" / "game_server" / "socket_server.py")]

    def start(self) -> None:
        """Start the server and wait until players can connect.

        Raises:
            Problem: the server does not start.
        """
        self._process = Process.ready(
            "game",
            self.command(),
            self._folder,
            self._environment,
            until=lambda: accepts(self._port),
            seconds=READY_SECONDS,
        )
