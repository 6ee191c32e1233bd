"""Operators at a terminal: a real one, on which they type a command and what it asks for."""

import os
import re
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.play.sources import ROOT

# `python -m operate`, for another stack than the one of `make run` in this folder.
PYTHON = """#!/bin/sh
shift 2
exec "{python}" -c '
import sys
from pathlib import Path
import operate.functions
operate.functions.LOCAL_ENVIRONMENT = Path("{environment}")
from operate.__main__ import main
sys.exit(main())' "$@"
"""
PROMPT = re.compile(r"type (\S+) to go on: $")
END_OF_INPUT = "\x04"
SECONDS = 60.0


@dataclass(frozen=True)
class Terminal:
    """A terminal, in a folder of its own, from which operators reach one running stack."""

    folder: Path
    environment: dict[str, str]

    def run(self, line: str, typed: str | None = None) -> tuple[int, str]:
        """Run a line of shell; return its status and what the terminal shows.

        The operator types the name that the command asks for, unless told otherwise.
        """
        self.make_python()
        ours, theirs = os.openpty()
        process = subprocess.Popen(
            ["sh", "-c", line],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=self.folder,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
                "LOGNAME": "kim",
            },
            start_new_session=True,
        )
        os.close(theirs)
        try:
            shown = _converse(ours, typed)
            return process.wait(SECONDS), shown
        finally:
            os.close(ours)
            process.kill()
            process.wait()

    def make_python(self) -> Path:
        """Make the program `python` of this terminal, for the stack that it reaches."""
        environment = self.folder / "env"
        environment.write_text(
            "".join(f"{name}={value}\n" for name, value in self.environment.items())
        )
        python = self.folder / "bin" / "python"
        python.parent.mkdir(exist_ok=True)
        python.write_text(PYTHON.format(python=sys.executable, environment=environment))
        python.chmod(0o755)
        return python


def _converse(terminal: int, typed: str | None) -> str:
    shown, end = "", time.monotonic() + SECONDS
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            read = os.read(terminal, 65536)
        except OSError:  # the program has ended
            break
        shown += read.decode(errors="replace").replace("\r\n", "\n")
        asked = PROMPT.search(shown)
        if asked:
            answer = asked[1] if typed is None else typed
            os.write(terminal, (answer if answer == END_OF_INPUT else f"{answer}\n").encode())
    return shown
