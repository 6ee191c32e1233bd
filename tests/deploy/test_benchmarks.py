"""Each benchmark runs and gives plausible rows; no test asserts a speed."""

import os
from collections.abc import Iterator

import pytest

from local.stack import keep_proxies_out
from tests.benchmarks.__main__ import PARTS, Bench, Counts, machine
from tests.benchmarks.tables import IDLE_SECONDS
from tests.benchmarks.targets import FIGURES, TARGETS

FEW = Counts(calls=2, starts=1, requests=40, lookups=2, accounts=3000)
PLAUSIBLE = {"x": (0.001, 100), "ms": (0.0, 5000), "MB": (-50, 500), "": (1, 100_000)}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Return the benchmarks, with everything they need running."""
    before = dict(os.environ)
    keep_proxies_out(os.environ)
    bench = Bench(tmp_path_factory.mktemp("bench"), FEW)
    try:
        with bench.running():
            yield bench
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_every_part(bench: Bench) -> None:
    """All parts together give a row for each target and figure, each with a plausible figure."""
    for part in PARTS:
        bench.measure(part)
    units = {name: goal.unit for name, goal in TARGETS.items()}
    units |= {name: figure.unit for name, figure in FIGURES.items()}
    assert set(bench.rows) == set(units)
    for name, row in bench.rows.items():
        low, high = PLAUSIBLE[units[name]]
        if row.figure is None:  # no compiler here
            assert "AVX2" in row.note
        else:
            assert low <= row.figure <= high, (name, row)
    assert [bench.rows[f"trips_{what}"].figure for what in ("login", "refresh", "me")] == [4, 2, 1]
    assert [bench.rows[f"trips_{what}"].figure for what in ("register", "poll")] == [6, 2]
    assert "cores of" in machine(bench.runtime)


def test_root_outlasts_the_other_parts(bench: Bench) -> None:
    """The administrator's connection stays open while a slow machine measures the other parts."""
    (row,) = bench._root.run("SELECT @@wait_timeout")  # noqa: SLF001
    assert row == (IDLE_SECONDS,)
