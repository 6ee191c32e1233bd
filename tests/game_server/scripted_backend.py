"""A backend that answers game servers as a test wants it to: in trouble, or never."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

KEY = "glsk_019aaab0-0000-7000-8000-000000000001_" + "k" * 43


@dataclass(frozen=True)
class Scripted:
    """An answer; without a status the connection breaks."""

    status: int = 200
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)


def failure(status: int, code: str, **headers: str) -> Scripted:
    """Return an error of the backend."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Scripted(status, {"error": {"code": code, "message": "No."}}, named)


class ScriptedBackend(ThreadingHTTPServer):
    """Answers one after the other; the last one again and again. Keeps what it was asked."""

    daemon_threads = True

    def __init__(self, *answers: Scripted) -> None:
        super().__init__(("127.0.0.1", 0), _Call)
        self.answers = list(answers)
        self.asked: list[tuple[str, str, Any]] = []  # path, Authorization, body
        self.answered = 0
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.pause = 0.0  # after each byte
        self.url = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.may_answer.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """Say nothing about clients that have gone."""

    def next_answer(self) -> Scripted:
        """Return the answer that is due."""
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def wait_for(condition: Callable[[], object], seconds: float = 30) -> None:
    """Wait until something is true."""
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at, "it did not happen"
        time.sleep(0.01)


class _Call(BaseHTTPRequestHandler):
    server: ScriptedBackend

    def do_GET(self) -> None:
        """Answer as configured by the test."""
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.server.asked.append((self.path, self.headers["Authorization"], body))
        answer = self.server.next_answer()
        self.server.may_answer.wait(20)
        if not answer.status:
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.server.answered += 1
        text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
        if not self.server.pause:
            self.wfile.write(text.encode())
            return
        with suppress(OSError):  # whoever asked has gone
            for byte in text.encode():
                self.wfile.write(bytes([byte]))
                time.sleep(self.server.pause)

    def do_POST(self) -> None:
        """Answer likewise."""
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Log nothing."""
