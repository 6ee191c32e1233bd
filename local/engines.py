"""Which database server runs: DATABASE names it.

`mariadb` (if nothing is named) is the system's own MariaDB; `mariadb-11.8` and `mysql` are Debian's
newest, unpacked beside the system. RDS offers all three, and so do we.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from local import debian
from local.plain import plain
from local.terminal import Problem

ROOT = Path(__file__).parent.parent
DEFAULT = "mariadb"
SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin", "/usr/local/bin")
TITLES = {"mariadb": "MariaDB", "mysql": "MySQL"}

Release = tuple[int, int]
MYSQL_FROM, MYSQL_BEFORE = (8, 4), (10, 0)
MARIADB_FROM, MARIADB_BEFORE = (11, 8), (13, 0)


@dataclass(frozen=True)
class Engine:
    """A database server that can be run on this machine."""

    kind: str  # `engine` in the secret: mariadb or mysql
    version: str  # such as 9.7.4
    server: list[str]  # the command, to which options are added
    maker: list[str]  # the command that makes an empty data folder
    maker_reads: tuple[Path, ...] = ()  # SQL files for the maker's standard input

    @property
    def title(self) -> str:
        """Return what people call it."""
        return f"{TITLES[self.kind]} {self.version}"


def chosen() -> str:
    """Return the name of the engine to run.

    Raises:
        Problem: there is none of that name.
    """
    name = os.environ.get("DATABASE") or DEFAULT
    if name != DEFAULT and name not in FETCHED:
        names = ", ".join((DEFAULT, *FETCHED))
        raise Problem(f"there is no database {name!r}: DATABASE is one of {names}")
    return name


def find_engine() -> Engine | None:
    """Return the engine to run, or None where the system has no MariaDB.

    Raises:
        Problem: another one was chosen and cannot be had.
    """
    name = chosen()
    return _system_mariadb() if name == DEFAULT else FETCHED[name](name)


def _system_mariadb() -> Engine | None:
    server = _program("mariadbd")
    if server is None:
        return None
    maker = _program("mariadb-install-db")
    if maker is None:
        raise Problem("mariadb-install-db is missing, though the server is there: reinstall it.")
    command = [server, "--no-defaults"]
    return Engine("mariadb", _version(command), command, [maker, "--no-defaults", *_MARIADB_MAKER])


def _newer_mariadb(name: str) -> Engine:
    root = plain(debian.unpack("MariaDB", ["mariadb-server-core"], _folder(name)))
    share = root / "usr/share/mariadb"
    server = [
        *debian.loader(root, "mariadbd"),
        *(str(root / "usr/sbin/mariadbd"), "--no-defaults"),
        *(f"--basedir={root / 'usr'}", f"--lc-messages-dir={share}"),
    ]
    # Its mariadb-install-db would call programs that need the loader too; this is what it does.
    maker = [*server, "--bootstrap", "--enforce-storage-engine=", "--max-allowed-packet=8M"]
    version = known("MariaDB", _version(server), MARIADB_FROM, MARIADB_BEFORE)
    return Engine("mariadb", version, server, maker, tuple(share / file for file in _SYSTEM_TABLES))


def _mysql(name: str) -> Engine:
    root = plain(debian.unpack("MySQL", ["mysql-server-core"], _folder(name)))
    server = [
        *debian.loader(root, "mysqld"),
        *(str(root / "usr/sbin/mysqld"), "--no-defaults"),
        *(f"--basedir={root / 'usr'}", f"--lc-messages-dir={root / 'usr/share/mysql'}"),
    ]
    more = ["--mysqlx=OFF", "--secure-file-priv=NULL"]
    version = known("MySQL", _version(server), MYSQL_FROM, MYSQL_BEFORE)
    return Engine("mysql", version, [*server, *more], [*server, "--initialize-insecure"])


def _version(server: Sequence[str]) -> str:
    """Return the version that a server says it is."""
    said = subprocess.run(  # noqa: S603  # our own command
        [*server, "--version"], capture_output=True, text=True, check=False
    )
    found = re.search(r"Ver (\d+\.\d+\.\d+)", said.stdout)
    if found is None:
        lines = said.stderr.strip().splitlines() or ["it does not tell its version"]
        raise Problem(f"{server[0]} does not run here: {lines[-1]}")
    return found[1]


def known(title: str, version: str, first: Release, end: Release) -> str:
    """Return a version if it is one that we know: Debian's newest moves on.

    Raises:
        Problem: it is another one; says which.
    """
    major, minor = version.split(".")[:2]
    if not first <= (int(major), int(minor)) < end:
        span = f"{first[0]}.{first[1]} to below {end[0]}.{end[1]}"
        raise Problem(f"Debian has {title} {version} by now; tested is {span} (local/engines.py)")
    return version


def _folder(name: str) -> Path:
    return ROOT / ".local" / "engines" / name


def _program(name: str) -> str | None:
    path = os.pathsep.join((os.environ.get("PATH", ""), *SYSTEM_FOLDERS))
    return shutil.which(name, path=path)


_SYSTEM_TABLES = (
    "mariadb_system_tables.sql",
    "mariadb_performance_tables.sql",
    "mariadb_system_tables_data.sql",
    "maria_add_gis_sp_bootstrap.sql",
    "mariadb_sys_schema.sql",
)
_MARIADB_MAKER = ("--auth-root-authentication-method=socket", "--skip-test-db")
FETCHED: dict[str, Callable[[str], Engine]] = {"mariadb-11.8": _newer_mariadb, "mysql": _mysql}
