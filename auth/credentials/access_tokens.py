"""Access tokens: JWTs that a game server can verify offline (RFC 7519, RFC 9068).

A token is accepted only in the form that we issue (RFC 8725): this header, these types of claims,
one spelling. `signatures` checks the signature, `sessions` that the session is still usable.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import msgspec

from auth.credentials.keys import KeyRing
from auth.credentials.signatures import (
    WrongSignature,
    check_signature,
    decode,
    encode,
    signature_of,
)
from auth.credentials.token_keys import TokenKeys, UnknownKey
from auth.errors import InvalidToken, Reason
from auth.times import id_text, parse_id

LIFETIME_SECONDS = 600
MAX_LENGTH = 2048
TYPE = "at+jwt"  # RFC 9068, section 2.1
_REFUSALS = (msgspec.MsgspecError, ValueError, TypeError, KeyError, RecursionError)


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The only header we accept: a token with jku, x5u, jwk, crit or any other field is refused."""

    alg: str
    kid: str
    typ: str


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
    header = Header(alg=key.algorithm, kid=key.kid, typ=TYPE)
    signed = ".".join(encode(msgspec.json.encode(part)) for part in (header, payload))
    return f"{signed}.{encode(signature_of(key.private_key, signed.encode()))}"


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
    except WrongSignature:
        raise InvalidToken(Reason.SIGNATURE) from None
    except UnknownKey:
        raise InvalidToken(Reason.UNKNOWN_KEY) from None
    except _REFUSALS:
        raise InvalidToken(Reason.GARBLED) from None


def _signed_claims(text: str, keys: TokenKeys) -> dict[str, object]:
    first, second, third = text.split(".")
    header, claims, signature = _header(first), decode(second), decode(third)
    if header.typ != TYPE:
        raise InvalidToken(Reason.CLAIMS)
    key = keys.signing_key(header.kid)
    if header.alg != key.algorithm:
        raise InvalidToken(Reason.GARBLED)
    check_signature(key.private_key, f"{first}.{second}".encode(), signature)
    return msgspec.json.decode(claims, type=dict[str, object])


@lru_cache(maxsize=32)  # one entry per key
def _header(encoded: str) -> Header:
    return msgspec.json.decode(decode(encoded), type=Header)


def _check_claims(payload: dict[str, object], realm: Realm, now: datetime) -> None:
    issued_at, expires_at = payload["iat"], payload["exp"]
    if type(issued_at) is not int or type(expires_at) is not int:
        raise InvalidToken(Reason.CLAIMS)
    if not 0 < expires_at - issued_at <= LIFETIME_SECONDS:
        raise InvalidToken(Reason.CLAIMS)
    if "nbf" in payload:  # RFC 7519 forbids to ignore it, and our tokens have none
        raise InvalidToken(Reason.CLAIMS)
    if payload["iss"] != realm.issuer or payload["aud"] != realm.audience:
        raise InvalidToken(Reason.CLAIMS)
    if now.timestamp() >= expires_at:
        raise InvalidToken(Reason.EXPIRED)
