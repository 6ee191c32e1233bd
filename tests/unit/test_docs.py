"""The documents are compared with the code: what can lie is tested."""

import re
from collections import Counter
from pathlib import Path

import msgspec

from auth.api.routes import ROUTES
from auth.api.tutorial import TUTORIAL
from auth.errors import ApiError
from auth.flows import rate_limits
from auth.settings import Settings
from tests.play.sources import ROOT, tracked

GDSCRIPT = re.compile(r"```gdscript\n(.*?)```", re.DOTALL)
PROMISES = ROOT / "docs" / "promises"
ROUTE = re.compile(r"`(GET|POST|PUT|DELETE) (/[^` ]*)`")
CODE = re.compile(r"^\| `(\w+)` \| (\d{3}) \|", re.MULTILINE)
BUCKET = re.compile(r"^\| [a-z][^|]* \| (\d+) \| (\d+) s \|", re.MULTILINE)


def errors() -> set[type[ApiError]]:
    """Return every error that has a code."""
    found, waiting = set(), [ApiError]
    while waiting:
        error = waiting.pop()
        waiting += error.__subclasses__()
        if hasattr(error, "code"):
            found.add(error)
    return found


def routes_in_code() -> set[tuple[str, str]]:
    """Return the routes of the table, as the documents write them."""
    return {(route.method, re.sub(r"<\w+>", "<id>", route.path)) for route in (*ROUTES, *TUTORIAL)}


def test_routes() -> None:
    """The API's description names every route, and no other; README names some of them."""
    described = (ROOT / "docs" / "contract" / "http-api.md").read_text()
    assert set(ROUTE.findall(described)) == routes_in_code()
    assert set() < set(ROUTE.findall((ROOT / "README.md").read_text())) <= routes_in_code()


def test_requests() -> None:
    """The API's description tells each route's need of a token, and its required fields."""
    described = (ROOT / "docs/contract/http-api.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+ /v1[^`]*)` \|([^|]*)\|", described, re.MULTILINE))
    before = ""
    for route in ROUTES:
        if not route.path.startswith("/v1"):
            continue
        request = rows[f"{route.method} {re.sub('<.+?>', '<id>', route.path)}"]
        fields = msgspec.structs.fields(route.body) if route.body else ()
        known = before + request if "the same" in request else request
        assert all(f"`{one.name}`" in known for one in fields if one.required), route.path
        assert ("Bearer" in request) is route.has_bearer, route.path
        before = request


def test_error_codes() -> None:
    """The API's description has every code with its status, and no other."""
    documented = set(CODE.findall((ROOT / "docs" / "contract" / "http-api.md").read_text()))
    assert documented == {(error.code, str(error.status)) for error in errors()}


def test_rate_limits() -> None:
    """The description of the rate limits has their figures, in this order."""
    documented = BUCKET.findall((PROMISES / "security.md").read_text())
    limits = (
        rate_limits.LOGIN_BY_ADDRESS,
        rate_limits.LOGIN_BY_ACCOUNT_AND_ADDRESS,
        rate_limits.LOGIN_BY_ACCOUNT,
        rate_limits.LOGIN_FROM_KNOWN_DEVICE,
        rate_limits.NAME_BY_ADDRESS,
        rate_limits.PASSWORD_CHECK_BY_ACCOUNT,
        rate_limits.CHANGE_BY_ACCOUNT,
        rate_limits.GUEST_BY_ADDRESS,
        rate_limits.RECOVERY_BY_ACCOUNT_AND_ADDRESS,
        rate_limits.RECOVERY_BY_ADDRESS,
        rate_limits.TICKETS_BY_ACCOUNT,
        rate_limits.SESSIONS_BY_ACCOUNT,
    )
    assert documented == [(str(limit.burst), str(limit.seconds)) for limit in limits]
    assert set(limits) == {limit for route in (*ROUTES, *TUTORIAL) for limit in route.limits}


