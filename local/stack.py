"""Runs the database and the Secrets Manager stand-in, and prepares them for `handler.py`."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

import msgspec

from auth.credentials.new_keys import new_token_secret
from local.database_server import DatabaseServer, Users
from local.engines import chosen
from local.leaked_passwords import FILE as LEAKED_PASSWORDS
from local.secrets_manager import CREDENTIALS, SecretsManager
from local.terminal import Problem, step

ROOT = Path(__file__).parent.parent
STAGE = "local"
KEPT = "secrets.json"  # created before everything else: a folder without it is not ours
SECRET_PREFIX = f"game-login/{STAGE}"

# Settings for deployments only: empty here, even if the shell sets them.
DEFAULTS = (
    "DATABASE_PROXY_HOST",
    "SESSION_HISTORY_DAYS",
    "GUESTS",
    "GUEST_DAYS",
    "TICKET_SECONDS",
    "POLL_AFTER_SECONDS",
    "PASSWORD_WORDS",
    "TRUSTED_PROXY_SECRET_ID",
    "TRUSTED_PROXY_HEADER",
)
# No AWS configuration files: the user's own may be damaged, or lead to the real AWS.
NO_AWS_FILES = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
NO_PROXY = {"NO_PROXY": "localhost,127.0.0.1", "no_proxy": "localhost,127.0.0.1"}

# Run in a separate process, since the imports already need the stack's environment.
MIGRATE = "import handler; print(handler.migrate({}, None)['applied'])"
IMPORT_HANDLER = "import handler, sys; sys.exit(handler.start_error or None)"


class Stack:
    """The database server and the stand-in, with their data in one folder."""

    def __init__(self, folder: Path, rate_limit_scale: str) -> None:
        self._folder = folder
        self._rate_limit_scale = rate_limit_scale
        self._kept = _kept_secrets(folder / KEPT)
        self.database = DatabaseServer(
            folder / chosen(),
            Users(self._kept["admin_password"], self._kept["application_password"]),
        )
        self.secrets_manager = SecretsManager(folder / "moto")

    def start(self) -> None:
        """Start both servers, store the secrets, migrate the schema, and try to import the handler.

        Raises:
            Problem: one of these steps failed.
        """
        with step(f"starting {self.database.title}"):
            self.database.start()
        with step("starting the Secrets Manager stand-in"):
            self.secrets_manager.start()
            self._put_secrets()
        with step("migrating the database schema"):
            self.run_python(MIGRATE)
        with step("importing the handler"):
            self.run_python(IMPORT_HANDLER)

    def stop(self) -> None:
        """Stop both servers; the data is kept."""
        self.secrets_manager.stop()
        self.database.stop()

    def environment(self) -> dict[str, str]:
        """Return the environment variables for `handler.py`."""
        return {
            **CREDENTIALS,
            **NO_AWS_FILES,
            **NO_PROXY,
            **dict.fromkeys(DEFAULTS, ""),
            "AWS_ENDPOINT_URL": self.secrets_manager.endpoint,
            "DATABASE_SECRET_ID": f"{SECRET_PREFIX}/database",
            "DATABASE_ADMIN_SECRET_ID": f"{SECRET_PREFIX}/database-admin",
            "DATABASE_CA_FILE": str(self.database.ca_file),
            "LEAKED_PASSWORDS_FILE": str(LEAKED_PASSWORDS),
            "TOKEN_SECRET_ID": f"{SECRET_PREFIX}/tokens",
            "TOKEN_ISSUER": f"game-login-{STAGE}",
            "TOKEN_AUDIENCE": "game",
            "RATE_LIMIT_SCALE": self._rate_limit_scale,
            "STRIP_STAGE_PATH": "yes",
        }

    def run_python(self, code: str, *arguments: str) -> str:
        """Run Python code with the stack's environment and return its output.

        Raises:
            Problem: the code fails; the text is the last line of the error.
        """
        done = subprocess.run(  # noqa: S603  # our own code
            [sys.executable, "-c", code, *arguments],
            cwd=ROOT,
            env={**without_aws(os.environ), **self.environment()},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or ["no error text"]
            raise Problem(lines[-1])
        return done.stdout

    def _put_secrets(self) -> None:
        put = self.secrets_manager.put
        put(f"{SECRET_PREFIX}/database", msgspec.to_builtins(self.database.application))
        put(f"{SECRET_PREFIX}/database-admin", msgspec.to_builtins(self.database.admin))
        put(f"{SECRET_PREFIX}/tokens", self._kept["tokens"])


def keep_proxies_out(environment: MutableMapping[str, str]) -> None:
    """Exclude connections to this machine from the user's proxy."""
    for name, addresses in NO_PROXY.items():
        kept = [environment[name]] if environment.get(name) else []
        environment[name] = ",".join([*kept, addresses])


def keep_aws_out(environment: MutableMapping[str, str]) -> None:
    """Remove all settings of the user's own AWS account."""
    for name in set(environment) - set(without_aws(environment)):
        del environment[name]
    environment.update(NO_AWS_FILES)


def without_aws(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without AWS settings, so that no real account is used."""
    return {name: value for name, value in environment.items() if not name.startswith("AWS_")}


def _kept_secrets(path: Path) -> dict[str, Any]:
    """Return the values of the secrets, generated at the first run and kept in a file."""
    if path.exists():
        try:
            kept: dict[str, Any] = json.loads(path.read_text())
        except ValueError:
            raise Problem(
                f"{path} is damaged: run `make reset` to delete the local database and its keys,"
                " and start again"
            ) from None
        return kept
    kept = {
        "admin_password": secrets.token_urlsafe(24),
        "application_password": secrets.token_urlsafe(24),
        "tokens": new_token_secret(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(kept))
    return kept
