"""The tables of performance claims are complete, and report missed targets."""

import re

import pytest

from docs.run import costs
from local.stack import ROOT
from tests.benchmarks.targets import FIGURES, TARGETS, Row, plain_table, table, verdict

DOCUMENT = (ROOT / "docs" / "promises" / "performance.md").read_text()
ROW = re.compile(r"^\| (.+?) \| (<= .+?) \| (.*?) \| (.+?) \| ", re.MULTILINE)
PLAIN_ROW = re.compile(r"^\| (?!figure)([^|]+) \| ((?!---)[^|]+) \| [^|]+ \|$", re.MULTILINE)


def plain_rows() -> dict[str, str]:
    """Return the plain figures of the document by their names."""
    return dict(PLAIN_ROW.findall(DOCUMENT))


def milliseconds(name: str) -> float:
    """Return a plain figure of the document in milliseconds."""
    return float(plain_rows()[FIGURES[name].name].removesuffix(" ms"))


def test_verdicts() -> None:
    """A figure above its target is called missed; a missing one is called not measured."""
    limit = TARGETS["me"].limit
    assert verdict("me", Row(limit, "")) == "met"
    assert verdict("me", Row(limit * 1.01, "")) == "**missed**"
    assert verdict("me", Row(None, "")) == "**not measured**"
    assert table({"me": Row(limit, "why")}, ["me"]).endswith("| <= 5 x | 5 x | met | why |")
    missing = plain_table({"cpu_avx2": Row(None, "no compiler")}, ["cpu_avx2"])
    assert missing.endswith("| **not measured** | no compiler |")


def test_document() -> None:
    """The document has a row for each target, in this order, with the verdict for its figure."""
    rows = ROW.findall(DOCUMENT)
    assert [row[:2] for row in rows] == [(it.name, str(it)) for it in TARGETS.values()]
    for target, row in zip(TARGETS.values(), rows, strict=True):
        met = row[2] and float(row[2].partition(" ")[0]) <= target.limit
        assert row[3] == ("met" if met else "**missed**" if row[2] else "**not measured**"), row


def test_plain_figures() -> None:
    """The document has a row for each figure without a target, in this order, and no other."""
    assert list(plain_rows()) == [figure.name for figure in FIGURES.values()]
    for name, row in plain_rows().items():
        assert float(row.partition(" ")[0]) > 0, name


def test_costs_use_these_figures() -> None:
    """The work in docs/run/costs.py is the measured one, and no other machine's."""
    hashes = {"AVX2, x86_64": "cpu_avx2", "stock wheel, x86_64": "cpu_stock"}
    assert {name: milliseconds(name_here) for name, name_here in hashes.items()} == costs.HASH_MS
    for name, route in costs.ROUTES.items():
        hashed = costs.HASH_MS["AVX2, x86_64"] if name in ("register", "login") else 0
        assert route.cpu_ms == pytest.approx(milliseconds(f"cpu_{name}") + hashed), name
    trips = plain_rows()[FIGURES["trips_register"].name]
    assert costs.ROUTES["register"].round_trips == int(trips)
    assert costs.POLL.cpu_ms == milliseconds("cpu_poll")
    assert costs.POLL.round_trips == int(plain_rows()[FIGURES["trips_poll"].name])
    bytes_each = [plain_rows()[FIGURES[f"bytes_{what}"].name] for what in ("account", "session")]
    text = " ".join((ROOT / "docs" / "run" / "costs.md").read_text().split())
    assert "an account takes {} bytes and a session {}".format(*bytes_each) in text
