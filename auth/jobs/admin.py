"""The database's administrator, with a secret that RDS manages. Only jobs connect as it."""

import ssl
from dataclasses import dataclass
from functools import partial

import msgspec

from auth.external.connection import AdminSecret, Connection, DatabaseSecret, connect
from auth.external.resuming import wait_for
from auth.external.secret_store import SecretStore

READ_SECONDS = 30.0


@dataclass(frozen=True)
class Admin:
    """Connects as the administrator."""

    secret_store: SecretStore
    secret_id: str
    tls: ssl.SSLContext

    def connect(self, user: DatabaseSecret) -> Connection:
        """Connect to the database of `user`, since the administrator's secret has no address.

        Raises:
            Unavailable: the secret cannot be read.
            DatabaseFailure: the database cannot be reached, or refuses the connection.
        """
        admin = self.secret_store.read(self.secret_id, AdminSecret)
        as_admin = msgspec.structs.replace(user, username=admin.username, password=admin.password)
        return wait_for(
            partial(connect, as_admin, self.tls, read_seconds=READ_SECONDS, statement_seconds=0)
        )
