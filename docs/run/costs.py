"""Compute the tables of costs.md and scaling.md from prices and assumptions.

    python docs/run/costs.py           prints the tables
    python docs/run/costs.py --write   writes them into the documents

A test compares the documents with these tables. After changing a price or an assumption, run
`--write`.
"""

import csv
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent
INFRASTRUCTURE = ROOT / "deploy" / "infrastructure"
SERVERLESS = ROOT / "serverless.yml"

HOURS = 730  # AWS's own month
SECONDS = HOURS * 3600
GB = 1e9
MEMORY_GB = 0.5
VCPU_MB = 1769  # the memory at which Lambda gives one whole vCPU
SHARE_OF_VCPU = 512 / VCPU_MB

SECRETS = 3  # the application's, the token keys, and RDS's own for its administrator


@dataclass(frozen=True)
class Price:
    """The price of one unit in us-east-1, with its source and the source's date."""

    usd: float
    unit: str
    source: str
    date: str


def _read_prices() -> dict[str, Price]:
    with (FOLDER / "prices.csv").open() as file:
        return {
            row["name"]: Price(float(row["usd"]), row["unit"], row["source"], row["date"])
            for row in csv.DictReader(file)
        }


PRICES = _read_prices()


@dataclass(frozen=True)
class RouteCost:
    """One kind of request: how often a monthly player sends it, and the work of answering it."""

    per_month: float
    cpu_ms: float
    round_trips: int
    answer_bytes: int  # measured, headers included
    log_bytes: int  # measured: the function's own line


# CPU times, and round trips of a registration and a poll: measured, ../promises/performance.md.
HASH_MS = {"AVX2, x86_64": 21.42, "stock wheel, x86_64": 35.24}
ROUTES = {
    "register": RouteCost(0.2, HASH_MS["AVX2, x86_64"] + 8.74, 6, 1407, 384),
    "login": RouteCost(1, HASH_MS["AVX2, x86_64"] + 3.60, 4, 1400, 376),
    "refresh": RouteCost(72, 2.32, 2, 1400, 432),
    "me": RouteCost(12, 1.87, 1, 322, 300),
}
# A game server's poll for events that brings none: it depends on the servers, not on the players.
POLL = RouteCost(0, 0.85, 2, 340, 0)
POLL_SECONDS = (1, 2, 10, 60)  # times between two polls to compute the costs of
ROUND_TRIP_MS = 1.0  # assumed: between a function and a database in the same region
PLATFORM_LOG_BYTES = 900  # assumed: Lambda's own two or three lines, and the gateway's


@dataclass(frozen=True)
class Case:
    """A deployment, and its number of monthly players."""

    name: str
    stage: str
    players: int
    database: str
    warm_containers: int  # assumed, on average over the month
    more_backup_gb: int  # assumed, beyond the free amount


CASES = (
    Case("dev, no players", "dev", 0, "db.t4g.micro", 0, 0),
    Case("prod, no players", "prod", 0, "db.t4g.medium", 0, 0),
    Case("prod, 1 000", "prod", 1_000, "db.t4g.medium", 1, 0),
    Case("prod, 100 000", "prod", 100_000, "db.t4g.medium", 4, 0),
    Case("prod, 5 000 000", "prod", 5_000_000, "db.m5.large", 40, 20),
)


def usd(name: str) -> float:
    """Return a unit price."""
    return PRICES[name].usd


def parameter(stage: str, name: str) -> str:
    """Return a parameter of a stage from the text of serverless.yml, uninterpreted."""
    text = re.split(rf"\n  {stage}:", SERVERLESS.read_text(), maxsplit=1)[1]
    found = re.search(rf"\n    {name}: (.*)", text)
    if found is None:
        raise KeyError(f"{name} of {stage} is not in serverless.yml")
    return found[1].split(" #")[0].strip()


def declared(pattern: str) -> list[str]:
    """Return every match of a pattern in the infrastructure, apart from the Aurora variant."""
    paths = [path for path in sorted(INFRASTRUCTURE.rglob("*.yml")) if path.stem != "aurora"]
    return [found for path in paths for found in re.findall(pattern, path.read_text())]


def copies(case: Case) -> int:
    """Return the number of database instances: two with Multi-AZ."""
    return 2 if parameter(case.stage, "databaseMultiAz") == "true" else 1


