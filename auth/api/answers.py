"""The bodies that routes answer with, one struct for each, and errors.

Rendering only: nothing is looked up or decided here. `make openapi` describes the structs.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from flask import Response
from msgspec import Meta

from auth.errors import ApiError
from auth.flows.recovery import Recovered
from auth.flows.sessions import SignedIn
from auth.store.records import Event, Profile, Session
from auth.texts import without_controls
from auth.times import id_text, rfc3339

# Of every answer, unless its route says otherwise.
HEADERS = {
    "Cache-Control": "no-store",
    "Strict-Transport-Security": "max-age=31536000",  # RFC 6797; plain HTTP ignores it
    "X-Content-Type-Options": "nosniff",
}

Id = Annotated[str, Meta(description="Opaque.")]
CodeText = Annotated[str, Meta(description="For the player to keep; it is shown only here.")]
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class AccountMember(msgspec.Struct):
    """An account as its owner sees it."""

    id: Id
    username: str
    created_at: Time
    guest: Annotated[bool, Meta(description="Whether it has no password yet.")]
    generated_name: Annotated[bool, Meta(description="Whether the player has not chosen the name.")]


class SessionMember(msgspec.Struct):
    """The session that was opened or refreshed."""

    id: Id
    created_at: Time
    expires_at: Annotated[Time, Meta(description="When it ends unless it is refreshed.")]


class SessionBody(msgspec.Struct):
    """The tokens of a signed-in player."""

    account: AccountMember
    session: SessionMember
    access_token: Annotated[
        str, Meta(description="A JWT, for Authorization: Bearer. Keep it in memory.")
    ]
    token_type: Literal["Bearer"]
    expires_in: Annotated[int, Meta(ge=1, description="Seconds the access token is good for.")]
    refresh_token: Annotated[
        str,
        Meta(description="Good for one refresh. Keep it in a file that only the player can read."),
    ]
    refresh_expires_in: Annotated[
        int, Meta(ge=0, description="Seconds until the session ends unless it is refreshed.")
    ]
    server_time: Time


class AccountBody(msgspec.Struct):
    """The account of the access token."""

    account: AccountMember


class RecoveryMember(msgspec.Struct):
    """Whether the account has a recovery code, and since when."""

    code: bool
    created_at: Time | None


class OwnAccountBody(AccountBody):
    """The account of the access token, and whether there is a way back in."""

    recovery: RecoveryMember


class RecoveryCodeBody(msgspec.Struct):
    """A recovery code, shown once; the earlier one is worth nothing."""

    recovery_code: CodeText
    created_at: Time


class RecoveredBody(SessionBody):
    """The tokens of a player who has come back, and the next recovery code."""

    recovery_code: CodeText


class TicketBody(msgspec.Struct):
    """A ticket for one game server, and for how many seconds it is good."""

    ticket: Annotated[str, Meta(description="A JWT, to be sent to that game server alone.")]
    expires_in: Annotated[int, Meta(ge=1)]


class ListedSession(msgspec.Struct):
    """A session as the list of sessions shows it."""

    id: str
    device: str | None
    created_at: Time
    last_used_at: Time
    expires_at: Time
    current: Annotated[bool, Meta(description="Whether it is the one that asks.")]


class SessionList(msgspec.Struct):
    """The sessions of an account."""

    sessions: Annotated[
        list[ListedSession], Meta(max_length=100, description="The last used first.")
    ]


class ListedEvent(msgspec.Struct):
    """Something that happened to an account."""

    at: Time
    type: Annotated[str, Meta(description="Ignore types that you do not know.")]
    session_id: Annotated[str | None, Meta(description="The session that it concerns.")]


class EventList(msgspec.Struct):
    """What happened to an account."""

    events: Annotated[list[ListedEvent], Meta(max_length=100, description="The newest first.")]


class Done(msgspec.Struct):
    """Nothing to tell."""


class KeySet(msgspec.Struct):
    """A JSON Web Key Set (RFC 7517)."""

    keys: list[dict[str, str]]


class Health(msgspec.Struct):
    """The database answers."""

    status: Literal["ok"]


class TutorialStatus(msgspec.Struct):
    """Whether name and password are right."""

    status: bool


@dataclass(frozen=True)
class Created:
    """An answer with status 201, of a route that has 200, too."""

    body: msgspec.Struct


def json_answer(body: object, status: int = 200) -> Response:
    """Return an answer with a JSON body."""
    return Response(msgspec.json.encode(body), status, mimetype="application/json")


def account_body(account: Profile) -> AccountBody:
    """Return an account as its owner sees it."""
    return AccountBody(_account(account))


def own_account_body(account: Profile, recovery_code_at: datetime | None) -> OwnAccountBody:
    """Return an account as its owner sees it, and the time of its recovery code."""
    return OwnAccountBody(_account(account), recovery_member(recovery_code_at))


def session_body(signed_in: SignedIn) -> SessionBody:
    """Return the session body, which registering, signing in and refreshing share."""
    return SessionBody(
        account=_account(signed_in.account),
        session=SessionMember(
            id_text(signed_in.session_id),
            rfc3339(signed_in.opened_at),
            rfc3339(signed_in.ends_at),
        ),
        access_token=signed_in.access_token,
        token_type="Bearer",  # noqa: S106  # RFC 6750's name of a type
        expires_in=signed_in.expires_in,
        refresh_token=signed_in.refresh_token,
        refresh_expires_in=int((signed_in.ends_at - signed_in.now).total_seconds()),
        server_time=rfc3339(signed_in.now),
    )


def recovered_body(recovered: Recovered) -> RecoveredBody:
    """Return the session body with the next recovery code."""
    members = msgspec.structs.asdict(session_body(recovered.signed_in))
    return RecoveredBody(**members, recovery_code=recovered.recovery_code)


def session_list(sessions: list[Session], current_id: bytes) -> SessionList:
    """Return the list of an account's sessions."""
    return SessionList([_listed(one, current_id) for one in sessions])


