"""Passwords: hashing with Argon2id, and what a player may choose.

Only `Passwords` knows Argon2; only `check_password` knows zxcvbn, which it imports when a password
is chosen, since signing in never needs it.
"""

import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from auth.errors import WeakPassword

# OWASP Password Storage Cheat Sheet: Argon2id with 19 MiB, two iterations, one lane.
MEMORY_KIB = 19456
ITERATIONS = 2
LANES = 1

# NIST SP 800-63B-4, section 3.1.1.2: a minimum length, no composition rules, a blocklist.
MIN_LENGTH = 8
MAX_LENGTH = 128
MIN_SCORE = 2
JUDGED_LENGTH = 32  # zxcvbn takes 0.1 s for 32 characters, 1.2 s for 64, and raises above 72
NO_REASON_GIVEN = "This is easy to guess. Add another word or two; uncommon words are better."


class Passwords:
    """Hashes and verifies; both take as long for an account that does not exist."""

    def __init__(self, memory_kib: int = MEMORY_KIB, iterations: int = ITERATIONS) -> None:
        self._hasher = PasswordHasher(
            time_cost=iterations, memory_cost=memory_kib, parallelism=LANES
        )
        # Also warms the process up: its first two hashes fault memory pages in.
        self._dummy = self.hash("a password that nobody has")
        self.verify(self._dummy, "")

    def hash(self, password: str) -> str:
        """Return the Argon2id hash of `password` in its encoded form."""
        return self._hasher.hash(_normalised(password))

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Tell whether the password fits; None, for no such account, takes as long and never does.

        To a hash that is not one of Argon2's, no password fits.
        """
        try:
            self._hasher.verify(password_hash or self._dummy, _normalised(password))
        except (VerificationError, InvalidHashError):
            return False
        return password_hash is not None

    def needs_rehash(self, password_hash: str) -> bool:
        """Tell whether the hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)


def check_password(password: str, username: str) -> None:
    """Check a password that a player chooses.

    Raises:
        WeakPassword: with a reason the player can act on.
    """
    text = _normalised(password)
    if len(text) < MIN_LENGTH:
        raise WeakPassword(f"Use at least {MIN_LENGTH} characters.")
    if len(text) > MAX_LENGTH:
        raise WeakPassword(f"Use at most {MAX_LENGTH} characters.")
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise WeakPassword("Use no control characters, such as tabs and line breaks.")
    if username.casefold() in text.casefold():
        raise WeakPassword("Leave your username out of the password.")
    _refuse_guessable(text, username)


def _refuse_guessable(text: str, username: str) -> None:
    from zxcvbn import zxcvbn

    verdict = zxcvbn(text[:JUDGED_LENGTH], user_inputs=[username])
    if verdict["score"] < MIN_SCORE:
        feedback = verdict["feedback"]
        reason = " ".join(part for part in (feedback["warning"], *feedback["suggestions"]) if part)
        raise WeakPassword(reason or NO_REASON_GIVEN)


def _normalised(password: str) -> str:
    """Return the NFC form, so that a password typed on two keyboards is one password."""
    return unicodedata.normalize("NFC", password)
