"""The statements on server keys: which game servers may redeem tickets and read the feed.

Every statement is safe to repeat (see `Database.execute`).
"""

from datetime import datetime

from auth.external.connection import Row
from auth.external.database import Database
from auth.store.records import SERVER_KEY, ServerKey, insert_into, values_of

_ADD = insert_into("server_keys", SERVER_KEY)
_READ = f"SELECT {', '.join(SERVER_KEY)} FROM server_keys"


class ServerKeyTable:
    """The table `server_keys`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, key: ServerKey) -> None:
        """Add a key.

        Raises:
            Duplicate: there is one with this id.
        """
        self._database.execute(_ADD, **values_of(key))

    def find(self, key_id: bytes) -> ServerKey | None:
        """Return the key with this id, which may have been revoked."""
        result = self._database.execute(f"{_READ} WHERE id = %s", key_id)
        return _key_of(result.rows[0]) if result.rows else None

    def all(self, limit: int) -> list[ServerKey]:
        """Return the keys, the newest first, and after the good ones those that were revoked."""
        result = self._database.execute(
            f"{_READ} ORDER BY revoked_at IS NOT NULL, id DESC LIMIT %s", limit
        )
        return [_key_of(row) for row in result.rows]

    def revoke(self, key_id: bytes, now: datetime) -> bool:
        """Revoke a key; False: there is none with this id that was not revoked before."""
        result = self._database.execute(
            "UPDATE server_keys SET revoked_at = %s WHERE id = %s AND revoked_at IS NULL",
            now,
            key_id,
        )
        return result.changed > 0


def _key_of(row: Row) -> ServerKey:
    return ServerKey(**row | {"redeem_only": bool(row["redeem_only"])})
