"""AWS credentials over HTTP, as a function with SnapStart gets them: not in its environment."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class CredentialsServer(ThreadingHTTPServer):
    """Gives new credentials at each request, and counts them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.given = 0

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Return the settings of a function with SnapStart, which has no credentials of its own."""
        own = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
        return {
            **{name: value for name, value in settings.items() if name not in own},
            "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{self.server_port}/credentials",
        }


class _Request(BaseHTTPRequestHandler):
    server: CredentialsServer

    def do_GET(self) -> None:
        """Answer with new credentials each time."""
        self.server.given += 1
        body = {
            "AccessKeyId": f"AKIA{self.server.given:016}",
            "SecretAccessKey": "not-a-secret",
            "Token": "not-a-token",
            "Expiration": "2100-01-01T00:00:00Z",
        }
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def credentials_server() -> Iterator[CredentialsServer]:
    """Return a running server of credentials."""
    server = CredentialsServer()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
