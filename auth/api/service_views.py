"""Views for machines: the public keys, and whether the service works."""

from auth.api.answers import Health, KeySet
from auth.credentials.token_keys import TokenKeys
from auth.external.database import Database


class ServiceViews:
    """The views, with the services that they ask."""

    def __init__(self, keys: TokenKeys, database: Database) -> None:
        self._keys = keys
        self._database = database

    def public_keys(self) -> KeySet:
        """Fetch the public keys that verify access tokens."""
        return KeySet(self._keys.ring().jwks()["keys"])

    def health(self) -> Health:
        """Tell whether the database answers."""
        self._database.ping()
        return Health("ok")
