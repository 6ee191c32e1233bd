"""The real commands, run in a copy of the project that steps can change."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from deploy.package import ROOT
from local.secrets_manager import CREDENTIALS
from local.stack import NO_PROXY, without_aws
from local.terminal import Problem
from tests.play.sources import checkout

LINKED = ("node_modules", ".venv", ".local/build")
COMPILED = "cloudformation-template-update-stack.json"
SECONDS = 180.0

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class CommandResult:
    """The result of a command."""

    status: int
    output: str

    def line(self, begin: str) -> str:
        """Return the rest of the line that begins with `begin`.

        Raises:
            Problem: there is none.
        """
        for line in self.output.splitlines():
            if line.startswith(begin):
                return line.removeprefix(begin).strip()
        raise Problem(f"no line begins with {begin!r}:\n{last_lines(self.output)}")


class Project:
    """A copy of the project in a folder."""

    def __init__(self, folder: Path, endpoint: str = "") -> None:
        """Copy the project; `endpoint` is the address of the stand-in for AWS."""
        self.folder = folder
        self.endpoint = endpoint
        shutil.rmtree(folder, ignore_errors=True)
        checkout(folder)
        (ROOT / ".local" / "build").mkdir(parents=True, exist_ok=True)
        (folder / ".local").mkdir()
        for name in LINKED:
            (folder / name).symlink_to(ROOT / name)

    def serverless(self, *arguments: str) -> CommandResult:
        """Run the command and return its result, even if it failed."""
        return self._run("node", "node_modules/.bin/serverless", *arguments)

    def operate(self, *arguments: str) -> CommandResult:
        """Run a command of operators and return its result, even if it failed."""
        return self._run(sys.executable, "-m", "operate", *arguments)

    def must(self, *arguments: str) -> CommandResult:
        """Run the command.

        Raises:
            Problem: it failed.
        """
        done = self.serverless(*arguments)
        if done.status != 0:
            raise Problem(f"`serverless {' '.join(arguments)}` failed:\n{last_lines(done.output)}")
        return done

    def replace(self, path: str, old: str, new: str) -> None:
        """Change a text in a file.

        Raises:
            Problem: it is not there.
        """
        file = self.folder / path
        text = file.read_text()
        if old not in text:
            raise Problem(f"{path} has no {old!r} to change any more: update tests/rehearsal")
        file.write_text(text.replace(old, new))

    def add_migration(self, name: str, sql: str) -> str:
        """Add a migration after the last; return the name of its file."""
        migrations = self.folder / "auth" / "store" / "migrations"
        last = max(int(path.name[:4]) for path in migrations.glob("*.sql"))
        file = migrations / f"{last + 1:04}_{name}.sql"
        file.write_text(sql)
        return file.name

    def _run(self, *command: str) -> CommandResult:
        environment = {
            **without_aws(os.environ),
            **(CREDENTIALS | {"AWS_ENDPOINT_URL": self.endpoint} if self.endpoint else {}),
            **NO_PROXY,
            # Even a faulty step cannot reach an account of the user's.
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED": "true",
            "SLS_TELEMETRY_DISABLED": "1",
            "SLS_AWS_MONITORING_FREQUENCY": "500",  # milliseconds: operations here are immediate
        }
        try:
            done = subprocess.run(  # our own command
                command,
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Problem(f"`{' '.join(command)}` took over {SECONDS:.0f} s") from None
        return CommandResult(done.returncode, _COLOURS.sub("", done.stdout))


def last_lines(text: str, count: int = 15) -> str:
    """Return the end of a command's output."""
    return "\n".join(f"    {line}" for line in text.strip().splitlines()[-count:])
