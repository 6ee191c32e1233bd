"""The secrets: rotated under load, missing, malformed, out of reach; no redeploy is ever needed."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
from flask import Flask

import handler
from auth import keys
from auth.app import create_app
from auth.connection import DatabaseSecret
from auth.keys import new_token_secret
from auth.passwords import Passwords
from auth.secret_store import SecretStore
from auth.settings import Settings
from local.secrets_manager import SecretsManager
from local.stack import Stack
from tests.conftest import Tables
from tests.engines import cut_connections
from tests.events import Answer
from tests.players import Player, call

DATABASE, TOKENS = "rotated/database", "rotated/tokens"
ROTATING_USER = "rotating"


class Container:
    """One Lambda container: it has its own caches and its own connection."""

    def __init__(self, settings: Settings) -> None:
        self.application: Flask = create_app(settings, passwords=Passwords(8, 1))  # quick ones

    def close(self) -> None:
        """Close its connection."""
        self.application.extensions["database"].close()


Switch = Callable[[Container], None]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Switch]:
    """Return a way to say which container answers from now on."""
    containers = []

    def serve(container: Container) -> None:
        containers.append(container)
        monkeypatch.setattr(handler, "application", container.application)

    yield serve
    for container in containers:
        container.close()


class Secrets:
    """The secrets of a test, under names of their own."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def create(self, name: str, value: object) -> None:
        """Create a secret, new, whatever an earlier test left under that name."""
        self.client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
        self.client.create_secret(Name=name, SecretString=_text(value))

    def put(self, name: str, value: object, stage: str = "AWSCURRENT") -> str:
        """Store another version of a secret and return its id."""
        answer = self.client.put_secret_value(
            SecretId=name, SecretString=_text(value), VersionStages=[stage]
        )
        return str(answer["VersionId"])

    def promote(self, name: str, version: str) -> None:
        """Make a pending version the current one, as the end of a rotation does."""
        old = self.client.get_secret_value(SecretId=name, VersionStage="AWSCURRENT")["VersionId"]
        self.client.update_secret_version_stage(
            SecretId=name,
            VersionStage="AWSCURRENT",
            MoveToVersionId=version,
            RemoveFromVersionId=old,
        )


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(msgspec.to_builtins(value))


@pytest.fixture
def secrets(stack: Stack) -> Secrets:
    """Return the secrets, to be changed."""
    return Secrets(stack.secrets_manager.client())


def is_unavailable(answer: Answer) -> bool:
    """Tell whether an answer is the 503 of the contract."""
    error = answer.json["error"]
    return (
        (answer.status, error["code"]) == (503, "unavailable")
        and int(answer.headers["retry-after"]) >= 1
        and error["retry_after"] == int(answer.headers["retry-after"])
    )


# The database's password


class Rotation:
    """A database user whose password is rotated, and the secret that says which it is."""

    def __init__(self, tables: Tables, secrets: Secrets, secret: DatabaseSecret) -> None:
        self._tables = tables
        self.secrets = secrets
        self.secret = msgspec.structs.replace(secret, username=ROTATING_USER, password="first")
        tables.run(f"DROP USER IF EXISTS {ROTATING_USER}")
        tables.run(f"CREATE USER {ROTATING_USER} IDENTIFIED BY 'first' REQUIRE SSL")
        tables.run(f"GRANT SELECT, INSERT, UPDATE, DELETE ON `game\\_login`.* TO {ROTATING_USER}")
        secrets.create(DATABASE, self.secret)

    def with_password(self, password: str) -> DatabaseSecret:
        """Return the secret with another password."""
        return msgspec.structs.replace(self.secret, password=password)

    def change_in_database(self, password: str) -> None:
        """Change the user's password in the database."""
        self._tables.run(f"ALTER USER {ROTATING_USER} IDENTIFIED BY '{password}'")

    def cut_connections(self) -> None:
        """Close the user's connections."""
        cut_connections(self._tables, ROTATING_USER)


@pytest.fixture
def rotation(
    stack: Stack, tables: Tables, secrets: Secrets, settings: Settings, serve: Switch
) -> Iterator[Rotation]:
    """Return a rotation that a warm container is about to go through."""
    rotation = Rotation(tables, secrets, stack.mariadb.application)
    serve(Container(replace(settings, database_secret_id=DATABASE)))
    assert call("GET", "/v1/health").status == 200
    yield rotation
    rotation.cut_connections()
    tables.run(f"DROP USER {ROTATING_USER}")


