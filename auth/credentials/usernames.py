"""The rules for usernames, and the canonical form that makes two names equal.

The database's collations are never used: they treat different accents and emoji as equal, and
ignore trailing spaces.
"""

import re

from auth.credentials.crockford import random_symbols
from auth.errors import InvalidUsername

MIN_LENGTH = 3
MAX_LENGTH = 24

_SHAPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*[A-Za-z0-9]")

# Names with which a player could pose as the studio, or that code may mistake for a value.
RESERVED = frozenset(
    (
        *("admin", "administrator", "root", "superuser", "system", "sys", "server", "console"),
        *("moderator", "mod", "gamemaster", "game-master", "staff", "official", "operator"),
        *("support", "help", "security", "developer", "webmaster", "everyone", "here", "me"),
        *("null", "none", "nil", "nan", "undefined", "true", "false", "anonymous", "nobody"),
    )
)
# The first is that of generated names, so that nobody can choose one.
GENERATED_PREFIX = "player-"
RESERVED_PREFIXES = (GENERATED_PREFIX, "guest-")
GENERATED_SYMBOLS = 8


def generated_username() -> str:
    """Return a name for a player who has not chosen one: 40 random bits, rarely taken."""
    return GENERATED_PREFIX + random_symbols(GENERATED_SYMBOLS)


def username_key(username: str) -> bytes:
    """Return the canonical form of a name: ASCII letters in lower case, all else unchanged.

    An invalid name never gets the key of an account: `bytes.lower` changes only ASCII letters,
    while `str.lower` would turn the Kelvin sign into a k.
    """
    return username.encode().lower()


def check_username(username: str) -> None:
    """Check a new username.

    Raises:
        InvalidUsername: with a reason for the player.
    """
    if not MIN_LENGTH <= len(username) <= MAX_LENGTH:
        raise InvalidUsername(f"Use {MIN_LENGTH} to {MAX_LENGTH} characters.")
    if not _SHAPE.fullmatch(username):
        raise InvalidUsername(
            "Use letters from a to z, digits, and _ - . in between;"
            " begin and end with a letter or a digit."
        )
    key = username_key(username).decode()
    if key in RESERVED:
        raise InvalidUsername("This name is reserved.")
    if key.startswith(RESERVED_PREFIXES):
        raise InvalidUsername(
            f"Names that begin with {' or '.join(RESERVED_PREFIXES)} are reserved."
        )
