"""The statements on the notes that a job leaves for its next run.

Every statement is safe to repeat (see `Database.execute`).
"""

from auth.external.database import Database


class StateTable:
    """The table `state`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, name: str) -> bytes:
        """Return the value of this name; empty: it has none."""
        result = self._database.execute("SELECT value FROM state WHERE name = %s", name.encode())
        return result.rows[0]["value"] if result.rows else b""

    def write(self, name: str, value: bytes) -> None:
        """Set the value of this name."""
        self._database.execute(
            "INSERT INTO state (name, value) VALUES (%(name)s, %(value)s)"
            " ON DUPLICATE KEY UPDATE value = %(value)s",
            name=name.encode(),
            value=value,
        )
