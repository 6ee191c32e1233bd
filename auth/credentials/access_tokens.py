"""Access tokens: JWTs that a game server can verify offline (RFC 7519, RFC 9068).

PyJWT checks the signature. This module checks the rest of RFC 8725, since PyJWT accepts any `typ`,
a list as `aud` and a string as `exp`. `sessions` checks that the session is still usable.
"""

import base64
import secrets
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import jwt
import msgspec

from auth.credentials.keys import KeyRing
from auth.credentials.token_keys import TokenKeys, UnknownKey
from auth.errors import InvalidToken, Reason
from auth.times import id_text, parse_id

LIFETIME_SECONDS = 600
MAX_LENGTH = 2048
TYPE = "at+jwt"  # RFC 9068, section 2.1
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
class Claims:
    """The claims of a verified token."""

    account_id: bytes
    session_id: bytes


@dataclass(frozen=True)
class Realm:
    """The issuer and the audience of the tokens (`iss` and `aud`)."""

    issuer: str
    audience: str


def issue(ring: KeyRing, realm: Realm, claims: Claims, username: str, now: datetime) -> str:
    """Return a signed token that is valid for ten minutes."""
    issued_at = int(now.timestamp())
    key = ring.current_signing
    payload = {
        "iss": realm.issuer,
        "aud": realm.audience,
        "sub": id_text(claims.account_id),
        "sid": id_text(claims.session_id),
        "name": username,
        "iat": issued_at,
        "exp": issued_at + LIFETIME_SECONDS,
        "jti": secrets.token_urlsafe(12),
    }
    return jwt.encode(
        payload, key.private_key, key.algorithm, headers={"typ": TYPE, "kid": key.kid}
    )


def verify(text: str, keys: TokenKeys, realm: Realm, now: datetime) -> Claims:
    """Return the claims of a token that is one of ours and has not expired.

    Raises:
        InvalidToken: the token is not one of ours, or has expired.
        Unavailable: the keys cannot be read.
    """
    if len(text) > MAX_LENGTH:
        raise InvalidToken(Reason.GARBLED)
    try:
        payload = _signed_claims(text, keys)
        _check_claims(payload, realm, now)
        return Claims(parse_id(str(payload["sub"])), parse_id(str(payload["sid"])))
    except jwt.InvalidSignatureError:
        raise InvalidToken(Reason.SIGNATURE) from None
    except UnknownKey:
        raise InvalidToken(Reason.UNKNOWN_KEY) from None
    except _REFUSALS:
        raise InvalidToken(Reason.GARBLED) from None


def _signed_claims(text: str, keys: TokenKeys) -> dict[str, object]:
    segments = text.split(".")
    if not all(_is_canonical(segment) for segment in segments):
        raise ValueError("not canonical base64url")
    header = _header(segments[0])
    if header.typ != TYPE:
        raise InvalidToken(Reason.CLAIMS)
    key = keys.signing_key(header.kid)
    payload: dict[str, object] = jwt.decode(
        text,
        key.private_key.public_key(),
        algorithms=[key.algorithm],
        options={"verify_exp": False, "verify_aud": False, "verify_iat": False},
    )
    return payload


def _is_canonical(segment: str) -> bool:
    """Tell whether a segment is canonical base64url (RFC 7515, section 2); PyJWT accepts more."""
    decoded = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    return base64.urlsafe_b64encode(decoded).rstrip(b"=") == segment.encode()


@lru_cache(maxsize=32)  # one entry per key
def _header(encoded: str) -> Header:
    """Return the header, to choose the key by; PyJWT reads it again with that key.

    PyJWT's function for the header alone parses the whole token, and takes longer than RSA.
    """
    padding = "=" * (-len(encoded) % 4)
    return msgspec.json.decode(base64.urlsafe_b64decode(encoded + padding), type=Header)


def _check_claims(payload: dict[str, object], realm: Realm, now: datetime) -> None:
    issued_at, expires_at = payload["iat"], payload["exp"]
    if type(issued_at) is not int or type(expires_at) is not int:
        raise InvalidToken(Reason.CLAIMS)
    if not 0 < expires_at - issued_at <= LIFETIME_SECONDS:
        raise InvalidToken(Reason.CLAIMS)
    if payload["iss"] != realm.issuer or payload["aud"] != realm.audience:
        raise InvalidToken(Reason.CLAIMS)
    if now.timestamp() >= expires_at:
        raise InvalidToken(Reason.EXPIRED)
