"""The bodies that game servers get: the player of a ticket, and a page of the feed."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from auth.api.answers import AccountMember, Id, Time, account_body
from auth.flows.feed import Page
from auth.flows.redemptions import Admitted
from auth.store.feed import NumberedEvent
from auth.store.records import EventKind
from auth.times import id_text, rfc3339


class RedeemedSession(msgspec.Struct):
    """The session that the ticket was issued to."""

    id: Id


class RedeemedBody(msgspec.Struct):
    """The player who may connect."""

    account: AccountMember
    session: RedeemedSession
    fence: Annotated[
        int,
        Meta(description="Greater than that of any connection of the account before."),
    ]


class FeedEvent(msgspec.Struct, kw_only=True):
    """Something that ended, or changed, for players who may be connected."""

    id: Annotated[str, Meta(description="An event may come again under the same id.")]
    at: Time
    type: Annotated[str, Meta(description="Ignore types that you do not know.")]
    account_id: Id
    session_id: Annotated[
        Id | UnsetType, Meta(description="The session that ended; or, the one that goes on.")
    ] = UNSET
    epoch: Annotated[
        int | UnsetType, Meta(description="A ticket of the account with a smaller one is dead.")
    ] = UNSET
    reason: str | UnsetType = UNSET
    until: Annotated[Time | UnsetType | None, Meta(description="null: for good.")] = UNSET
    message: Annotated[
        str | UnsetType | None, Meta(description="What the player may read about it.")
    ] = UNSET
    username: str | UnsetType = UNSET
    fence: Annotated[
        int | UnsetType, Meta(description="Connections with a smaller one are closed.")
    ] = UNSET


class FeedBody(msgspec.Struct, kw_only=True):
    """A page of the feed."""

    events: Annotated[list[FeedEvent], Meta(max_length=1000)]
    cursor: Annotated[str, Meta(description="Opaque; send it as `after`.")]
    more: Annotated[bool, Meta(description="Whether to ask again at once.")]
    poll_after: Annotated[int, Meta(ge=1, description="Seconds until the next poll.")]
    server_time: Time
    reset: Annotated[
        bool | UnsetType,
        Meta(description="Forget what you know, and let every player send a new ticket."),
    ] = UNSET


Members = dict[str, Any]


def redeemed_body(admitted: Admitted) -> RedeemedBody:
    """Return the player who may connect."""
    account = account_body(admitted.account).account
    return RedeemedBody(account, RedeemedSession(id_text(admitted.session_id)), admitted.fence)


def feed_body(page: Page, poll_after: int) -> FeedBody:
    """Return a page of the feed."""
    return FeedBody(
        events=[_event(fed) for fed in page.events],
        cursor=page.cursor,
        more=page.more,
        poll_after=poll_after,
        server_time=rfc3339(page.now),
        reset=True if page.is_reset else UNSET,
    )


def _event(fed: NumberedEvent) -> FeedEvent:
    event = fed.event
    data = msgspec.json.decode(event.data) if event.data else {}
    members: Members = {"account_id": id_text(event.account_id)} if event.account_id else {}
    kind, more = _KINDS[event.kind]
    return FeedEvent(
        id=id_text(event.id), at=rfc3339(event.at), type=kind, **members | more(fed, data)
    )


def _session(fed: NumberedEvent, _: Members) -> Members:
    return {"session_id": id_text(fed.event.session_id)} if fed.event.session_id else {}


def _epoch(_: NumberedEvent, data: Members) -> Members:
    return {"epoch": data["epoch"]} if "epoch" in data else {}  # older versions did not store it


def _username(_: NumberedEvent, data: Members) -> Members:
    return {"username": data["username"]} if "username" in data else {}


def _credential(fed: NumberedEvent, data: Members) -> Members:
    return _epoch(fed, data) | _session(fed, data) | _username(fed, data)


def _disabled(fed: NumberedEvent, data: Members) -> Members:
    until = data.get("until") or None
    return _epoch(fed, data) | {"reason": "suspended", "until": until, "message": fed.message}


def _superseded(_: NumberedEvent, data: Members) -> Members:
    return {"account_id": data["account"], "fence": data["fence"]}


def _nothing(_: NumberedEvent, __: Members) -> Members:
    return {}


# Names after OpenID CAEP and RISC.
_KINDS: dict[EventKind, tuple[str, Callable[[NumberedEvent, Members], Members]]] = {
    EventKind.SESSION_ENDED: ("session-revoked", _session),
    EventKind.REFRESH_REUSED: ("session-revoked", _session),
    EventKind.SIGNED_OUT_EVERYWHERE: ("all-sessions-revoked", _epoch),
    EventKind.PASSWORD_CHANGED: ("credential-change", _credential),
    EventKind.UPGRADED: ("credential-change", _credential),
    EventKind.RECOVERED: ("credential-change", _credential),
    EventKind.SUSPENDED: ("account-disabled", _disabled),
    EventKind.SUSPENSION_LIFTED: ("account-enabled", _epoch),
    EventKind.ACCOUNT_PURGED: ("account-purged", _nothing),
    EventKind.RENAMED: ("identifier-changed", _username),
    EventKind.CONNECTION_SUPERSEDED: ("connection-superseded", _superseded),
}