def event_list(events: Iterable[Event]) -> EventList:
    """Return the list of an account's events."""
    return EventList([listed_event(one) for one in events])


def error_body(error: ApiError, request_id: str) -> dict[str, object]:
    """Return the body of an error: its code and its fixed message, never the text for the log."""
    members = {"code": error.code, "message": error.message, "request_id": request_id}
    return {"error": {**members, **error.details()}}


def error_answer(error: ApiError, request_id: str) -> Response:
    """Return an error as the contract has it."""
    answer = json_answer(error_body(error, request_id), error.status)
    answer.headers.update(error.headers())
    return answer


def _account(account: Profile) -> AccountMember:
    return AccountMember(
        id=id_text(account.id),
        username=account.username,
        created_at=rfc3339(account.created_at),
        guest=account.guest,
        generated_name=account.generated_name,
    )


def recovery_member(code_at: datetime | None) -> RecoveryMember:
    """Return whether an account has a recovery code, and since when."""
    return RecoveryMember(code_at is not None, time_or_none(code_at))


def time_or_none(moment: datetime | None) -> str | None:
    """Return a time as the contract has it, or None."""
    return rfc3339(moment) if moment else None


def listed_event(event: Event) -> ListedEvent:
    """Return an event as its account's owner sees it."""
    session_id = id_text(event.session_id) if event.session_id else None
    return ListedEvent(rfc3339(event.at), event.kind.name.lower(), session_id)


def device_label(session: Session) -> str | None:
    """Return the label that a player gave to a device, without control characters."""
    # Labels that are older than the check of labels are still stored.
    return None if session.device is None else without_controls(session.device)


def _listed(session: Session, current_id: bytes) -> ListedSession:
    return ListedSession(
        id=id_text(session.id),
        device=device_label(session),
        created_at=rfc3339(session.created_at),
        last_used_at=rfc3339(session.rotated_at),
        expires_at=rfc3339(session.ends_at()),
        current=session.id == current_id,
    )
