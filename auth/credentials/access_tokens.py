"""Access tokens: signed tokens for this API alone (RFC 9068).

`sessions` checks that the session is still usable. Game servers get `tickets`.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime

from auth.credentials.keys import KeyRing
from auth.credentials.signed_tokens import Subject, Use, sign, verified
from auth.credentials.token_keys import TokenKeys
from auth.errors import InvalidToken, Reason
from auth.times import parse_id

LIFETIME_SECONDS = 600
TYPE = "at+jwt"  # RFC 9068, section 2.1


@dataclass(frozen=True)
class Claims:
    """The claims of a verified token."""

    account_id: bytes
    session_id: bytes


@dataclass(frozen=True)
class Realm:
    """The issuer of all tokens, and the audience of access tokens (`iss` and `aud`)."""

    issuer: str
    audience: str

    def use(self) -> Use:
        """Return what access tokens are for."""
        return Use(TYPE, self.issuer, self.audience, LIFETIME_SECONDS)


def issue(ring: KeyRing, realm: Realm, subject: Subject, now: datetime) -> str:
    """Return a signed token that is valid for ten minutes."""
    return sign(ring, realm.use(), subject, secrets.token_urlsafe(12), now)


def verify(text: str, keys: TokenKeys, realm: Realm, now: datetime) -> Claims:
    """Return the claims of a token that is one of ours and has not expired.

    Raises:
        InvalidToken: the token is not one of ours, or has expired.
        Unavailable: the keys cannot be read.
    """
    claims = verified(text, keys, realm.use(), now)
    try:
        return Claims(parse_id(str(claims["sub"])), parse_id(str(claims["sid"])))
    except (KeyError, ValueError):
        raise InvalidToken(Reason.GARBLED) from None
