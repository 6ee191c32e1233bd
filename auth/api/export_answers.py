"""The answer to an export: everything that is stored about a player.

Rendering only, as in `answers`.
"""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from auth.api.answers import (
    Id,
    ListedEvent,
    RecoveryMember,
    Time,
    device_label,
    listed_event,
    time_or_none,
)
from auth.flows.history import Export
from auth.store.records import Event, RecoveryCode, Redemption, Session
from auth.times import id_text, rfc3339


class ExportedAccount(msgspec.Struct):
    """An account with all that is stored about it, except for digests."""

    id: Id
    username: str
    created_at: Time
    guest: bool
    generated_name: bool
    has_password: bool
    renamed_at: Time | None
    suspended_until: Time | None
    suspension_reason: str | None


class ExportedIdentity(msgspec.Struct):
    """Another way to sign in than a password."""

    provider: str
    created_at: Time
    last_used_at: Time


class ExportedSession(msgspec.Struct):
    """A session, which may have ended."""

    id: str
    device: str | None
    created_at: Time
    last_used_at: Time
    expires_at: Time
    ended_at: Time | None


class ExportedEvent(ListedEvent):
    """An event with its details."""

    data: Annotated[
        dict[str, str | int] | None, Meta(description="Such as the new and the former name.")
    ]


class ExportedCode(RecoveryMember):
    """The recovery code, also one that has expired."""

    expires_at: Annotated[Time | None, Meta(description="Only of a code that support made.")]


class ExportedOperation(msgspec.Struct):
    """What support did to the account, or was refused."""

    at: Time
    command: str
    outcome: str
    reason: Annotated[str, Meta(description="What support wrote for its records.")]


class ExportedConnection(msgspec.Struct):
    """The game server that redeemed the last ticket."""

    server: str
    redeemed_at: Time


class ExportBody(msgspec.Struct):
    """Everything that is stored about a player, except for digests of secrets."""

    account: ExportedAccount
    recovery: ExportedCode
    identities: list[ExportedIdentity]
    sessions: list[ExportedSession]
    events: Annotated[list[ExportedEvent], Meta(description="The newest 1000.")]
    operations: Annotated[list[ExportedOperation], Meta(description="The newest 1000.")]
    connection: ExportedConnection | None
    generated_at: Time


def export_body(export: Export) -> ExportBody:
    """Return everything that is stored about a player."""
    account = export.account
    return ExportBody(
        account=ExportedAccount(
            id=id_text(account.id),
            username=account.username,
            created_at=rfc3339(account.created_at),
            guest=account.guest,
            generated_name=account.generated_name,
            has_password=account.has_password,
            renamed_at=time_or_none(account.renamed_at),
            suspended_until=time_or_none(account.suspended_until),
            suspension_reason=account.suspension_reason,
        ),
        recovery=_code(export.code, export.generated_at),
        identities=[
            ExportedIdentity(one.provider, rfc3339(one.created_at), rfc3339(one.last_used_at))
            for one in export.identities
        ],
        sessions=[_exported(one) for one in export.sessions],
        events=[_exported_event(one) for one in export.events],
        operations=[
            ExportedOperation(rfc3339(one.at), one.command, one.outcome, one.reason)
            for one in export.operations
        ],
        connection=_connection(export.connection),
        generated_at=rfc3339(export.generated_at),
    )


def _code(code: RecoveryCode | None, now: datetime) -> ExportedCode:
    if code is None:
        return ExportedCode(code=False, created_at=None, expires_at=None)
    return ExportedCode(code.lasts(now), rfc3339(code.created_at), time_or_none(code.expires_at))


def _connection(last: Redemption | None) -> ExportedConnection | None:
    return ExportedConnection(last.server, rfc3339(last.redeemed_at)) if last else None


def _exported_event(event: Event) -> ExportedEvent:
    listed = listed_event(event)
    data = msgspec.json.decode(event.data) if event.data else None
    return ExportedEvent(listed.at, listed.type, listed.session_id, data)


def _exported(session: Session) -> ExportedSession:
    return ExportedSession(
        id=id_text(session.id),
        device=device_label(session),
        created_at=rfc3339(session.created_at),
        last_used_at=rfc3339(session.rotated_at),
        expires_at=rfc3339(session.ends_at()),
        ended_at=time_or_none(session.ended_at),
    )
