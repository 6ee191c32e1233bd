"""View of tickets, with which players get into game servers."""

from auth.api.answers import TicketBody
from auth.api.forms import Form, ServerName, check_server_name
from auth.flows.game_servers import Tickets
from auth.flows.sessions import Caller


class TicketRequest(Form):
    """A request for a ticket."""

    server: ServerName

    def __post_init__(self) -> None:
        check_server_name(self.server)


class TicketViews:
    """The view, with the flow that it calls."""

    def __init__(self, tickets: Tickets) -> None:
        self._tickets = tickets

    def get_ticket(self, caller: Caller, form: TicketRequest) -> TicketBody:
        """Get a ticket, with which the player connects to one game server."""
        return TicketBody(self._tickets.issue(caller, form.server), self._tickets.seconds)
