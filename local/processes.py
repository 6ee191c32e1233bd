"""Child processes: started with a log file, awaited until ready, and always stopped.

If the parent is killed, its children keep running. A note in the folder names each child, so that
the next run can end it. A process id alone is not enough: the system reuses it for another process,
and a copied folder has the notes of the original. So a note also has the start time of the process
and the identity of the folder.
"""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from local.terminal import Problem, say

STOP_SECONDS = 15.0
LOG_LINES_SHOWN = 15
NOTE = ".process"
BOOT = Path("/proc/sys/kernel/random/boot_id")


class Process:
    """One child process; its output goes to `folder/name.log`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._note = folder / f"{name}{NOTE}"
        folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self._popen = subprocess.Popen(  # noqa: S603  # our own command
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=directory,
                start_new_session=True,  # Ctrl-C reaches only us, so that we stop all in order
            )
        self._note.write_text(
            json.dumps(
                {
                    "process": self._popen.pid,
                    "started": _started(self._popen.pid),
                    "folder": identity(folder),
                }
            )
        )

    @classmethod
    def ready(
        cls,
        name: str,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        *,
        until: Callable[[], bool],
        seconds: float,
    ) -> "Process":
        """Start a process and wait until it is ready; stop it if that fails.

        Raises:
            Problem: the process ended or took too long; the text has the last lines of its log.
        """
        process = cls(name, command, folder, environment, directory)
        try:
            process.wait_until(until, seconds)
        except BaseException:
            process.stop()
            raise
        return process

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._popen.pid

    def is_running(self) -> bool:
        """Tell whether the process still runs."""
        if self._popen.returncode is not None:
            return False
        if self._popen.poll() is None:
            return True
        # End its group now and never later, since its id may soon belong to another process.
        _signal_group(self._popen.pid, signal.SIGKILL)
        return False

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until the process is ready.

        Raises:
            Problem: the process ended or took too long; the text has the last lines of its log.
        """
        end = time.monotonic() + seconds
        while not ready():
            if not self.is_running():
                raise Problem(f"{self.name} stopped while starting:\n{self.last_lines()}")
            if time.monotonic() > end:
                raise Problem(
                    f"{self.name} was not ready within {seconds:.0f} s:\n{self.last_lines()}"
                )
            time.sleep(0.05)

    def last_lines(self) -> str:
        """Return the last lines of the log."""
        lines = self.log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        return "\n".join(f"    {line}" for line in lines) + f"\n    (full log: {self.log})"

    def stop(self, first: signal.Signals = signal.SIGTERM) -> None:
        """Stop the process and its children: first by a request, then by SIGKILL."""
        for sign, seconds in ((first, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)):
            if not self.is_running():
                break
            _signal_group(self._popen.pid, sign)
            end = time.monotonic() + seconds
            while self.is_running() and time.monotonic() < end:
                time.sleep(0.02)
        self._note.unlink(missing_ok=True)


class Program:
    """A program that runs as one child process, and can be started again."""

    stopped_by = signal.SIGTERM
    _process: Process | None = None

    def stop(self) -> None:
        """Stop the program and its children."""
        if self._process is not None:
            self._process.stop(self.stopped_by)
            self._process = None

    def is_running(self) -> bool:
        """Tell whether the program runs."""
        return self._process is not None and self._process.is_running()

    def last_lines(self) -> str:
        """Return the last lines of the log."""
        return "" if self._process is None else self._process.last_lines()


def end_leftovers(folder: Path) -> None:
    """End the processes that an earlier run on this folder left running when it was killed.

    A process that no note describes exactly is not ours and keeps running. A file that only has the
    name of a note is kept.
    """
    for note in folder.rglob(f"*{NOTE}"):
        if _read(note) is None:
            continue
        pid = _noted(note)
        if pid is not None:
            say(f"stopping {note.stem}, left running by an earlier run (process {pid})")
            _signal_group(pid, signal.SIGTERM)
            end = time.monotonic() + STOP_SECONDS
            while _noted(note) is not None and time.monotonic() < end:
                time.sleep(0.1)
            if _noted(note) is not None:
                _signal_group(pid, signal.SIGKILL)
        note.unlink()


def identity(folder: Path) -> str:
    """Return the folder's device and inode: different for a copy, the same after a move."""
    found = folder.stat()
    return f"{found.st_dev}:{found.st_ino}"


def free_port() -> int:
    """Return an unused port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def accepts(port: int) -> bool:
    """Tell whether a program listens on a port of this machine, on either loopback address."""
    for address in ("127.0.0.1", "::1"):
        with suppress(OSError):
            socket.create_connection((address, port), timeout=1).close()
            return True
    return False


def _noted(note: Path) -> int | None:
    """Return the process id in a note, if the process still runs and belongs to this folder."""
    noted = _read(note)
    if noted is None:
        return None
    pid, started, folder = noted
    if pid <= 1 or folder != identity(note.parent) or not started or started != _started(pid):
        return None
    return pid


def _read(note: Path) -> tuple[int, str, str] | None:
    """Return the process id, start time and folder in a note; None: the file is not a note.

    Raises:
        PermissionError: the file belongs to another user.
        Problem: the file cannot be read.
    """
    try:
        match json.loads(note.read_text()):
            case {"process": int(pid), "started": str(started), "folder": str(folder)}:
                return pid, started, folder
    except (ValueError, IsADirectoryError):
        return None
    except PermissionError:
        raise
    except OSError as error:
        raise Problem(f"cannot read {note}: {error.strerror}") from None
    return None


def _started(pid: int) -> str:
    """Return the start time of a process; "" if it does not exist."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
        # The name is in brackets and may have any characters; the start time is the 22nd field.
        fields = status.rpartition(")")[2].split()
        boot = BOOT.read_text().strip() if BOOT.exists() else ""
        return "" if fields[0] == "Z" else f"{boot} {fields[19]}"
    except OSError:
        if Path("/proc/self").exists():
            return ""
    command = ["ps", "-o", "lstart=", "-p", str(pid)]  # macOS has no /proc
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    shown = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=False, env=environment
    )
    return shown.stdout.strip()


def _signal_group(pid: int, sign: signal.Signals) -> None:
    try:
        os.killpg(pid, sign)
    except (ProcessLookupError, PermissionError):
        return
