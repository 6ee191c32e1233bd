"""The rotation of the database user on a real database, step by step as Secrets Manager asks."""

import logging
import re
from typing import Any

import pytest

import handler
from auth.errors import Unavailable
from auth.external.connection import DatabaseSecret, connect, tls_context
from auth.external.failures import DatabaseFailure
from auth.external.secret_store import SecretStore
from auth.jobs import database_users
from auth.jobs.database_users import UserError, other_user, sign_in, users_lock
from auth.jobs.rotation import WAKE, RotationError
from auth.settings import Settings
from local.processes import free_port
from local.stack import Stack
from tests.conftest import Tables
from tests.integration.jobs.rotating import FIRST, SECOND, SECRET, STEPS, SecretsManagerSide
from tests.play.engines import MYSQL

HASH = re.compile(r"(BY PASSWORD|AS) '.+?'(?= REQUIRE)", re.DOTALL)


def grants(aws: SecretsManagerSide, user: DatabaseSecret) -> set[str]:
    """Return a user's rights without its name and password."""
    with connect(user, aws.tls) as connection:
        rows = Tables(connection).run("SHOW GRANTS")
        if MYSQL:  # it stores the way of signing in apart from the rights
            rows += Tables(connection).run("SHOW CREATE USER CURRENT_USER()")
    lines = (str(next(iter(row.values()))) for row in rows)
    return {HASH.sub("", line).replace(user.username, "user") for line in lines}


def test_both_users_may_do_the_same(aws: SecretsManagerSide) -> None:
    """The second user has exactly the first one's rights, and needs TLS as well."""
    first = grants(aws, aws.read())
    aws.rotate()
    second = grants(aws, aws.read())
    assert aws.read().username == SECOND
    assert first == second
    assert len(second) == (3 if MYSQL else 2)
    assert any("GRANT SELECT, INSERT, UPDATE, DELETE ON `game" in line for line in second)
    assert any("GRANT USAGE ON *.*" in line for line in second)
    made = "CREATE USER `user`@" if MYSQL else "GRANT USAGE ON *.*"
    assert any(made in line and "REQUIRE SSL" in line for line in second)


def test_labels(aws: SecretsManagerSide) -> None:
    """After a rotation AWSPENDING and AWSCURRENT label one version, as Secrets Manager requires."""
    old = next(version for version, stages in aws.stages().items() if "AWSCURRENT" in stages)
    token = aws.rotate()
    stages = aws.stages()
    assert set(stages[token]) == {"AWSCURRENT", "AWSPENDING"}
    assert stages[old] == ["AWSPREVIOUS"]


@pytest.mark.parametrize("done", range(5))
def test_crash_between_steps(aws: SecretsManagerSide, done: int) -> None:
    """If a rotation stops at any step, the current user works, and another attempt completes it."""
    used = aws.read()
    token = aws.begin()
    for step in STEPS[:done]:
        aws.call(step, token)
    assert aws.signs_in(used)
    assert aws.signs_in(aws.read())
    pending = aws.raw("AWSPENDING") if done else None
    for step in STEPS:
        aws.call(step, token)
    assert aws.read().username == SECOND
    assert aws.signs_in(aws.read())
    assert pending in (None, aws.raw()), "the password made first is kept"


