"""The figures, their targets, and the table of the measured values."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass


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
    "login_stock": Goal("`/v1/login` : one verification and one SELECT, stock Argon2", 1.08, "x"),
    "login_avx2": Goal("`/v1/login` : one verification and one SELECT, AVX2 Argon2", 1.15, "x"),
    "login_deployed": Goal("`/v1/login` with AVX2 : one verification, stock", 0.65, "x"),
    "login_without_hash": Goal("`/v1/login` without the hash", 1.3, "ms"),
    "refresh": Goal("`/v1/refresh`", 1.0, "ms"),
    "me": Goal("`GET /v1/me`", 0.5, "ms"),
    "trips_login": Goal("round trips of a login", 4, ""),
    "trips_refresh": Goal("round trips of a refresh", 2, ""),
    "trips_me": Goal("round trips of `/v1/me`", 1, ""),
    "timing": Goal("unknown name against wrong password, difference in wall time", 3.0, "ms"),
    "cold_start": Goal("cold start to the first login : `import flask`", 1.35, "x"),
    "lookup_name": Goal("lookup by name : the same in 1 000 accounts", 1.15, "x"),
    "lookup_session": Goal("lookup by session : the same in 1 000 accounts", 1.15, "x"),
    "bytes_account": Goal("bytes per account", 260, ""),
    "bytes_session": Goal("bytes per session", 180, ""),
    "memory": Goal("memory after 10 000 requests", 70, "MB"),
    "memory_growth": Goal("growth of memory over the last half of these requests", 1.0, "MB"),
    "tutorial": Goal("login without the hash : the tutorial's own server", 1.0, "x"),
    "tutorial_cold_start": Goal("cold start without the hash : the tutorial's own", 1.0, "x"),
}

Print = Callable[[str], None]


def shown(value: float, unit: str) -> str:
    """Return a figure with its significant digits."""
    digits = 0 if value >= 100 or (not unit and value == int(value)) else 2
    return f"{value:.{digits}f} {unit}".rstrip()


def verdict(name: str, row: Row) -> str:
    """Return the verdict on a target."""
    if row.figure is None:
        return "not measured"
    return "met" if row.figure <= TARGETS[name].limit else "**missed**"


def table(rows: Mapping[str, Row], names: Iterable[str]) -> str:
    """Return the rows as a Markdown table, one for each name, in this order."""
    lines = ["| figure | target | measured | | in detail |", "|---|---|---|---|---|"]
    for name in names:
        target, row = TARGETS[name], rows[name]
        figure = "" if row.figure is None else shown(row.figure, target.unit)
        lines.append(f"| {target.name} | {target} | {figure} | {verdict(name, row)} | {row.note} |")
    return "\n".join(lines)
