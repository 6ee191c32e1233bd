"""A backend that serves nothing but its keys, as a test wants it to."""

import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class JwksServer(ThreadingHTTPServer):
    """Serves a JWKS, and counts the requests."""

    daemon_threads = True

    def __init__(self, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.status, self.body, self.headers = 200, body, dict[str, str]()
        self.asked: list[str] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.pause = 0.0  # after each byte
        self.url = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Request(BaseHTTPRequestHandler):
    server: JwksServer

    def do_GET(self) -> None:
        """Answer as configured by the test."""
        self.server.asked.append(self.path)
        self.server.may_answer.wait(20)
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if not self.server.pause:
            self.wfile.write(self.server.body)
            return
        with suppress(OSError):  # whoever asked has gone
            for position in range(len(self.server.body)):
                self.wfile.write(self.server.body[position : position + 1])
                time.sleep(self.server.pause)

    def log_message(self, *_: object) -> None:
        """Log nothing."""
