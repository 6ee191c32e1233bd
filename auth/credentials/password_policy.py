"""The rules for a new password. Signing in applies none of them.

zxcvbn is imported when the first player chooses a password, since signing in never needs it.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from auth.credentials import usernames
from auth.credentials.leaked_passwords import LeakedPasswords
from auth.errors import WeakNewPassword, WeakPassword

# NIST SP 800-63B-4, section 3.1.1.2: a minimum length, no composition rules, a blocklist.
MIN_LENGTH = 8
MAX_LENGTH = 128

# NFC combines at most four code points into one, so a longer text is too long in NFC as well.
MAX_CODE_POINTS = 4 * MAX_LENGTH


class PasswordPolicy:
    """Refuses new passwords that are too short, known from a leak, or easy to guess."""

    def __init__(self, leaked: LeakedPasswords, words: Sequence[str] = ()) -> None:
        """Take the list of leaked passwords, and the game's own words, which are easy to guess."""
        self._leaked = leaked
        self._words = words

    def check(self, password: str, username: str) -> None:
        """Refuse what is wrong at first sight; `refuse_guessable` checks the rest.

        Raises:
            WeakPassword: with a reason that the player can act on.
        """
        text = normalised(password)
        if len(text) < MIN_LENGTH:
            raise WeakPassword(f"Use at least {MIN_LENGTH} characters.")
        if len(text) > MAX_LENGTH:
            raise WeakPassword(f"Use at most {MAX_LENGTH} characters.")
        if any(unicodedata.category(character) == "Cc" for character in text):
            raise WeakPassword("Use no control characters, such as tabs and line breaks.")
        is_name = len(username) >= usernames.MIN_LENGTH
        if is_name and username.casefold() in text.casefold():
            raise WeakPassword("Leave your username out of the password.")
        if text in self._leaked:
            raise WeakPassword(
                "This password is known from a leak of another service. Choose another one."
            )

    def refuse_guessable(self, password: str, username: str) -> None:
        """Refuse a password that is easy to guess. Slow, so charge a rate limit first.

        Raises:
            WeakPassword: with advice for a better one.
        """
        from auth.credentials.guessability import why_guessable

        reason = why_guessable(normalised(password), username, self._words)
        if reason:
            raise WeakPassword(reason)


@contextmanager
def refused_as_new() -> Iterator[None]:
    """Name the field `new_password`, too, if the work inside refuses a password."""
    try:
        yield
    except WeakPassword as weak:
        raise WeakNewPassword(weak.fields["password"]) from None


def same_password(one: str, other: str) -> bool:
    """Tell whether two texts are the same password, however the accents were typed."""
    return normalised(one) == normalised(other)


def normalised(password: str) -> str:
    """Return the NFC form, so that a password is the same on every keyboard.

    A text too long to be a password stays unchanged: the time to sort accents grows with the square
    of their number, and 4 000 of them take longer than Argon2.
    """
    if len(password) > MAX_CODE_POINTS:
        return password
    return unicodedata.normalize("NFC", password)
