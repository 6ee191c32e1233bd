"""Plays as the test player, in a terminal: `python -m operate.chat`, while `make run-game` runs.

It connects to the example game server with a ticket, prints every message, and sends each line that
is typed to the chat.
"""

import argparse
import json
import sys
from threading import Thread

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from local.ports import port_of
from local.seed import PASSWORD, USERNAME
from local.terminal import Problem, say
from operate.http_client import Deployment
from operate.player import RemotePlayer, expect
from operate.printing import plain

CLOSED_WELL = 1000  # RFC 6455


def main() -> int:
    """Play until the connection is closed; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m operate.chat")
    parser.add_argument("--port", default="3000", help="the backend's")
    parser.add_argument("--game-port", default="8765", help="the game server's")
    arguments = parser.parse_args()
    try:
        port, game_port = port_of(arguments.port), port_of(arguments.game_port, "GAME_PORT")
        with _connected(port, game_port) as connection:
            Thread(target=_send_lines, args=[connection], daemon=True).start()
            return _hear(connection)
    except Problem as problem:
        say(str(problem))
    except (OSError, InvalidHandshake) as error:
        say(f"cannot connect, is `make run-game` running? {error}")
    except KeyboardInterrupt:
        return 0
    return 1


def _connected(port: int, game_port: int) -> ClientConnection:
    """Sign in, and connect with a ticket."""
    player = RemotePlayer(Deployment(f"http://127.0.0.1:{port}"), USERNAME, PASSWORD)
    expect(200, player.log_in())
    ticket = expect(201, player.ticket(f"127.0.0.1:{game_port}"))["ticket"]
    headers = {"Authorization": f"Bearer {ticket}"}
    url = f"ws://127.0.0.1:{game_port}"
    return connect(url, additional_headers=headers, proxy=None)


def _hear(connection: ClientConnection) -> int:
    """Print every message, and at the end why the server closed the connection."""
    try:
        while True:
            say(plain(connection.recv()))
    except ConnectionClosed as closed:
        if closed.rcvd is None:
            say("the connection broke")
            return 1
        say(f"closed by the server: {closed.rcvd.code} {plain(closed.rcvd.reason)}")
        return 0 if closed.rcvd.code == CLOSED_WELL else 1


def _send_lines(connection: ClientConnection) -> None:
    for line in sys.stdin:
        connection.send(json.dumps({"type": "chat", "text": line.rstrip("\n")}))


if __name__ == "__main__":
    sys.exit(main())
