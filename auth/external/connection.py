"""One connection to MariaDB or MySQL: opens it and runs statements on it.

Only this module uses PyMySQL. Its errors leave as a `DatabaseFailure`, which `database` handles.
"""

import re
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pymysql
from pymysql.constants import FIELD_TYPE, SERVER_STATUS
from pymysql.cursors import DictCursor

from auth.external.failures import (
    DUPLICATE,
    NO_PARENT,
    NO_TABLE,
    OUT_OF_RANGE,
    TLS_FAILED,
    UNKNOWN_HOST,
    WRONG_CREDENTIALS,
    DatabaseFailure,
    Duplicate,
    MissingParent,
    OutOfRange,
    WrongStatement,
)
from auth.settings import SettingError

# Parts of the request's budget, which `database` defines.
READ_SECONDS = 4.0
CONNECT_SECONDS = 2.0
STATEMENT_SECONDS = 3
LOCK_WAIT_SECONDS = 2
PROXY_PORT = 3306  # of RDS Proxy, for MySQL and MariaDB

Value = str | bytes | int | datetime | None
Row = dict[str, Any]


if TYPE_CHECKING:
    _Connection = pymysql.connections.Connection[DictCursor]  # generic in the stubs only
else:
    _Connection = pymysql.connections.Connection

_HUNG_UP = (ssl.SSLEOFError, ssl.SSLZeroReturnError)  # during the handshake: the server restarts
_KEY_NAME = re.compile(r"for key '(?:\w+\.)?(\w+)'\Z")
_ON_THEIR_SIDE = (pymysql.OperationalError, pymysql.InternalError, pymysql.InterfaceError)


class DatabaseSecret(msgspec.Struct, frozen=True):
    """The form of the application's secret, as in every RDS secret. Never prints the password."""

    username: str
    password: str
    host: str
    port: int
    dbname: str
    engine: str

    def __repr__(self) -> str:
        return f"DatabaseSecret({self.username}@{self.host}:{self.port}/{self.dbname})"


