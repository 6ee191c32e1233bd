"""The statements of docs/ about deploying, operating and costs match the deployed template."""

import re
from collections.abc import Callable

import pytest

from docs.run import costs
from tests.play.sources import ROOT

OPERATE = (ROOT / "docs" / "run" / "operate.md").read_text()
SCALING = (ROOT / "docs" / "run" / "scaling.md").read_text()
INFRASTRUCTURE = sorted((ROOT / "deploy" / "infrastructure").rglob("*.yml"))
ALARM = re.compile(r"^ +(\w+):\n +Type: AWS::CloudWatch::Alarm$", re.MULTILINE)
PANEL = re.compile(r'"title": "([^"]+)"')
MAKE = re.compile(r"\bmake ([a-z][a-z-]*)")
TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)
CODE = re.compile(r"```.*?```|`[^`]+`", re.DOTALL)


def section(text: str, heading: str) -> str:
    """Return the text below a heading of a document."""
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[1]


def first_cells(text: str) -> set[str]:
    """Return the first column of all tables of a text."""
    rows = re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)
    return {row.strip("` ") for row in rows} - {"alarm", "panel", "---"}


def in_template(pattern: re.Pattern[str]) -> set[str]:
    """Return all matches of a pattern in the template."""
    return {found for path in INFRASTRUCTURE for found in pattern.findall(path.read_text())}


def unknown_targets(text: str, makefile: str) -> set[str]:
    """Return the `make` targets that a text names and the Makefile lacks."""
    told = {target for code in CODE.findall(text) for target in MAKE.findall(code)}
    return told - set(TARGET.findall(makefile))


def stale_tables(read: Callable[[str], str]) -> list[str]:
    """Return the tables of a document that differ from the output of docs/run/costs.py."""
    return [
        name
        for document, name, content in costs.tables()
        if costs.put(read(document), name, content) != read(document)
    ]


def read(document: str) -> str:
    """Return a document."""
    return (ROOT / "docs" / "run" / document).read_text()


def test_alarms() -> None:
    """Every alarm of the template has a row that says how to react, and there are no others."""
    documented = first_cells(section(OPERATE, "Alarms"))
    assert len(documented) > 5
    assert documented == in_template(ALARM)


def test_alarm_without_a_row() -> None:
    """A missing row, or one too many, is found."""
    rows = section(OPERATE, "Alarms")
    for text in (
        rows.replace("| `StorageAlarm`", "`StorageAlarm`"),
        rows + "| `NoAlarm` | a | b |",
    ):
        assert first_cells(text) != in_template(ALARM)


def test_dashboard() -> None:
    """Every panel of the dashboard has a row, and there are no others."""
    documented = first_cells(section(OPERATE, "The dashboard"))
    assert len(documented) > 10
    assert documented == in_template(PANEL)


def test_rotation_failures() -> None:
    """Every log text that the rotation page explains is one that the code writes."""
    table = read("rotation.md").split("| log text |")[1].split("\n\n")[0]
    texts = re.findall(r"^\| `([A-Za-z]+(?: [A-Za-z]+)*)", table, re.MULTILINE)
    assert len(texts) > 5
    code = "".join(path.read_text() for path in ROOT.glob("auth/**/*.py"))
    assert [text for text in texts if text not in code] == []


def test_costs() -> None:
    """The tables match the computed ones; `python docs/run/costs.py --write` updates them."""
    assert stale_tables(read) == []


def test_stale_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed price, or a figure edited by hand, is found."""
    assert stale_tables(lambda name: read(name).replace("| 7.30 |", "| 7.31 |")) == ["monthly"]
    dearer = costs.Price(0.02, "hour", "https://example.com", "2026")
    monkeypatch.setitem(costs.PRICES, "RDS db.t4g.micro", dearer)
    assert stale_tables(read) == ["monthly", "prices"]


def test_sums() -> None:
    """Tiered prices add up to the sums computed by hand."""
    tiers = costs.Tiers("", "", "", 25, ((100, 0), (200, 0.5), (1000, 0.1)))
    assert [tiers.cost(players) for players in (50, 100, 150, 200, 1000)] == [25, 25, 50, 75, 155]
    assert tiers.cost(1001) is None
    idle, _, thousand, *_ = costs.CASES
    assert costs.requests(idle) == 0
    assert costs.requests(thousand) == pytest.approx(85_200)
    assert costs.http_api(costs.Case("", "prod", 10_000_000, "", 0, 0)) == pytest.approx(
        300 + 552 * 0.9
    )


def test_polls() -> None:
    """A game server's polls cost what the prices of one poll add up to by hand."""
    million = sum(line() for line in costs.POLLING.values())
    lambda_ms = 0.85 * 1769 / 512 + 2
    logged, answered = 0.9 * (0.5 + 3 * 0.03), 0.34 * 0.09
    by_hand = 1 + 0.2 + lambda_ms * 0.5 * 0.0166667 + logged + answered
    assert million == pytest.approx(by_hand)
    every_two_seconds = million * costs.SECONDS / 2 / 1e6
    assert f"| **{every_two_seconds:.2f}** |" in costs.polling()


def test_every_price_has_a_source() -> None:
    """Every price has its source and its date."""
    for name, price in costs.PRICES.items():
        assert price.source.startswith("https://"), name
        assert re.match(r"20\d\d", price.date), name


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_connections(stage: str) -> None:
    """The document's connection figures match the stages, and each concurrency fits its limit."""
    connections = int(costs.parameter(stage, "databaseConnections"))
    concurrency = int(costs.parameter(stage, "concurrency"))
    most = (connections - 10) // 2
    assert f"| `{stage}` | {connections} | {most} | {concurrency} |" in SCALING
    assert concurrency <= most


def test_connections_by_class() -> None:
    """The connections that a class allows are computed from its memory by RDS's formulas."""
    rows = re.findall(r"^\| db\S+ \| (\d+) GiB \|([ \d|]+)\|$", SCALING, re.MULTILINE)
    assert len(rows) > 3
    for gib, cells in rows:
        memory = int(gib) * 2**30
        for divisor, at in ((25165760, 0), (12582880, 2)):
            found = [int(cell) for cell in cells.split("|")][at : at + 2]
            assert found == [memory // divisor, (memory // divisor - 10) // 2], gib


def test_make_targets() -> None:
    """Every `make ...` command in the documents is a target of the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        assert unknown_targets(document.read_text(), makefile) == set(), document.name


def test_a_target_that_is_not_there() -> None:
    """A command that the Makefile lacks is found."""
    assert unknown_targets("Then `make peace`, and `make run`.", "run: setup") == {"peace"}
