"""Game servers as the tests see them: they redeem tickets, and poll the feed with a server key."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.play.events import Answer
from tests.play.operators import Operator
from tests.play.players import call


def new_key(label: str = "tests", **more: Any) -> str:
    """Return a new server key, made by an operator."""
    answer = Operator().run("servers add", label=label, **more)
    assert answer["ok"], answer
    key: str = answer["once"]["server_key"]
    return key


@dataclass
class PollingServer:
    """A game server with a key."""

    name: str = "eu-1:7777"
    key: str = field(default_factory=new_key)
    cursor: str | None = None

    def redeem(self, ticket: str, server: str | None = None) -> Answer:
        """Redeem a ticket."""
        body = {"ticket": ticket, "server": server or self.name}
        return call("POST", "/v1/server/redeem", body, token=self.key)

    def page(self, after: str | None = None, **query: str) -> Answer:
        """Ask for the events after a cursor."""
        sent = {"server": self.name, **query} | ({"after": after} if after is not None else {})
        return call("GET", "/v1/server/events", token=self.key, query=urlencode(sent))

    def poll(self) -> list[dict[str, Any]]:
        """Return the events since the last poll, all pages together."""
        found: list[dict[str, Any]] = []
        more = True
        while more:
            answer = self.page(self.cursor)
            assert answer.status == 200, answer
            self.cursor, more = answer.json["cursor"], answer.json["more"]
            found += answer.json["events"]
        return found
