"""Which database server runs: DATABASE names it.

`mariadb` (if nothing is named) is the system's own MariaDB; `mariadb-11.8` and `mysql` are Debian's
newest, unpacked beside the system. RDS offers all three, and so do we.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local import debian
from local.terminal import Problem

ROOT = Path(__file__).parent.parent
DEFAULT = "mariadb"
SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin", "/usr/local/bin")


@dataclass(frozen=True)
class Engine:
    """A database server that can be run on this machine."""

    kind: str  # `engine` in the secret: mariadb or mysql
    server: list[str]  # the command, to which options are added
    maker: list[str]  # the command that makes an empty data folder
    maker_reads: tuple[Path, ...] = ()  # SQL files for the maker's standard input


def chosen() -> str:
    """Return the name of the engine to run.

    Raises:
        Problem: there is none of that name.
    """
    name = os.environ.get("DATABASE") or DEFAULT
    if name != DEFAULT and name not in _FETCHED:
        names = ", ".join((DEFAULT, *_FETCHED))
        raise Problem(f"there is no database {name!r}: DATABASE is one of {names}")
    return name


def find_engine() -> Engine | None:
    """Return the engine to run, or None where the system has no MariaDB.

    Raises:
        Problem: another one was chosen and cannot be had.
    """
    name = chosen()
    return _system_mariadb() if name == DEFAULT else _FETCHED[name](name)


def _system_mariadb() -> Engine | None:
    server = _program("mariadbd")
    if server is None:
        return None
    maker = _program("mariadb-install-db")
    if maker is None:
        raise Problem("mariadb-install-db is missing, though the server is there: reinstall it.")
    return Engine("mariadb", [server, "--no-defaults"], [maker, "--no-defaults", *_MARIADB_MAKER])


def _newer_mariadb(name: str) -> Engine:
    root = debian.unpack("MariaDB 11.8", ["mariadb-server-core"], _folder(name))
    share = root / "usr/share/mariadb"
    server = [
        *debian.loader(root, "mariadbd"),
        *(str(root / "usr/sbin/mariadbd"), "--no-defaults"),
        *(f"--basedir={root / 'usr'}", f"--lc-messages-dir={share}"),
    ]
    # Its mariadb-install-db would call programs that need the loader too; this is what it does.
    maker = [*server, "--bootstrap", "--enforce-storage-engine=", "--max-allowed-packet=8M"]
    return Engine("mariadb", server, maker, tuple(share / file for file in _SYSTEM_TABLES))


def _mysql(name: str) -> Engine:
    root = debian.unpack("MySQL 9.7", ["mysql-server-core"], _folder(name))
    server = [
        *debian.loader(root, "mysqld"),
        *(str(root / "usr/sbin/mysqld"), "--no-defaults"),
        *(f"--basedir={root / 'usr'}", f"--lc-messages-dir={root / 'usr/share/mysql'}"),
    ]
    more = ["--mysqlx=OFF", "--secure-file-priv=NULL"]
    return Engine("mysql", [*server, *more], [*server, "--initialize-insecure"])


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
_FETCHED: dict[str, Callable[[str], Engine]] = {"mariadb-11.8": _newer_mariadb, "mysql": _mysql}
