"""The real `serverless offline`: Lambda on this machine, and API Gateway by `offline.js`."""

import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from local.ports import refuse_busy
from local.processes import Process, accepts, free_port
from local.stack import ROOT, STAGE, without_aws
from local.terminal import Problem

READY_SECONDS = 60.0


def without_serverless(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the user's own settings of `serverless`, Node and Python."""
    strangers = ("SLS_", "SERVERLESS_", "NODE_", "PYTHON")
    return {name: value for name, value in environment.items() if not name.startswith(strangers)}


class Offline:
    """One `serverless offline`, which starts the handler with the stack's environment."""

    def __init__(self, port: int, folder: Path, stack_environment: Mapping[str, str]) -> None:
        self._port = port
        self._folder = folder
        self._environment = stack_environment
        self._process: Process | None = None
        # Not `localhost`: some take that for ::1 alone, where nothing listens.
        self.url = f"http://127.0.0.1:{port}"

    @property
    def log(self) -> Path:
        """Return the file that it and the handler log to."""
        return self._folder / "serverless.log"

    def start(self) -> None:
        """Start it and wait for the first answer.

        Raises:
            Problem: its port is in use, or it does not start.
        """
        refuse_busy(self._port)
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
        self._process = Process("serverless", command, self._folder, environment, ROOT)
        try:
            self._process.wait_until(self._answers, READY_SECONDS)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop it and the handler processes it started."""
        if self._process is not None:
            self._process.stop(signal.SIGINT)
            self._process = None

    def is_running(self) -> bool:
        """Tell whether it still runs."""
        return self._process is not None and self._process.is_running()

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
