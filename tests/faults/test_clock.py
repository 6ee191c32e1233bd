"""The application uses no clock except the one that the fault tests set."""

import re
from pathlib import Path

import pytest

AUTH = Path(__file__).parents[2] / "auth"
CLOCKS = re.compile(
    r"datetime\.now|utcnow|date\.today|time\.time|time\.gmtime|time\.localtime"
    r"|\bNOW\(|CURRENT_TIME|UTC_TIME|UTC_DATE|SYSDATE|CURDATE|CURTIME|UNIX_TIMESTAMP",
    re.IGNORECASE,
)
# `times` holds the clock that is passed in; `migrate` does not serve requests.
ITS_OWN = {"times.py", "jobs/migrate.py"}


@pytest.mark.parametrize(
    "path", sorted(AUTH.rglob("*.py")), ids=lambda path: str(path.relative_to(AUTH))
)
def test_no_other_clock(path: Path) -> None:
    """Only `times` and `migrate` read a clock, be it Python's or the database's."""
    text = path.read_text()
    assert bool(CLOCKS.search(text)) == (str(path.relative_to(AUTH)) in ITS_OWN)
