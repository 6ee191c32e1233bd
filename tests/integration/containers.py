"""Lambda containers of a test's own, and what they ask of the database."""

from collections.abc import Callable
from typing import Any

from flask import Flask

from auth.database import Database
from auth.settings import Settings
from tests.conftest import Tables

Serve = Callable[[Settings], Flask]
"""Has the handler served by a new container with these settings: a fixture."""


def ask(database: Database, sql: str) -> dict[str, Any]:
    """Run a query on the container's own connection and return its one row."""
    database.start_request()
    (row,) = database.execute(sql).rows
    return row


def statements_run(tables: Tables) -> int:
    """Return how many statements that touch rows the server has run so far."""
    status = tables.run(
        "SHOW GLOBAL STATUS WHERE Variable_name IN"
        " ('Com_select', 'Com_insert', 'Com_update', 'Com_delete', 'Com_begin', 'Com_set_option')"
    )
    return sum(int(row["Value"]) for row in status)
