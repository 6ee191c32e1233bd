"""The figures: those with a target and the plain ones, and the tables of the measured values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A figure without a target: no target would mean the same on each machine."""

    name: str
    unit: str


@dataclass(frozen=True)
class Goal:
    """The target of one figure: at most `limit`."""

    name: str
    limit: float
    unit: str

    def __str__(self) -> str:
        return f"<= {shown(self.limit, self.unit)}"


@dataclass(frozen=True)
class Row:
    """One measured figure; None if it could not be measured, with the reason in `note`."""

    figure: float | None
    note: str


TARGETS: Mapping[str, Goal] = {
    "login": Goal("`/v1/login` without the hash : floor", 9.5, "x"),
    "refresh": Goal("`/v1/refresh` : floor", 6.5, "x"),
    "me": Goal("`GET /v1/me` : floor", 5, "x"),
    "login_avx2": Goal("`/v1/login` : one verification and the floor, AVX2 Argon2", 1.06, "x"),
    "login_stock": Goal("`/v1/login` : one verification and the floor, stock Argon2", 1.08, "x"),
    "restored": Goal(
        "first login after a restored snapshot, less a warm login : `import flask`", 0.1, "x"
    ),
    "cold_start": Goal("cold start to the first login : `import flask`", 1.6, "x"),
    "trips_login": Goal("round trips of a login", 4, ""),
    "trips_refresh": Goal("round trips of a refresh", 2, ""),
    "trips_me": Goal("round trips of `/v1/me`", 1, ""),
    "timing": Goal("unknown name against wrong password, difference in wall time", 3.0, "ms"),
    "lookup_name": Goal("lookup by name : the same in 1 000 accounts", 1.15, "x"),
    "lookup_session": Goal("lookup by session : the same in 1 000 accounts", 1.15, "x"),
    "memory_growth": Goal("growth of memory over the last half of 10 000 requests", 1.0, "MB"),
    "tutorial": Goal("login without the hash : the tutorial's own server", 1.0, "x"),
    "tutorial_cold_start": Goal("cold start without the hash : the tutorial's own", 1.0, "x"),
}

FIGURES: Mapping[str, Figure] = {
    "cpu_floor": Figure("floor", "ms"),
    "cpu_avx2": Figure("one verification, AVX2 Argon2", "ms"),
    "cpu_stock": Figure("one verification, stock Argon2", "ms"),
    "cpu_register": Figure("`/v1/register` without the hash", "ms"),
    "cpu_login": Figure("`/v1/login` without the hash", "ms"),
    "cpu_refresh": Figure("`/v1/refresh`", "ms"),
    "cpu_me": Figure("`GET /v1/me`", "ms"),
    "cpu_poll": Figure("`GET /v1/server/events` without events", "ms"),
    "trips_register": Figure("round trips of a registration", ""),
    "trips_poll": Figure("round trips of a poll", ""),
    "memory": Figure("memory after 10 000 requests", "MB"),
    "bytes_account": Figure("bytes per account", ""),
    "bytes_session": Figure("bytes per session", ""),
}


def shown(value: float, unit: str) -> str:
    """Return a figure with its significant digits."""
    digits = 0 if value >= 100 or value == int(value) else 2
    return f"{value:.{digits}f} {unit}".rstrip()


def verdict(name: str, row: Row) -> str:
    """Return the verdict on a target."""
    if row.figure is None:
        return "**not measured**"
    return "met" if row.figure <= TARGETS[name].limit else "**missed**"


def table(rows: Mapping[str, Row], names: Iterable[str]) -> str:
    """Return the rows as a Markdown table, one for each target of these names, in this order."""
    lines = ["| figure | target | measured | | in detail |", "|---|---|---|---|---|"]
    for name in names:
        target, row = TARGETS[name], rows[name]
        figure = measured(row, target.unit)
        lines.append(f"| {target.name} | {target} | {figure} | {verdict(name, row)} | {row.note} |")
    return "\n".join(lines)


def plain_table(rows: Mapping[str, Row], names: Iterable[str]) -> str:
    """Return the rows as a Markdown table, one for each plain figure of these names."""
    lines = ["| figure | measured | in detail |", "|---|---|---|"]
    for name in names:
        figure = measured(rows[name], FIGURES[name].unit) or "**not measured**"
        lines.append(f"| {FIGURES[name].name} | {figure} | {rows[name].note} |")
    return "\n".join(lines)


def measured(row: Row, unit: str) -> str:
    """Return the measured figure, or nothing."""
    return "" if row.figure is None else shown(row.figure, unit)
