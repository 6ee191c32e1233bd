"""The stand-in for AWS: `python -m tests.rehearsal.stand_in CONFIGURATION`, and its process."""

import signal
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from deploy.package import ROOT
from local.processes import Process, Program
from tests.rehearsal.configuration import Configuration, client

READY_SECONDS = 60.0


class StandIn(Program):
    """The stand-in in a process of its own, with the functions that it runs."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.endpoint = configuration.endpoint

    def start(self) -> None:
        """Start the stand-in.

        Raises:
            Problem: it did not start.
        """
        folder = Path(self.configuration.folder)
        path = folder / "configuration.json"
        folder.mkdir(parents=True, exist_ok=True)
        self.configuration.write(path)
        command = [sys.executable, "-m", "tests.rehearsal.stand_in", str(path)]
        self._process = Process.ready(
            "stand_in",
            command,
            folder,
            directory=ROOT,
            until=self._answers,
            seconds=READY_SECONDS,
        )

    def client(self, service: str) -> Any:
        """Return a boto3 client of one of its services."""
        return client(service, self.endpoint)

    def get(self, path: str) -> bytes:
        """Return the content of one of its own paths."""
        with urllib.request.urlopen(f"{self.endpoint}{path}", timeout=10) as answer:
            content: bytes = answer.read()
            return content

    def _answers(self) -> bool:
        try:
            self.get("/_left")
        except (urllib.error.URLError, OSError):
            return False
        return True


def serve(configuration: Configuration) -> None:
    """Serve until stopped."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    from tests.rehearsal import account, cloudformation, functions, resources
    from tests.rehearsal.gateway import Gateway

    resources.configure(configuration)
    account.install()
    cloudformation.install()
    functions.install()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    application = Gateway(DomainDispatcherApplication(create_backend_app))
    run_simple("127.0.0.1", configuration.port, application, threaded=True)


if __name__ == "__main__":
    serve(Configuration.read(Path(sys.argv[1])))
