"""Extracts parts of the requirements files, with the hash of each file that may be installed."""

import re
from collections.abc import Container
from pathlib import Path

_NAME = re.compile(r"([A-Za-z0-9._-]+)(\[[a-z,-]+\])?==")


def hashed(requirements: Path, names: Container[str]) -> str:
    """Return the lines of a requirements file for these distributions."""
    lines = requirements.read_text().replace("\\\n", " ").splitlines(keepends=True)
    named = ((_NAME.match(line), line) for line in lines)
    return "".join(line for name, line in named if name and name[1].lower() in names)
