"""One connection to MariaDB or MySQL: how it is opened, and the one way to run a statement.

PyMySQL is fenced in here: its errors leave as a `DatabaseFailure`, which `database` deals with.
"""

import re
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pymysql
from pymysql.constants import FIELD_TYPE
from pymysql.cursors import DictCursor

from auth.external.failures import (
    DUPLICATE,
    NO_PARENT,
    NO_TABLE,
    TLS_FAILED,
    UNKNOWN_HOST,
    WRONG_CREDENTIALS,
    DatabaseFailure,
    Duplicate,
    MissingParent,
    WrongStatement,
)
from auth.settings import SettingError

# Part of the request's budget; `database` has the whole of it.
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

_HUNG_UP = (ssl.SSLEOFError, ssl.SSLZeroReturnError)  # in the handshake: a server that restarts
_KEY_NAME = re.compile(r"for key '(?:\w+\.)?(\w+)'\Z")
_ON_THEIR_SIDE = (pymysql.OperationalError, pymysql.InternalError, pymysql.InterfaceError)


class DatabaseSecret(msgspec.Struct, frozen=True):
    """The secret's form: that of every RDS secret. It never prints its password."""

    username: str
    password: str
    host: str
    port: int
    dbname: str
    engine: str

    def __repr__(self) -> str:
        return f"DatabaseSecret({self.username}@{self.host}:{self.port}/{self.dbname})"


class AdminSecret(msgspec.Struct, frozen=True):
    """The form of a secret that RDS manages: no address. It never prints its password."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"AdminSecret({self.username})"


@dataclass(frozen=True)
class Statement:
    """One SQL statement with its parameters: in their order for `%s`, or named for `%(now)s`.

    Without any it is sent as it stands, and a `%` is a `%`.
    """

    sql: str
    parameters: tuple[Value, ...] | dict[str, Value] = ()

    def values(self) -> Iterable[Value]:
        """Return the values of its parameters."""
        if isinstance(self.parameters, dict):
            return self.parameters.values()
        return self.parameters


@dataclass(frozen=True)
class Result:
    """What a statement gave: the rows read, and how many rows it changed."""

    rows: list[Row]
    changed: int


class Connection(_Connection):
    """A connection whose patience is set anew for each statement."""

    def run(self, statement: Statement, seconds: float) -> Result:
        """Run a statement, giving it `seconds` to be sent and answered.

        Raises:
            Duplicate, MissingParent: a constraint refuses.
            WrongStatement: it is no statement for this schema.
            DatabaseFailure: the database did not do it, or its outcome is unknown.
        """
        for value in statement.values():
            # PyMySQL would turn a list into SQL, and a bool or a float into a loose comparison.
            if type(value) not in (str, bytes, int, datetime, type(None)):
                raise TypeError(f"not a value for a query: {type(value).__name__}")
        self._read_timeout = self._write_timeout = seconds
        try:
            with self.cursor() as cursor:
                changed = cursor.execute(statement.sql, statement.parameters or None)
                return Result(list(cursor.fetchall()), changed)
        except pymysql.MySQLError as error:
            raise _failure(error) from None

    def drop(self) -> None:
        """Close at once, without a word to the server."""
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

    The server itself bounds each statement too (0: it does not), since our own time-out leaves the
    query running there. MySQL bounds a SELECT in all; a statement that writes, its waits for locks.

    With `proxy_host` it goes through RDS Proxy, which sets the session up by itself
    (deploy/infrastructure/proxy.yml): if we did, a connection of the proxy would be bound to ours.

    Raises:
        DatabaseFailure: there is none to be had.
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
            autocommit=True,  # or a warm container reads a frozen snapshot and sees no revocation
            connect_timeout=connect_seconds,
            read_timeout=read_seconds,
            write_timeout=read_seconds,
            cursorclass=DictCursor,
            conv={**pymysql.converters.conversions, FIELD_TYPE.DATETIME: _utc},
        )
    except (pymysql.OperationalError, pymysql.InternalError) as error:
        raise _failure(error) from None
    except UnicodeEncodeError:  # a user or a password that cannot be one
        raise DatabaseFailure(WRONG_CREDENTIALS) from None
    except UnicodeError:  # a host name that cannot be one
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
    """Return a context that trusts this CA alone and checks the host name.

    Built once: a context with the system's certificates costs 20 ms.

    Raises:
        SettingError: the file holds no certificates.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cafile=ca_file)
    except OSError:  # ssl.SSLError is one
        raise SettingError(f"DATABASE_CA_FILE holds no certificates: {ca_file}") from None
    return context


def _session_settings(connection: Connection, statement_seconds: int) -> tuple[str, str]:
    if "MariaDB" in connection.server_version:  # type: ignore[attr-defined]  # not in the stubs
        limit = f"max_statement_time = {statement_seconds}"
    else:
        limit = f"max_execution_time = {statement_seconds * 1000}"
    if statement_seconds:
        limit += f", lock_wait_timeout = {LOCK_WAIT_SECONDS}"  # for a table that is being changed
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
    # PyMySQL says 2003, "cannot connect", of a certificate that does not verify, too.
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
    if isinstance(error, _ON_THEIR_SIDE) or number == NO_TABLE:
        return DatabaseFailure(number, key)
    return WrongStatement(number, key)
