"""Runs a stand-in for AWS Secrets Manager (moto's server).

The stand-in loses its data when it stops. So `stack` stores the secrets in a file, and players stay
signed in after a restart of the local stack.
"""

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.processes import Process, Program, free_port

READY_SECONDS = 30.0
REGION = "us-east-1"

# The stand-in requires credentials, as AWS does, but accepts any.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
}


class SecretsManager(Program):
    """The stand-in's server, which loses its secrets when it stops."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.endpoint = ""

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            Problem: the server does not start.
        """
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        # Not the command `moto_server`, which has the path of its installation inside.
        command = [sys.executable, "-m", "moto.server", "--host=127.0.0.1", f"--port={port}"]
        self._process = Process.ready(
            "moto_server", command, self._folder, until=self._answers, seconds=READY_SECONDS
        )

    def client(self) -> Any:
        """Return a boto3 client for the stand-in."""
        import boto3

        return boto3.client(
            "secretsmanager",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106  # any is accepted
        )

    def put(self, name: str, value: Mapping[str, object]) -> None:
        """Create a secret."""
        self.client().create_secret(Name=name, SecretString=json.dumps(value))

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.endpoint}/moto-api/", timeout=1):  # noqa: S310
                return True
        except (urllib.error.URLError, OSError):
            return False
