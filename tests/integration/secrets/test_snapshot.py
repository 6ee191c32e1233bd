"""SnapStart: copies of one started process differ, and the snapshot holds no secret."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import msgspec
import pytest

from auth.credentials.keys import ALGORITHMS, TokenSecret, key_ring
from auth.credentials.new_keys import new_token_secret
from local.stack import ROOT, Stack, without_aws

pytestmark = pytest.mark.skipif(
    sys.platform != "linux",
    reason="SNAPSTART IS NOT TESTED: awslambdaric, Lambda's runtime client, is for Linux only",
)

Copies = list[dict[str, Any]]


class CredentialsServer(ThreadingHTTPServer):
    """Serves AWS credentials as Lambda does with SnapStart: over HTTP, not in the environment."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.given = 0

    def url(self) -> str:
        """Return the address of the credentials."""
        return f"http://127.0.0.1:{self.server_port}/credentials"


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


@pytest.fixture
def credentials() -> Iterator[CredentialsServer]:
    """Return a running server of credentials."""
    server = CredentialsServer()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def copy_twice(
    stack: Stack, credentials: CredentialsServer, *arguments: str, **settings: str
) -> Copies:
    """Return the process's state at the snapshot, and the values that each copy made."""
    environment = {
        **without_aws(os.environ),
        **stack.environment(),
        **settings,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": credentials.url(),
    }
    del environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.play.snapshot_process", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize("kind", ALGORITHMS)
def test_copies_differ(stack: Stack, credentials: CredentialsServer, kind: str) -> None:
    """Two copies make different ids, tokens and pauses, with their own AWS credentials."""
    client, name = stack.secrets_manager.client(), f"snapshot/{kind}"
    secret = new_token_secret(kind)
    client.create_secret(Name=name, SecretString=json.dumps(secret))
    inherited, *copies = copy_twice(stack, credentials, TOKEN_SECRET_ID=name)
    assert inherited == {"sockets": [], "credentials": 0, "secret": False, "connection": False}
    assert len(copies) == 2
    for name in copies[0]:
        assert copies[0][name] != copies[1][name], name
    public = jwt.PyJWKSet.from_dict(key_ring(msgspec.convert(secret, TokenSecret)).jwks())
    for copy in copies:
        assert jwt.decode(
            copy["access_token"], public["signing-1"], [ALGORITHMS[kind]], audience="game"
        )
    assert credentials.given == 3  # once for the start-up, and once for each copy


@pytest.mark.usefixtures("tables")
def test_without_the_hooks_they_would_not(stack: Stack, credentials: CredentialsServer) -> None:
    """The same process without the hooks of `auth.external.snapshot` shares its credentials."""
    inherited, *copies = copy_twice(stack, credentials, "no-hooks")
    assert inherited["credentials"]
    assert copies[0]["pause"] == copies[1]["pause"]
    assert copies[0]["account"] != copies[1]["account"]
    assert credentials.given == 1
