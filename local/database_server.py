"""Runs a private MariaDB or MySQL: its own folder and port, TLS with its own CA, no system service.

`engines` chooses the server; `docker_image` runs MariaDB if this machine has no server.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from auth.external.connection import Connection, DatabaseSecret, connect, tls_context
from auth.external.failures import DatabaseFailure
from local import docker_image
from local.certificates import make_certificates
from local.engines import TITLES, Engine, chosen, find_engine
from local.plain import plain
from local.processes import Process, Program, accepts, free_port
from local.terminal import Problem

SCHEMA = "game_login"
READY_SECONDS = 30.0

# The same as in the parameter group of the deployed database.
SERVER_OPTIONS = (
    "--require-secure-transport=ON",
    "--skip-name-resolve",
    "--character-set-server=utf8mb4",
    "--innodb-flush-log-at-trx-commit=1",
    "--max-connect-errors=1000000",
    "--wait-timeout=240",
    "--skip-log-bin",
)

# Limits the server's own root user: in MariaDB to the socket on this machine, in MySQL entirely.
_ROOT_AWAY = {
    "mariadb": "DELETE FROM mysql.global_priv WHERE User = '';\n"
    "DELETE FROM mysql.global_priv WHERE User = 'root' AND Host != 'localhost';\n"
    "FLUSH PRIVILEGES;\n",
    "mysql": "ALTER USER 'root'@'localhost' ACCOUNT LOCK;\n",
}
_MAY_KILL = {"mariadb": "CONNECTION ADMIN", "mysql": "CONNECTION_ADMIN"}


@dataclass(frozen=True)
class Users:
    """The passwords of the two database users: the administrator's and the application's."""

    admin_password: str
    application_password: str


class DatabaseServer(Program):
    """One server with its data in a folder, which it uses again at the next start."""

    def __init__(self, folder: Path, users: Users) -> None:
        self.folder = folder
        self.port = 0
        self._users = users
        self._kind = "mysql" if chosen() == "mysql" else "mariadb"
        self.title = TITLES[self._kind]  # includes the version after the start

    @property
    def ca_file(self) -> Path:
        """Return the path of the CA's certificate."""
        return plain(self.folder) / "tls" / "ca.pem"

    @property
    def admin(self) -> DatabaseSecret:
        """Return the secret of the administrator, which may change the schema."""
        return self._secret("game_login_admin", self._users.admin_password)

    @property
    def application(self) -> DatabaseSecret:
        """Return the secret of the application's user."""
        return self._secret("game_login", self._users.application_password)

    def start(self) -> None:
        """Start the server and wait until it accepts connections.

        Raises:
            Problem: the server does not start, or none is installed.
        """
        make_certificates(self.folder / "tls")
        engine = find_engine()
        setup = self._setup_file()
        try:
            if engine is None:
                self._start_image(setup)
            else:
                self.title = engine.title
                self._start_engine(engine, setup)
        finally:
            setup.unlink()

    def connect(self) -> Connection:
        """Connect as the administrator.

        Raises:
            DatabaseFailure: the server does not accept the connection.
        """
        return connect(self.admin, tls_context(str(self.ca_file)))

    def _start_engine(self, engine: Engine, setup: Path) -> None:
        folder = plain(self.folder)
        data = folder / "data"
        if not (data / "mysql").is_dir():
            shutil.rmtree(data, ignore_errors=True)  # incomplete, from a run that was killed
            _make(engine, data, self._temporary())
        self.port = self.port or free_port()
        command = [
            *engine.server,
            f"--datadir={data}",
            f"--tmpdir={self._temporary()}",
            f"--socket={folder / 'server.sock'}",
            f"--pid-file={folder / 'server.pid'}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            *SERVER_OPTIONS,
            *_tls_options(folder / "tls"),
            f"--init-file={setup}",
            *_as_root(),
        ]
        self._run(command, READY_SECONDS)

    def _temporary(self) -> Path:
        """Return the folder for temporary tables; the server deletes everything in it."""
        folder = plain(self.folder) / "tmp"
        folder.mkdir(exist_ok=True)
        return folder

    def _start_image(self, setup: Path) -> None:
        docker_image.remove_container(self.folder)
        self.port = self.port or free_port()
        options = [*SERVER_OPTIONS, *_tls_options(docker_image.TLS)]
        command = docker_image.image_command(self.folder, setup, self.port, options)
        self._run(command, docker_image.READY_SECONDS)

    def _run(self, command: Sequence[str], seconds: float) -> None:
        try:
            self._process = Process.ready(
                self._kind, command, self.folder, until=self._answers, seconds=seconds
            )
        except Problem as problem:
            remedy = "If its data is damaged, run `make reset` to start with an empty database."
            raise Problem(f"{problem}\n{remedy}") from None

    def _answers(self) -> bool:
        if not accepts(self.port):
            return False
        with suppress(DatabaseFailure):
            self.connect().close()
            return True
        return False

    def _setup_file(self) -> Path:
        """Write the statements that the server runs at each start, before it accepts connections.

        The administrator gets the privileges of a master user in RDS: all but those on the server.
        """
        admin = f"'{self.admin.username}'@'%'"
        schema = SCHEMA.replace("_", r"\_")
        path = plain(self.folder) / "setup.sql"
        path.touch(mode=0o600)
        path.write_text(
            f"CREATE DATABASE IF NOT EXISTS {SCHEMA};\n"
            f"{_ROOT_AWAY[self._kind]}"
            f"CREATE USER IF NOT EXISTS {admin};\n"
            f"ALTER USER {admin} IDENTIFIED BY '{self.admin.password}' REQUIRE SSL;\n"
            f"GRANT ALL ON `{schema}`.* TO {admin} WITH GRANT OPTION;\n"
            f"GRANT CREATE USER, PROCESS ON *.* TO {admin};\n"
            f"GRANT {_MAY_KILL[self._kind]} ON *.* TO {admin};\n"
        )
        return path

    def _secret(self, username: str, password: str) -> DatabaseSecret:
        return DatabaseSecret(username, password, "127.0.0.1", self.port, SCHEMA, self._kind)


def _make(engine: Engine, data: Path, temporary: Path) -> None:
    """Create an empty data folder."""
    data.mkdir(parents=True)
    options = [f"--datadir={data}", f"--tmpdir={temporary}", *_as_root()]
    sql = b"".join(path.read_bytes() for path in engine.maker_reads)
    begin = b"CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket = 'root';\n"
    made = subprocess.run(  # noqa: S603  # our own command
        [*engine.maker, *options],
        input=begin + sql if sql else b"",
        capture_output=True,
        check=False,
    )
    if made.returncode != 0:
        shutil.rmtree(data, ignore_errors=True)
        said = (made.stderr or made.stdout).decode(errors="replace")
        raise Problem(f"the database server could not create an empty database:\n{said}")


def _as_root() -> list[str]:
    return ["--user=root"] if os.geteuid() == 0 else []


def _tls_options(folder: Path) -> list[str]:
    return [
        f"--ssl-ca={folder / 'ca.pem'}",
        f"--ssl-cert={folder / 'cert.pem'}",
        f"--ssl-key={folder / 'key.pem'}",
    ]
