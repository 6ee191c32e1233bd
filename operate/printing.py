"""Prints text for a terminal. Everything that a player can write is escaped."""

import textwrap
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from local.terminal import say

# Controls, formats (bidi, zero width), surrogates, private use, separators of lines and paragraphs.
_HARMFUL = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
NOTHING = "-"
WIDTH = 100
LEAST = 15  # of the last column, which takes what the others leave


def plain(value: object) -> str:
    """Return a value as harmless text on one line."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    return "".join(
        f"\\u{ord(character):04x}" if unicodedata.category(character) in _HARMFUL else character
        for character in text
    )


def minute(moment: object) -> str:
    """Return a time of an answer without its seconds, such as `2027-01-31 12:00`; it is in UTC."""
    try:
        return f"{datetime.fromisoformat(str(moment)):%Y-%m-%d %H:%M}"
    except ValueError:
        return plain(moment)


def print_members(members: Sequence[tuple[str, str]]) -> None:
    """Print names and values, which are plain, below each other."""
    width = max(len(name) for name, _ in members)
    for name, value in members:
        say(f"{name:<{width}}  {value}")


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of plain cells; a long cell of the last column goes on below itself."""
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)][:-1]
    begun = sum(widths) + 2 * len(widths)
    for row in (titles, *rows):
        first = "".join(f"{cell:<{width}}  " for cell, width in zip(row, widths, strict=False))
        last, *more = textwrap.wrap(row[-1], max(LEAST, WIDTH - begun)) or [""]
        say(f"{first}{last}".rstrip())
        for line in more:
            say(f"{'':{begun}}{line}")


def pairs(values: dict[str, Any]) -> str:
    """Return names and values on one line."""
    return ", ".join(f"{_title(name)} {plain(value)}" for name, value in values.items()) or NOTHING


def _title(name: str) -> str:
    return plain(name.replace("_", " "))
