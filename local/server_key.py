"""Gives the example game server a key as an operator does: by a function of `make run`."""

import json
from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from auth.times import id_text, new_id, system_clock
from local.secrets_manager import CREDENTIALS
from local.terminal import Problem

LABEL = "make run-game"
# The first call starts the function's process. None is repeated: a key may have been made.
ONCE = Config(retries={"total_max_attempts": 1}, read_timeout=60)


class KeyMaker:
    """Sends commands to the function for owners, which `make run` serves."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Take what `python -m operate` needs to find the functions."""
        self._function = f"operate_own{environment['OPERATE_SUFFIX']}"
        self._client = boto3.client(
            "lambda",
            endpoint_url=environment["OPERATE_ENDPOINT"],
            region_name=CREDENTIALS["AWS_DEFAULT_REGION"],
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            config=ONCE,
        )

    def renew(self) -> str:
        """Return a new server key; those of earlier runs are revoked.

        Raises:
            Problem: it cannot be made.
        """
        for one in self._run("servers list")["result"]["keys"]:
            if one["label"] == LABEL and one["revoked_at"] is None:
                self._run("servers revoke", key=one["key"])
        key: str = self._run("servers add", label=LABEL)["once"]["server_key"]
        return key

    def _run(self, command: str, **arguments: str) -> dict[str, Any]:
        event = {
            "command": command,
            "command_id": id_text(new_id(system_clock())),
            "reason": LABEL,
            "operator": {"arn": f"local:{LABEL}", "tool": LABEL},
            "arguments": arguments,
        }
        try:
            done = self._client.invoke(
                FunctionName=self._function, Payload=json.dumps(event).encode()
            )
        except (BotoCoreError, ClientError) as error:
            raise Problem(f"cannot make a server key: {error}") from None
        answer: dict[str, Any] = json.loads(done["Payload"].read() or b"{}")
        if not answer.get("ok"):
            raise Problem(f"cannot make a server key: {answer.get('error') or answer}")
        return answer
