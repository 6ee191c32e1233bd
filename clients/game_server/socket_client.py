"""A player in a terminal: signs in, gets a ticket, connects, and chats with what is typed.

    python socket_client.py NAME PASSWORD

It prints every message of the game server, and why the server has closed the connection. A client
in another language does the same three things: POST /v1/login, POST /v1/tickets, and a WebSocket.
"""

import argparse
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from threading import Thread
from typing import Any

from player_tokens import checked_url, opener
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

ANSWER_SECONDS = 13.0
CLOSED_WELL = 1000  # RFC 6455, section 7.4.1


class SignInRefused(Exception):
    """The backend has not signed the player in, or has given no ticket; the text says why."""


def main() -> int:
    """Play until the connection is closed; return the exit status."""
    parser = argparse.ArgumentParser(description="Play in a terminal.")
    parser.add_argument("name")
    parser.add_argument("password")
    parser.add_argument("--backend", default="http://127.0.0.1:3000")
    parser.add_argument("--server", default="ws://127.0.0.1:8765", help="the game server")
    arguments = parser.parse_args()
    try:
        backend = checked_url(arguments.backend)
        ticket = get_ticket(backend, arguments.name, arguments.password, arguments.server)
        headers = {"Authorization": f"Bearer {ticket}"}
        with connect(arguments.server, additional_headers=headers, proxy=None) as connection:
            Thread(target=_send_lines, args=[connection], daemon=True).start()
            return _hear(connection)
    except (SignInRefused, ValueError) as refused:
        _say(str(refused))
    except (OSError, InvalidHandshake) as error:
        _say(f"cannot connect: {error}")
    except KeyboardInterrupt:
        return 0
    return 1


def get_ticket(backend: str, name: str, password: str, server: str) -> str:
    """Sign in, and return a ticket for the game server with this address.

    Raises:
        SignInRefused: the backend refuses it.
        OSError: the backend cannot be reached.
    """
    session = _post(f"{backend}/v1/login", {"username": name, "password": password})
    body = {"server": name_of(server)}
    ticket = _post(f"{backend}/v1/tickets", body, session["access_token"])["ticket"]
    return str(ticket)


def name_of(server: str) -> str:
    """Return the name of the game server with this address: its host and port."""
    url = urllib.parse.urlsplit(server)
    return f"{url.hostname}:{url.port or (443 if url.scheme == 'wss' else 80)}"


def _post(url: str, body: dict[str, str], token: str = "") -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310  # checked
    try:
        with opener(url).open(request, timeout=ANSWER_SECONDS) as answer:
            content: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as refused:
        raise SignInRefused(f"the backend refuses it: {_reason(refused)}") from None
    return content


def _reason(refused: urllib.error.HTTPError) -> str:
    """Return what an error says: the message, and the operator's reason of a suspension."""
    try:
        error = json.load(refused)["error"]
        return " ".join(filter(None, [error["message"], error.get("reason"), error.get("until")]))
    except (ValueError, KeyError, TypeError):
        return f"status {refused.code}"


def _hear(connection: ClientConnection) -> int:
    """Print every message, and at the end why the server closed the connection."""
    try:
        while True:
            _say(str(connection.recv()))
    except ConnectionClosed as closed:
        if closed.rcvd is None:
            _say("the connection broke")
            return 1
        _say(f"closed by the server: {closed.rcvd.code} {closed.rcvd.reason}")
        return 0 if closed.rcvd.code == CLOSED_WELL else 1


def _send_lines(connection: ClientConnection) -> None:
    for line in sys.stdin:
        try:
            connection.send(json.dumps({"type": "chat", "text": line.rstrip("\n")}))
        except ConnectionClosed:
            return


def _say(text: str) -> None:
    """Print a line, without control characters, which could change the terminal."""
    print("".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text))  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
