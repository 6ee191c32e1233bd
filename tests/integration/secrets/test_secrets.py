"""Missing, malformed or unreachable secrets: warm containers go on, cold ones answer 503."""

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from auth.credentials import token_keys
from auth.credentials.new_keys import new_token_secret
from auth.settings import Settings
from local.secrets_manager import SecretsManager
from local.stack import Stack
from tests.conftest import Tables
from tests.play.containers import Container, Secrets, Switch
from tests.play.events import Answer, is_unavailable
from tests.play.players import Player, call, running

DATABASE, TOKENS = "own/database", "own/tokens"


# Malformed secrets

CANARY = "canary-5f2b"
MALFORMED_DATABASE_SECRETS: list[tuple[str, object]] = [
    ("`username`", {"username": None}),
    ("`password`", {"password": None}),
    ("`host`", {"host": None}),
    ("`port`", {"port": None}),
    ("`dbname`", {"dbname": None}),
    ("`engine`", {"engine": None}),
    ("$.port", {"port": CANARY}),
    ("$.password", {"password": [CANARY]}),
    ("$.host", {"host": {"name": CANARY}}),
]


def malformed(secret: dict[str, Any], changes: Any) -> dict[str, Any]:
    """Return a secret with other fields, without those that are None."""
    changed = {**secret, **changes}
    return {name: value for name, value in changed.items() if value is not None}


def fails_without_a_leak(
    answer: Answer, caplog: pytest.LogCaptureFixture, name: str, part: str
) -> None:
    """Check that a request failed as it should: 503, logged by secret and field, without values."""
    assert is_unavailable(answer), answer.text
    lines = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert any(name in line and part in line for line in lines), lines
    assert CANARY not in caplog.text
    assert CANARY not in answer.text
    assert name not in answer.text


@pytest.mark.parametrize(("part", "changes"), MALFORMED_DATABASE_SECRETS)
def test_malformed_database_secret(
    stack: Stack,
    secrets: Secrets,
    settings: Settings,
    switch: Switch,
    caplog: pytest.LogCaptureFixture,
    part: str,
    changes: object,
) -> None:
    """A database secret with a field missing or wrong gives 503; the log names the field."""
    secret = {**msgspec.to_builtins(stack.database.application), "password": CANARY}
    secrets.create("malformed/database", malformed(secret, changes))
    switch(Container(replace(settings, database_secret_id="malformed/database")))
    fails_without_a_leak(call("GET", "/v1/health"), caplog, "malformed/database", part)


@pytest.mark.parametrize(
    ("field", "value"),
    [("port", 70000), ("port", -1), ("host", "db..example.com"), ("host", "x" * 70)],
)
def test_impossible_database_address(
    stack: Stack, secrets: Secrets, settings: Settings, switch: Switch, field: str, value: object
) -> None:
    """An impossible database address means an unreachable database, not a bug of ours."""
    secret = malformed(msgspec.to_builtins(stack.database.application), {field: value})
    secrets.create("malformed/database", secret)
    switch(Container(replace(settings, database_secret_id="malformed/database")))
    assert is_unavailable(call("GET", "/v1/health"))


def with_secret(settings: Settings, setting: str, name: str) -> Settings:
    """Return the settings with another secret for one of the two purposes."""
    changes: dict[str, Any] = {setting: name}
    return replace(settings, **changes)


NOT_JSON = ["x", "{", CANARY, f'{{"password": "{CANARY}"', "[" * 100_000, '{"a": "\\ud800"}']


@pytest.mark.parametrize("text", NOT_JSON)
@pytest.mark.parametrize("setting", ["database_secret_id", "token_secret_id"])
def test_secret_is_not_json(
    tables: Tables,
    secrets: Secrets,
    settings: Settings,
    switch: Switch,
    caplog: pytest.LogCaptureFixture,
    setting: str,
    text: str,
) -> None:
    """A secret that is not JSON gives 503; the log names the secret."""
    secrets.create("malformed/any", text)
    switch(Container(with_secret(settings, setting, "malformed/any")))
    fails_without_a_leak(Player().log_in(), caplog, "malformed/any", "")


@pytest.mark.parametrize("text", ["null", "[]", "1", '"x"', f'["{CANARY}"]'])
@pytest.mark.parametrize("setting", ["database_secret_id", "token_secret_id"])
def test_secret_is_no_object(
    tables: Tables,
    secrets: Secrets,
    settings: Settings,
    switch: Switch,
    caplog: pytest.LogCaptureFixture,
    setting: str,
    text: str,
) -> None:
    """A secret that is JSON but not an object gives 503; the log gives the expected type."""
    secrets.create("malformed/any", text)
    switch(Container(with_secret(settings, setting, "malformed/any")))
    fails_without_a_leak(Player().log_in(), caplog, "malformed/any", "Expected `object`")


@pytest.mark.parametrize("setting", ["database_secret_id", "token_secret_id"])
def test_secret_is_missing(
    tables: Tables,
    settings: Settings,
    switch: Switch,
    caplog: pytest.LogCaptureFixture,
    setting: str,
) -> None:
    """A missing secret gives 503; the log names it and says that it is missing."""
    switch(Container(with_secret(settings, setting, "no/such/secret")))
    fails_without_a_leak(Player().log_in(), caplog, "no/such/secret", "ResourceNotFoundException")


