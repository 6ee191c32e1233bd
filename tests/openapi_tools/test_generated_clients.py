"""Clients generated from docs/contract/openapi.json read our answers and API Gateway's."""

import importlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.openapi_tools import npm_tools
from tests.play.judge import FILE

pytestmark = pytest.mark.search

SCHEMAS = json.loads(FILE.read_text())["components"]["schemas"]


@dataclass(frozen=True)
class Reply:
    """An answer, and the values that a game should be able to read from it."""

    status: int
    body: dict[str, Any]
    code: str | None = None
    message: str | None = None
    player: str | None = None


def from_gateway(status: int, message: str) -> Reply:
    """Return an error of API Gateway."""
    return Reply(status, {"message": message}, message=message)


def of_ours(status: int, schema: str) -> Reply:
    """Return an error of ours, from the document's examples."""
    body = SCHEMAS[schema]["examples"][0]
    return Reply(status, body, code=body["error"]["code"])


REPLIES = [
    Reply(200, SCHEMAS["SessionBody"]["examples"][0], player="Ada"),
    of_ours(400, "InvalidRequest"),
    of_ours(401, "InvalidCredentials"),
    of_ours(429, "TooManyAttempts"),
    of_ours(500, "InternalError"),
    of_ours(503, "Unavailable"),
    from_gateway(400, "Bad Request"),
    from_gateway(403, "Forbidden"),
    from_gateway(413, "Request Too Long"),
    from_gateway(429, "Too Many Requests"),
    from_gateway(500, "Internal Server Error"),
    from_gateway(503, "Service Unavailable"),
]


class Server(ThreadingHTTPServer):
    """Answers the calls in turn with the replies."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.replies = iter(REPLIES)

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self.server_port}"


class _Request(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        reply = next(self.server.replies)
        body = json.dumps(reply.body).encode()
        self.send_response(reply.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    """Return a server of the replies."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def read_as(reply: Reply) -> dict[str, Any]:
    """Return the values that a game should read in a reply."""
    return {
        "status": reply.status,
        "code": reply.code,
        "message": reply.message,
        "player": reply.player,
    }


def test_python(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client of openapi-python-client reads each answer without raising."""
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--meta=none"]
    package = tmp_path / "generated_game_login"
    scripts = Path(sys.executable).parent  # it formats its output with ruff
    done = subprocess.run(
        [*command, f"--path={FILE}", f"--output-path={package}", "--fail-on-warning"],
        env={**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.syspath_prepend(str(tmp_path))
    generated = importlib.import_module("generated_game_login")
    models = importlib.import_module("generated_game_login.models")
    log_in = importlib.import_module("generated_game_login.api.default.log_in")

    with generated.Client(base_url=server.url) as client:
        for reply in REPLIES:
            body = models.SignIn(username="Ada", password="correct horse battery staple")
            answer = log_in.sync_detailed(client=client, body=body)
            read = {
                "status": answer.status_code,
                "code": getattr(getattr(answer.parsed, "error", None), "code", None),
                "message": getattr(answer.parsed, "message", None),
                "player": getattr(getattr(answer.parsed, "account", None), "username", None),
            }
            assert read == read_as(reply)


def test_typescript(server: Server, tmp_path: Path) -> None:
    """A game with openapi-fetch and the generated types compiles, and reads each answer."""
    (tmp_path / "node_modules").symlink_to(npm_tools.MODULES)
    for name in ("game.mts", "tsconfig.json"):
        (tmp_path / name).write_bytes((npm_tools.HERE / name).read_bytes())
    for tool, *arguments in (
        ("openapi-typescript", FILE, "--output", "schema.mts"),
        ("tsc", "--project", "."),
    ):
        done = npm_tools.run(tool, *arguments, folder=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    done = subprocess.run(
        ["node", "game.mjs", server.url, str(len(REPLIES))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [*map(read_as, REPLIES)]
