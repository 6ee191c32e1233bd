"""Errors of the local stack: one line with the cause and the remedy."""

import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from auth.settings import Settings
from local import __main__ as commands
from local.database_server import DatabaseServer, Users
from local.ports import port_of, refuse_busy, refuse_same
from local.processes import NOTE, Process, free_port
from local.stack import KEPT, Stack, without_aws
from local.terminal import Problem

SLEEP = [sys.executable, "-uc", "import time; print('up'); time.sleep(60)"]


@pytest.fixture(params=["127.0.0.1", "::1"])
def busy_port(request: pytest.FixtureRequest) -> Iterator[int]:
    """Return a port that is in use on one of the loopback addresses."""
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.socket(family) as listener:
        try:
            listener.bind((request.param, 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        listener.listen()
        yield listener.getsockname()[1]


def test_busy_port(busy_port: int) -> None:
    """A busy port is named, with the command that chooses another one."""
    with pytest.raises(Problem, match=f"port {busy_port} is in use.*make run PORT={busy_port + 1}"):
        refuse_busy(busy_port)
    with pytest.raises(Problem, match=f"make run-game GAME_PORT={busy_port + 1}"):
        refuse_busy(busy_port, "GAME_PORT")
    refuse_busy(free_port())


@pytest.mark.parametrize("text", ["0", "-1", "65536", "70000", "", "abc", "3e3", "30 00", "٣٠٠٠"])
def test_impossible_port(text: str) -> None:
    """An invalid port is refused in one line that gives the valid range."""
    with pytest.raises(Problem, match=r"GAME_PORT must be a number from 1 to 65535, not '.*'$"):
        port_of(text, "GAME_PORT")


def test_privileged_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that this user may not open is refused in one line."""

    def refuse(_socket: object, _address: object) -> None:
        raise PermissionError

    monkeypatch.setattr(socket, "socket", type("Refusing", (socket.socket,), {"bind": refuse}))
    with pytest.raises(Problem, match=r"no permission to open port 80: .* `make run PORT=\.\.\.`$"):
        port_of("80")


def test_possible_ports(busy_port: int) -> None:
    """Every other port is accepted; a busy one is reported later."""
    assert (port_of("1024"), port_of("65535"), port_of(str(busy_port))) == (1024, 65535, busy_port)


def test_one_port_for_two_servers() -> None:
    """The game server cannot use the backend's port."""
    with pytest.raises(Problem, match=r"PORT and GAME_PORT are both 65535.*GAME_PORT=65534`$"):
        refuse_same(65535, 65535)
    refuse_same(3000, 3001)
    refuse_same(3000, None)


def test_a_process_that_ends_while_starting(tmp_path: Path) -> None:
    """The error shows the last output of the process instead of a time-out."""
    command = [sys.executable, "-c", "print('no space left'); raise SystemExit(1)"]
    began = time.monotonic()
    with pytest.raises(Problem, match="failing stopped while starting:\n    no space left"):
        Process.ready("failing", command, tmp_path, until=lambda: False, seconds=30)
    assert time.monotonic() - began < 10


def test_a_process_that_does_not_get_ready(tmp_path: Path) -> None:
    """Waiting ends after a time limit, and the process is stopped."""
    note = tmp_path / f"slow{NOTE}"
    noted: dict[str, int] = {}

    def never() -> bool:
        noted.update(json.loads(note.read_text()))
        return False

    with pytest.raises(Problem, match="slow was not ready within 0 s"):
        Process.ready("slow", SLEEP, tmp_path, until=never, seconds=0.1)
    with pytest.raises(ProcessLookupError):
        os.kill(noted["process"], 0)
    assert not note.exists()


def test_damaged_secrets(tmp_path: Path) -> None:
    """A damaged file of stored secrets is named, with the remedy."""
    (tmp_path / "secrets.json").write_text("{")
    with pytest.raises(Problem, match=r"secrets.json is damaged: run `make reset`"):
        Stack(tmp_path, "1")


@pytest.fixture
def stack_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder for the commands' data, before it exists."""
    monkeypatch.setattr(commands, "FOLDER", tmp_path)
    monkeypatch.setattr(commands, "STACK_FOLDER", tmp_path / "stack")
    monkeypatch.setattr(commands, "ENVIRONMENT_FILE", tmp_path / "env")
    return tmp_path / "stack"


def found_in(folder: Path) -> list[Path]:
    """Return the content of a folder, except the lock."""
    return sorted(path for path in folder.rglob("*") if path.name != "lock")


@pytest.mark.parametrize("command", ["run", "reset"])
@pytest.mark.parametrize("kind", ["folder", "link", "file", "dead link"])
def test_a_folder_that_is_not_ours(
    stack_folder: Path, tmp_path: Path, kind: str, command: str
) -> None:
    """`make run` and `make reset` change nothing in a folder that `make run` did not create."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    note = {"process": 2, "started": "", "folder": ""}
    (theirs / f"x{NOTE}").write_text(json.dumps(note))
    if kind == "folder":
        theirs.rename(stack_folder)
    elif kind == "link":
        (theirs / KEPT).touch()
        stack_folder.symlink_to(theirs)
    elif kind == "file":
        stack_folder.touch()
    else:
        stack_folder.symlink_to(tmp_path / "nowhere")
    before = found_in(tmp_path)
    with pytest.raises(Problem, match=r"`make run` did not create .*stack, .*: move it away"):
        commands.run(free_port()) if command == "run" else commands.reset()
    assert found_in(tmp_path) == before


def test_reset(stack_folder: Path) -> None:
    """A folder of ours is removed completely; an empty or missing one is no error."""
    commands.reset()
    stack_folder.mkdir()
    commands.reset()
    assert not stack_folder.exists()
    (stack_folder / "moto" / "data").mkdir(parents=True)
    (stack_folder / KEPT).touch()
    (stack_folder / "link").symlink_to("/")
    commands.reset()
    assert not stack_folder.exists()


def test_reset_that_is_broken_off(stack_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A half-removed folder of ours still counts as ours, so the next reset removes it."""
    (stack_folder / "a").mkdir(parents=True)
    (stack_folder / "zzz").mkdir()
    (stack_folder / KEPT).touch()

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", refuse)
        with pytest.raises(Problem, match=r"^cannot delete .*: Permission denied$"):
            commands.reset()
    commands.reset()
    assert not stack_folder.exists()


def test_a_lock_that_cannot_be_opened(stack_folder: Path) -> None:
    """A lock that cannot be opened is named in one line."""
    (stack_folder.parent / "lock").mkdir()
    with pytest.raises(Problem, match=r"^cannot lock .*lock: Is a directory$"):
        commands.reset()


def test_a_lock_of_another_user(stack_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that belongs to another user is not mistaken for a running stack."""

    def refuse(path: Path, _mode: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(Problem, match=r"^no permission to use .*lock: if `make` was run with sudo"):
        commands.reset()
    assert not stack_folder.exists()


@pytest.mark.usefixtures("stack_folder")
def test_after_sudo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that belongs to another user is named in one line, with the command that fixes it."""

    def refuse(_folder: Path) -> None:
        raise PermissionError(13, "Permission denied", "some/file")

    monkeypatch.setattr(sys, "argv", ["local", "reset"])
    monkeypatch.setattr(commands, "end_leftovers", refuse)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    assert commands.main() == 1
    said = capsys.readouterr().out.strip()
    assert said.startswith(
        "no permission to use some/file: if `make` was run with sudo before, run `sudo"
    )
    assert "\n" not in said


def test_damaged_database(tmp_path: Path) -> None:
    """An unusable database folder ends with the server's own message and the remedy."""
    server = DatabaseServer(tmp_path, Users("admin", "application"))
    (tmp_path / "data" / "mysql").mkdir(parents=True)
    (tmp_path / "data" / "ibdata1").write_text("not a database")
    with pytest.raises(
        Problem, match=r"(mariadb|mysql) stopped while starting:[\s\S]*`make reset`"
    ):
        server.start()


class Asked(Mapping[str, str]):
    """An environment that records the names it is asked for."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        return self._environment[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._environment)

    def __len__(self) -> int:
        return len(self._environment)


def test_settings_of_the_shell(tmp_path: Path) -> None:
    """The stack sets every setting that the handler reads, so the shell's values have no effect."""
    stack = Stack(tmp_path, "1")
    stack.database.ca_file.parent.mkdir(parents=True)
    stack.database.ca_file.touch()
    asked = Asked(stack.environment())
    Settings.from_environment(asked)
    assert len(asked.names) > 5
    assert asked.names <= set(stack.environment())


def test_the_users_own_aws_account() -> None:
    """Nothing of the user's own AWS account reaches the local stack."""
    environment = {"AWS_PROFILE": "studio", "AWS_SESSION_TOKEN": "t", "PATH": "/bin"}
    assert without_aws(environment) == {"PATH": "/bin"}
