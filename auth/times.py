"""Times and ids: aware UTC in the code, RFC 3339 and UUIDs on the wire.

The current time is never read here: `now` is a value that comes from a `Clock` given from outside.
"""

import secrets
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

VERSION = 7  # of UUIDs
Clock = Callable[[], datetime]
"""Tells the current time, always aware and in UTC."""


def system_clock() -> datetime:
    """Return the machine's time, in UTC."""
    return datetime.now(UTC)


def rfc3339(moment: datetime) -> str:
    """Return `moment` as the API writes it, in whole seconds: 2026-11-22T10:00:00Z (RFC 3339)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_id(now: datetime) -> bytes:
    """Return a new UUIDv7 (RFC 9562): 48 bits of milliseconds, then 74 random bits.

    Ids that grow with time keep inserts at the end of InnoDB's clustered index.
    """
    milliseconds = int(now.timestamp() * 1000) & (1 << 48) - 1
    version_and_variant = VERSION << 76 | 0b10 << 62
    random = secrets.randbits(76) & ~(0b11 << 62)
    return (milliseconds << 80 | version_and_variant | random).to_bytes(16, "big")


def is_version_7(identifier: bytes) -> bool:
    """Tell whether an id is a UUIDv7, as `new_id` makes them: only these grow with time."""
    return uuid.UUID(bytes=identifier).version == VERSION


def id_text(identifier: bytes) -> str:
    """Return an id as clients see it: a UUID string, opaque to them."""
    return str(uuid.UUID(bytes=identifier))


def parse_id(text: str) -> bytes:
    """Return the id that `id_text` wrote.

    Raises:
        ValueError: it is not one, or not in exactly that spelling.
    """
    identifier = uuid.UUID(text)
    if str(identifier) != text:
        raise ValueError("not the canonical form of an id")
    return identifier.bytes