@pytest.mark.parametrize("step", STEPS)
def test_crash_before_the_answer(
    aws: SecretsManagerSide, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A step is safe to repeat, as after a lost answer."""
    token = aws.begin()
    for each in STEPS:
        aws.call(each, token)
        if each == step:
            aws.call(each, token)
    assert aws.signs_in(aws.read())
    assert aws.read().username == SECOND


def test_steps_out_of_order(aws: SecretsManagerSide) -> None:
    """A step called before the step it depends on is refused and changes nothing."""
    token = aws.begin()
    with pytest.raises(Unavailable):
        aws.call("setSecret", token)
    with pytest.raises(Unavailable):
        aws.call("finishSecret", token)
    aws.call("createSecret", token)
    for step in ("testSecret", "finishSecret"):
        with pytest.raises(DatabaseFailure, match="1045"):
            aws.call(step, token)
    assert aws.read().username == FIRST


TOKEN = "5d2f4a52-2a8e-4c36-9f0a-6f5a5f5a5f5a"
WRONG_EVENTS: list[object] = [
    None,
    [],
    {},
    "createSecret",
    {"SecretId": SECRET, "ClientRequestToken": TOKEN},
    {"SecretId": SECRET, "ClientRequestToken": TOKEN, "Step": "dropSecret"},
    {"SecretId": SECRET, "ClientRequestToken": TOKEN, "Step": ["createSecret"]},
    {"SecretId": SECRET, "ClientRequestToken": 7, "Step": "createSecret"},
    {"SecretId": None, "ClientRequestToken": TOKEN, "Step": "createSecret"},
    {"SecretId": "game-login/local/tokens", "ClientRequestToken": TOKEN, "Step": "createSecret"},
    {"SecretId": SECRET, "ClientRequestToken": TOKEN, "Step": "createSecret"},  # no such version
    {"version": "2.0", "rawPath": "/", "requestContext": {}},
    {"source": "aws.events"},
]


@pytest.mark.parametrize("event", WRONG_EVENTS)
def test_wrong_events(aws: SecretsManagerSide, event: object) -> None:
    """An event that is not part of this secret's rotation is refused and changes nothing."""
    aws.begin()
    before = aws.stages(), aws.raw()
    with pytest.raises(RotationError):
        handler.rotate(event, None)
    assert (aws.stages(), aws.raw()) == before


def test_kept_awake(aws: SecretsManagerSide) -> None:
    """The scheduled event that keeps the function warm does nothing and is no failure."""
    before = aws.stages()
    handler.rotate(WAKE, None)
    assert aws.stages() == before
    aws.rotate()
    assert aws.read().username == SECOND


def test_rotation_is_off(aws: SecretsManagerSide) -> None:
    """A secret with rotation turned off is not rotated."""
    token = aws.begin()
    aws.client.cancel_rotate_secret(SecretId=SECRET)
    for step in STEPS:
        with pytest.raises(RotationError, match="not turned on"):
            aws.call(step, token)


def test_version_without_the_label(aws: SecretsManagerSide) -> None:
    """The version of an abandoned rotation is not rotated in."""
    token = aws.begin()
    aws.begin()
    for step in STEPS:
        with pytest.raises(RotationError, match="not AWSPENDING"):
            aws.call(step, token)


def test_finished_version(aws: SecretsManagerSide, tables: Tables) -> None:
    """Late calls for a version in use are answered and change nothing."""
    token = aws.rotate()
    tables.run(f"DROP USER {FIRST}")
    before = aws.stages(), aws.raw()
    for step in STEPS:
        aws.call(step, token)
    assert (aws.stages(), aws.raw()) == before
    assert not tables.run("SELECT 1 FROM information_schema.processlist WHERE user = %s", FIRST)


@pytest.mark.parametrize("kind", ["copy", "empty"])
def test_schedule_is_set_before_the_first_migration(
    aws: SecretsManagerSide, tables: Tables, kind: str
) -> None:
    """A new schedule's trial run succeeds before any user exists, if the admin can sign in."""
    tables.run(f"DROP USER {FIRST}")
    before = aws.raw()
    token = aws.begin(at_once=kind == "empty")
    assert SecretStore().has_value(SECRET, token) is (kind == "copy")
    aws.call("testSecret", token)
    assert not aws.signs_in(aws.read())
    assert aws.raw() == before
    assert aws.stages()[token] == ["AWSPENDING"]


def test_trial_run_finds_what_is_wrong(
    aws: SecretsManagerSide, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trial run of a schedule fails like a rotation would if the admin cannot sign in."""
    wrong = {"username": "game_login_admin", "password": "not-the-password"}
    stack.secrets_manager.client().delete_secret(
        SecretId="rotation/admin", ForceDeleteWithoutRecovery=True
    )
    stack.secrets_manager.put("rotation/admin", wrong)
    monkeypatch.setenv("DATABASE_ADMIN_SECRET_ID", "rotation/admin")
    with pytest.raises(DatabaseFailure, match="1045"):
        aws.call("testSecret", aws.begin(at_once=False))


def test_copy_is_never_rotated_in(aws: SecretsManagerSide) -> None:
    """A pending version that names the current user does not change that user."""
    used = aws.read()
    token = aws.begin(at_once=False)
    for step in ("setSecret", "finishSecret"):
        with pytest.raises(RotationError, match="not the one waiting"):
            aws.call(step, token)
    assert aws.signs_in(used)
    assert aws.read() == used


def test_database_moves_meanwhile(aws: SecretsManagerSide) -> None:
    """A rotation that began before the database's address changed does not undo the change."""
    token = aws.begin()
    for step in STEPS[:3]:
        aws.call(step, token)
    aws.put(host="localhost")
    with pytest.raises(RotationError, match="address has changed"):
        aws.call("finishSecret", token)
    assert aws.read().host == "localhost"
    aws.client.update_secret_version_stage(  # as in docs/run/rotation.md
        SecretId=SECRET, VersionStage="AWSPENDING", RemoveFromVersionId=token
    )
    aws.rotate()
    assert (aws.read().host, aws.read().username) == ("localhost", SECOND)


def test_overtaken(aws: SecretsManagerSide, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step overtaken by another rotation does not set its outdated password."""
    token = aws.begin()
    aws.call("createSecret", token)
    really_lock = database_users.users_lock

    def held_up(admin: Any) -> Any:
        monkeypatch.undo()
        monkeypatch.setenv("DATABASE_SECRET_ID", SECRET)
        aws.rotate()
        return really_lock(admin)

    monkeypatch.setattr("auth.jobs.rotation.users_lock", held_up)
    with pytest.raises(RotationError, match="overtaken"):
        aws.call("setSecret", token)
    assert aws.signs_in(aws.read())


def test_one_at_a_time(
    aws: SecretsManagerSide, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another process changes users, a rotation and a migration wait and then say so."""
    monkeypatch.setattr(database_users, "LOCK_WAIT_SECONDS", 0)
    token = aws.begin()
    aws.call("createSecret", token)
    with stack.database.connect() as admin, users_lock(admin):
        with pytest.raises(UserError, match="another job"):
            aws.call("setSecret", token)
        with pytest.raises(UserError, match="another job"):
            handler.migrate({}, None)
    aws.call("setSecret", token)
    handler.migrate({}, None)


def test_no_password_is_logged(
    aws: SecretsManagerSide, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No log line or error of a rotation contains a password, whether it succeeds or fails."""
    passwords = {aws.read().password}
    told = []
    with caplog.at_level(logging.DEBUG, logger="auth"):
        for _ in range(2):
            token = aws.begin()
            for step in ("createSecret", "testSecret", "setSecret", "testSecret", "finishSecret"):
                try:
                    aws.call(step, token)
                except DatabaseFailure as error:
                    told.append(repr(error) + str(error))
            passwords.add(aws.read().password)
        token = aws.begin()
        aws.call("createSecret", token)
        passwords.add(aws.read("AWSPENDING").password)
        monkeypatch.setattr(database_users, "PRIVILEGES", "SELECTED")  # a syntax error
        with pytest.raises(DatabaseFailure) as failed:
            aws.call("setSecret", token)
        told.append(repr(failed.value) + str(failed.getrepr(style="long", showlocals=False)))
    events = {getattr(record, "event", "") for record in caplog.records}
    assert {"rotation_step", "rotated"} <= events
    assert len(told) == 3
    assert len(passwords) == 4
    for text in [caplog.text, *told]:
        assert not [password for password in passwords if password in text]


def test_migration_changes_neither_user(aws: SecretsManagerSide) -> None:
    """A migration during or after a rotation changes neither user."""
    token = aws.begin()
    for step in STEPS:
        aws.call(step, token)
        used = aws.read()
        handler.migrate({}, None)
        assert aws.read() == used
        assert aws.signs_in(used)
    assert aws.signs_in(aws.read("AWSPREVIOUS"))


def test_store_is_unreachable(
    aws: SecretsManagerSide, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If Secrets Manager is unreachable, the step fails visibly."""
    token = aws.begin()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Unavailable, match=f"{SECRET}: EndpointConnectionError"):
        aws.call("createSecret", token)


def test_other_user() -> None:
    """The second user's name is the first one's with AWS's suffix, and vice versa."""
    assert (other_user("game_login"), other_user("game_login_clone")) == (
        "game_login_clone",
        "game_login",
    )


def test_age_of_the_password(
    aws: SecretsManagerSide, caplog: pytest.LogCaptureFixture, settings: Settings
) -> None:
    """The daily run logs the password's age, for the alarm on a rotation that never runs."""
    with caplog.at_level(logging.INFO, logger="auth"):
        handler.clean_up({}, None)
    ages = [r.age_days for r in caplog.records if getattr(r, "event", "") == "password_age"]  # type: ignore[attr-defined]
    assert ages == [0]


def test_connect_is_verified(aws: SecretsManagerSide, certificates: Any) -> None:
    """The test of a new user uses verified TLS: a server of another CA is refused."""
    with pytest.raises(DatabaseFailure, match="TLS failed"):
        sign_in(aws.read(), tls_context(str(certificates / "ca.pem")))
    connect(aws.read(), aws.tls).close()
