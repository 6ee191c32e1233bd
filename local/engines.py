"""Chooses the database server, by the environment variable DATABASE.

`mariadb` (the default) is the system's own MariaDB; `mariadb-11.8` and `mysql` are Debian's newest,
unpacked into a folder. RDS offers all three, and so do we.
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
    server: list[str]  # the command, without options
    maker: list[str]  # the command that creates an empty data folder
    maker_reads: tuple[Path, ...] = ()  # SQL files for the maker's standard input

    @property
    def title(self) -> str:
        """Return the product's name and version."""
        return f"{TITLES[self.kind]} {self.version}"


def chosen() -> str:
    """Return the name of the engine to run.

    Raises:
        Problem: DATABASE is not the name of an engine.
    """
    name = os.environ.get("DATABASE") or DEFAULT
    if name != DEFAULT and name not in FETCHED:
        names = ", ".join((DEFAULT, *FETCHED))
        raise Problem(f"DATABASE={name!r} is unknown: use one of {names}")
    return name


def find_engine() -> Engine | None:
    """Return the engine to run; None: the system's MariaDB was chosen, but is not installed.

    Raises:
        Problem: the chosen engine cannot be fetched or does not run.
    """
    name = chosen()
    return _system_mariadb() if name == DEFAULT else FETCHED[name](name)


def _system_mariadb() -> Engine | None:
    server = _program("mariadbd")
    if server is None:
        return None
    maker = _program("mariadb-install-db")
    if maker is None:
        raise Problem(
            "MariaDB is installed without mariadb-install-db: reinstall it (mariadb-server-core on"
            " Debian and Ubuntu, mariadb from Homebrew on macOS)"
        )
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
    # mariadb-install-db calls programs that need the loader too, so do its steps here.
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
    """Return the version that a server reports."""
    said = subprocess.run(  # noqa: S603  # our own command
        [*server, "--version"], capture_output=True, text=True, check=False
    )
    found = re.search(r"Ver (\d+\.\d+\.\d+)", said.stdout)
    if found is None:
        lines = said.stderr.strip().splitlines() or ["it printed no version"]
        raise Problem(f"{server[0]} does not run on this machine: {lines[-1]}")
    return found[1]


def known(title: str, version: str, first: Release, end: Release) -> str:
    """Return the version if it is a tested one, since Debian's newest version changes.

    Raises:
        Problem: the version is not a tested one.
    """
    major, minor = version.split(".")[:2]
    if not first <= (int(major), int(minor)) < end:
        span = f"{first[0]}.{first[1]} to below {end[0]}.{end[1]}"
        raise Problem(
            f"Debian has {title} {version} by now, but only {span} is tested: change the range in"
            " local/engines.py and run the tests"
        )
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
