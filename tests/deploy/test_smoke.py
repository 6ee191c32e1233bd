"""The smoke test against the real backend over HTTP, and against servers that are broken."""

import http.server
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest

import handler
from auth.app import create_app
from auth.credentials.keys import ALGORITHMS, TokenSecret, key_ring
from auth.credentials.new_keys import new_token_secret
from auth.settings import Settings
from local.stack import ROOT, Stack
from local.terminal import Problem
from operate import http_client
from tests.conftest import Tables
from tests.play.events import http_event
from tests.rehearsal.players import RehearsedApi

OTHER_KEYS = {"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "other", "x": "A" * 43}]}
SECRET = re.compile(r"eyJ|password\"|token\"|gl[a-z]*_[\w-]{40}")


@dataclass(frozen=True)
class Reply:
    """The answer of a planted failure, sent instead of the backend's."""

    status: int = 200
    body: bytes = b"{}"
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


Plant = Callable[[str, int], Reply | None]


class Backend(http.server.ThreadingHTTPServer):
    """The real handler behind a port, with a test's planted answers in front of it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.plant: Plant = lambda *_: None
        self.lose: set[str] = set()  # routes that lose their first answer, after the work is done
        self.asked: list[str] = []
        self.free = threading.Event()
        self.lock = threading.Lock()  # one container serves one request at a time

    @property
    def url(self) -> str:
        """Return the backend's address."""
        return f"http://127.0.0.1:{self.server_port}"


class Request(http.server.BaseHTTPRequestHandler):
    """Turns HTTP into an event of the gateway, and the answer back."""

    server: Backend

    def do_GET(self) -> None:
        """Answer."""
        path = self.path
        self.server.asked.append(path)
        times = self.server.asked.count(path)
        body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        planted = self.server.plant(path, times)
        if planted is None:
            with self.server.lock:
                event = http_event(self.command, path, body or None, dict(self.headers))
                real = handler.http(event, None)
            if path in self.server.lose:
                self.server.lose.discard(path)
                self.close_connection = True
                return
            planted = Reply(real["statusCode"], real["body"].encode(), headers=real["headers"])
        self._send(planted)

    do_POST = do_GET  # noqa: N815

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        names = {name.lower() for name in reply.headers}
        for name, value in reply.headers.items():
            if name.lower() != "content-length":
                self.send_header(name, value)
        if "content-type" not in names:
            self.send_header("Content-Type", reply.kind)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing."""


@pytest.fixture
def backend(tables: Tables) -> Iterator[Backend]:
    """Return the real backend over HTTP."""
    backend = Backend()
    thread = threading.Thread(target=backend.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield backend
    backend.free.set()
    backend.shutdown()
    thread.join()
    backend.server_close()


@dataclass(frozen=True)
class Outcome:
    """The result of the command."""

    code: int
    text: str
    seconds: float


def smoke(url: str, *arguments: str) -> Outcome:
    """Run the command, in a process of its own as `make smoke` does."""
    begin = time.monotonic()
    command = [sys.executable, "-m", "operate.smoke", url, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    assert "Traceback" not in text, text
    assert not SECRET.search(text), text
    return Outcome(done.returncode, text, time.monotonic() - begin)


def always(path: str, reply: Reply) -> Plant:
    """Answer one route with a reply, and leave the rest to the backend."""
    return lambda asked, _: reply if asked == path else None


def test_a_good_deployment(backend: Backend, tables: Tables) -> None:
    """Every step is a line with its time, the command succeeds, and the canary is gone."""
    outcome = smoke(backend.url)
    assert outcome.code == 0, outcome.text
    lines = outcome.text.splitlines()
    steps = ["health", "register", "log_in", "me", "refresh", "jwks", "delete", "gone"]
    assert [line.split()[0] for line in lines] == steps
    assert all(re.fullmatch(r"\w+ +ok +\d+ ms", line) for line in lines)
    assert tables.count("accounts") == 0


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_kinds_of_keys(
    backend: Backend,
    stack: Stack,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    """The token of a deployment is verified with every kind of signing key."""
    name = f"smoke/{kind}"
    client = stack.secrets_manager.client()
    client.create_secret(Name=name, SecretString=json.dumps(new_token_secret(kind)))
    application = create_app(replace(settings, token_secret_id=name))
    monkeypatch.setattr(handler, "application", application)
    outcome = smoke(backend.url)
    application.close()
    assert outcome.code == 0, outcome.text


def test_retries(backend: Backend, tables: Tables) -> None:
    """A 503 is retried after its Retry-After, and the step reports its retries."""
    busy = Reply(503, b'{"error": {"code": "unavailable"}}', headers={"Retry-After": "1"})
    backend.plant = lambda path, times: busy if path == "/v1/login" and times <= 2 else None
    outcome = smoke(backend.url)
    assert outcome.code == 0, outcome.text
    assert re.search(r"log_in +ok +2\d\d\d ms  after 2 retries", outcome.text)


@pytest.mark.parametrize("path", ["/v1/register", "/v1/refresh", "/v1/me/delete"])
def test_a_lost_answer(backend: Backend, tables: Tables, path: str) -> None:
    """A step that lost its answer succeeds when it is repeated."""
    backend.lose = {path}
    outcome = smoke(backend.url)
    assert outcome.code == 0, outcome.text
    assert outcome.text.count("after 1 retry") == 1
    assert tables.count("accounts") == 0


@pytest.mark.parametrize(
    ("path", "reply", "said"),
    [
        ("/v1/login", Reply(500, b'{"error": {"code": "internal_error"}}'), "500 internal_error"),
        ("/v1/me", Reply(200, b"<html>hello</html>", "text/html"), "text/html"),
        ("/v1/me", Reply(200, b'{"account": "eyJhbGciOi"}'), "another account"),
        ("/v1/me", Reply(302, headers={"Location": "https://evil.example/"}), "302"),
        ("/v1/refresh", Reply(200, b'{"access_token": "eyJ", "account": {}}'), "without a session"),
        ("/.well-known/jwks.json", Reply(body=json.dumps(OTHER_KEYS).encode()), "not published"),
        ("/.well-known/jwks.json", Reply(body=b'{"keys": "eyJ"}'), "does not verify"),
        ("/.well-known/jwks.json", Reply(body=b'{"keys": []}'), "does not verify"),
    ],
)
def test_a_broken_deployment(
    backend: Backend, tables: Tables, path: str, reply: Reply, said: str
) -> None:
    """A failed step is named with the reason, and the canary is still deleted."""
    backend.plant = always(path, reply)
    outcome = smoke(backend.url)
    assert outcome.code == 1
    assert re.search(rf"^FAILED .*{re.escape(said)}", outcome.text, re.MULTILINE), outcome.text
    assert re.search(r"^delete +ok", outcome.text, re.MULTILINE)
    assert tables.count("accounts") == 0


def test_a_forged_signature(backend: Backend, tables: Tables) -> None:
    """A published key that has the right name but did not sign the token is detected."""
    ring = key_ring(msgspec.convert(new_token_secret(), TokenSecret))
    published = ring.jwks()  # this deployment's key is named signing-1 too
    backend.plant = always("/.well-known/jwks.json", Reply(body=json.dumps(published).encode()))
    outcome = smoke(backend.url)
    assert outcome.code == 1
    assert "InvalidSignatureError" in outcome.text
    assert tables.count("accounts") == 0


def test_failed_health(backend: Backend, tables: Tables) -> None:
    """If health fails, no account is opened."""
    broken = Reply(500, b"boom", "text/plain")
    backend.plant = lambda *_: broken
    outcome = smoke(backend.url)
    assert outcome.code == 1
    assert "FAILED    health: 500" in outcome.text
    assert backend.asked == ["/v1/health"]


def test_deletion_fails(backend: Backend, tables: Tables) -> None:
    """An account that cannot be deleted is named, without its password."""
    backend.plant = always("/v1/me/delete", Reply(500, b"{}"))
    outcome = smoke(backend.url)
    assert outcome.code == 1
    assert re.search(r"the account canary-[0-9a-f]{16} may be left over", outcome.text)
    assert tables.count("accounts") == 1


def test_a_hung_server(backend: Backend, tables: Tables) -> None:
    """A server that accepts and never answers does not hang the deployment."""

    def hang(path: str, times: int) -> Reply | None:
        if path == "/v1/me":
            backend.free.wait(60)
        return None

    backend.plant = hang
    outcome = smoke(backend.url, "--seconds=3")
    assert outcome.code == 1
    assert "FAILED    me: the time for all steps is up" in outcome.text
    assert outcome.seconds < 8
    assert tables.count("accounts") == 0


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://game.example.com", "must begin with https://"),
        ("game.example.com", "must look like"),
        ("https://game.example.com:port", "not an address"),
        ("https://game.example.com/?a=b", "must look like"),
    ],
)
def test_an_address(url: str, said: str) -> None:
    """A malformed address, or one that would send a password unencrypted, is refused."""
    outcome = smoke(url)
    assert outcome.code == 1
    assert said in outcome.text


def test_a_rehearsed_failure(backend: Backend) -> None:
    """In a rehearsal, a failure is named with the reason that players do not see."""
    reply = Reply(500, headers={"X-Rehearsal-Error": "no route for it"})
    backend.plant = always("/v1/me", reply)
    with pytest.raises(Problem, match="GET /v1/me: 500 no route for it"):
        RehearsedApi(backend.url).ask("GET", "/v1/me")


def test_closed_port(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed port is retried as often as a lost answer, and then named."""
    monkeypatch.setattr(http_client, "RETRY_SECONDS", 0.0)
    backend.server_close()
    with pytest.raises(Problem, match="ConnectionRefusedError"):
        http_client.Deployment(backend.url).ask("GET", "/v1/health")