def test_password_is_rotated(rotation: Rotation) -> None:
    """A warm container whose connection closes after a rotation reads the secret again."""
    player = Player()
    assert player.register().status == 201
    rotation.change_in_database("second")
    rotation.secrets.put(DATABASE, rotation.with_password("second"))
    rotation.cut_connections()
    assert player.refresh().status == 200
    assert player.log_in().status == 200


def test_gap_of_a_rotation(rotation: Rotation) -> None:
    """Between the change in the database and that of AWSCURRENT, AWSPENDING lets us in."""
    version = rotation.secrets.put(DATABASE, rotation.with_password("second"), "AWSPENDING")
    rotation.change_in_database("second")
    rotation.cut_connections()
    assert call("GET", "/v1/health").status == 200
    rotation.secrets.promote(DATABASE, version)
    rotation.cut_connections()
    assert call("GET", "/v1/health").status == 200


def test_cold_start_in_the_gap(rotation: Rotation, settings: Settings, serve: Switch) -> None:
    """A container that starts in the midst of a rotation gets in as well."""
    rotation.secrets.put(DATABASE, rotation.with_password("second"), "AWSPENDING")
    rotation.change_in_database("second")
    serve(Container(replace(settings, database_secret_id=DATABASE)))
    assert call("GET", "/v1/health").status == 200


