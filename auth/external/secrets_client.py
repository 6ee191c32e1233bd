"""botocore's client for Secrets Manager, created with as little work as possible.

Importing it takes a large part of a cold start, so `secret_store` imports this module late. It is
botocore's own client, since boto3 around it would add a fifth to a cold start.
"""

from typing import Any

from botocore.config import Config
from botocore.loaders import Loader
from botocore.session import Session

SERVICE = "secretsmanager"

# Inside the request's 8 s; botocore's own defaults are 60 s and five attempts.
CONNECT_TIMEOUT_SECONDS = 1
READ_TIMEOUT_SECONDS = 2
ATTEMPTS = 2


class OneService(Loader):  # type: ignore[misc]  # botocore has no types
    """Loads botocore's files without searching the folders of all other services."""

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002
        """Return the one service that is used here."""
        return [SERVICE]


def new_client(loader: Loader) -> Any:
    """Return a new client, whose files come from this loader."""
    session = Session()
    session.register_component("data_loader", loader)
    return session.create_client(
        SERVICE,
        config=Config(
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            read_timeout=READ_TIMEOUT_SECONDS,
            retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
        ),
    )
