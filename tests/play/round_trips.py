"""Counts round trips to the database on the wire, where PyMySQL sends a command."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pymysql.connections

Sent = list[str]


@contextmanager
def round_trips() -> Iterator[Sent]:
    """Yield the statements that go to the server from here on, one entry a round trip."""
    connections: Any = pymysql.connections.Connection
    execute = connections._execute_command  # noqa: SLF001  # where all commands pass
    sent: Sent = []

    def counted(connection: object, command: int, sql: str | bytes) -> object:
        sent.append(sql.decode(errors="replace") if isinstance(sql, bytes) else sql)
        return execute(connection, command, sql)

    connections._execute_command = counted  # noqa: SLF001
    try:
        yield sent
    finally:
        connections._execute_command = execute  # noqa: SLF001
