"""The clock that the fault tests set is the only one that the application goes by."""

import re
from pathlib import Path

import pytest

AUTH = Path(__file__).parents[2] / "auth"
CLOCKS = re.compile(
    r"datetime\.now|utcnow|date\.today|time\.time|time\.gmtime|time\.localtime"
    r"|\bNOW\(|CURRENT_TIME|UTC_TIME|UTC_DATE|SYSDATE|CURDATE|CURTIME|UNIX_TIMESTAMP",
    re.IGNORECASE,
)
# `times` has the clock itself, which is given from outside; `migrate` runs apart from any request.
ITS_OWN = {"times.py", "jobs/migrate.py"}


@pytest.mark.parametrize(
    "path", sorted(AUTH.rglob("*.py")), ids=lambda path: str(path.relative_to(AUTH))
)
def test_no_other_clock(path: Path) -> None:
    """Neither Python's clock nor the database's is asked for the time by anything but `times`."""
    text = path.read_text()
    assert bool(CLOCKS.search(text)) == (str(path.relative_to(AUTH)) in ITS_OWN)
