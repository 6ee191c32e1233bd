"""SnapStart: copies of one started process differ, and the snapshot holds no secret."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import jwt
import msgspec
import pytest

from auth.credentials.keys import ALGORITHMS, TokenSecret, key_ring
from auth.credentials.new_keys import new_token_secret
from local.stack import ROOT, Stack, without_aws
from tests.play.credentials_server import CredentialsServer, credentials_server

pytestmark = pytest.mark.skipif(
    sys.platform != "linux",
    reason="SNAPSTART IS NOT TESTED: awslambdaric, Lambda's runtime client, is for Linux only",
)

Copies = list[dict[str, Any]]


@pytest.fixture
def credentials() -> Iterator[CredentialsServer]:
    """Return a running server of credentials."""
    with credentials_server() as server:
        yield server


def copy_twice(
    stack: Stack, credentials: CredentialsServer, *arguments: str, **settings: str
) -> Copies:
    """Return the process's state at the snapshot, and the values that each copy made."""
    done = run(stack, credentials, *arguments, **settings)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def run(
    stack: Stack, credentials: CredentialsServer, *arguments: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run the process that is copied twice."""
    environment = credentials.environment(
        {**without_aws(os.environ), **stack.environment(), **settings}
    )
    return subprocess.run(
        [sys.executable, "-m", "tests.play.snapshot_process", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


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


@pytest.mark.usefixtures("tables")
def test_failed_copy(stack: Stack, credentials: CredentialsServer) -> None:
    """If a copy fails, the process that was copied fails too."""
    done = run(stack, credentials, DATABASE_SECRET_ID="missing")
    assert done.returncode == 1
    assert "RuntimeError: the copy failed" in done.stderr
