"""The statements on operations: what operators did, each once.

Every statement is safe to repeat (see `Database.execute`).
"""

from datetime import UTC, datetime

from auth.external.connection import Value
from auth.external.database import Database
from auth.store.records import OPERATION, Operation, insert_into, values_of

EVER = datetime(1970, 1, 1, tzinfo=UTC)

_ADD = insert_into("operations", OPERATION)
_READ = f"SELECT {', '.join(OPERATION)} FROM operations"


class OperationTable:
    """The table `operations`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, operation: Operation) -> None:
        """Add an operation.

        Raises:
            Duplicate: there is one with this id; if another run is adding it, after that has ended.
        """
        self._database.execute(_ADD, **values_of(operation))

    def finish(self, operation: Operation) -> None:
        """Store how an operation ended."""
        self._database.execute(
            "UPDATE operations SET account_id = %(account_id)s, outcome = %(outcome)s,"
            " result = %(result)s WHERE command_id = %(command_id)s",
            account_id=operation.account_id,
            outcome=operation.outcome,
            result=operation.result,
            command_id=operation.command_id,
        )

    def find(self, command_id: bytes) -> Operation | None:
        """Return the operation with this id."""
        result = self._database.execute(f"{_READ} WHERE command_id = %s", command_id)
        return Operation(**result.rows[0]) if result.rows else None

    def locked(self, command_id: bytes) -> Operation | None:
        """Return the operation with this id; in a transaction, no other run goes on with it."""
        result = self._database.execute(f"{_READ} WHERE command_id = %s FOR UPDATE", command_id)
        return Operation(**result.rows[0]) if result.rows else None

    def suspension(self, account_id: bytes) -> Operation | None:
        """Return the operation that suspended an account last; None: it was lifted since."""
        result = self._database.execute(
            f"{_READ} WHERE account_id = %s AND command IN ('suspend', 'lift')"
            " AND outcome = 'done' ORDER BY at DESC LIMIT 1",
            account_id,
        )
        found = [Operation(**row) for row in result.rows if row["command"] == "suspend"]
        return found[0] if found else None

    def newest(
        self,
        account_id: bytes | None,
        limit: int,
        *,
        since: datetime = EVER,
        before: Operation | None = None,
    ) -> list[Operation]:
        """Return operations since a time, the newest first: on one account, or all.

        `before`: the last one of the previous page.
        """
        conditions, values = ["at >= %(since)s"], dict[str, Value](since=since, limit=limit)
        if account_id is not None:
            conditions.append("account_id = %(account_id)s")
            values["account_id"] = account_id
        if before is not None:
            conditions.append("at <= %(at)s AND (at < %(at)s OR command_id < %(command_id)s)")
            values |= {"at": before.at, "command_id": before.command_id}
        result = self._database.execute(
            f"{_READ} WHERE {' AND '.join(conditions)}"
            " ORDER BY at DESC, command_id DESC LIMIT %(limit)s",
            **values,
        )
        return [Operation(**row) for row in result.rows]
