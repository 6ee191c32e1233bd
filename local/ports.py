"""Checks the ports that the user chose, before anything starts."""

import socket
from contextlib import suppress

from local.processes import accepts
from local.terminal import Problem

LAST = 65535
_COMMANDS = {"PORT": "run", "GAME_PORT": "run-game"}


def port_of(text: str, setting: str = "PORT") -> int:
    """Return the port in a setting.

    Raises:
        Problem: it is not a port number, or this user has no permission to open the port.
    """
    port = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= port <= LAST:
        raise Problem(f"{setting} must be a number from 1 to {LAST}, not {text!r}")
    with suppress(OSError), socket.socket() as listener:  # `refuse_busy` checks for use
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except PermissionError:
            raise Problem(
                f"no permission to open port {port}: choose one above 1023, with"
                f" `make {_COMMANDS[setting]} {setting}=...`"
            ) from None
    return port


def refuse_same(port: int, game_port: int | None) -> None:
    """Refuse the same port for both servers.

    Raises:
        Problem: the ports are the same.
    """
    if port == game_port:
        raise Problem(
            f"PORT and GAME_PORT are both {port}: choose another port for the game server, with"
            f" `make run-game GAME_PORT={_next(port)}`"
        )


def refuse_busy(port: int, setting: str = "PORT") -> None:
    """Refuse a port that another program uses.

    Raises:
        Problem: the port is in use.
    """
    if accepts(port):
        raise Problem(
            f"port {port} is in use: stop the program that uses it, or choose another port with"
            f" `make {_COMMANDS[setting]} {setting}={_next(port)}`"
        )


def _next(port: int) -> int:
    return port + 1 if port < LAST else port - 1