def requests(case: Case) -> float:
    """Return the requests per month."""
    return case.players * sum(route.per_month for route in ROUTES.values())


def billed_ms(route: RouteCost) -> float:
    """Return how long Lambda bills for a request: 512 MB buy only a share of a processor."""
    return route.cpu_ms / SHARE_OF_VCPU + route.round_trips * ROUND_TRIP_MS


def gb_seconds(case: Case) -> float:
    """Return the GB-seconds per month."""
    ms = sum(route.per_month * billed_ms(route) for route in ROUTES.values())
    return case.players * ms / 1000 * MEMORY_GB


def log_gb(case: Case) -> float:
    """Return the GB logged per month."""
    size = sum(r.per_month * (r.log_bytes + PLATFORM_LOG_BYTES) for r in ROUTES.values())
    return case.players * size / GB


def http_api(case: Case) -> float:
    """Return the cost of the gateway, cheaper beyond 300 million requests."""
    millions = requests(case) / 1e6
    first = usd("HTTP API, first 300 million requests")
    return min(millions, 300) * first + max(millions - 300, 0) * usd("HTTP API, more")


def snap_start(case: Case) -> float:
    """Return the cost of one kept snapshot and the starts from it; a container lives two hours."""
    if parameter(case.stage, "snapStart") != "true":
        return 0
    kept = MEMORY_GB * SECONDS * usd("Lambda SnapStart, keeping a snapshot")
    starts = case.warm_containers * HOURS / 2
    return kept + starts * MEMORY_GB * usd("Lambda SnapStart, a start from it")


def log_price(stage: str) -> float:
    """Return the price of a GB of logs: ingested once, kept for the stage's `logDays`."""
    months = int(parameter(stage, "logDays")) / 30
    return usd("CloudWatch Logs, taking in") + usd("CloudWatch Logs, keeping") * months


def watching(_: Case) -> float:
    """Return the cost of the metrics, the alarms and the dashboard."""
    metrics = set(declared(r"MetricName: (\w+), MetricValue: "))
    # An alarm is billed by its metrics: one, or those of its expression.
    alarms = set(declared(r"\n *(\w+):\n *Type: AWS::CloudWatch::Alarm\n"))
    watched = len(alarms) - len(declared(r"Expression: ")) + len(declared(r"\n *MetricStat:"))
    return (
        len(metrics) * usd("CloudWatch, a metric of our own")
        + watched * usd("CloudWatch, a metric in an alarm")
        + usd("CloudWatch, a dashboard")
    )


def secrets(case: Case) -> float:
    """Return the cost of the secrets: each warm container reads one every five minutes."""
    reads = case.warm_containers * HOURS * 12
    return SECRETS * usd("Secrets Manager, a secret") + reads / 1e4 * usd(
        "Secrets Manager, reading"
    )


LINES: Mapping[str, Callable[[Case], float]] = {
    "Database: instance": lambda case: usd(f"RDS {case.database}") * HOURS,
    "Database: second instance (Multi-AZ)": lambda case: (
        usd(f"RDS {case.database}") * HOURS * (copies(case) - 1)
    ),
    "Database: storage": lambda case: (
        int(parameter(case.stage, "databaseStorageGb")) * usd("RDS storage, gp3") * copies(case)
    ),
    "Database: backups": lambda case: (
        case.more_backup_gb * usd("RDS backups beyond the size of the storage")
    ),
    "Secrets Manager": secrets,
    "Interface endpoint": lambda case: (
        parameter(case.stage, "secretsEndpointSubnets").count("!Ref")
        * HOURS
        * usd("Interface endpoint, a zone")
    ),
    "Lambda: requests": lambda case: requests(case) / 1e6 * usd("Lambda, requests"),
    "Lambda: GB-seconds": lambda case: gb_seconds(case) * usd("Lambda, time, x86_64"),
    "Lambda: SnapStart": snap_start,
    "HTTP API": http_api,
    "Logs": lambda case: log_gb(case) * log_price(case.stage),
    "Metrics, alarms, dashboard": watching,
    "Data to the internet": lambda case: (
        case.players
        * sum(route.per_month * route.answer_bytes for route in ROUTES.values())
        / GB
        * usd("Data to the internet")
    ),
}


