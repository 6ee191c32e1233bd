"""Signed tokens: JWTs of ours (RFC 7519), strict as RFC 8725 has it.

PyJWT checks the signature. This module checks the rest, since PyJWT accepts any `typ`, a list as
`aud` and a string as `exp`. `access_tokens` and `tickets` say what a token is for.
"""

import base64
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import jwt
import msgspec

from auth.credentials.keys import KeyRing
from auth.credentials.token_keys import TokenKeys, UnknownKey
from auth.errors import InvalidToken, Reason
from auth.times import id_text

MAX_LENGTH = 2048
_REFUSALS = (
    jwt.PyJWTError,
    msgspec.MsgspecError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RecursionError,
)


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The only header we accept: a token with jku, x5u, jwk, crit or any other field is refused."""

    typ: str
    alg: str
    kid: str


@dataclass(frozen=True)
class Use:
    """What tokens of one type are for: no token is accepted in the place of another."""

    type: str  # the header's `typ`
    issuer: str
    audience: str
    seconds: int  # no token lasts longer


@dataclass(frozen=True)
class Subject:
    """The player and the session that a token is issued to."""

    account_id: bytes
    session_id: bytes
    username: str
    epoch: int  # the account's: raised when all its sessions, or all but one, end
    guest: bool = False

    def claims(self) -> dict[str, object]:
        """Return the claims that say so."""
        return {
            "sub": id_text(self.account_id),
            "sid": id_text(self.session_id),
            "name": self.username,
            "epoch": self.epoch,
            **({"guest": True} if self.guest else {}),
        }


def sign(ring: KeyRing, use: Use, subject: Subject, token_id: str, now: datetime) -> str:
    """Return a signed token."""
    key, issued_at = ring.current_signing, int(now.timestamp())
    payload = {
        "iss": use.issuer,
        "aud": use.audience,
        **subject.claims(),
        "iat": issued_at,
        "exp": issued_at + use.seconds,
        "jti": token_id,
    }
    return jwt.encode(
        payload, key.private_key, key.algorithm, headers={"typ": use.type, "kid": key.kid}
    )


def verified(text: str, keys: TokenKeys, use: Use, now: datetime) -> dict[str, object]:
    """Return the claims of a token of ours for this use that has not expired.

    Raises:
        InvalidToken: the token is not one of ours, is for another use, or has expired.
        Unavailable: the keys cannot be read.
    """
    claims = authentic(text, keys, use, now)
    _check_claims(claims, use, now)
    return claims


def authentic(text: str, keys: TokenKeys, use: Use, now: datetime) -> dict[str, Any]:
    """Return the claims of a token of ours; the caller checks `aud` and `exp`, which is an int.

    Raises:
        InvalidToken: the token is not one of ours, or of another type.
        Unavailable: the keys cannot be read.
    """
    if len(text) > MAX_LENGTH:
        raise InvalidToken(Reason.GARBLED)
    try:
        claims = _signed_claims(text, keys, use)
        _check_form(claims, use, now)
    except jwt.InvalidSignatureError:
        raise InvalidToken(Reason.SIGNATURE) from None
    except UnknownKey:
        raise InvalidToken(Reason.UNKNOWN_KEY) from None
    except _REFUSALS:
        raise InvalidToken(Reason.GARBLED) from None
    return claims


def _signed_claims(text: str, keys: TokenKeys, use: Use) -> dict[str, Any]:
    segments = text.split(".")
    if not all(_is_canonical(segment) for segment in segments):
        raise ValueError("not canonical base64url")
    header = _header(segments[0])
    if header.typ != use.type:
        raise InvalidToken(Reason.CLAIMS)
    key = keys.signing_key(header.kid)
    payload: dict[str, Any] = jwt.decode(
        text,
        key.private_key.public_key(),
        algorithms=[key.algorithm],
        options={
            "verify_exp": False,
            "verify_nbf": False,
            "verify_iat": False,
            "verify_aud": False,
        },
    )
    return payload


def _is_canonical(segment: str) -> bool:
    """Tell whether a segment is canonical base64url (RFC 7515, section 2); PyJWT accepts more."""
    decoded = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    return base64.urlsafe_b64encode(decoded).rstrip(b"=") == segment.encode()


@lru_cache(maxsize=32)  # one entry per key and type
def _header(encoded: str) -> Header:
    """Return the header, to choose the key by; PyJWT reads it again with that key.

    PyJWT's function for the header alone parses the whole token, and takes longer than RSA.
    """
    padding = "=" * (-len(encoded) % 4)
    return msgspec.json.decode(base64.urlsafe_b64decode(encoded + padding), type=Header)


def _check_form(claims: dict[str, object], use: Use, now: datetime) -> None:
    issued_at, expires_at = claims["iat"], claims["exp"]
    if type(issued_at) is not int or type(expires_at) is not int:
        raise InvalidToken(Reason.CLAIMS)
    if not 0 < expires_at - issued_at <= use.seconds:
        raise InvalidToken(Reason.CLAIMS)
    if claims["iss"] != use.issuer:
        raise InvalidToken(Reason.CLAIMS)
    not_before = claims.get("nbf", 0)
    if not isinstance(not_before, int | float) or type(not_before) is bool:
        raise InvalidToken(Reason.CLAIMS)
    if not not_before <= now.timestamp():
        raise InvalidToken(Reason.CLAIMS)


def _check_claims(claims: dict[str, Any], use: Use, now: datetime) -> None:
    if claims.get("aud") != use.audience:
        raise InvalidToken(Reason.CLAIMS)
    if now.timestamp() >= claims["exp"]:
        raise InvalidToken(Reason.EXPIRED)
