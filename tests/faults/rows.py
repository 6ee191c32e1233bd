"""What the database holds at the end of a run."""

import json
import uuid
from typing import Any

from auth.store.records import EventKind
from tests.faults.answers import as_text
from tests.faults.history import Happened, Operated
from tests.faults.seats import Fed
from tests.faults.servers import Server

# The contract's names of the kinds that game servers are told.
NEWS = {
    EventKind.SESSION_ENDED: "session-revoked",
    EventKind.REFRESH_REUSED: "session-revoked",
    EventKind.SIGNED_OUT_EVERYWHERE: "all-sessions-revoked",
    EventKind.PASSWORD_CHANGED: "credential-change",
    EventKind.UPGRADED: "credential-change",
    EventKind.RECOVERED: "credential-change",
    EventKind.SUSPENDED: "account-disabled",
    EventKind.SUSPENSION_LIFTED: "account-enabled",
    EventKind.ACCOUNT_PURGED: "account-purged",
    EventKind.RENAMED: "identifier-changed",
    EventKind.CONNECTION_SUPERSEDED: "connection-superseded",
}


def rows_at_the_end(database: Server) -> dict[str, Any]:
    """Return the rows, by the names of the history's fields."""
    accounts = database.run("SELECT id, username, epoch FROM accounts")
    guests = database.run("SELECT subject, account_id FROM identities")
    operations = database.run("SELECT command_id, account_id, outcome, result FROM operations")
    events = database.run("SELECT id, account_id, kind, session_id, data FROM events")
    return {
        "accounts": tuple((row["id"].hex(), row["username"].lower()) for row in accounts),
        "guests": tuple((row["subject"].hex(), row["account_id"].hex()) for row in guests),
        "epochs": tuple((row["id"].hex(), row["epoch"]) for row in accounts),
        "operations": tuple(map(_operated, operations)),
        "events": tuple(
            Happened(_hex(row["account_id"]), EventKind(row["kind"]), _hex(row["session_id"]))
            for row in events
        ),
        "fed": tuple(_fed(row) for row in events if row["kind"] in NEWS),
    }


def _fed(row: dict[str, Any]) -> Fed:
    """Return an event that is news."""
    if row["kind"] == EventKind.CONNECTION_SUPERSEDED:
        data = json.loads(row["data"])
        account, server = data["account"].replace("-", ""), data["server"]
        return Fed(row["id"].hex(), NEWS[row["kind"]], account, server)
    return Fed(row["id"].hex(), NEWS[row["kind"]], _hex(row["account_id"]))


def _operated(row: dict[str, Any]) -> Operated:
    """Return an operation; its answer has the id, which the table has in a column of its own.

    The deletion of its account empties the answer.
    """
    command_id = str(uuid.UUID(bytes=row["command_id"]))
    if not row["result"]:
        return Operated(command_id, _hex(row["account_id"]), row["outcome"], "")
    answer = {**json.loads(row["result"]), "operation": command_id}
    return Operated(command_id, _hex(row["account_id"]), row["outcome"], as_text(answer))


def _hex(value: bytes | None) -> str:
    return value.hex() if value else ""