# What a million polls cost, with the logs of `prod`.
POLLING: Mapping[str, Callable[[], float]] = {
    "HTTP API": lambda: usd("HTTP API, first 300 million requests"),
    "Lambda: requests": lambda: usd("Lambda, requests"),
    "Lambda: GB-seconds": lambda: (
        1e6 * billed_ms(POLL) / 1000 * MEMORY_GB * usd("Lambda, time, x86_64")
    ),
    "Logs": lambda: 1e6 * (POLL.log_bytes + PLATFORM_LOG_BYTES) / GB * log_price("prod"),
    "Data to the internet": lambda: 1e6 * POLL.answer_bytes / GB * usd("Data to the internet"),
}


@dataclass(frozen=True)
class Tiers:
    """A price list by monthly active users: a basic fee, then a price up to each bound."""

    name: str
    source: str
    date: str
    fee: float
    steps: tuple[tuple[float, float], ...]  # up to this many users, the price of each

    def cost(self, players: int) -> float | None:
        """Return the cost per month, or None if no price is known for so many players."""
        if players > self.steps[-1][0]:
            return None
        total, below = self.fee, 0.0
        for bound, price in self.steps:
            total += (min(players, bound) - below) * price if players > below else 0
            below = bound
        return total


MANY = float("inf")
COGNITO = "https://raw.githubusercontent.com/api-evangelist/amazon-cognito/refs/heads/main/plans/amazon-cognito-plans-pricing.yml"
ALTERNATIVES = (
    Tiers(
        "Amazon Cognito, Lite",
        COGNITO,
        "2026-09-20",
        0,
        ((10_000, 0), (100_000, 0.0055), (1_000_000, 0.0046)),
    ),
    Tiers(
        "Amazon Cognito, Essentials",
        COGNITO,
        "2026-09-20",
        0,
        ((10_000, 0), (MANY, 0.015)),
    ),
    Tiers(
        "Google Identity Platform / Firebase",
        "https://cloud.google.com/identity-platform/pricing",
        "stored copy, undated",
        0,
        ((50_000, 0), (100_000, 0.0055), (1_000_000, 0.0046), (1e7, 0.0032), (MANY, 0.0025)),
    ),
    Tiers(
        "Supabase, Pro",
        "https://supabase.com/docs/guides/platform/manage-your-usage/monthly-active-users",
        "stored copy, undated",
        25,
        ((100_000, 0), (MANY, 0.00325)),
    ),
    Tiers(
        "Epic Online Services",
        "https://dev.epicgames.com/docs/services/en-US/Overview/index.html",
        "stored copy, undated",
        0,
        ((MANY, 0),),
    ),
    Tiers(
        "Unity Authentication",
        "https://docs.unity.com/authentication/faq",
        "stored copy, undated",
        0,
        ((MANY, 0),),
    ),
)
SIZES = (1_000, 100_000, 5_000_000)


def money(amount: float) -> str:
    """Format an amount in USD: cents below 100, whole dollars above, a dash for zero."""
    if amount == 0:
        return "-"
    if amount < 0.01:  # noqa: PLR2004 -- a cent
        return "< 0.01"
    return f"{amount:.2f}" if amount < 100 else f"{amount:,.0f}".replace(",", " ")  # noqa: PLR2004


