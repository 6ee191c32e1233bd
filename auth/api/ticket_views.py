"""View of tickets, with which players get into game servers."""

import re
from typing import Annotated

from msgspec import Meta

from auth.api.answers import TicketBody
from auth.api.forms import Form
from auth.errors import InvalidRequest
from auth.flows.game_servers import Tickets
from auth.flows.sessions import Caller

_SERVER = re.compile("[a-z0-9.:_-]{1,64}")


class TicketRequest(Form):
    """A request for a ticket."""

    server: Annotated[
        str,
        Meta(
            description="The game server's own name for itself, such as `eu-1:7777`.",
            extra_json_schema={"pattern": f"^{_SERVER.pattern}$"},
        ),
    ]

    def __post_init__(self) -> None:
        if not _SERVER.fullmatch(self.server):
            reason = "Use 1 to 64 characters of a-z, 0-9 and . : _ -"
            raise InvalidRequest(fields={"server": reason})


class TicketViews:
    """The view, with the flow that it calls."""

    def __init__(self, tickets: Tickets) -> None:
        self._tickets = tickets

    def get_ticket(self, caller: Caller, form: TicketRequest) -> TicketBody:
        """Get a ticket, with which the player connects to one game server."""
        return TicketBody(self._tickets.issue(caller, form.server), self._tickets.seconds)
