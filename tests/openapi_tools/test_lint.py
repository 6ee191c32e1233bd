"""The linters of Redocly and Stoplight accept docs/contract/openapi.json."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.openapi_tools import npm_tools
from tests.play.judge import FILE

pytestmark = pytest.mark.search

Lint = Callable[[Path], list[str]]


def redocly(file: Path) -> list[str]:
    """Return the rules that Redocly finds broken in a file."""
    config = npm_tools.HERE / "redocly.yaml"
    done = npm_tools.run("redocly", "lint", "--format=json", f"--config={config}", file)
    return [problem["ruleId"] for problem in json.loads(done.stdout)["problems"]]


def spectral(file: Path) -> list[str]:
    """Return the rules that Spectral finds broken in a file."""
    ruleset = npm_tools.HERE / "spectral.yaml"
    done = npm_tools.run(
        "spectral", "lint", "--quiet", "--format=json", f"--ruleset={ruleset}", file
    )
    return [problem["code"] for problem in json.loads(done.stdout)]


LINTERS = pytest.mark.parametrize("lint", [redocly, spectral])


@LINTERS
def test_clean(lint: Lint) -> None:
    """The file has no errors and no warnings."""
    assert lint(FILE) == []


@LINTERS
def test_this_can_fail(lint: Lint, tmp_path: Path) -> None:
    """Each linter finds two operations with the same name."""
    document = json.loads(FILE.read_text())
    document["paths"]["/v1/me"]["get"]["operationId"] = "logIn"
    wrong = tmp_path / "openapi.json"
    wrong.write_text(json.dumps(document))
    assert lint(wrong) == ["operation-operationId-unique"]


def test_packages_are_pinned() -> None:
    """Each package in the lock file has a checksum, and none has an address."""
    packages = json.loads(npm_tools.LOCK.read_text())["packages"]
    packages.pop("")
    assert packages
    assert all("integrity" in one and "resolved" not in one for one in packages.values())
