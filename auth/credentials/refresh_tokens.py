"""Refresh tokens: their format, their MAC, and the successor of a token.

    base64url(version | key id[4] | account[16] | session[16] | counter[4] | tail[16] | MAC[32])

The MAC is checked first, so a forged token costs no database call and cannot end a session. The
database has only a hash of the tail: a leak of the database lacks the MAC key, and a leak of the
key lacks the tail. `sessions` decides whether a token may be used.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
import struct
from dataclasses import dataclass

from auth.credentials.keys import KeyRing, MacKey
from auth.credentials.token_keys import TokenKeys, UnknownKey
from auth.errors import Reason

PREFIX = "glrt_"  # lets secret scanners recognise a token
_VERSION = 1
_PAYLOAD = struct.Struct(">B4s16s16sI16s")
_MAC_BYTES = 32
_TAIL_BYTES = 16
_TEXT_LENGTH = len(PREFIX) + -(-(_PAYLOAD.size + _MAC_BYTES) * 8 // 6)


class InvalidRefreshToken(Exception):
    """The token is garbled or forged, or its key is no longer known; see `reason`."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class RefreshToken:
    """One token in the chain of a session. Never prints its tail."""

    account_id: bytes
    session_id: bytes
    counter: int
    tail: bytes

    def __repr__(self) -> str:
        return f"RefreshToken(session_id={self.session_id.hex()}, counter={self.counter})"

    def tail_hash(self) -> bytes:
        """Return the digest of this token that the database stores."""
        return hash_of(self.tail)

    def successor(self) -> "RefreshToken":
        """Return the token that replaces this one.

        It depends only on this token, so two calls get the same successor, even while the MAC keys
        rotate. No key is needed here, since a token without a MAC is useless to an attacker.
        """
        link = self.account_id + self.session_id + self.counter.to_bytes(4, "big") + self.tail
        tail = hashlib.sha256(b"successor\0" + link).digest()[: len(self.tail)]
        return RefreshToken(self.account_id, self.session_id, self.counter + 1, tail)


def new_tail() -> bytes:
    """Return the secret part for the first token of a session."""
    return secrets.token_bytes(_TAIL_BYTES)


def renewed_tail(key: MacKey, session_id: bytes, counter: int, password_hash: str) -> bytes:
    """Return the secret part of the token that a password change issues.

    It cannot be computed from earlier tokens. It derives from the stored hash, so that a repeated
    call gets the same token, and from the MAC key, so that a leak of the database is not enough.
    """
    message = session_id + counter.to_bytes(4, "big") + password_hash.encode()
    return hmac.digest(key.secret, b"renew\0" + message, "sha256")[:_TAIL_BYTES]


def hash_of(tail: bytes) -> bytes:
    """Return the digest of a tail that the database stores."""
    return hashlib.sha256(tail).digest()


def encode(token: RefreshToken, ring: KeyRing) -> str:
    """Return the token's text for the client, authenticated with the current MAC key."""
    payload = _payload(token, ring.current_mac)
    mac = _mac(ring.current_mac, payload)
    return PREFIX + base64.urlsafe_b64encode(payload + mac).rstrip(b"=").decode()


def decode(text: str, keys: TokenKeys) -> RefreshToken:
    """Return the token in a text.

    Raises:
        InvalidRefreshToken: the text is not a token of ours.
        Unavailable: the text may be a token, but its key cannot be read now.
    """
    raw = _raw(text)
    payload, mac = raw[: _PAYLOAD.size], raw[_PAYLOAD.size :]
    version, key_id, account_id, session_id, counter, tail = _PAYLOAD.unpack(payload)
    if version != _VERSION:
        raise InvalidRefreshToken(Reason.GARBLED)
    try:
        key = keys.mac_key(key_id)
    except UnknownKey:
        raise InvalidRefreshToken(Reason.UNKNOWN_KEY) from None
    if not hmac.compare_digest(mac, _mac(key, payload)):
        raise InvalidRefreshToken(Reason.SIGNATURE)
    return RefreshToken(account_id, session_id, counter, tail)


def _raw(text: str) -> bytes:
    """Return the bytes of a token; accept only the spelling that `encode` writes."""
    if len(text) != _TEXT_LENGTH or not text.startswith(PREFIX):
        raise InvalidRefreshToken(Reason.GARBLED)
    body = text[len(PREFIX) :]
    try:
        raw = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRefreshToken(Reason.GARBLED) from None
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != body:
        raise InvalidRefreshToken(Reason.GARBLED)
    return raw


def _payload(token: RefreshToken, key: MacKey) -> bytes:
    return _PAYLOAD.pack(
        _VERSION, key.key_id, token.account_id, token.session_id, token.counter, token.tail
    )


def _mac(key: MacKey, payload: bytes) -> bytes:
    return hmac.digest(key.secret, b"refresh token\0" + payload, "sha256")
