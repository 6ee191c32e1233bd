"""Prints answers on a terminal. Everything that a player can write is escaped."""

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from local.terminal import say

# Controls, formats (bidi, zero width), surrogates, private use, separators of lines and paragraphs.
_HARMFUL = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
NOTHING = "-"


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


def print_answer(result: dict[str, Any]) -> None:
    """Print a result: its plain members as lines, then each list as a table."""
    lists = {name: value for name, value in result.items() if isinstance(value, list)}
    members = {name: value for name, value in result.items() if name not in lists}
    following = members.pop("next", None)
    width = max((len(name) for name in members), default=0)
    for name, value in members.items():
        text = _pairs(value) if isinstance(value, dict) else plain(value)
        say(f"{_title(name):<{width}}  {text}")
    for name, rows in lists.items():
        print_table(name, rows)
    if following:
        say(f"\nMore: repeat the command with --after {plain(following)}")


def print_table(name: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print rows below each other, with the names of their members."""
    if not rows:
        say(f"{_title(name)}: none")
        return
    titles = list(rows[0])
    lines = [[_cell(row[title]) for title in titles] for row in rows]
    widths = [max(map(len, column)) for column in zip(map(_title, titles), *lines, strict=True)]
    _print_line(map(_title, titles), widths)
    for line in lines:
        _print_line(line, widths)


def _print_line(cells: Iterable[str], widths: Sequence[int]) -> None:
    say("  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    return _pairs(value) if isinstance(value, dict) else plain(value)


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{_title(name)} {plain(value)}" for name, value in values.items()) or NOTHING


def _title(name: str) -> str:
    return plain(name.replace("_", " "))
