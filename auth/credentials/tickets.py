"""Tickets: signed tokens that let a player into one game server, which verifies them offline.

They are no access tokens: another type, and an audience that begins with `server:`, so that no
player can get a token of ours for anything but a game server.
"""

from dataclasses import dataclass
from datetime import datetime

from auth.credentials.keys import KeyRing
from auth.credentials.signed_tokens import Subject, Use, authentic, sign
from auth.credentials.token_keys import TokenKeys
from auth.errors import InvalidToken, Reason
from auth.settings import LONGEST_TICKET
from auth.times import id_text, is_version_7, new_id, parse_id

TYPE = "ticket+jwt"
AUDIENCE_PREFIX = "server:"
LONGEST_SECONDS = LONGEST_TICKET  # whatever `ticketSeconds` was when a ticket was issued
MAX_EPOCH = 2**31 - 1
SERVER_NAME = "[a-z0-9.:_-]{1,64}"  # a regular expression
SERVER_NAMES = "[a-z0-9.:_*-]{1,64}"  # a pattern for names, in which * stands for any characters


@dataclass(frozen=True)
class Ticket:
    """A ticket of ours. Later tickets have greater ids. `expires_at`: in seconds since 1970."""

    id: bytes
    subject: Subject
    server: str
    expires_at: int

    def is_expired(self, now: datetime) -> bool:
        """Tell whether it no longer lets a player in."""
        return now.timestamp() >= self.expires_at


def use_of(issuer: str, server: str, seconds: int = LONGEST_SECONDS) -> Use:
    """Return what tickets for a server are for."""
    return Use(TYPE, issuer, AUDIENCE_PREFIX + server, seconds)


def issue(ring: KeyRing, use: Use, subject: Subject, now: datetime) -> str:
    """Return a signed ticket."""
    return sign(ring, use, subject, id_text(new_id(now)), now)


def read(text: str, keys: TokenKeys, issuer: str, now: datetime) -> Ticket:
    """Return a ticket of ours, for whichever server, even if it has expired.

    Raises:
        InvalidToken: it is not one.
        Unavailable: the keys cannot be read.
    """
    claims = authentic(text, keys, use_of(issuer, ""), now)
    name, epoch, guest = claims.get("name"), claims.get("epoch"), claims.get("guest", False)
    if not (isinstance(name, str) and name and type(guest) is bool):
        raise InvalidToken(Reason.CLAIMS)
    if type(epoch) is not int or not 0 <= epoch <= MAX_EPOCH:
        raise InvalidToken(Reason.CLAIMS)
    try:
        account_id, session_id, ticket_id = (
            parse_id(str(claims[member])) for member in ("sub", "sid", "jti")
        )
    except (KeyError, ValueError):
        raise InvalidToken(Reason.GARBLED) from None
    if not is_version_7(ticket_id):
        raise InvalidToken(Reason.CLAIMS)
    return Ticket(
        id=ticket_id,
        subject=Subject(account_id, session_id, name, epoch, guest),
        server=_server_of(claims.get("aud")),
        expires_at=claims["exp"],
    )


def _server_of(audience: object) -> str:
    if not isinstance(audience, str) or not audience.startswith(AUDIENCE_PREFIX):
        raise InvalidToken(Reason.CLAIMS)
    return audience.removeprefix(AUDIENCE_PREFIX)
