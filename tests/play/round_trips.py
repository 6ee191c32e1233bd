"""Counts round trips to the database at the point at which PyMySQL sends a command."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pymysql.connections

Sent = list[str]


@contextmanager
def round_trips() -> Iterator[Sent]:
    """Yield the list of statements sent to the server from now on, one entry per round trip."""
    connections: Any = pymysql.connections.Connection
    execute = connections._execute_command  # noqa: SLF001  # every command goes through it
    sent: Sent = []

    def counted(connection: object, command: int, sql: str | bytes) -> object:
        sent.append(sql.decode(errors="replace") if isinstance(sql, bytes) else sql)
        return execute(connection, command, sql)

    connections._execute_command = counted  # noqa: SLF001
    try:
        yield sent
    finally:
        connections._execute_command = execute  # noqa: SLF001
