"""The local stack says in one line what is wrong and what to do."""

import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.mariadb import MariaDB, Users
from local.offline import refuse_busy
from local.processes import Process, free_port
from local.stack import Stack, without_aws
from local.terminal import Problem

SLEEP = [sys.executable, "-uc", "import time; print('up'); time.sleep(60)"]


@pytest.fixture(params=["127.0.0.1", "::1"])
def busy_port(request: pytest.FixtureRequest) -> Iterator[int]:
    """Return a port that something listens on, on one of the loopback addresses."""
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.socket(family) as listener:
        try:
            listener.bind((request.param, 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        listener.listen()
        yield listener.getsockname()[1]


def test_busy_port(busy_port: int) -> None:
    """A busy port is named, with the command that takes another one."""
    with pytest.raises(Problem, match=f"port {busy_port} is in use.*make run PORT={busy_port + 1}"):
        refuse_busy(busy_port)
    with pytest.raises(Problem, match=f"make run-game GAME_PORT={busy_port + 1}"):
        refuse_busy(busy_port, "GAME_PORT")
    refuse_busy(free_port())


def test_a_process_that_ends_while_starting(tmp_path: Path) -> None:
    """Its last words are shown, not a time-out."""
    command = [sys.executable, "-c", "print('no space left'); raise SystemExit(1)"]
    process = Process("failing", command, tmp_path)
    began = time.monotonic()
    with pytest.raises(Problem, match="failing ended while starting:\n    no space left"):
        process.wait_until(lambda: False, 30)
    assert time.monotonic() - began < 10
    process.stop()


def test_a_process_that_does_not_get_ready(tmp_path: Path) -> None:
    """Waiting has an end, and stopping it leaves nothing."""
    process = Process("slow", SLEEP, tmp_path)
    with pytest.raises(Problem, match="slow is not ready after 0 s"):
        process.wait_until(lambda: False, 0.1)
    process.stop()
    assert not process.is_running()


def test_damaged_secrets(tmp_path: Path) -> None:
    """A damaged file of kept secrets is named, with the way out."""
    (tmp_path / "secrets.json").write_text("{")
    with pytest.raises(Problem, match=r"secrets.json is damaged: `make reset`"):
        Stack(tmp_path, "1")


def test_damaged_database(tmp_path: Path) -> None:
    """A database folder that cannot be used ends in the server's words and the way out."""
    mariadb = MariaDB(tmp_path, Users("admin", "application"))
    (tmp_path / "data" / "mysql").mkdir(parents=True)
    (tmp_path / "data" / "ibdata1").write_text("not a database")
    with pytest.raises(Problem, match=r"(mariadb|mysql) ended while starting:[\s\S]*`make reset`"):
        mariadb.start()


def test_the_users_own_aws_account() -> None:
    """Nothing of the user's own AWS account reaches the local stack."""
    environment = {"AWS_PROFILE": "studio", "AWS_SESSION_TOKEN": "t", "PATH": "/bin"}
    assert without_aws(environment) == {"PATH": "/bin"}
