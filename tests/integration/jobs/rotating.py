"""A secret to be rotated, and Secrets Manager's side of a rotation."""

import uuid
from contextlib import suppress
from typing import Any

import msgspec

import handler
from auth.external.connection import DatabaseSecret, tls_context
from auth.external.failures import DatabaseFailure
from auth.external.secret_store import SecretStore
from auth.jobs.database_users import sign_in
from local.stack import Stack
from tests.conftest import Tables

SECRET = "rotation/database"
FIRST, SECOND = "turning", "turning_clone"
STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")


class SecretsManagerSide:
    """Secrets Manager's part in a rotation: a version without a value, then the four calls."""

    def __init__(self, stack: Stack, tables: Tables) -> None:
        self.client = stack.secrets_manager.client()
        self.tables = tables
        self.tls = tls_context(str(stack.database.ca_file))
        for user in (FIRST, SECOND):
            tables.run(f"DROP USER IF EXISTS {user}")
        self.client.delete_secret(SecretId=SECRET, ForceDeleteWithoutRecovery=True)
        value = {
            **msgspec.to_builtins(stack.database.application),
            "username": FIRST,
            "password": "made-by-aws",
            # AWS's attachment adds a name and may write the port as text.
            "port": str(stack.database.port),
            "dbInstanceIdentifier": "game-login-database",
        }
        self.arn = self.client.create_secret(
            Name=SECRET, SecretString=msgspec.json.encode(value).decode()
        )["ARN"]

    def begin(self, *, at_once: bool = True) -> str:
        """Label a new version AWSPENDING: without a value, or a copy if it is not to rotate now."""
        token = str(uuid.uuid4())
        for version, stages in self.stages().items():
            if {"AWSPENDING", "AWSCURRENT"} <= set(stages):
                # AWS starts a rotation in this state; the stand-in takes it for one in progress.
                self.client.update_secret_version_stage(
                    SecretId=SECRET, VersionStage="AWSPENDING", RemoveFromVersionId=version
                )
        with suppress(self.client.exceptions.ResourceNotFoundException):  # no such function
            self.client.rotate_secret(
                SecretId=SECRET,
                ClientRequestToken=token,
                RotationLambdaARN="arn:aws:lambda:us-east-1:123456789012:function:rotate",
                RotationRules={"AutomaticallyAfterDays": 30},
                RotateImmediately=at_once,
            )
        assert self.stages()[token] == ["AWSPENDING"]
        return token

    def call(self, step: str, token: str) -> None:
        """Call the function for one step."""
        event = {"SecretId": self.arn, "ClientRequestToken": token, "Step": step}
        handler.rotate(event, None)

    def rotate(self) -> str:
        """Rotate once."""
        token = self.begin()
        for step in STEPS:
            self.call(step, token)
        return token

    def stages(self) -> dict[str, list[str]]:
        """Return the labels of each version."""
        found: dict[str, list[str]] = self.client.describe_secret(SecretId=SECRET)[
            "VersionIdsToStages"
        ]
        return found

    def read(self, stage: str = "AWSCURRENT") -> DatabaseSecret:
        """Return a version as the application reads it."""
        return SecretStore().read(SECRET, DatabaseSecret, stage)

    def raw(self, stage: str = "AWSCURRENT") -> dict[str, Any]:
        """Return a version with all its fields."""
        return SecretStore().read(SECRET, dict[str, Any], stage)

    def signs_in(self, user: DatabaseSecret) -> bool:
        """Tell whether a user's password is accepted."""
        try:
            sign_in(user, self.tls)
        except DatabaseFailure as failure:
            if failure.number == 1045:
                return False
            raise
        return True

    def put(self, **changes: object) -> None:
        """Change the current value by hand."""
        value = msgspec.json.encode({**self.raw(), **changes}).decode()
        self.client.put_secret_value(SecretId=SECRET, SecretString=value)
