"""The real handler behind HTTP and HTTPS, with a misbehaving network in front of it.

Test scenes control it over `/_test/...`: they set faults for the next requests, move its clock,
list the requests and send operators' commands. Everything else goes to `handler.http`, with the
real MariaDB behind it.
"""

import json
import random
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import handler
from tests.play.events import http_event
from tests.play.operators import Operator

SECRETS = (
    *("password", "new_password", "access_token", "refresh_token"),
    *("guest_secret", "recovery_code", "ticket"),
)
SHORTEST = 12  # shorter values, such as the password "password", are also ordinary words
LONGEST_SLEEP = 20.0


@dataclass
class NetworkFault:
    """A fault for the next requests to a path."""

    path: str
    kind: str  # drop, lose, truncate, slow, answer
    times: int = 1
    seconds: float = 0.0
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""


class Backend:
    """One HTTP and one HTTPS server."""

    def __init__(self, certificates: Path, advance: Callable[[float | None], None]) -> None:
        self.secrets: set[str] = set()  # all that were sent or received
        self._advance = advance
        self._address = "203.0.113.7"  # a different one for each test, because of rate limits
        self._lock = threading.Lock()
        self._faults: list[NetworkFault] = []
        self._requests: list[dict[str, Any]] = []
        self._servers = [_server(self, None), _server(self, certificates)]
        self.url, self.secure_url = (
            f"{scheme}://localhost:{server.server_address[1]}"
            for scheme, server in zip(("http", "https"), self._servers, strict=True)
        )

    def start(self) -> None:
        """Begin to serve."""
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Stop serving."""
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def advance(self, seconds: float) -> None:
        """Advance the backend's clock, or turn it back."""
        with self._lock:
            self._advance(seconds)

    def set_right(self) -> None:
        """Set the backend's clock back to the real time."""
        with self._lock:
            self._advance(None)

    def command(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Run a command of a test scene."""
        if name == "advance":
            self.advance(body["seconds"])
        elif name == "fault":
            self._faults.append(NetworkFault(**body))
        elif name == "reset":
            self._address = f"203.0.{random.randrange(256)}.{random.randrange(1, 255)}"
            self._faults.clear()
            self._requests = []  # requests still running are noted in the previous list
        elif name == "operate":
            with self._lock:
                Operator().must(body.pop("command"), **body)
        return {"requests": list(self._requests)}

    @property
    def journal(self) -> list[dict[str, Any]]:
        """Return the current list: a late request must not be noted for the next test."""
        return self._requests

    def fault_for(self, path: str) -> NetworkFault | None:
        """Return the fault for this request, if any."""
        with self._lock:
            for fault in self._faults:
                if fault.path == path and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None

    def answer(
        self,
        journal: list[dict[str, Any]],
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
    ) -> Any:
        """Pass a request on to the handler; note it, and the secrets in it and its answer."""
        text = body.decode() if body else None
        path, _, query = path.partition("?")
        event = http_event(method, path, text, headers, self._address, query)
        with self._lock:
            answer = handler.http(event, None)
            note(journal, method, path, headers, answer["statusCode"])
            for text in (body.decode(), answer["body"]):
                self._note_secrets(text)
        return answer

    def _note_secrets(self, text: str) -> None:
        with suppress(ValueError):
            content = json.loads(text)
            if isinstance(content, dict):
                found = [content.get(name) for name in SECRETS]
                self.secrets.update(
                    value for value in found if isinstance(value, str) and len(value) >= SHORTEST
                )


def note(
    journal: list[dict[str, Any]], method: str, path: str, headers: dict[str, str], status: int
) -> None:
    """Note a request for the test scenes."""
    journal.append(
        {
            "method": method,
            "path": path,
            "bearer": "authorization" in headers,
            "key": headers.get("idempotency-key", ""),
            "status": status,
        }
    )


class _Exchange(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    backend: Backend
    journal: list[dict[str, Any]]

    def do_GET(self) -> None:
        """Answer any method."""
        self.journal = self.backend.journal
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/_test/"):
            command = json.loads(body) if body else {}
            content = self.backend.command(self.path.removeprefix("/_test/"), command)
            self._send(200, {"Content-Type": "application/json"}, json.dumps(content))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        fault = self.backend.fault_for(self.path.partition("?")[0])
        if fault is None:
            self._pass_on(headers, body)
        else:
            self._fail(fault, headers, body)

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815  # the base looks for these names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base's name
        """Log nothing."""

    def _pass_on(self, headers: dict[str, str], body: bytes) -> None:
        answer = self._answer(headers, body)
        self._send(answer["statusCode"], answer["headers"], answer["body"])

    def _fail(self, fault: NetworkFault, headers: dict[str, str], body: bytes) -> None:
        if fault.kind == "lose":  # the request takes effect, but its answer is lost
            self._answer(headers, body)
        elif fault.kind == "truncate":
            answer = self._answer(headers, body)
            self._send(answer["statusCode"], answer["headers"], answer["body"], part=0.5)
        elif fault.kind == "answer":
            note(self.journal, self.command, self.path, headers, fault.status)
            self._send(fault.status, fault.headers, fault.body)
        elif fault.kind == "slow":
            time.sleep(min(fault.seconds, LONGEST_SLEEP))
            self._pass_on(headers, body)
        else:
            note(self.journal, self.command, self.path, headers, 0)
        if fault.kind in {"lose", "truncate", "drop"}:
            self.close_connection = True

    def _answer(self, headers: dict[str, str], body: bytes) -> Any:
        return self.backend.answer(self.journal, self.command, self.path, headers, body)

    def _send(self, status: int, headers: dict[str, str], body: str, part: float = 1.0) -> None:
        content = body.encode()
        with suppress(OSError):  # the client may have gone
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() != "content-length":
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: int(len(content) * part)])


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect, such as one that does not trust the certificate."""


def _server(backend: Backend, certificates: Path | None) -> _Server:
    exchange = type("Exchange", (_Exchange,), {"backend": backend})
    server = _Server(("127.0.0.1", 0), exchange)
    if certificates is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
        # The handshake runs in the connection's own thread, not in the accepting one.
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    return server