def asked(amount: float | None) -> str:
    """Format the price of another service."""
    if amount is None:
        return "not verified"
    return money(amount) if amount else "free"


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table: first column left-aligned, figures right-aligned."""
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rows])


def monthly() -> str:
    """Return the cost of each case, line by line."""
    rows = [[name, *(money(line(case)) for case in CASES)] for name, line in LINES.items()]
    totals = [sum(line(case) for line in LINES.values()) for case in CASES]
    rows.append(["**Total, USD a month**", *(f"**{money(total)}**" for total in totals)])
    each = [
        f"{total / case.players:.5f}" if case.players else "-"
        for case, total in zip(CASES, totals, strict=True)
    ]
    rows.append(["per player", *each])
    return table(["", *(case.name for case in CASES)], rows)


def alternatives() -> str:
    """Return the prices of other services for the same numbers of players."""
    rows = [
        [
            f"[{service.name}]({service.source}) ({service.date})",
            *(asked(service.cost(size)) for size in SIZES),
        ]
        for service in ALTERNATIVES
    ]
    ours = {case.players: sum(line(case) for line in LINES.values()) for case in CASES[2:]}
    rows.insert(0, ["**Game Login, prod**", *(f"**{money(ours[size])}**" for size in SIZES)])
    head = ["USD a month", *(f"{size:,} players".replace(",", " ") for size in SIZES)]
    return table(head, rows)


def polling() -> str:
    """Return the cost of polls: of a million, and of a game server by its time between two."""
    columns = [1e6, *(SECONDS / seconds for seconds in POLL_SECONDS)]
    costs = {name: [line() * polls / 1e6 for polls in columns] for name, line in POLLING.items()}
    rows = [[name, *map(money, amounts)] for name, amounts in costs.items()]
    totals = [sum(amounts) for amounts in zip(*costs.values(), strict=True)]
    rows.append(["**Total, USD**", *(f"**{money(total)}**" for total in totals)])
    every = [f"a month, every {seconds} s" for seconds in POLL_SECONDS]
    return table(["", "a million polls", *every], rows)


def traffic() -> str:
    """Return the requests of a player per month, and the work of each."""
    rows = [
        [
            name,
            f"{route.per_month:g}" if route.per_month else "-",
            f"{route.cpu_ms:.1f}",
            str(route.round_trips),
            f"{billed_ms(route):.0f}",
            str(route.answer_bytes),
            str(route.log_bytes),
        ]
        for name, route in {**ROUTES, "poll": POLL}.items()
    ]
    head = ["", "per player and month", "CPU ms", "round trips", "billed ms", "answer", "log line"]
    return table(head, rows)


def prices() -> str:
    """Return the unit prices with their sources."""
    rows = [
        [name, _exact(price.usd), price.unit, f"[{price.date}]({price.source})"]
        for name, price in PRICES.items()
    ]
    return table(["us-east-1", "USD", "per", "source"], rows)


def _exact(amount: float) -> str:
    return f"{amount:.2f}" if amount == round(amount, 2) else f"{amount:.10f}".rstrip("0")


def per_run() -> str:
    """Return how many requests per second one concurrent run of `http` answers."""
    rows = [
        [name, f"{route.cpu_ms:.1f}", f"{billed_ms(route):.0f}", f"{1000 / billed_ms(route):.0f}"]
        for name, route in {**ROUTES, "poll": POLL}.items()
    ]
    return table(["", "CPU ms", "ms with 512 MB", "per second and run"], rows)


def architectures() -> str:
    """Return the cost of hashing for a million sign-ins, by architecture."""
    x86, arm = usd("Lambda, time, x86_64"), usd("Lambda, time, arm64")
    stock = HASH_MS["stock wheel, x86_64"]
    cases = [(name, ms, x86) for name, ms in HASH_MS.items()]
    cases.append(("arm64, **if** it took as long as the stock wheel", stock, arm))
    rows = [
        [name, f"{ms:.1f}", f"{ms / SHARE_OF_VCPU:.0f}", _cents(ms, price)]
        for name, ms, price in cases
    ]
    even = HASH_MS["AVX2, x86_64"] * x86 / arm
    rows.append(["arm64, to cost the same as AVX2", f"{even:.1f}", f"{even / SHARE_OF_VCPU:.0f}",
                 _cents(even, arm)])  # fmt: skip
    head = ["the hash alone", "CPU ms", "ms at 512 MB", "USD for a million"]
    return table(head, rows)


def _cents(cpu_ms: float, price: float) -> str:
    return f"{cpu_ms / SHARE_OF_VCPU / 1000 * MEMORY_GB * price * 1e6:.2f}"


def tables() -> Iterator[tuple[str, str, str]]:
    """Yield each table with its document and the name of its marker there."""
    yield "costs.md", "monthly", monthly()
    yield "costs.md", "polling", polling()
    yield "costs.md", "alternatives", alternatives()
    yield "costs.md", "traffic", traffic()
    yield "costs.md", "prices", prices()
    yield "scaling.md", "requests", per_run()
    yield "scaling.md", "architectures", architectures()


def put(text: str, name: str, content: str) -> str:
    """Return a document's text with a table written after its marker."""
    before, _, rest = text.partition(f"<!-- {name} -->\n")
    _, _, after = rest.partition("<!-- end -->")
    return f"{before}<!-- {name} -->\n{content}\n<!-- end -->{after}"


def main() -> None:
    """Print the tables, or write them into the documents."""
    for document, name, content in tables():
        print(f"{document}: {name}\n\n{content}\n")
        if "--write" in sys.argv[1:]:
            path = FOLDER / document
            path.write_text(put(path.read_text(), name, content))


if __name__ == "__main__":
    main()
