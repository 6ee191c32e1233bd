"""The rules for usernames, and the canonical form that decides about ownership.

The database's collations are never asked: they fold accents, trailing spaces and emoji together.
"""

import re

from auth.errors import InvalidUsername

MIN_LENGTH = 3
MAX_LENGTH = 24

_SHAPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*[A-Za-z0-9]")

# Names that would let a player pass for the studio, or that trip over code reading them.
RESERVED = frozenset(
    (
        *("admin", "administrator", "root", "superuser", "system", "sys", "server", "console"),
        *("moderator", "mod", "gamemaster", "game-master", "staff", "official", "operator"),
        *("support", "help", "security", "developer", "webmaster", "everyone", "here", "me"),
        *("null", "none", "nil", "nan", "undefined", "true", "false", "anonymous", "nobody"),
    )
)


def username_key(username: str) -> bytes:
    """Return the canonical form of a name: ASCII letters in lower case, all else as it is.

    Works for impossible names too, which have a key that no account can have: `bytes.lower` folds
    ASCII only, while `str.lower` would turn the Kelvin sign into a k.
    """
    return username.encode().lower()


def check_username(username: str) -> None:
    """Check a name for a registration.

    Raises:
        InvalidUsername: with the reason, to be shown to the player.
    """
    if not MIN_LENGTH <= len(username) <= MAX_LENGTH:
        raise InvalidUsername(f"Use {MIN_LENGTH} to {MAX_LENGTH} characters.")
    if not _SHAPE.fullmatch(username):
        raise InvalidUsername(
            "Use letters from a to z, digits, and _ - . in between;"
            " begin and end with a letter or a digit."
        )
    if username_key(username).decode() in RESERVED:
        raise InvalidUsername("This name is reserved.")
