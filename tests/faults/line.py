"""A TCP proxy between the handlers and the database that cuts connections at a statement.

It terminates the handlers' TLS with the server's own certificate, or with one of another CA, and so
sees the statements of the MySQL protocol: packets of a length (3 bytes), a number and a payload.
"""

import random
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

QUERY = 3  # COM_QUERY
PATIENCE_SECONDS = 10.0
CHUNK = 65536
# Statements that commit: the end of a transaction, and single statements in autocommit mode.
WRITES = (b"COMMIT", b"UPDATE accounts", b"UPDATE sessions", b"DELETE FROM accounts")
OPENS_SESSION = b"INSERT INTO sessions"


@dataclass(frozen=True)
class Cut:
    """Cuts a share of the writing statements: before they are sent, or after they are done.

    After means that the server has answered and its answer is lost.
    """

    after: bool
    share: float


class Line:
    """The proxy's server, and its connections."""

    def __init__(self, port: int, certificates: Path) -> None:
        self._port = port
        self._ca_file = str(certificates / "ca.pem")
        self._context = server_context(certificates)
        self._cut: Cut | None = None
        self._open: set[socket.socket] = set()
        self.cuts = 0
        self.statements = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    @contextmanager
    def cutting(self, cut: Cut) -> Iterator[None]:
        """Cut for a while."""
        self._cut = cut
        try:
            yield
        finally:
            self._cut = None

    @contextmanager
    def with_certificates(self, folder: Path) -> Iterator[None]:
        """Show another certificate for a while; existing connections are cut first."""
        usual = self._context
        self._context = server_context(folder)
        self.cut_all()
        try:
            yield
        finally:
            self._context = usual

    def cut_all(self) -> None:
        """Cut all connections."""
        for end in list(self._open):
            _shut(end)

    def stop(self) -> None:
        """Stop the proxy."""
        _shut(self._listener)
        self._listener.close()
        self._thread.join()
        self.cut_all()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        ends = [client]
        self._open.add(client)
        with suppress(OSError, EOFError):
            client.settimeout(PATIENCE_SECONDS)
            server = socket.create_connection(("127.0.0.1", self._port), PATIENCE_SECONDS)
            ends.append(server)
            client.sendall(_read_packet(server))  # the server's greeting, in the clear
            server.sendall(_read_packet(client))  # the client's request for TLS
            plain, client = client, self._context.wrap_socket(client, server_side=True)
            ends[0] = client
            self._open.add(client)
            self._open.discard(plain)
            trust = ssl.create_default_context(cafile=self._ca_file)
            server = trust.wrap_socket(server, server_hostname="127.0.0.1")
            ends[1] = server
            self._relay(client, server)
        for end in ends:
            self._open.discard(end)
            end.close()

    def _relay(self, client: ssl.SSLSocket, server: ssl.SSLSocket) -> None:
        """Relay data until one end closes or the connection must be cut."""
        sent = bytearray()
        cut_at_answer = False
        while True:
            for end in _readable(client, server):
                data = _available(end)
                if data is None:
                    continue
                if not data:
                    return
                if end is server:
                    if cut_at_answer:
                        self.cuts += 1
                        return
                    _send(client, data)
                    continue
                sent += data
                for packet in _whole_packets(sent):
                    cut = self._cut_for(packet)
                    if cut and not cut.after:
                        self.cuts += 1
                        return
                    cut_at_answer = bool(cut)
                    _send(server, packet)

    def _cut_for(self, packet: bytes) -> Cut | None:
        """Return the cut to make at this packet, if any."""
        if packet[4] != QUERY:
            return None
        self.statements += 1
        cut, sql = self._cut, packet[5:]
        writes = sql.startswith((*WRITES, OPENS_SESSION))
        return cut if cut and writes and random.random() < cut.share else None


def server_context(folder: Path) -> ssl.SSLContext:
    """Return the TLS context of a server with this folder's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def _read_packet(end: socket.socket) -> bytes:
    head = _read(end, 4)
    return head + _read(end, int.from_bytes(head[:3], "little"))


def _read(end: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = end.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _whole_packets(buffer: bytearray) -> Iterator[bytes]:
    """Yield the packets that are complete, and leave the rest in the buffer."""
    while len(buffer) >= 4 and len(buffer) >= (size := 4 + int.from_bytes(buffer[:3], "little")):
        yield bytes(buffer[:size])
        del buffer[:size]


def _readable(*ends: ssl.SSLSocket) -> list[ssl.SSLSocket]:
    pending = [end for end in ends if end.pending()]
    return pending or select.select(ends, [], [])[0]


def _available(end: ssl.SSLSocket) -> bytes | None:
    """Return the available data; None if there are only TLS's own messages."""
    end.settimeout(0)
    try:
        return end.recv(CHUNK)
    except ssl.SSLWantReadError:
        return None
    finally:
        end.settimeout(PATIENCE_SECONDS)


def _send(end: ssl.SSLSocket, data: bytes) -> None:
    end.sendall(data)


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
