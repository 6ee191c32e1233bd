"""Lambda containers of a test's own, and what they ask of the database."""

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
"""Has the handler served by a new container with these settings: a fixture."""


class Container:
    """One Lambda container: it has its own caches and its own connection."""

    def __init__(self, settings: Settings) -> None:
        self.application = create_app(settings, passwords=Passwords(8, 1))  # quick ones

    def close(self) -> None:
        """Close its connection."""
        self.application.close()


Switch = Callable[[Container], None]
"""Says which container answers from now on: a fixture."""


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


def ask(database: Database, sql: str) -> dict[str, Any]:
    """Run a query on the container's own connection and return its one row."""
    with database.budget(REQUEST_SECONDS):
        (row,) = database.execute(sql).rows
    return row


def statements_run(tables: Tables) -> int:
    """Return how many statements that touch rows the server has run so far."""
    status = tables.run(
        "SHOW GLOBAL STATUS WHERE Variable_name IN"
        " ('Com_select', 'Com_insert', 'Com_update', 'Com_delete', 'Com_begin', 'Com_set_option')"
    )
    return sum(int(row["Value"]) for row in status)
