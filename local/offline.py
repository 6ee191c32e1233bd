"""The real `serverless offline`: Lambda on this machine, and API Gateway by `offline.js`."""

import os
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
    strangers = ("SLS_", "SERVERLESS_", "NODE_", "PYTHON")
    return {name: value for name, value in environment.items() if not name.startswith(strangers)}


class Offline(Program):
    """One `serverless offline`, which starts the handler with the stack's environment."""

    stopped_by = signal.SIGINT

    def __init__(self, port: int, folder: Path, stack_environment: Mapping[str, str]) -> None:
        self._port = port
        self._folder = folder
        self._environment = stack_environment
        # Not `localhost`: some take that for ::1 alone, where nothing listens.
        self.url = f"http://127.0.0.1:{port}"

    @property
    def log(self) -> Path:
        """Return the file that it and the handler log to."""
        return self._folder / "serverless.log"

    def start(self) -> None:
        """Start it and wait for the first answer.

        Raises:
            Problem: it does not start.
        """
        command = [
            "node",
            str(ROOT / "node_modules" / "serverless" / "bin" / "serverless.js"),
            *("offline", "start"),
            f"--stage={STAGE}",
            "--host=127.0.0.1",
            "--noTimeout",  # what timed out it would answer with 200
            f"--httpPort={self._port}",
            f"--lambdaPort={free_port()}",
            f"--corsAllowOrigin={self.url}",  # on that port; its default is every origin
            "--corsDisallowCredentials",
        ]
        virtual_environment = Path(sys.prefix)
        environment = {
            **without_serverless(without_aws(os.environ)),
            **self._environment,
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
            raise Problem(f"the backend answers {error.code}; see {self.log}") from None
        except (urllib.error.URLError, OSError):
            return False
