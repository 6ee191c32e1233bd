"""Guests as the tests see them: a secret on a device, and the tokens of the last answer."""

import base64
import secrets
from dataclasses import dataclass, field
from typing import Any

from tests.play.events import Answer
from tests.play.players import PASSWORD, Player, call


def new_secret() -> str:
    """Return a new guest secret, as a client makes it."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()


@dataclass
class Guest(Player):
    """A guest, who becomes a player by an upgrade."""

    secret: str = field(default_factory=new_secret)

    def enter(self, *, create: bool = False, **more: object) -> Answer:
        """Sign in as a guest, or create it."""
        body = {"guest_secret": self.secret, "create": create, **more}
        return self._keep(call("POST", "/v1/guest", body, address=self.address))

    def upgrade(self, username: str, password: str = PASSWORD, **more: object) -> Answer:
        """Choose a name and a password."""
        body = {"username": username, "password": password, "guest_secret": self.secret, **more}
        return self._keep(self.ask("POST", "/v1/me/upgrade", body))

    def proof(self) -> dict[str, str]:
        """Return the members that confirm a call."""
        return {"guest_secret": self.secret}

    def move(self, username: str, code: str, **more: object) -> Answer:
        """Take a guest over to this device with a recovery code."""
        body = {"username": username, "recovery_code": code, "guest_secret": self.secret, **more}
        return self._keep(call("POST", "/v1/recover", body, address=self.address))

    def name(self) -> str:
        """Return the account's name, a generated one unless it was changed."""
        name: str = self.me().json["account"]["username"]
        return name

    def events(self) -> list[Any]:
        """Return the account's events."""
        listed: list[Any] = self.ask("GET", "/v1/me/events").json["events"]
        return listed
