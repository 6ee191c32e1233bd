"""Runs clients/game_server/js/player_tokens.js in Node, with clocks that the test sets.

`python -m tests.game_server.javascript` installs what it needs, if that is missing.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from local.stack import ROOT
from local.terminal import Problem
from tests.play.npm import NpmPackages

HERE = Path(__file__).parent
SOURCE = ROOT / "clients" / "game_server" / "js"
PACKAGES = NpmPackages(SOURCE, "game-server-js", "what clients/game_server/js needs")


class JavaScriptTokens:
    """A verifier in a process of its own; `now` and `ticks` are its clocks, in seconds."""

    def __init__(self, folder: Path, url: str, issuer: str, *servers: str) -> None:
        PACKAGES.check("tests.game_server.javascript")
        (folder / "node_modules").symlink_to(PACKAGES.modules)
        for path in (SOURCE / "player_tokens.js", SOURCE / "package.json", HERE / "verify.js"):
            (folder / path.name).write_bytes(path.read_bytes())
        self.now, self.ticks = 0.0, 1000.0
        self._process = subprocess.Popen(
            ["node", "verify.js", url, issuer, *servers],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let the process end, and check that it does so in good order."""
        try:
            self.said = self._process.communicate(timeout=30)[1]
        finally:
            self._process.kill()
        assert self._process.returncode == 0, self.said

    def verify(self, *tickets: str, first: bool = False) -> list[dict[str, Any]]:
        """Verify tickets at the same time: each answer has a `player`, or `error` and `message`.

        `first`: return the answer that comes first, alone.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"tickets": tickets, "now": self.now, "ticks": self.ticks, "first": first}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(self._process.communicate(timeout=30)[1])
        answers: list[dict[str, Any]] = json.loads(line)
        return answers


if __name__ == "__main__":
    try:
        PACKAGES.install()
    except Problem as problem:
        sys.exit(f"game server in JavaScript: {problem}")
