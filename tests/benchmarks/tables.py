"""Large tables: the cost of a lookup among many accounts, and the size of an account on disk.

The database server makes the rows itself, in the order in which players would: ids grow, names and
owners of sessions are random, so the indexes fill up as in production. Every account was
registered, and every session refreshed, with an Idempotency-Key.
"""

import getpass
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import msgspec
import pymysql

from auth.external.database import REQUEST_SECONDS, Database
from auth.external.secret_store import SecretStore
from auth.jobs.migrate import FOLDER, migrations_in
from auth.store.sessions import SessionTable
from auth.store.sign_ins import SignIns
from auth.times import system_clock
from local.database_server import DatabaseServer
from local.stack import Stack
from local.terminal import say
from tests.benchmarks.targets import Row

IDLE_SECONDS = 86_400  # the other parts may take longer than the server's four minutes
FEW = 1000
CHUNK = 100_000  # rows in one transaction
LOOKUPS = 100  # in one sample
WARM_UP = 2000
SPREAD = 2_654_435_761  # a prime, so that every account gets a session, in mixed order
EPOCH_MS = 1_700_000_000_000
BYTES_OF_CACHE = 900  # per account, so that all rows fit into memory, as in a well-sized database

_ID = (
    "UNHEX(CONCAT(LPAD(HEX({epoch} + {n}), 12, '0'), '7', MID(MD5(CONCAT('{kind}', {n})), 1, 3),"
    " '8', MID(MD5(CONCAT('{kind}', {n})), 4, 15)))"
)
_NAME = "CONCAT(LEFT(MD5(CONCAT('n', seq)), 4), '-', CONV(seq, 10, 36))"
_OWNER = f"(seq * {SPREAD} MOD {{count}} + 1)"
_ACCOUNTS = (
    "INSERT INTO accounts (id, username, username_key, password_hash, epoch, registration_key,"
    f" created_at) SELECT {_ID.format(epoch=EPOCH_MS, n='seq', kind='a')}, {_NAME}, LOWER({_NAME}),"
    " CONCAT('$argon2id$v=19$m=19456,t=2,p=1$', LEFT(TO_BASE64(RANDOM_BYTES(16)), 22), '$',"
    " LEFT(TO_BASE64(RANDOM_BYTES(32)), 43)), 0, RANDOM_BYTES(16), UTC_TIMESTAMP(6)"
    " FROM seq_{first}_to_{last}"
)
_SESSIONS = (
    "INSERT INTO sessions (id, account_id, tail_hash, counter, rotation_key, epoch, device,"
    " created_at, rotated_at, idle_expires_at, expires_at)"
    f" SELECT {_ID.format(epoch=EPOCH_MS, n='seq', kind='s')},"
    f" {_ID.format(epoch=EPOCH_MS, n=_OWNER, kind='a')}, RANDOM_BYTES(32), 5, RANDOM_BYTES(16), 0,"
    " 'Windows', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) + INTERVAL 30 DAY,"
    " UTC_TIMESTAMP(6) + INTERVAL 180 DAY FROM seq_{first}_to_{last}"
)


def account_id(number: int) -> bytes:
    """Return the id that the server made for the account of this number."""
    return _identifier("a", number)


def session_id(number: int) -> bytes:
    """Return the id that the server made for the session of this number."""
    return _identifier("s", number)


def owner_of(session: int, count: int) -> int:
    """Return the number of the account that owns a session."""
    return session * SPREAD % count + 1


def name_of(number: int) -> str:
    """Return the name that the server made for the account of this number."""
    start = hashlib.md5(f"n{number}".encode(), usedforsecurity=False).hexdigest()[:4]
    digits, rest = "", number
    while rest:
        rest, digit = divmod(rest, 36)
        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[digit] + digits
    return f"{start}-{digits}"


def _identifier(kind: str, number: int) -> bytes:
    digest = hashlib.md5(f"{kind}{number}".encode(), usedforsecurity=False).hexdigest()
    return bytes.fromhex(f"{EPOCH_MS + number:012x}7{digest[:3]}8{digest[3:18]}")


class Root:
    """The server's own administrator, on its socket: only the benchmark needs it, RDS has none."""

    def __init__(self, server: DatabaseServer) -> None:
        with server.connect() as admin, admin.cursor() as cursor:
            cursor.execute("SELECT @@socket AS socket")
            socket = str(cursor.fetchall()[0]["socket"])
        self._connection = pymysql.connect(
            unix_socket=socket,
            user=getpass.getuser(),
            autocommit=True,
            ssl_disabled=True,
            init_command=f"SET SESSION wait_timeout = {IDLE_SECONDS}",
        )

    def run(self, sql: str) -> list[tuple[object, ...]]:
        """Run a statement and return its rows."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@dataclass(frozen=True)
class Size:
    """The size of a table's rows and indexes on disk, per row: as they grew, and rebuilt."""

    rows: int
    grown: float
    in_order: float


