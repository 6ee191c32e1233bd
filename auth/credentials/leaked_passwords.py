"""Passwords known from leaks: a sorted file of short digests, searched where it lies.

`local/leaked_passwords.py` writes the file. Of two million passwords that are in no leak, about one
has the same digest as one that is, and is refused as well.
"""

import hashlib
import mmap
import unicodedata
from bisect import bisect_left
from pathlib import Path

from auth.settings import SettingError

TITLE = b"game-login: leaked passwords 1\n"
COUNT_BYTES = 4  # the number of digests, after the title
DIGEST_BYTES = 5

_START = len(TITLE) + COUNT_BYTES


class LeakedPasswords:
    """The list, mapped into memory: a look-up reads only the pages that it needs.

    A SnapStart snapshot keeps the map as it keeps those of the shared libraries: the file belongs
    to the package, and never changes.
    """

    def __init__(self, path: str) -> None:
        """Open the list without reading it, so that the start takes no longer.

        Raises:
            SettingError: the file is missing, is something else, or was cut short.
        """
        try:
            with Path(path).open("rb") as file:
                start = file.read(_START)
                size = file.seek(0, 2)
                if len(start) < _START or not start.startswith(TITLE):
                    raise SettingError(f"LEAKED_PASSWORDS_FILE is not a list of ours: {path}")
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise SettingError(
                f"LEAKED_PASSWORDS_FILE cannot be read: {path} ({error.strerror})"
            ) from None
        self._count = int.from_bytes(start[len(TITLE) :])
        whole = _START + self._count * DIGEST_BYTES
        if size != whole or not self._count:
            raise SettingError(
                f"LEAKED_PASSWORDS_FILE is damaged: {path} has {size} bytes instead of {whole}"
            )

    def __contains__(self, password: str) -> bool:
        """Tell whether the whole password is in the list, in capitals or not."""
        digest = digest_of(password)
        place = bisect_left(range(self._count), digest, key=self._digest)
        return place < self._count and self._digest(place) == digest

    def _digest(self, place: int) -> bytes:
        start = _START + place * DIGEST_BYTES
        return self._map[start : start + DIGEST_BYTES]


def digest_of(password: str) -> bytes:
    """Return a password's digest: the same in capitals, and however its accents were typed."""
    folded = unicodedata.normalize("NFC", password).casefold()
    # Folding takes some letters apart: without NFC, one with two accents would have two digests.
    text = unicodedata.normalize("NFC", folded)
    return hashlib.sha256(text.encode()).digest()[:DIGEST_BYTES]
