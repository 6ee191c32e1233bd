"""The documents are compared with the code: what can lie is tested."""

import re
from pathlib import Path

from auth.errors import ApiError
from auth.rate_limits import (
    LOGIN_BY_ACCOUNT,
    LOGIN_BY_ACCOUNT_AND_ADDRESS,
    LOGIN_BY_ADDRESS,
    LOGIN_FROM_KNOWN_DEVICE,
    PASSWORD_CHANGE_BY_ACCOUNT,
    PASSWORD_CHECK_BY_ACCOUNT,
    REGISTRATION_BY_ADDRESS,
)
from auth.settings import Settings

ROOT = Path(__file__).parent.parent.parent
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
    """Return the routes that api.py and tutorial.py add."""
    api = (ROOT / "auth" / "api.py").read_text()
    routes = set(re.findall(r'\("(GET|POST|PUT|DELETE)", "([^"]+)"', api))
    routes = {(method, path.replace("<session_id>", "<id>")) for method, path in routes}
    return routes | {("GET", "/"), ("POST", "/login")}


def test_routes() -> None:
    """README and the API's description name every route, and no other."""
    for name in ("README.md", "docs/http-api.md"):
        assert set(ROUTE.findall((ROOT / name).read_text())) == routes_in_code(), name


def test_error_codes() -> None:
    """The API's description has every code with its status, and no other."""
    documented = set(CODE.findall((ROOT / "docs" / "http-api.md").read_text()))
    assert documented == {(error.code, str(error.status)) for error in errors()}


def test_rate_limits() -> None:
    """The description of the rate limits has their figures, in this order."""
    documented = BUCKET.findall((ROOT / "docs" / "security.md").read_text())
    limits = (
        LOGIN_BY_ADDRESS,
        LOGIN_BY_ACCOUNT_AND_ADDRESS,
        LOGIN_BY_ACCOUNT,
        LOGIN_FROM_KNOWN_DEVICE,
        REGISTRATION_BY_ADDRESS,
        PASSWORD_CHECK_BY_ACCOUNT,
        PASSWORD_CHANGE_BY_ACCOUNT,
    )
    assert documented == [(str(limit.burst), str(limit.seconds)) for limit in limits]


def test_settings() -> None:
    """README names every setting."""
    readme = (ROOT / "README.md").read_text()
    for name in Settings.__dataclass_fields__:
        assert f"`{name.upper()}`" in readme, name


def test_files_and_links() -> None:
    """Every file that a document links to is there."""
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    assert len(documents) > 5
    for document in documents:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_events() -> None:
    """The security page lists every event that the code notes, and no other."""
    section = (ROOT / "docs" / "security.md").read_text().split("## The log")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| ")]
    documented = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    codes = {"invalid_token", "session_ended", "too_many_attempts"}
    code = "".join(path.read_text() for path in [*ROOT.glob("auth/*.py"), ROOT / "handler.py"])
    noted = set(re.findall(r'note\(\s*"(\w+)"', code))
    logged = set(re.findall(r'"event": "(\w+)"', code))
    assert noted
    assert documented - codes == noted | logged
