"""The result table: each fault and its effect on the service."""

from collections.abc import Sequence

from tests.faults.checker import Violation
from tests.faults.history import History

ROW = "fault table row"  # the report property that holds a test's row
HEAD = ("fault", "requests", "failures", "longest answer", "verdict")


def row(order: int, fault: str, history: History, verdict: str) -> str:
    """Return a row as a string for the test report; rows are sorted by `order`."""
    cells = (f"{order:03}", fault, str(len(history.calls)), str(history.failures))
    return "\t".join((*cells, f"{history.longest:.2f} s", verdict))


def verdict(found: Sequence[Violation]) -> str:
    """Return the verdict on a history with these violations."""
    return "BROKEN: " + ", ".join(sorted({each.of for each in found})) if found else "holds"


def lines(rows: Sequence[str]) -> list[str]:
    """Return the table's lines."""
    cells = [HEAD, *(tuple(each.split("\t")[1:]) for each in sorted(rows))]
    widths = [max(len(each[column]) for each in cells) for column in range(len(HEAD))]
    return [
        "  ".join(
            text.rjust(width) if 0 < column < len(HEAD) - 1 else text.ljust(width)
            for column, (text, width) in enumerate(zip(each, widths, strict=True))
        ).rstrip()
        for each in cells
    ]