def test_settings() -> None:
    """The page of the settings names every one."""
    page = (ROOT / "docs" / "run" / "settings.md").read_text()
    for name in Settings.__dataclass_fields__:
        assert f"`{name.upper()}`" in page, name


def test_the_lines_in_the_game() -> None:
    """README's lines for a game are lines of the addon's README, which the real engine runs."""
    (shown,) = GDSCRIPT.findall((ROOT / "README.md").read_text())
    played = GDSCRIPT.findall((ROOT / "clients" / "godot" / "README.md").read_text())[0]
    assert set(shown.splitlines()) <= set(played.splitlines())


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(document: Path) -> list[str]:
    """Return the links of a document that lead to no file, or to no heading of it."""
    links = re.findall(r"\]\(([^)#:]*)(?:#([^)]+))?\)", document.read_text())
    found = [(document.parent / target if target else document, anchor) for target, anchor in links]
    return [
        f"{target}#{anchor}"
        for target, anchor in found
        if not target.exists() or (anchor and anchor not in anchors(target))
    ]


def test_files_and_links() -> None:
    """Every file and heading that a document links to is there."""
    documents = tracked("*.md")
    assert len(documents) > 5
    for document in documents:
        assert broken_links(document) == [], document.name


def test_broken_links(tmp_path: Path) -> None:
    """A link to a file or a heading that is not there is seen; one to the web is not followed."""
    page = tmp_path / "page.md"
    page.write_text("# On it\n[a](page.md#on-it) [b](https://a.test/#b) [c](no.md) [d](#no)")
    assert broken_links(page) == [f"{tmp_path / 'no.md'}#", f"{page}#no"]


def test_events() -> None:
    """The security page lists every event that the code notes or logs, and no other."""
    section = (PROMISES / "security.md").read_text().split("## The log")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    documented = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    codes = {"invalid_token", "session_ended", "too_many_attempts"}
    codes |= {"invalid_server_key", "invalid_ticket"}
    code = "".join(path.read_text() for path in [*ROOT.glob("auth/**/*.py"), ROOT / "handler.py"])
    noted = set(re.findall(r'note\(\s*"(\w+)"', code))
    logged = set(re.findall(r'"event": "(\w+)"', code))
    assert noted
    assert noted | {"request"} <= documented
    assert noted | logged <= set(re.findall(r"`(\w+)`", section))
    assert documented - codes <= noted | logged


TEST_NAME = re.compile(r"`(tests/[\w/]+\.(?:py|gd))::(\w+)`")
FILE_NAME = re.compile(r"`([\w./-]+\.(?:json|md|py|sql|toml|tscn|yml))`")
REQUIREMENT = re.compile(
    r"^\| (\d[\d.,\- ]+) \| [^|]+ \| (?:\*\*)?(met|not met|n/a)(?:\*\*)? \| (.+) \|$", re.MULTILINE
)
# How many requirements of levels 1 and 2 each chapter of OWASP ASVS 5.0 has.
CHAPTERS = {1: 27, 2: 11, 3: 19, 4: 10, 5: 9, 6: 35, 7: 18, 8: 7, 9: 7, 10: 29, 11: 14, 12: 9}
CHAPTERS |= {13: 13, 14: 9, 15: 13, 16: 16, 17: 7}


def missing_evidence(text: str) -> list[str]:
    """Return the tests and files that a text names and that are not there."""
    missing = [
        f"{file}::{name}"
        for file, name in TEST_NAME.findall(text)
        if not (ROOT / file).exists()
        or not re.search(rf"^(def|func) {name}\(", (ROOT / file).read_text(), re.MULTILINE)
    ]
    return missing + [name for name in FILE_NAME.findall(text) if not (ROOT / name).exists()]


def numbers(cell: str) -> list[str]:
    """Return the requirements of a cell such as `1.3.1, 1.3.4-1.3.6`."""
    found = []
    for part in cell.split(", "):
        first, _, last = part.partition("-")
        section, _, low = first.rpartition(".")
        high = (last or first).rpartition(".")[2]
        found += [f"{section}.{number}" for number in range(int(low), int(high) + 1)]
    return found


