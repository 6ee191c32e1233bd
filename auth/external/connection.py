"""One connection to MariaDB or MySQL, and what each of its failures means.

PyMySQL is fenced in here (and in `migrate` and `database_users`): its errors leave as a `Failure`
of some kind, or as the constraint that refused. What to do about a failure is for `database`.
"""

import re
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec
import pymysql
from pymysql.constants import ER, FIELD_TYPE
from pymysql.cursors import DictCursor

from auth.settings import SettingError

# Part of the request's budget; `database` has the whole of it.
READ_SECONDS = 4.0
CONNECT_SECONDS = 2.0
STATEMENT_SECONDS = 3
LOCK_WAIT_SECONDS = 2
PROXY_PORT = 3306  # of RDS Proxy, for MySQL and MariaDB

Value = str | bytes | int | datetime | None
Row = dict[str, Any]


class Kind(StrEnum):
    """What a failure means, whichever number it has."""

    UNREACHABLE = "unreachable"
    EXHAUSTED = "connections exhausted"
    REFUSED = "credentials refused"
    TLS = "TLS failed"  # docs/security.md says what to look at
    LOST = "connection lost"
    READ_ONLY = "read-only"
    DEADLOCK = "deadlock"
    LOCK_WAIT = "lock wait"
    TOO_SLOW = "statement too slow"
    OTHER = "failed"


NUMBERS = {
    Kind.UNREACHABLE: (2002, 2003, 2005),
    Kind.EXHAUSTED: (1040, 1203, 1226),
    Kind.REFUSED: (1044, 1045, 1698),
    Kind.TLS: (2026,),
    # 0: PyMySQL's own, for a connection that failed before.
    Kind.LOST: (0, 1053, *range(1152, 1162), 1317, 1927, 2006, 2013, 2055, 3169, 4031),
    Kind.READ_ONLY: (1290, 1792, 1836),
    Kind.DEADLOCK: (1213,),
    Kind.LOCK_WAIT: (1205,),
    Kind.TOO_SLOW: (1969, 3024),
}
if TYPE_CHECKING:
    _Connection = pymysql.connections.Connection[DictCursor]  # generic in the stubs only
else:
    _Connection = pymysql.connections.Connection

_KIND_OF = {number: kind for kind, numbers in NUMBERS.items() for number in numbers}
_DUPLICATE = 1062
_NO_TABLE = 1146
_UNKNOWN_HOST = 2005
_WRONG_CREDENTIALS = 1045
_NO_PARENT = 1452
_TLS_FAILED = 2026
_HUNG_UP = (ssl.SSLEOFError, ssl.SSLZeroReturnError)  # in the handshake: a server that restarts
_KEY_NAME = re.compile(r"for key '(?:\w+\.)?(\w+)'\Z")


# As MySQL and MariaDB name them in their manuals: 1062 is DUP_ENTRY.
ER_NAMES = {
    number: name for name, number in vars(ER).items() if name.isupper() and isinstance(number, int)
}


class Failure(Exception):
    """The database did not do it. The server's own text may hold values, and is dropped."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.kind = _KIND_OF.get(number, Kind.OTHER)
        super().__init__(f"{self.kind} ({number})")


class Duplicate(Exception):
    """A UNIQUE key refuses a row; `key` is its name."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class MissingParent(Exception):
    """The row that a foreign key points to is gone."""


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


class Credentials(msgspec.Struct, frozen=True):
    """All that is in the secret of a user whose password RDS manages. It never prints it."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"Credentials({self.username})"


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
            Failure: it failed, or its outcome is unknown.
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
        except pymysql.IntegrityError as error:
            raise _constraint(error) from None
        except (pymysql.OperationalError, pymysql.InternalError, pymysql.InterfaceError) as error:
            raise Failure(_number(error)) from None
        except pymysql.ProgrammingError as error:
            if _number(error) != _NO_TABLE:  # that is: the migrations have not run yet
                raise
            raise Failure(_NO_TABLE) from None

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

    With `proxy_host` it goes through RDS Proxy, which says all that to the server by itself
    (infrastructure/proxy.yml): said by us, it would bind a connection of the proxy's to this one.

    Raises:
        Failure: there is none to be had.
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
        raise Failure(_number(error)) from None
    except UnicodeEncodeError:  # a user or a password that cannot be one
        raise Failure(_WRONG_CREDENTIALS) from None
    except UnicodeError:  # a host name that cannot be one
        raise Failure(_UNKNOWN_HOST) from None
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
        return _TLS_FAILED
    number = error.args[0] if error.args else 0
    return number if isinstance(number, int) else 0


def described(error: pymysql.MySQLError) -> str:
    """Return an error's number and the key that it names: the server's own text may hold values."""
    key = _KEY_NAME.search(str(error.args[-1])) if error.args else None
    name = ER_NAMES.get(_number(error), "")
    return " ".join(
        part
        for part in (f"error {_number(error)}", name, f"on key {key[1]}" if key else "")
        if part
    )


def _constraint(error: pymysql.IntegrityError) -> Exception:
    key = _KEY_NAME.search(str(error.args[-1]))
    if _number(error) == _DUPLICATE and key:
        return Duplicate(key[1])
    if _number(error) == _NO_PARENT:
        return MissingParent()
    return RuntimeError(f"constraint violated ({_number(error)})")
