"""The configuration of the stand-in, and clients for its API."""

import functools
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from local.secrets_manager import CREDENTIALS, REGION

ACCOUNT = "123456789012"  # moto's


@dataclass(frozen=True)
class Configuration:
    """The ports, folders and passwords of this machine."""

    port: int
    folder: str  # for the functions' logs and code
    python: str  # the Lambda runtime's
    database_host: str
    database_port: int
    database_ca_file: str
    admin_password: str  # of the user that RDS creates

    @property
    def endpoint(self) -> str:
        """Return the address of the stand-in."""
        return f"http://127.0.0.1:{self.port}"

    def write(self, path: Path) -> None:
        """Write it to a file for the stand-in."""
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> "Configuration":
        """Read it from a file."""
        return cls(**json.loads(path.read_text()))


def client(service: str, endpoint: str) -> Any:
    """Return a boto3 client of one of the stand-in's services."""
    return _session().client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )


@functools.cache
def _session() -> Any:
    import boto3

    return boto3.Session()
