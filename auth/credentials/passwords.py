"""Passwords: hashing with Argon2id, and the rules for a new one.

Only `Passwords` uses Argon2. Only `guessability` uses zxcvbn, which is imported when the first
player chooses a password, since signing in never needs it.
"""

import base64
import secrets
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

# NFC combines at most four code points into one, so a longer text is too long in NFC as well.
MAX_CODE_POINTS = 4 * MAX_LENGTH


class Passwords:
    """Hashes and verifies; verifying takes equally long if the account does not exist."""

    def __init__(self, memory_kib: int = MEMORY_KIB, iterations: int = ITERATIONS) -> None:
        self._hasher = PasswordHasher(
            time_cost=iterations, memory_cost=memory_kib, parallelism=LANES
        )
        # This also warms up the process, since its first two hashes cause page faults.
        self._dummy = self.hash(secrets.token_urlsafe())
        self.verify(None, "")

    def hash(self, password: str) -> str:
        """Return the Argon2id hash of `password` in its encoded form."""
        return self._hasher.hash(_normalised(password))

    def unusable_hash(self) -> str:
        """Return a hash with the current parameters that no password fits.

        Verifying against it takes as long as against any other.
        """
        parameters = self._dummy.rpartition("$")[0].rpartition("$")[0]
        salt, tag = (
            base64.b64encode(secrets.token_bytes(length)).rstrip(b"=").decode()
            for length in (self._hasher.salt_len, self._hasher.hash_len)
        )
        return f"{parameters}${salt}${tag}"

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Tell whether the password matches; with None (no account) equally slow, and False.

        No password matches a hash that is not Argon2's, such as an empty one.
        """
        if password_hash is None:
            self._fits(self._dummy, password)
            return False
        try:
            return self._fits(password_hash, password)
        except InvalidHashError:
            return self.verify(None, password)

    def _fits(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, _normalised(password))
        except VerificationError:
            return False

    def needs_rehash(self, password_hash: str) -> bool:
        """Tell whether the hash was made with other parameters than the current ones."""
        return self._hasher.check_needs_rehash(password_hash)


def check_password(password: str, username: str) -> None:
    """Check length and characters of a new password; `refuse_guessable` checks the rest.

    Raises:
        WeakPassword: with a reason that the player can act on.
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


def same_password(one: str, other: str) -> bool:
    """Tell whether two texts are the same password, however the accents were typed."""
    return _normalised(one) == _normalised(other)


def refuse_guessable(password: str, username: str) -> None:
    """Refuse a password that is easy to guess. Slow, so charge a rate limit first.

    Raises:
        WeakPassword: with advice for a better one.
    """
    from auth.credentials.guessability import why_guessable

    reason = why_guessable(_normalised(password), username)
    if reason:
        raise WeakPassword(reason)


def _normalised(password: str) -> str:
    """Return the NFC form, so that a password is the same on every keyboard.

    A text too long to be a password stays unchanged: the time to sort accents grows with the square
    of their number, and 4 000 of them take longer than Argon2.
    """
    if len(password) > MAX_CODE_POINTS:
        return password
    return unicodedata.normalize("NFC", password)