class AdminSecret(msgspec.Struct, frozen=True):
    """The form of a secret that RDS manages, without an address. Never prints the password."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"AdminSecret({self.username})"


@dataclass(frozen=True)
class Statement:
    """One SQL statement with its parameters: a tuple for `%s`, a dict for `%(now)s`.

    Without parameters the SQL is sent unchanged, and a `%` is a plain `%`.
    """

    sql: str
    parameters: tuple[Value, ...] | dict[str, Value] = ()

    def values(self) -> Iterable[Value]:
        """Return the values of the parameters."""
        if isinstance(self.parameters, dict):
            return self.parameters.values()
        return self.parameters


@dataclass(frozen=True)
class Result:
    """The result of a statement: the rows read, and the number of rows changed."""

    rows: list[Row]
    changed: int


class Connection(_Connection):
    """A connection with a time-out of its own for each statement."""

    def run(self, statement: Statement, seconds: float) -> Result:
        """Run a statement, with a read and a write time-out of `seconds`.

        Raises:
            Duplicate, MissingParent: a constraint was violated.
            OutOfRange: a number became too large.
            WrongStatement: the statement does not fit the schema.
            DatabaseFailure: the statement failed, or its outcome is unknown.
        """
        for value in statement.values():
            # PyMySQL would expand a list into SQL, and a bool or a float compares loosely.
            if type(value) not in (str, bytes, int, datetime, type(None)):
                raise TypeError(f"not a value for a query parameter: {type(value).__name__}")
        self._read_timeout = self._write_timeout = seconds
        try:
            with self.cursor() as cursor:
                changed = cursor.execute(statement.sql, statement.parameters or None)
                return Result(list(cursor.fetchall()), changed)
        except pymysql.MySQLError as error:
            raise _failure(error) from None

    def is_in_transaction(self) -> bool:
        """Tell whether the last answer left a transaction open."""
        status: int = self.server_status  # type: ignore[attr-defined]  # not in the stubs
        return bool(status & SERVER_STATUS.SERVER_STATUS_IN_TRANS)

    def drop(self) -> None:
        """Close at once, without telling the server."""
        self._force_close()  # type: ignore[attr-defined]  # not in the stubs


def connect(
    secret: DatabaseSecret,
    tls: ssl.SSLContext,
    connect_seconds: float = CONNECT_SECONDS,
    read_seconds: float = READ_SECONDS,
    statement_seconds: int = STATEMENT_SECONDS,
    proxy_host: str = "",
) -> Connection:
    """Return an open connection: TLS verified, autocommit, READ COMMITTED, strict, UTC.

    `statement_seconds` is a limit in the server itself (0: no limit), because our own time-out
    leaves the query running there. MySQL limits only SELECTs, and otherwise the waits for locks.

    With `proxy_host` the connection goes through RDS Proxy, which sets up the session itself
    (deploy/infrastructure/proxy.yml): settings of ours would pin a connection of the proxy.

    Raises:
        DatabaseFailure: the database cannot be reached, or refuses the connection.
    """
    try:
        connection = Connection(
            host=proxy_host or secret.host,
            port=PROXY_PORT if proxy_host else secret.port,
            user=secret.username,
            password=secret.password,
            database=secret.dbname,
            charset="utf8mb4",
            ssl=tls,
            autocommit=True,  # otherwise a warm container reads an old snapshot: no revocations
            connect_timeout=connect_seconds,
            read_timeout=read_seconds,
            write_timeout=read_seconds,
            cursorclass=DictCursor,
            conv={**pymysql.converters.conversions, FIELD_TYPE.DATETIME: _utc},
        )
    except (pymysql.OperationalError, pymysql.InternalError) as error:
        raise _failure(error) from None
    except UnicodeEncodeError:  # an impossible user name or password
        raise DatabaseFailure(WRONG_CREDENTIALS) from None
    except UnicodeError:  # an impossible host name
        raise DatabaseFailure(UNKNOWN_HOST) from None
    if proxy_host:
        return connection
    try:
        for sql in _session_settings(connection, statement_seconds):
            connection.run(Statement(sql), read_seconds)
    except BaseException:
        connection.drop()
        raise
    return connection


def tls_context(ca_file: str) -> ssl.SSLContext:
    """Return a context that trusts only this CA and checks the host name.

    Built once: a context with the system's certificates costs 20 ms.

    Raises:
        SettingError: the file has no certificates.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cafile=ca_file)
    except OSError:  # ssl.SSLError is one
        raise SettingError(f"DATABASE_CA_FILE has no CA certificates: {ca_file}") from None
    return context


def _session_settings(connection: Connection, statement_seconds: int) -> tuple[str, str]:
    if "MariaDB" in connection.server_version:  # type: ignore[attr-defined]  # not in the stubs
        limit = f"max_statement_time = {statement_seconds}"
    else:
        limit = f"max_execution_time = {statement_seconds * 1000}"
    if statement_seconds:
        limit += f", lock_wait_timeout = {LOCK_WAIT_SECONDS}"  # during an ALTER TABLE
    variables = (
        "time_zone = '+00:00'",
        "sql_mode = 'TRADITIONAL'",
        f"innodb_lock_wait_timeout = {LOCK_WAIT_SECONDS}",
        limit,
    )
    return (
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "SET SESSION " + ", ".join(variables),
    )


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _number(error: pymysql.MySQLError) -> int:
    # PyMySQL reports 2003, "cannot connect", for an invalid certificate, too.
    cause = getattr(error, "original_exception", None)
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, _HUNG_UP):
        return TLS_FAILED
    number = error.args[0] if error.args else 0
    return number if isinstance(number, int) else 0


def _failure(error: pymysql.MySQLError) -> DatabaseFailure:
    number, found = _number(error), _KEY_NAME.search(str(error.args[-1])) if error.args else None
    key = found[1] if found else ""
    if number == DUPLICATE and key:
        return Duplicate(key)
    if number == NO_PARENT:
        return MissingParent()
    if number == OUT_OF_RANGE:
        return OutOfRange()
    if isinstance(error, _ON_THEIR_SIDE) or number == NO_TABLE:
        return DatabaseFailure(number, key)
    return WrongStatement(number, key)