def test_rotation_ends_meanwhile(rotation: Rotation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rotation that ends after AWSCURRENT was read and before AWSPENDING is fails nobody."""
    version = rotation.secrets.put(DATABASE, rotation.with_password("second"), "AWSPENDING")
    rotation.change_in_database("second")
    rotation.cut_connections()
    read, stages = SecretStore.read, []

    def read_late(store: SecretStore, secret_id: str, form: Any, stage: str = "AWSCURRENT") -> Any:
        if stage == "AWSPENDING":
            rotation.secrets.promote(DATABASE, version)
            rotation.secrets.client.update_secret_version_stage(
                SecretId=DATABASE, VersionStage="AWSPENDING", RemoveFromVersionId=version
            )
        stages.append(stage)
        return read(store, secret_id, form, stage)

    monkeypatch.setattr(SecretStore, "read", read_late)
    assert call("GET", "/v1/health").status == 200
    assert stages == ["AWSCURRENT", "AWSPENDING", "AWSCURRENT"]


def test_rotation_that_has_only_begun(
    rotation: Rotation, settings: Settings, serve: Switch
) -> None:
    """A pending password that the database does not know yet disturbs nobody."""
    rotation.secrets.put(DATABASE, rotation.with_password("second"), "AWSPENDING")
    rotation.cut_connections()
    assert call("GET", "/v1/health").status == 200
    serve(Container(replace(settings, database_secret_id=DATABASE)))
    assert call("GET", "/v1/health").status == 200


def test_two_rotations_missed(rotation: Rotation) -> None:
    """A container that slept through two rotations gets in with what is pending by now."""
    rotation.secrets.put(DATABASE, rotation.with_password("second"))
    rotation.secrets.put(DATABASE, rotation.with_password("third"), "AWSPENDING")
    rotation.change_in_database("third")
    rotation.cut_connections()
    assert call("GET", "/v1/health").status == 200


def test_open_connections_survive(rotation: Rotation, secrets: Secrets) -> None:
    """A rotation closes no connection, so a container goes on with no secret read at all."""
    player = Player()
    player.register()
    database = handler.application.extensions["database"]
    before = database.execute("SELECT CONNECTION_ID() AS id").rows
    rotation.change_in_database("second")
    secrets.put(DATABASE, rotation.with_password("second"))
    assert player.refresh().status == 200
    database.start_request()
    assert database.execute("SELECT CONNECTION_ID() AS id").rows == before


def test_no_password_fits(rotation: Rotation) -> None:
    """Where no version of the secret lets us in, players get 503 until one does."""
    rotation.change_in_database("nobody knows")
    rotation.cut_connections()
    for _ in range(2):
        began = time.monotonic()
        assert is_unavailable(call("GET", "/v1/health"))
        assert time.monotonic() - began < 4.0
    rotation.secrets.put(DATABASE, rotation.with_password("nobody knows"))
    assert call("GET", "/v1/health").status == 200


def test_database_moves(rotation: Rotation) -> None:
    """A database that is not where the secret says is looked up again by the next request."""
    elsewhere = msgspec.structs.replace(rotation.secret, port=1)
    rotation.secrets.put(DATABASE, elsewhere)
    handler.application.extensions["database"].close()
    assert call("GET", "/v1/health").status == 200  # the cached secret is still good
    rotation.change_in_database("second")
    rotation.cut_connections()
    assert is_unavailable(call("GET", "/v1/health"))
    rotation.secrets.put(DATABASE, rotation.with_password("second"))
    assert call("GET", "/v1/health").status == 200


# Secrets that are no good

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
    """Check that a request failed as it should: 503, logged by secret and field, no value shown."""
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
    serve: Switch,
    caplog: pytest.LogCaptureFixture,
    part: str,
    changes: object,
) -> None:
    """A database secret with a field missing or wrong gives 503; the log names the field."""
    secret = {**msgspec.to_builtins(stack.mariadb.application), "password": CANARY}
    secrets.create("malformed/database", malformed(secret, changes))
    serve(Container(replace(settings, database_secret_id="malformed/database")))
    fails_without_a_leak(call("GET", "/v1/health"), caplog, "malformed/database", part)


@pytest.mark.parametrize(
    ("field", "value"),
    [("port", 70000), ("port", -1), ("host", "db..example.com"), ("host", "x" * 70)],
)
def test_impossible_database_address(
    stack: Stack, secrets: Secrets, settings: Settings, serve: Switch, field: str, value: object
) -> None:
    """An address that no database can have is a database out of reach, not a bug of ours."""
    secret = malformed(msgspec.to_builtins(stack.mariadb.application), {field: value})
    secrets.create("malformed/database", secret)
    serve(Container(replace(settings, database_secret_id="malformed/database")))
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
    serve: Switch,
    caplog: pytest.LogCaptureFixture,
    setting: str,
    text: str,
) -> None:
    """A secret that is not JSON gives 503; the log names the secret."""
    secrets.create("malformed/any", text)
    serve(Container(with_secret(settings, setting, "malformed/any")))
    fails_without_a_leak(Player().log_in(), caplog, "malformed/any", "")


@pytest.mark.parametrize("text", ["null", "[]", "1", '"x"', f'["{CANARY}"]'])
@pytest.mark.parametrize("setting", ["database_secret_id", "token_secret_id"])
def test_secret_is_no_object(
    tables: Tables,
    secrets: Secrets,
    settings: Settings,
    serve: Switch,
    caplog: pytest.LogCaptureFixture,
    setting: str,
    text: str,
) -> None:
    """A secret that is JSON but no object gives 503; the log says what was expected."""
    secrets.create("malformed/any", text)
    serve(Container(with_secret(settings, setting, "malformed/any")))
    fails_without_a_leak(Player().log_in(), caplog, "malformed/any", "Expected `object`")


@pytest.mark.parametrize("setting", ["database_secret_id", "token_secret_id"])
def test_secret_is_missing(
    tables: Tables,
    settings: Settings,
    serve: Switch,
    caplog: pytest.LogCaptureFixture,
    setting: str,
) -> None:
    """A secret that is not there gives 503; the log names it and says so."""
    serve(Container(with_secret(settings, setting, "no/such/secret")))
    fails_without_a_leak(Player().log_in(), caplog, "no/such/secret", "ResourceNotFoundException")


@pytest.mark.parametrize("setting", ["database_secret_id", "token_secret_id"])
def test_secret_is_binary(
    tables: Tables,
    secrets: Secrets,
    settings: Settings,
    serve: Switch,
    caplog: pytest.LogCaptureFixture,
    setting: str,
) -> None:
    """A secret of bytes instead of text gives 503; the log says so."""
    name = "malformed/binary"
    secrets.client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    secrets.client.create_secret(Name=name, SecretBinary=CANARY.encode())
    serve(Container(with_secret(settings, setting, name)))
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
    serve: Switch,
    caplog: pytest.LogCaptureFixture,
    part: str,
    changes: object,
) -> None:
    """A token secret with a part missing or wrong gives 503; the log names the part."""
    secrets.create("malformed/tokens", malformed(new_token_secret(), changes))
    serve(Container(replace(settings, token_secret_id="malformed/tokens")))
    fails_without_a_leak(Player().log_in(), caplog, "malformed/tokens", part)
    assert is_unavailable(call("GET", "/.well-known/jwks.json"))


# Secrets Manager itself


@pytest.fixture
def own_secrets_manager(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SecretsManager]:
    """Return a Secrets Manager that may be stopped, with the secrets of the stack in it."""
    secrets_manager = SecretsManager(tmp_path / "secrets-manager")
    try:
        secrets_manager.start()
        secrets_manager.put(DATABASE, msgspec.to_builtins(stack.mariadb.application))
        secrets_manager.put(TOKENS, new_token_secret())
        monkeypatch.setenv("AWS_ENDPOINT_URL", secrets_manager.endpoint)
        yield secrets_manager
    finally:
        secrets_manager.stop()


def test_secrets_manager_is_down(
    own_secrets_manager: SecretsManager,
    tables: Tables,
    settings: Settings,
    serve: Switch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without Secrets Manager a warm container serves on, with old keys; a cold one says 503."""
    own = replace(settings, database_secret_id=DATABASE, token_secret_id=TOKENS)
    serve(Container(own))
    player = Player()
    assert player.register().status == 201
    own_secrets_manager.stop()
    assert player.refresh().status == 200
    monkeypatch.setattr(keys, "CACHE_SECONDS", 0.0)
    handler.application.extensions["database"].close()
    assert player.refresh().status == 200
    assert player.log_in().status == 200
    assert player.me().status == 200
    assert call("GET", "/.well-known/jwks.json").status == 200

    serve(Container(own))
    for request in (player.refresh, player.me, player.log_in):
        began = time.monotonic()
        assert is_unavailable(request())
        assert time.monotonic() - began < 8.0


def test_keys_go_stale(
    own_secrets_manager: SecretsManager,
    tables: Tables,
    settings: Settings,
    serve: Switch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While the keys cannot be read again, the attempts are a minute apart: no request waits."""
    monkeypatch.setattr(keys, "CACHE_SECONDS", 0.0)
    serve(Container(replace(settings, database_secret_id=DATABASE, token_secret_id=TOKENS)))
    player = Player()
    assert player.register().status == 201
    own_secrets_manager.stop()
    assert player.me().status == 200  # this one has tried
    began = time.monotonic()
    for _ in range(10):
        assert player.me().status == 200
    assert time.monotonic() - began < 2.0


# Rotating the token keys


class KeyRotation:
    """The token secret through the steps of docs/security.md, and two containers beside it."""

    def __init__(self, secrets: Secrets, settings: Settings) -> None:
        self._secrets = secrets
        self.settings = replace(settings, token_secret_id=TOKENS)
        old, new = new_token_secret(), new_token_secret()
        self.mac_keys: dict[str, str] = dict(old["mac_keys"])  # type: ignore[call-overload]
        self.signing_keys: dict[str, str] = dict(old["signing_keys"])  # type: ignore[call-overload]
        self.current = {"mac": "mac-1", "signing": "signing-1"}
        self._next = (new["mac_keys"]["mac-1"], new["signing_keys"]["signing-1"])  # type: ignore[index]
        secrets.create(TOKENS, self._value())

    def container(self) -> Container:
        """Return a container that has not read the secret yet."""
        return Container(self.settings)

    def publish(self) -> None:
        """Add the next keys, not used yet."""
        self.mac_keys["mac-2"], self.signing_keys["signing-2"] = self._next
        self._store()

    def promote(self) -> None:
        """Make the next keys the current ones."""
        self.current = {"mac": "mac-2", "signing": "signing-2"}
        self._store()

    def withdraw(self) -> None:
        """Take the next keys back, as if they had never been."""
        del self.mac_keys["mac-2"], self.signing_keys["signing-2"]
        self.current = {"mac": "mac-1", "signing": "signing-1"}
        self._store()

    def remove_old(self) -> None:
        """Remove the previous keys."""
        del self.mac_keys["mac-1"], self.signing_keys["signing-1"]
        self._store()

    def _value(self) -> dict[str, object]:
        return {
            "mac_keys": self.mac_keys,
            "signing_keys": self.signing_keys,
            "current": self.current,
        }

    def _store(self) -> None:
        self._secrets.put(TOKENS, self._value())


@pytest.fixture
def key_rotation(secrets: Secrets, settings: Settings, tables: Tables) -> KeyRotation:
    """Return token keys that are about to be rotated."""
    return KeyRotation(secrets, settings)


def kids() -> list[str]:
    """Return the ids of the keys that are published."""
    answer = call("GET", "/.well-known/jwks.json")
    assert answer.status == 200
    return [key["kid"] for key in answer.json["keys"]]


def kid_of(player: Player) -> str:
    """Return the id of the key that signed a player's access token."""
    return str(jwt.get_unverified_header(player.access_token)["kid"])


def as_it_was(player: Player) -> Player:
    """Return the player with the tokens of now, to come back with them later."""
    return Player(
        player.username, player.password, player.address, player.access_token, player.refresh_token
    )


def test_key_rotation(
    key_rotation: KeyRotation, serve: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Token keys are rotated in three steps, and no player notices any of them."""
    serve(key_rotation.container())
    player = Player()
    player.register()
    assert kids() == ["signing-1"]

    key_rotation.publish()
    assert kids() == ["signing-1"]  # cached
    monkeypatch.setattr(keys, "CACHE_SECONDS", 0.0)  # from here on the cache time always passes
    serve(key_rotation.container())
    assert sorted(kids()) == ["signing-1", "signing-2"]
    assert player.refresh().status == 200
    assert kid_of(player) == "signing-1"

    key_rotation.promote()
    assert player.me().status == 200
    assert player.refresh().status == 200
    assert kid_of(player) == "signing-2"
    assert player.me().status == 200
    assert sorted(kids()) == ["signing-1", "signing-2"]

    key_rotation.remove_old()
    assert kids() == ["signing-2"]
    assert player.me().status == 200
    assert player.refresh().status == 200
    assert player.log_in().status == 200


def test_old_keys_are_gone(
    key_rotation: KeyRotation, serve: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a removed key made is worth nothing: no token of it passes."""
    monkeypatch.setattr(keys, "CACHE_SECONDS", 0.0)
    monkeypatch.setattr(keys, "REREAD_SECONDS", 0.0)
    serve(key_rotation.container())
    player = Player()
    player.register()
    key_rotation.publish()
    key_rotation.promote()
    key_rotation.remove_old()
    assert player.me().code == "invalid_token"
    assert player.refresh().code == "session_ended"
    assert player.log_in().status == 200


def test_container_that_missed_the_publication(key_rotation: KeyRotation, serve: Switch) -> None:
    """A token made with a key that a container has not heard of makes it read the secret again."""
    behind, ahead = key_rotation.container(), key_rotation.container()
    serve(behind)
    player = Player()
    player.register()
    key_rotation.publish()
    key_rotation.promote()
    serve(ahead)
    assert player.refresh().status == 200
    assert kid_of(player) == "signing-2"
    serve(behind)
    assert player.me().status == 200
    assert player.refresh().status == 200


def test_unknown_key_while_reading_is_throttled(key_rotation: KeyRotation, serve: Switch) -> None:
    """A key unknown to a container that has just re-read its keys means 503, never signed out."""
    behind, ahead = key_rotation.container(), key_rotation.container()
    serve(behind)
    player = Player()
    player.register()
    key_rotation.publish()
    key_rotation.promote()
    serve(ahead)
    early = as_it_was(player)
    assert player.refresh().status == 200
    key_rotation.withdraw()
    serve(behind)
    assert player.refresh().code == "session_ended"  # it has looked: there is no such key
    answer = player.refresh()
    assert is_unavailable(answer)
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert player.me().code == "invalid_token"  # which makes a client refresh, no more
    assert early.me().status == 200


def test_rate_limits_over_a_rotation(
    key_rotation: KeyRotation, serve: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new MAC key fills no more than each bucket once: guessing stays limited."""
    monkeypatch.setattr(keys, "CACHE_SECONDS", 0.0)
    serve(key_rotation.container())
    player = Player()
    player.register()
    key_rotation.publish()
    statuses = [player.log_in("wrong").status for _ in range(7)]
    key_rotation.promote()
    statuses += [player.log_in("wrong").status for _ in range(7)]
    key_rotation.remove_old()
    statuses += [player.log_in("wrong").status for _ in range(7)]
    assert statuses.count(401) <= 10
