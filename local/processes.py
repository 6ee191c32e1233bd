"""Child processes: started with a log file, waited for, and stopped whatever happens.

A parent that is killed leaves its children behind; they are on file, so the next run ends them.
"""

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
NOTE = ".process"  # names a file with a process id and a program


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
                start_new_session=True,  # Ctrl-C is for us to pass on, in the right order
            )
        self._note.write_text(f"{self._popen.pid} {Path(command[0]).name}")

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._popen.pid

    def is_running(self) -> bool:
        """Tell whether it still runs."""
        return self._popen.poll() is None

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until it is ready.

        Raises:
            Problem: it ended or took too long; with the last lines of its log.
        """
        end = time.monotonic() + seconds
        while not ready():
            if not self.is_running():
                raise Problem(f"{self.name} ended while starting:\n{self.last_lines()}")
            if time.monotonic() > end:
                raise Problem(
                    f"{self.name} is not ready after {seconds:.0f} s:\n{self.last_lines()}"
                )
            time.sleep(0.05)

    def last_lines(self) -> str:
        """Return the end of its log."""
        lines = self.log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        return "\n".join(f"    {line}" for line in lines) + f"\n    (all of it: {self.log})"

    def stop(self, first: signal.Signals = signal.SIGTERM) -> None:
        """Stop it and all it started: politely, then not."""
        for sign, seconds in ((first, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)):
            if not self.is_running():
                break
            _signal_group(self._popen.pid, sign)
            try:
                self._popen.wait(seconds)
            except subprocess.TimeoutExpired:
                continue
        _signal_group(self._popen.pid, signal.SIGKILL)
        self._note.unlink(missing_ok=True)


def end_leftovers(folder: Path) -> None:
    """End the processes that an earlier run left behind in a folder when it was killed."""
    for note in folder.rglob(f"*{NOTE}"):
        pid, _, program = note.read_text().partition(" ")
        if program and program in _command_of(int(pid)):
            say(f"ending {program}, which an earlier run left behind (process {pid})")
            _signal_group(int(pid), signal.SIGTERM)
            end = time.monotonic() + STOP_SECONDS
            while program in _command_of(int(pid)) and time.monotonic() < end:
                time.sleep(0.1)
            _signal_group(int(pid), signal.SIGKILL)
        note.unlink()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def accepts(port: int) -> bool:
    """Tell whether something on this machine listens on a port, on either loopback address."""
    for address in ("127.0.0.1", "::1"):
        with suppress(OSError):
            socket.create_connection((address, port), timeout=1).close()
            return True
    return False


def _command_of(pid: int) -> str:
    """Return the command line of a running process, or nothing."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return ""
    command = ["ps", "-o", "command=", "-p", str(pid)]  # macOS has no /proc
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603


def _signal_group(pid: int, sign: signal.Signals) -> None:
    try:
        os.killpg(pid, sign)
    except (ProcessLookupError, PermissionError):
        return
