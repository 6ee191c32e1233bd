"""Server keys: 256 random bits by which a game server proves who it is.

The database has only a digest, which is fast, since no one can guess 256 bits.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from auth.times import id_text, parse_id

PREFIX = "glsk"  # so that scanners of repositories recognise a key
SECRET_BYTES = 32
MAX_LENGTH = 128


@dataclass(frozen=True)
class PresentedKey:
    """A server key as a game server sends it: the id of its row, and its digest."""

    id: bytes
    digest: bytes

    def matches(self, secret_hash: bytes) -> bool:
        """Tell whether it is the key with this digest."""
        return hmac.compare_digest(self.digest, secret_hash)


def new_server_key(key_id: bytes) -> str:
    """Return the text of a new key: glsk_<id>_<secret>."""
    return f"{PREFIX}_{id_text(key_id)}_{secrets.token_urlsafe(SECRET_BYTES)}"


def read_server_key(text: str) -> PresentedKey:
    """Return a key that was presented.

    Raises:
        ValueError: it does not have the form of one.
    """
    prefix, _, rest = text.partition("_")
    key_id, _, secret = rest.partition("_")
    if prefix != PREFIX or not secret or len(text) > MAX_LENGTH:
        raise ValueError("not a server key")
    return PresentedKey(parse_id(key_id), hashlib.sha256(text.encode()).digest())
