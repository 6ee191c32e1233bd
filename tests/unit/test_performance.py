"""The table of performance claims is complete, and reports missed targets."""

import re

from local.stack import ROOT
from tests.benchmarks.targets import TARGETS, Row, table, verdict

ROW = re.compile(r"^\| (.+?) \| (<= .+?) \| (.*?) \| (.+?) \| ", re.MULTILINE)


def test_verdicts() -> None:
    """A figure above its target is called missed; a missing one is called not measured."""
    limit = TARGETS["me"].limit
    assert verdict("me", Row(limit, "")) == "met"
    assert verdict("me", Row(limit * 1.01, "")) == "**missed**"
    assert verdict("me", Row(None, "")) == "not measured"
    assert table({"me": Row(limit, "why")}, ["me"]).endswith("| <= 0.50 ms | 0.50 ms | met | why |")


def test_document() -> None:
    """The document has a row for each target, in this order, with the verdict for its figure."""
    rows = ROW.findall((ROOT / "docs" / "promises" / "performance.md").read_text())
    assert [row[:2] for row in rows] == [(it.name, str(it)) for it in TARGETS.values()]
    for target, row in zip(TARGETS.values(), rows, strict=True):
        met = row[2] and float(row[2].partition(" ")[0]) <= target.limit
        assert row[3] == ("met" if met else "**missed**" if row[2] else "not measured"), row
