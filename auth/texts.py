"""Texts of one player that are shown to people."""

import unicodedata

# Unicode's Bidi_Control: they reorder the text around them (UAX #9).
_BIDI_CONTROLS = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
_CONTROLS = {"Cc", "Zl", "Zp"}  # general categories: controls, line and paragraph separators


def without_controls(text: str) -> str:
    """Return the text without control characters, those for writing direction included."""
    return "".join(
        character
        for character in text
        if unicodedata.category(character) not in _CONTROLS and character not in _BIDI_CONTROLS
    )
