"""Guest secrets: 256 random bits that a client makes and stores before it first calls.

The database has only a digest. It is unkeyed, so that no rotation of keys locks guests out, and
fast, since no one can guess 256 bits.
"""

import base64
import binascii
import hashlib

from auth.errors import WeakGuestSecret

BYTES = 32
LENGTH = 43  # of 32 bytes in base64url, without padding
MIN_DISTINCT = 16  # characters; a UUID has fewer, 32 random bytes practically never


def check_guest_secret(secret: str) -> None:
    """Check a guest secret that a client has made.

    So no client sends a device's serial number or a UUID by accident.

    Raises:
        WeakGuestSecret: it is not 32 bytes in base64url, or not random.
    """
    if not is_guest_secret(secret):
        raise WeakGuestSecret(f"Send 32 random bytes as {LENGTH} characters of base64url.")


def is_guest_secret(secret: str) -> bool:
    """Tell whether a text is a guest secret in its only spelling."""
    if len(secret) != LENGTH or not secret.isascii() or len(set(secret)) < MIN_DISTINCT:
        return False
    try:
        raw = base64.b64decode(secret + "=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return False
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == secret


def subject_of(secret: str) -> bytes:
    """Return the digest by which the database knows a guest secret."""
    return hashlib.sha256(b"guest" + secret.encode()).digest()