@pytest.mark.parametrize("setting", ["database_secret_id", "token_secret_id"])
def test_secret_is_binary(
    tables: Tables,
    secrets: Secrets,
    settings: Settings,
    switch: Switch,
    caplog: pytest.LogCaptureFixture,
    setting: str,
) -> None:
    """A secret of bytes instead of text gives 503; the log says so."""
    name = "malformed/binary"
    secrets.client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    secrets.client.create_secret(Name=name, SecretBinary=CANARY.encode())
    switch(Container(with_secret(settings, setting, name)))
    fails_without_a_leak(Player().log_in(), caplog, name, "binary")


UNSUPPORTED_PEM = (  # a key of an algorithm that does not exist (OID 1.2.3.4)
    "-----BEGIN PRIVATE KEY-----\nMBACAQAwBQYDKgMEBAQAAAAA\n-----END PRIVATE KEY-----\n"
)
MALFORMED_TOKEN_SECRETS: list[tuple[str, object]] = [
    ("`mac_keys`", {"mac_keys": None}),
    ("`signing_keys`", {"signing_keys": None}),
    ("`current`", {"current": None}),
    ("`mac`", {"current": {"signing": "signing-1"}}),
    ("`signing`", {"current": {"mac": "mac-1"}}),
    ("$.mac_keys", {"mac_keys": [CANARY]}),
    ("$.mac_keys[...]", {"mac_keys": {"mac-1": {"key": CANARY}}}),
    ("$.signing_keys[...]", {"signing_keys": {"signing-1": [CANARY]}}),
    ("current.mac", {"current": {"mac": "mac-9", "signing": "signing-1"}}),
    ("current.signing", {"current": {"mac": "mac-1", "signing": "signing-9"}}),
    ("current.mac", {"mac_keys": {}}),
    ("current.signing", {"signing_keys": {}}),
    ("mac_keys.mac-1", {"mac_keys": {"mac-1": f"{CANARY} is not base64"}}),
    ("mac_keys.mac-1", {"mac_keys": {"mac-1": f"{CANARY} kein Schl\u00fcssel"}}),
    ("mac_keys.mac-1", {"mac_keys": {"mac-1": "dG9vIHNob3J0"}}),
    ("mac_keys.mac-1", {"mac_keys": {"mac-1": ""}}),
    ("signing_keys.signing-1", {"signing_keys": {"signing-1": CANARY}}),
    ("signing_keys.signing-1", {"signing_keys": {"signing-1": ""}}),
    ("signing_keys.signing-1", {"signing_keys": {"signing-1": UNSUPPORTED_PEM}}),
]


@pytest.mark.parametrize(("part", "changes"), MALFORMED_TOKEN_SECRETS)
def test_malformed_token_secret(
    tables: Tables,
    secrets: Secrets,
    settings: Settings,
    switch: Switch,
    caplog: pytest.LogCaptureFixture,
    part: str,
    changes: object,
) -> None:
    """A token secret with a part missing or wrong gives 503; the log names the part."""
    secrets.create("malformed/tokens", malformed(new_token_secret(), changes))
    switch(Container(replace(settings, token_secret_id="malformed/tokens")))
    fails_without_a_leak(Player().log_in(), caplog, "malformed/tokens", part)
    assert is_unavailable(call("GET", "/.well-known/jwks.json"))


# Secrets Manager itself


@pytest.fixture
def own_secrets_manager(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SecretsManager]:
    """Return a Secrets Manager that a test may stop, with the stack's secrets in it."""
    secrets_manager = SecretsManager(tmp_path / "secrets-manager")
    try:
        secrets_manager.start()
        secrets_manager.put(DATABASE, msgspec.to_builtins(stack.database.application))
        secrets_manager.put(TOKENS, new_token_secret())
        monkeypatch.setenv("AWS_ENDPOINT_URL", secrets_manager.endpoint)
        yield secrets_manager
    finally:
        secrets_manager.stop()


def test_secrets_manager_is_down(
    own_secrets_manager: SecretsManager,
    tables: Tables,
    settings: Settings,
    switch: Switch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without Secrets Manager a warm container goes on with old keys; a cold one answers 503."""
    own = replace(settings, database_secret_id=DATABASE, token_secret_id=TOKENS)
    switch(Container(own))
    player = Player()
    assert player.register().status == 201
    own_secrets_manager.stop()
    assert player.refresh().status == 200
    monkeypatch.setattr(token_keys, "CACHE_SECONDS", 0.0)
    running().close()
    assert player.refresh().status == 200
    assert player.log_in().status == 200
    assert player.me().status == 200
    assert call("GET", "/.well-known/jwks.json").status == 200

    switch(Container(own))
    for request in (player.refresh, player.me, player.log_in):
        began = time.monotonic()
        assert is_unavailable(request())
        assert time.monotonic() - began < 8.0


def test_keys_go_stale(
    own_secrets_manager: SecretsManager,
    tables: Tables,
    settings: Settings,
    switch: Switch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While the keys cannot be read, attempts are a minute apart, so that no request waits."""
    monkeypatch.setattr(token_keys, "CACHE_SECONDS", 0.0)
    switch(Container(replace(settings, database_secret_id=DATABASE, token_secret_id=TOKENS)))
    player = Player()
    assert player.register().status == 201
    own_secrets_manager.stop()
    assert player.me().status == 200  # this request has tried
    began = time.monotonic()
    for _ in range(10):
        assert player.me().status == 200
    assert time.monotonic() - began < 2.0
