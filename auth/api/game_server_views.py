"""Views of game servers: they redeem tickets, and are told what has ended."""

from typing import Annotated

from msgspec import Meta

from auth.api.forms import Form, ServerName, check_server_name
from auth.api.game_server_answers import FeedBody, RedeemedBody, feed_body, redeemed_body
from auth.flows.feed import Feed
from auth.flows.redemptions import Redemptions
from auth.logs import note
from auth.store.records import ServerKey


class RedeemRequest(Form):
    """A ticket that a player has sent, and the server that it was sent to."""

    ticket: str
    server: ServerName

    def __post_init__(self) -> None:
        check_server_name(self.server)


class FeedQuery(Form):
    """How far the reader is, and whose lost connections it wants to see."""

    after: Annotated[str | None, Meta(description="The last page's `cursor`.")] = None
    server: ServerName | None = None

    def __post_init__(self) -> None:
        check_server_name(self.server)


class GameServerViews:
    """The views, with the flows that they call."""

    def __init__(self, redemptions: Redemptions, feed: Feed) -> None:
        self._redemptions = redemptions
        self._feed = feed

    def redeem(self, key: ServerKey, form: RedeemRequest) -> RedeemedBody:
        """Redeem a ticket, so that it lets the player in once; the newest ticket wins."""
        return redeemed_body(self._redemptions.redeem(key, form.ticket, form.server))

    def server_events(self, key: ServerKey, query: FeedQuery) -> FeedBody:
        """List what has ended since the last page: sessions, accounts and connections."""
        page = self._feed.page(key, query.after, query.server)
        if page.events or page.is_reset:
            note("feed_read")
        else:
            note("feed_empty")
        return feed_body(page, self._feed.poll_after)
