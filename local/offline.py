"""Runs the real `serverless offline`: Lambda on this machine, and API Gateway by `offline.js`."""

import os
import secrets
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from local.processes import Process, Program, accepts, free_port
from local.stack import ROOT, STAGE, without_aws
from local.terminal import Problem

READY_SECONDS = 60.0


def without_serverless(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the user's own settings of `serverless`, Node and Python."""
    removed = ("SLS_", "SERVERLESS_", "NODE_", "PYTHON")
    return {name: value for name, value in environment.items() if not name.startswith(removed)}


class Offline(Program):
    """One `serverless offline`, which starts the handler with the stack's environment."""

    stopped_by = signal.SIGINT

    def __init__(self, port: int, folder: Path, stack_environment: Mapping[str, str]) -> None:
        self._port, self._lambda_port = port, free_port()
        # No web page can guess the functions' names with it.
        self._suffix = f"-{secrets.token_hex(16)}"
        self._folder = folder
        self._environment = stack_environment
        # Not `localhost`: some programs resolve it to ::1 only, but the server listens on IPv4.
        self.url = f"http://127.0.0.1:{port}"

    def operate_environment(self) -> dict[str, str]:
        """Return what `python -m operate` needs to invoke the functions."""
        return {
            "OPERATE_ENDPOINT": f"http://127.0.0.1:{self._lambda_port}",
            "OPERATE_SUFFIX": self._suffix,
        }

    @property
    def log(self) -> Path:
        """Return the path of the log file, which the handler shares."""
        return self._folder / "serverless.log"

    def start(self) -> None:
        """Start the command and wait for the first answer.

        Raises:
            Problem: the command does not start, or the backend answers with an error.
        """
        command = [
            "node",
            str(ROOT / "node_modules" / "serverless" / "bin" / "serverless.js"),
            *("offline", "start"),
            f"--stage={STAGE}",
            "--host=127.0.0.1",
            "--noTimeout",  # it would answer 200 after a time-out
            f"--httpPort={self._port}",
            f"--lambdaPort={self._lambda_port}",
            f"--corsAllowOrigin={self.url}",  # the default allows every origin
            "--corsDisallowCredentials",
        ]
        virtual_environment = Path(sys.prefix)
        environment = {
            **without_serverless(without_aws(os.environ)),
            **self._environment,
            "OPERATE_SUFFIX": self._suffix,
            "VIRTUAL_ENV": str(virtual_environment),
            "PATH": f"{virtual_environment / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
            "SLS_TELEMETRY_DISABLED": "1",
            "SLS_SCHEMA_CACHE_BASE_DIR": str(ROOT / ".local"),  # HOME may not be writable
            "AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED": "true",
        }
        self._process = Process.ready(
            "serverless",
            command,
            self._folder,
            environment,
            ROOT,
            until=self._answers,
            seconds=READY_SECONDS,
        )

    def _answers(self) -> bool:
        if not accepts(self._port):
            return False
        try:
            with urllib.request.urlopen(f"{self.url}/v1/health", timeout=15):  # noqa: S310
                return True
        except urllib.error.HTTPError as error:
            raise Problem(
                f"the backend answers {error.code} to /v1/health: see the log {self.log}"
            ) from None
        except (urllib.error.URLError, OSError):
            return False
