"""Lambda containers that a test owns, and the queries it sends through them."""

import json
from collections.abc import Callable
from typing import Any

import msgspec

from auth.api.application import Application
from auth.app import create_app
from auth.credentials.passwords import Passwords
from auth.external.database import REQUEST_SECONDS, Database
from auth.settings import Settings
from tests.conftest import Tables

Serve = Callable[[Settings], Application]
"""Makes a new container with these settings serve requests: a fixture."""


class Container:
    """One Lambda container, with its own caches and its own connection."""

    def __init__(self, settings: Settings) -> None:
        self.application = create_app(settings, passwords=Passwords(8, 1))  # cheap to compute

    def close(self) -> None:
        """Close its connection."""
        self.application.close()


Switch = Callable[[Container], None]
"""Selects the container that answers from now on: a fixture."""


class Secrets:
    """The secrets of one test, under their own names."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def create(self, name: str, value: object) -> None:
        """Create a secret, replacing one that an earlier test left under that name."""
        self.client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
        self.client.create_secret(Name=name, SecretString=_text(value))

    def put(self, name: str, value: object, stage: str = "AWSCURRENT") -> str:
        """Store another version of a secret and return the version's id."""
        answer = self.client.put_secret_value(
            SecretId=name, SecretString=_text(value), VersionStages=[stage]
        )
        return str(answer["VersionId"])

    def promote(self, name: str, version: str) -> None:
        """Promote a pending version to the current one, as the end of a rotation does."""
        old = self.client.get_secret_value(SecretId=name, VersionStage="AWSCURRENT")["VersionId"]
        self.client.update_secret_version_stage(
            SecretId=name,
            VersionStage="AWSCURRENT",
            MoveToVersionId=version,
            RemoveFromVersionId=old,
        )


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(msgspec.to_builtins(value))


def ask(database: Database, sql: str) -> dict[str, Any]:
    """Run a query on the container's connection and return its only row."""
    with database.budget(REQUEST_SECONDS):
        (row,) = database.execute(sql).rows
    return row


def statements_run(tables: Tables) -> int:
    """Return the number of statements on rows that the server has run so far."""
    status = tables.run(
        "SHOW GLOBAL STATUS WHERE Variable_name IN"
        " ('Com_select', 'Com_insert', 'Com_update', 'Com_delete', 'Com_begin', 'Com_set_option')"
    )
    return sum(int(row["Value"]) for row in status)
