"""No table is forgotten: by a restore, by the deletion of an account, or by a player's export."""

import re

import pytest

from auth.store.records import EventKind
from tests.conftest import Tables
from tests.play.game_servers import PollingServer
from tests.play.guests import Guest
from tests.play.operators import Operator
from tests.play.sources import ROOT

RESTORE = (ROOT / "docs" / "run" / "restore.md").read_text()
# Each table that holds rows of players, and their place in the body of `POST /v1/me/export`.
EXPORTED_AS = {
    "accounts": "account",
    "identities": "identities",
    "sessions": "sessions",
    "events": "events",
    "recovery_codes": "recovery",
    "operations": "operations",
    "connections": "connection",
}


@pytest.fixture
def guest(tables: Tables) -> Guest:
    """Return a guest, who has a row in every table that holds rows of players."""
    guest = Guest()
    assert guest.enter(create=True).status == 201
    assert guest.make_recovery_code().status == 200
    Operator().must("note", account=guest.name(), reason="ticket 4711")
    ticket = guest.ask("POST", "/v1/tickets", {"server": "eu-1"}).json["ticket"]
    assert PollingServer("eu-1").redeem(ticket).status == 200
    return guest


def names(tables: Tables, sql: str) -> set[str]:
    """Return the tables of the migrated database that a query on its schema finds."""
    rows = tables.run(f"{sql} AND table_schema = DATABASE()")
    return {str(row["name"]) for row in rows}


def of_players(tables: Tables) -> set[str]:
    """Return the tables that hold rows of players."""
    columns = "SELECT table_name AS name FROM information_schema.columns"
    return {"accounts", *names(tables, f"{columns} WHERE column_name = 'account_id'")}


def rows_of(tables: Tables, table: str, account_id: str) -> list[dict[str, object]]:
    """Return an account's rows in a table."""
    column = "id" if table == "accounts" else "account_id"
    return tables.run(f"SELECT * FROM {table} WHERE {column} = %s", bytes.fromhex(account_id))


def test_restored(tables: Tables) -> None:
    """docs/run/restore.md says of every table whether it is copied, and copies those."""
    section = RESTORE.split("## What is copied")[1].split("\n## ")[0]
    told = dict(re.findall(r"^\| `(\w+)` \| (copied|left as it is) \|", section, re.MULTILINE))
    every = (
        "SELECT table_name AS name FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
    )
    assert set(told) == names(tables, every)
    (dumped,) = re.findall(r"game_login ([a-z_ ]+) > players.sql", RESTORE)
    assert [table for table, fate in told.items() if fate == "copied"] == dumped.split()


def test_deleted(guest: Guest, tables: Tables) -> None:
    """A player's deletion leaves no row in any table, except the event of the deletion itself.

    What operators did stays listed, without the texts that they wrote.
    """
    account_id = guest.me().json["account"]["id"].replace("-", "")
    every = of_players(tables)
    assert all(rows_of(tables, table, account_id) for table in every), "a table is not played"
    assert guest.ask("POST", "/v1/me/delete", {"guest_secret": guest.secret}).status == 200
    left = {table: rows_of(tables, table, account_id) for table in every}
    (purged,) = left.pop("events")
    assert purged["kind"] == EventKind.ACCOUNT_PURGED
    (operation,) = left.pop("operations")
    assert operation["reason"] == ""
    assert not any(left.values())


def test_exported(guest: Guest, tables: Tables) -> None:
    """A player's export has the rows of every table."""
    assert of_players(tables) == set(EXPORTED_AS)
    exported = guest.ask("POST", "/v1/me/export", {"guest_secret": guest.secret}).json
    assert all(exported[member] for member in EXPORTED_AS.values())
    assert exported["recovery"]["code"] is True