def verdicts() -> list[tuple[str, str, str]]:
    """Return requirement, verdict and evidence of each row of asvs.md, ranges spelt out."""
    rows = REQUIREMENT.findall((PROMISES / "asvs.md").read_text())
    return [(number, verdict, shown) for cell, verdict, shown in rows for number in numbers(cell)]


def test_asvs_evidence() -> None:
    """Every test and file that asvs.md names exists, and each `met` names at least one."""
    assert missing_evidence((PROMISES / "asvs.md").read_text()) == []
    for number, verdict, shown in verdicts():
        if verdict == "met":
            assert TEST_NAME.search(shown) or FILE_NAME.search(shown), number
        else:
            assert shown.strip(), number


def test_asvs_evidence_that_is_missing() -> None:
    """A test, a test's file or a document that is not there is found."""
    named = "`tests/unit/test_docs.py::test_routes`, `tests/unit/test_docs.py::test_route`,"
    named += " `tests/unit/test_no.py::test_routes`, `docs/no.md`, `docs/promises/asvs.md`"
    assert missing_evidence(named) == [
        "tests/unit/test_docs.py::test_route",
        "tests/unit/test_no.py::test_routes",
        "docs/no.md",
    ]


def test_asvs_sums() -> None:
    """Each requirement has one verdict, and the sums at the top are those of the tables."""
    given = [number for number, _, _ in verdicts()]
    assert len(set(given)) == len(given)
    summary = (PROMISES / "asvs.md").read_text().split("\n## ")[0]
    total: Counter[str] = Counter()
    for chapter, size in CHAPTERS.items():
        counts = Counter(
            verdict for number, verdict, _ in verdicts() if number.startswith(f"{chapter}.")
        )
        assert counts.total() == size, chapter
        total += counts
        cells = " | ".join(str(counts[name]) for name in ("met", "not met", "n/a"))
        assert re.search(rf"^\| V{chapter} [^|]+ \| {re.escape(cells)} \|$", summary, re.MULTILINE)
    assert f"| **all** | {total['met']} | {total['not met']} | {total['n/a']} |" in summary


def test_cryptography() -> None:
    """The inventory of cryptography names each module that uses a cryptographic library."""
    library = re.compile(
        r"^\s*(?:import|from) (?:argon2|cryptography|hashlib|hmac|jwt|random|secrets|ssl)\b",
        re.MULTILINE,
    )
    modules = [*ROOT.glob("auth/**/*.py"), ROOT / "handler.py"]
    using = {str(it.relative_to(ROOT)) for it in modules if library.search(it.read_text())}
    inventory = (PROMISES / "cryptography.md").read_text()
    assert set(re.findall(r"`((?:auth/(?:\w+/)?)?\w+\.py)`", inventory)) == using


def test_columns() -> None:
    """The list of what is stored about players has every column of every table, and no other."""
    section = (ROOT / "docs" / "run" / "data.md").read_text().split("## In the database")[1]
    documented: set[tuple[str, str]] = set()
    table = ""
    for name, columns in re.findall(r"^\| (`\w+`)? ?\| (`[^|]+`) \|", section, re.MULTILINE):
        table = name.strip("`") or table
        documented |= {(table, column) for column in re.findall(r"`(\w+)`", columns)}
    stored = set()
    for migration in sorted(ROOT.glob("auth/store/migrations/*.sql")):
        sql = migration.read_text()
        (table,) = re.findall(r"^(?:CREATE|ALTER) TABLE (\w+)", sql, re.MULTILINE)
        columns = re.findall(r"^    (?:ADD COLUMN )?([a-z_]+) [A-Z]", sql, re.MULTILINE)
        stored |= {(table, it) for it in columns}
    assert documented == stored
