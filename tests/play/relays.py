"""A relay in front of a server, which cuts each connection before the answer."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

SECONDS = 30.0


class Relay:
    """Takes connections, passes each request on if told so, and drops the answer."""

    def __init__(self, server: int, *, forwards: bool) -> None:
        self._server, self._forwards = server, forwards
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0

    def run(self) -> None:
        """Take connections until the relay is closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                with client:
                    self._drop(client)

    def close(self) -> None:
        """Take no more connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _drop(self, client: socket.socket) -> None:
        request = _whole_request(client)
        if not self._forwards:
            return
        with socket.create_connection(("127.0.0.1", self._server), SECONDS) as server:
            server.sendall(request)
            server.recv(1)  # the answer has begun, so the function has ended


@contextmanager
def relay(server: int, *, forwards: bool) -> Iterator[Relay]:
    """Run a relay in front of a port of this machine."""
    cut = Relay(server, forwards=forwards)
    thread = threading.Thread(target=cut.run, daemon=True)
    thread.start()
    try:
        yield cut
    finally:
        cut.close()
        thread.join(SECONDS)


def _whole_request(client: socket.socket) -> bytes:
    """Read one request with its Content-Length."""
    read = b""
    while b"\r\n\r\n" not in read:
        read += client.recv(65536)
    head, _, body = read.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    (length,) = (int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))
    while len(body) < length:
        body += client.recv(65536)
    return head + b"\r\n\r\n" + body
