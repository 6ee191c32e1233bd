"""Which ports the user may choose: what cannot work is said before anything starts."""

import socket
from contextlib import suppress

from local.processes import accepts
from local.terminal import Problem

LAST = 65535
_COMMANDS = {"PORT": "run", "GAME_PORT": "run-game"}


def port_of(text: str, setting: str = "PORT") -> int:
    """Return the port that a setting names.

    Raises:
        Problem: no port has that number, or this user may not open it.
    """
    port = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= port <= LAST:
        raise Problem(f"{setting} is a number from 1 to {LAST}, and not {text!r}")
    with suppress(OSError), socket.socket() as listener:  # such as one that is in use
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except PermissionError:
            raise Problem(
                f"you may not open port {port}: take one from 1024 on, with"
                f" `make {_COMMANDS[setting]} {setting}=...`"
            ) from None
    return port


def refuse_same(port: int, game_port: int | None) -> None:
    """Refuse one port for two servers.

    Raises:
        Problem: it is the same.
    """
    if port == game_port:
        raise Problem(
            f"PORT and GAME_PORT are both {port}: take another one for the game server, with"
            f" `make run-game GAME_PORT={_next(port)}`"
        )


def refuse_busy(port: int, setting: str = "PORT") -> None:
    """Refuse a port that something else listens on.

    Raises:
        Problem: it is in use.
    """
    if accepts(port):
        raise Problem(
            f"port {port} is in use: stop what listens there, or take another one with"
            f" `make {_COMMANDS[setting]} {setting}={_next(port)}`"
        )


def _next(port: int) -> int:
    return port + 1 if port < LAST else port - 1
