"""Each fault, under load, on real processes and a real database: every property holds."""

from collections.abc import Callable

import pytest

from tests.faults import table
from tests.faults.checker import violations
from tests.faults.faults import FAULTS
from tests.faults.run import Play

SHOWN = 15
LEAST_CALLS = 150  # fewer prove nothing


@pytest.mark.parametrize("number", range(len(FAULTS)), ids=[fault.name for fault in FAULTS])
def test_fault(
    play: Play,
    record_property: Callable[[str, object], None],
    number: int,
) -> None:
    """Under any fault, the service keeps all acknowledged changes, and recovers by itself."""
    fault = FAULTS[number]
    history = play(fault)
    found = violations(history)
    record_property(table.ROW, table.row(number, fault.name, history, table.verdict(found)))
    assert not found, "\n".join(str(each) for each in found[:SHOWN])
    assert len(history.calls) > LEAST_CALLS
