"""Prepares a stage before players reach a new version: schema, database user, token keys."""

import logging
from dataclasses import dataclass

from auth.credentials.new_keys import new_token_secret
from auth.errors import Unavailable
from auth.external.connection import DatabaseSecret
from auth.external.secret_store import SecretStore
from auth.jobs.admin import Admin
from auth.jobs.database_users import let_in
from auth.jobs.migrate import FOLDER, migrate, migrations_in

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Preparation:
    """The secrets of one stage, and the administrator of its database."""

    secret_store: SecretStore
    admin: Admin
    database_secret_id: str
    token_secret_id: str

    def run(self) -> list[str]:
        """Run the steps that are not done yet; return the migrations that were applied.

        Raises:
            MigrationError, UserError, DatabaseFailure, Unavailable: a step failed; the version in
                use keeps serving with the existing schema.
        """
        user = self._read("AWSCURRENT")
        with self.admin.connect(user) as connection:
            applied = migrate(connection, migrations_in(FOLDER))
            if let_in(connection, self._users, self.admin.tls):
                logger.warning(
                    "the database refused the application's password, so it was reset to the one in"
                    " the secret",
                    extra={"event": "password_set"},
                )
        if self.secret_store.fill(self.token_secret_id, new_token_secret):
            logger.info("created the first token keys", extra={"event": "token_keys_made"})
        return applied

    def _users(self) -> tuple[DatabaseSecret, DatabaseSecret | None]:
        """Return the user in use, and the one being rotated in, if any."""
        current = self._read("AWSCURRENT")
        try:
            return current, self._read("AWSPENDING")
        except Unavailable:
            return current, None  # no rotation is under way, or it has just begun

    def _read(self, stage: str) -> DatabaseSecret:
        return self.secret_store.read(self.database_secret_id, DatabaseSecret, stage)
