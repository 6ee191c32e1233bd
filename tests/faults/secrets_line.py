"""An HTTP proxy between the handlers and Secrets Manager that can fail as AWS does."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SLOW_SECONDS = 5.0  # longer than the handlers wait


class Trouble(StrEnum):
    """The ways in which Secrets Manager fails."""

    NONE = "none"
    SLOW = "slow"
    THROTTLED = "throttled"
    DENIED = "denied"
    MALFORMED = "malformed"


REFUSALS = {Trouble.THROTTLED: "ThrottlingException", Trouble.DENIED: "AccessDeniedException"}


class SecretsLine:
    """The proxy's server."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.trouble = Trouble.NONE
        self.alone = threading.Lock()  # the stand-in moves a label in two steps, AWS in one
        self._recovered = threading.Event()
        line = self

        class Proxy(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, text = line._answer(address, dict(self.headers.items()), body)
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

            def handle(self) -> None:
                try:
                    super().handle()
                except OSError:
                    self.close_connection = True  # the caller gave up

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def endpoint(self) -> str:
        """Return the proxy's URL."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def in_trouble(self, trouble: Trouble) -> Iterator[None]:
        """Fail for a while."""
        self._recovered.clear()
        self.trouble = trouble
        try:
            yield
        finally:
            self.trouble = Trouble.NONE
            self._recovered.set()

    def stop(self) -> None:
        """Stop the proxy."""
        self._recovered.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(
        self, address: tuple[str, int], headers: dict[str, str], body: bytes
    ) -> tuple[int, bytes]:
        trouble = self.trouble
        if trouble in REFUSALS:
            return 400, json.dumps({"__type": REFUSALS[trouble], "message": "no"}).encode()
        if trouble == Trouble.SLOW:
            self._recovered.wait(SLOW_SECONDS)
        with self.alone:
            status, text = _forward(address, headers, body)
        if trouble == Trouble.MALFORMED and "SecretString" in (secret := json.loads(text)):
            text = json.dumps({**secret, "SecretString": '{"username": 7'}).encode()
        return status, text


def _forward(address: tuple[str, int], headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(*address, timeout=10)
    try:
        connection.request("POST", "/", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
