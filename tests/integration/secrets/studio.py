"""A studio that rotates its token keys: the command, three containers, and one shared clock."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from auth.credentials.new_keys import new_token_secret
from local.stack import Stack
from operate.key_schedule import Schedule, schedule_of
from operate.token_keys import Secret, rotate

NAME = "game-login/keys/tokens"
STAGE = "keys"


class Studio:
    """An operator with the command, three containers, and one shared clock."""

    def __init__(self, stack: Stack, containers: Callable[["Studio"], list[Any]]) -> None:
        self.now = 1000.0
        self._start = datetime.now(UTC).replace(microsecond=0)
        self.client = stack.secrets_manager.client()
        self.client.delete_secret(SecretId=NAME, ForceDeleteWithoutRecovery=True)
        self.client.create_secret(Name=NAME, SecretString=json.dumps(new_token_secret()))
        self.containers = containers(self)
        self.naps: list[float] = []
        self.while_waiting: Callable[[], None] = lambda: None

    def secret(self) -> Secret:
        """Return the secret as the command sees it, with this clock instead of AWS's."""
        secret = Secret(self.client, NAME)
        read = secret.read

        def read_now() -> Any:
            value, version, now = read()
            assert abs(now - datetime.now(UTC)) < timedelta(minutes=1)
            return value, version, self._start + timedelta(seconds=self.now)

        secret.read = read_now  # type: ignore[method-assign]
        return secret

    def sleep(self, seconds: float) -> None:
        """Let time pass, and let players play."""
        self.naps.append(seconds)
        self.now += seconds
        self.while_waiting()

    def rotate(self, kind: str | None = None) -> None:
        """Run the command to its end."""
        rotate(self.secret(), self.sleep, lambda: self.now, kind)

    def sign_with(self, pem: str) -> None:
        """Replace the signing key before any container has read it."""
        value = {**self.value(), "signing_keys": {"signing-1": pem}}
        self.client.put_secret_value(SecretId=NAME, SecretString=json.dumps(value))

    def value(self) -> dict[str, Any]:
        """Return the secret's value."""
        text = self.client.get_secret_value(SecretId=NAME, VersionStage="AWSCURRENT")
        value: dict[str, Any] = json.loads(text["SecretString"])
        return value

    def schedule(self) -> Schedule:
        """Return the schedule in the secret."""
        return schedule_of(self.value())
