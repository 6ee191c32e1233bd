"""Operators as the tests see them: they send commands to the function of a role."""

import os
import uuid
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import handler

ROLE_OF = dict.fromkeys(
    ("players find", "players list", "players show", "players sessions", "players events", "log"),
    "view",
) | dict.fromkeys(
    (
        *("delete", "export", "sign-out everybody"),
        *("servers add", "servers list", "servers revoke"),
    ),
    "own",
)


@dataclass
class Operator:
    """An operator with all three roles."""

    arn: str = "arn:aws:sts::123456789012:assumed-role/Support/kim"
    sent: list[str] = field(default_factory=list)

    def run(
        self,
        command: str,
        *,
        role: str = "",
        command_id: str = "",
        dry_run: bool = False,
        reason: str = "",
        **arguments: object,
    ) -> dict[str, Any]:
        """Send a command to the function of its role, or of another one."""
        event = {
            "command": command,
            "command_id": command_id or str(uuid.uuid4()),
            "dry_run": dry_run,
            "reason": reason,
            "operator": {"arn": self.arn, "tool": "tests"},
            "arguments": {name.removesuffix("_"): value for name, value in arguments.items()},
        }
        return invoke(event, role or ROLE_OF.get(command, "support"))

    def must(self, command: str, **more: Any) -> dict[str, Any]:
        """Send a command that is done, and return its result."""
        answer = self.run(command, **more)
        assert answer["ok"], answer
        result: dict[str, Any] = answer["result"]
        return result


def invoke(event: object, role: str) -> dict[str, Any]:
    """Invoke the function of a role."""
    with patch.dict(os.environ, {"OPERATOR_ROLE": role}):
        return handler.operate(event, None)
