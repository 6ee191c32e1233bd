"""`make run-game` as two players use it: backend and game server, from start to Ctrl-C."""

import json
import re
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from local.processes import Process, accepts, free_port
from local.stack import ROOT
from operate.http_client import Deployment
from operate.player import RemotePlayer, expect
from tests.play.players import PASSWORD
from tests.play.terminals import Terminal

START_SECONDS = 90.0
OUT_SECONDS = 10.0  # until a suspended player is out: 2 on an idle machine
# In a separate folder, so that a running `make run` and its players are not affected.
RUN = """
import sys
from pathlib import Path
from local import __main__ as commands
commands.FOLDER = Path(sys.argv.pop(1))
commands.STACK_FOLDER = commands.FOLDER / "stack"
commands.ENVIRONMENT_FILE = commands.FOLDER / "env"
sys.exit(commands.main())
"""


@pytest.fixture
def ports() -> tuple[int, int]:
    """Return the backend's port and the game server's."""
    return free_port(), free_port()


@pytest.fixture
def running(tmp_path: Path, ports: tuple[int, int]) -> Iterator[Process]:
    """Return a running `make run-game`."""
    command = [sys.executable, "-c", RUN, str(tmp_path / "local"), "run"]
    options = [f"--port={ports[0]}", f"--game-port={ports[1]}"]
    log = tmp_path / "run-game.log"
    process = Process.ready(
        "run-game",
        [*command, *options],
        tmp_path,
        directory=ROOT,
        until=lambda: "Requests:" in log.read_text(),
        seconds=START_SECONDS,
    )
    yield process
    process.stop(signal.SIGINT)


def enter(ports: tuple[int, int], username: str) -> ClientConnection:
    """Register, and connect to the game server with a ticket."""
    player = RemotePlayer(Deployment(f"http://localhost:{ports[0]}"), username, PASSWORD)
    expect(201, player.register())
    ticket = expect(201, player.ticket(f"localhost:{ports[1]}"))["ticket"]
    headers = {"Authorization": f"Bearer {ticket}"}
    return connect(f"ws://localhost:{ports[1]}", additional_headers=headers, proxy=None)


def hear(connection: ClientConnection) -> dict[str, Any]:
    """Return the next message that is not about the player's own items."""
    message: dict[str, Any] = {"type": "inventory"}
    while message["type"] == "inventory":
        message = json.loads(connection.recv(timeout=10))
    return message


def test_two_players_chat(running: Process, ports: tuple[int, int], tmp_path: Path) -> None:
    """Both players are greeted by name and get each other's messages; Ctrl-C stops everything."""
    with enter(ports, "Ada") as ada:
        assert hear(ada) == {"type": "welcome", "name": "Ada", "players": ["Ada"]}
        with enter(ports, "Eve") as eve:
            assert hear(eve) == {"type": "welcome", "name": "Eve", "players": ["Ada", "Eve"]}
            assert hear(ada) == {"type": "joined", "name": "Eve"}
            eve.send(json.dumps({"type": "chat", "text": "hello"}))
            assert hear(ada) == {"type": "chat", "name": "Eve", "text": "hello"}
    said = running.log.read_text()
    assert f"The example game server is on ws://127.0.0.1:{ports[1]}" in said
    assert "Traceback" not in said
    logs = {log.name: log.read_bytes() for log in tmp_path.rglob("*.log")}
    assert {"game.log", "serverless.log", "run-game.log"} <= set(logs)
    # Neither ticket nor access token, and no server key.
    assert [name for name in logs if b"eyJ" in logs[name] or b"glsk_" in logs[name]] == []
    running.stop(signal.SIGINT)
    assert running.log.read_text().splitlines()[-2:] == ["stopping", "stopped"]
    assert not any(accepts(port) for port in ports)


def test_suspended_while_playing(running: Process, ports: tuple[int, int], tmp_path: Path) -> None:
    """The printed commands work: a player who is suspended while playing is out within seconds."""
    said = running.log.read_text().replace("\\\n", "")  # a command may take two lines
    printed = re.findall(r"^  \.venv/bin/(python .*)$", said, re.MULTILINE)
    play, (suspend,), (lift,) = (
        printed[0],
        *([one for one in printed if f"operate {name} " in one] for name in ("suspend", "lift")),
    )
    variables = (tmp_path / "local" / "env").read_text().splitlines()
    terminal = Terminal(tmp_path, dict(line.partition("=")[::2] for line in variables))
    log = tmp_path / "chat.log"
    playing = Process.ready(
        "chat",
        [sys.executable, "-u", *shlex.split(play)[1:]],
        tmp_path,
        directory=ROOT,
        until=lambda: '"welcome"' in log.read_text(),
        seconds=START_SECONDS,
    )
    try:
        status, shown = terminal.run(f"{suspend} --yes --reason try")
        assert status == 0, shown
        end = time.monotonic() + OUT_SECONDS
        while playing.is_running() and time.monotonic() < end:
            time.sleep(0.1)
        assert "closed by the server: 4403" in log.read_text()
        assert terminal.run(lift)[0] == 0
    finally:
        playing.stop(signal.SIGINT)
