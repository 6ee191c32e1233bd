"""The game server's messages and close codes, and how many messages a player may send.

All messages are JSON objects in text frames. `socket_server` decides what they do.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Close codes, in the range for applications (RFC 6455, 7.4.2); named after HTTP's.
BAD_MESSAGE = 4400
BAD_TICKET = 4401  # get another one, connect again
SUSPENDED = 4403
NO_TICKET = 4408
REPLACED = 4409  # the same account connected elsewhere: do not reconnect automatically
TOO_MANY_MESSAGES = 4429
TRY_LATER = 1013  # the public keys cannot be read yet, or tickets not redeemed now

MESSAGES_PER_SECOND = 5.0
MESSAGES_AT_ONCE = 10.0


class Refused(Exception):
    """This connection must be closed, with a code and a reason that the client may show.

    `kicked`: what the message of this type says before, to a player who loses the seat.
    """

    def __init__(self, code: int, reason: str, kicked: Mapping[str, object] | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.kicked = kicked


@dataclass
class Allowance:
    """A player's remaining messages, across all connections."""

    _spare: float = MESSAGES_AT_ONCE
    _counted_at: float = field(default_factory=time.monotonic)

    def spare(self) -> float:
        """Return the number of messages that the player may send at once."""
        now = time.monotonic()
        refilled = self._spare + (now - self._counted_at) * MESSAGES_PER_SECOND
        self._spare, self._counted_at = min(MESSAGES_AT_ONCE, refilled), now
        return self._spare

    def take_message(self) -> None:
        """Count one message.

        Raises:
            Refused: there were too many.
        """
        self._spare = self.spare() - 1
        if self._spare < 0:
            raise Refused(TOO_MANY_MESSAGES, "too many messages")


def parse(frame: str | bytes) -> dict[str, Any]:
    """Return the message in a frame.

    Raises:
        Refused: the frame holds no message.
    """
    try:
        message = json.loads(frame) if isinstance(frame, str) else None
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise Refused(BAD_MESSAGE, "not a JSON object with a type, in a text frame")
    return message


def text_in(message: dict[str, Any], name: str) -> str:
    """Return a string field of a message.

    Raises:
        Refused: the field is missing or not a string.
    """
    text = message.get(name)
    if not isinstance(text, str):
        raise Refused(BAD_MESSAGE, f"{message['type']} needs a string {name}")
    return text


def one_line(text: str) -> str:
    """Return a text without line breaks and control characters: it cannot imitate another line."""
    return "".join(character for character in " ".join(text.split()) if character.isprintable())