def load(root: Root, schema: str, count: int, user: str) -> float:
    """Fill a new schema with `count` accounts and sessions; return the seconds it took."""
    began = time.monotonic()
    root.run(f"CREATE OR REPLACE DATABASE {schema}")
    root.run(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.* TO '{user}'@'%'")
    root.run(f"USE {schema}")
    for migration in migrations_in(FOLDER):
        root.run(migration.sql)
    for sql in (_ACCOUNTS, _SESSIONS):
        for first in range(1, count + 1, CHUNK):
            last = min(first + CHUNK - 1, count)
            root.run(sql.format(first=first, last=last, count=count))
    return time.monotonic() - began


def size(root: Root, schema: str, table: str, count: int) -> Size:
    """Return the size of a table's file per row."""
    grown = _file_size(root, schema, table) / count
    root.run(f"ALTER TABLE {schema}.{table} FORCE")  # the same as OPTIMIZE TABLE on InnoDB
    return Size(count, grown, _file_size(root, schema, table) / count)


def _file_size(root: Root, schema: str, table: str) -> int:
    root.run(f"FLUSH TABLES {schema}.{table} FOR EXPORT")  # writes all of it to the file
    root.run("UNLOCK TABLES")
    found = root.run(
        "SELECT FILE_SIZE FROM information_schema.INNODB_SYS_TABLESPACES"
        f" WHERE NAME = '{schema}/{table}'"
    )
    return int(str(found[0][0]))


class Lookups:
    """Lookups in one schema, with the application's own statements."""

    def __init__(self, database: Database, count: int, server: Callable[[], float]) -> None:
        self._database = database
        self._sign_ins, self._sessions = SignIns(database), SessionTable(database)
        self._count = count
        self._server = server
        self._number = 0
        self.samples: dict[str, list[float]] = {"name": [], "session": []}

    def by_name(self) -> None:
        """Read an account by its name."""
        number = self._next()
        key = name_of(number).lower().encode()
        found = self._sign_ins.by_username_key(key, None, system_clock())
        if found is None or found.account.id != account_id(number):
            raise RuntimeError("not the account that was asked for")

    def by_session(self) -> None:
        """Read a session with its account."""
        number = self._next()
        owner = account_id(owner_of(number, self._count))
        if self._sessions.find(session_id(number), owner) is None:
            raise RuntimeError("not the session that was asked for")

    def sample(self) -> None:
        """Take one sample of each kind: CPU time of client and server together, per lookup."""
        for name, look_up in (("name", self.by_name), ("session", self.by_session)):
            began = time.process_time() + self._server()
            with self._database.budget(REQUEST_SECONDS):
                for _ in range(LOOKUPS):
                    look_up()
            self.samples[name].append((time.process_time() + self._server() - began) / LOOKUPS)

    def _next(self) -> int:
        """Return the number of the next account, in mixed order."""
        self._number = (self._number + SPREAD) % self._count
        return self._number + 1


def measure(stack: Stack, root: Root, count: int, times: int) -> dict[str, Row]:
    """Return the rows of the tables, with `count` accounts."""
    cache = max(256_000_000, count * BYTES_OF_CACHE)
    root.run(f"SET GLOBAL innodb_buffer_pool_size = {cache}")
    root.run("SET GLOBAL innodb_log_file_size = 1073741824")
    user = stack.database.application
    schemas = {"bench_few": FEW, "bench_many": count}
    lookups = []
    pid = int(Path(str(root.run("SELECT @@pid_file")[0][0])).read_text())
    for schema, number in schemas.items():
        seconds = load(root, schema, number, user.username)
        say(f"loaded {number} accounts and sessions in {seconds:.0f} s")
        secret = f"bench/{schema}"
        stack.secrets_manager.put(
            secret, msgspec.to_builtins(msgspec.structs.replace(user, dbname=schema))
        )
        database = Database(SecretStore(), secret, str(stack.database.ca_file))
        lookups.append(Lookups(database, number, lambda: server_seconds(pid)))
    return {**_lookup_rows(lookups, times), **_size_rows(root, count)}


def server_seconds(pid: int) -> float:
    """Return the CPU time of a process, which Linux counts in nanoseconds."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def _lookup_rows(lookups: list[Lookups], times: int) -> dict[str, Row]:
    for one in lookups:
        for _ in range(WARM_UP // LOOKUPS):
            one.sample()
        one.samples = {"name": [], "session": []}
    for _ in range(times):
        for one in lookups:
            one.sample()
    rows = {}
    for name in ("name", "session"):
        few, many = (median(one.samples[name]) * 1e6 for one in lookups)
        rows[f"lookup_{name}"] = Row(many / few, f"{many:.0f} us : {few:.0f} us")
    return rows


def _size_rows(root: Root, count: int) -> Mapping[str, Row]:
    rows = {}
    for name, table in (("bytes_account", "accounts"), ("bytes_session", "sessions")):
        found = size(root, "bench_many", table, count)
        note = f"{count} rows, the table's file as it grew; {found.in_order:.0f} after OPTIMIZE"
        rows[name] = Row(found.grown, note)
    return rows
