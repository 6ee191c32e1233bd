"""The parameters are documented, and contradictions are refused."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from local.stack import ROOT
from tests.deploy.test_template import serverless

Parameters = dict[str, Any]
ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+) \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def table() -> dict[str, Parameters]:
    """Return each stage's parameters, as `serverless` reads them."""
    params = json.loads(serverless("print", "--format", "json"))["params"]
    return {stage: {**params["default"], **params[stage]} for stage in ("dev", "prod")}


def shown(value: object) -> str:
    """Return a value in the form of the documentation."""
    if isinstance(value, dict):
        return "(made)"
    if isinstance(value, list):
        if any(isinstance(item, dict) for item in value):
            return "(made)"
        return ", ".join(f"`{item}`" for item in value) or "`[]`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if value != "" else '`""`'


def test_documented(table: dict[str, Parameters]) -> None:
    """docs/run/parameters.md lists exactly the parameters that exist, with their values."""
    rows = ROW.findall((ROOT / "docs" / "run" / "parameters.md").read_text())
    documented = {name: (dev, prod) for name, dev, prod, _ in rows}
    names = set(table["dev"]) | set(table["prod"])
    assert len(names) > 40
    assert documented == {
        name: (shown(table["dev"][name]), shown(table["prod"][name])) for name in names
    }


def ask(function: str, *arguments: object) -> list[str]:
    """Return the lines of a function of deploy/parameters.js."""
    code = (
        "const [name, ...rest] = process.argv.slice(1);"
        "const it = require('./deploy/parameters.js')[name](...rest.map(JSON.parse));"
        "console.log(JSON.stringify(it))"
    )
    command = ["node", "-e", code, function, *(json.dumps(argument) for argument in arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines: list[str] = json.loads(done.stdout)
    return lines


def test_the_table_is_consistent(table: dict[str, Parameters]) -> None:
    """The delivered parameters contain no contradiction."""
    assert ask("contradictions", table["dev"]) == []
    assert ask("contradictions", table["prod"]) == []


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"domain": "route53"}, "domain is route53, which requires domainName"),
        ({"domain": "route53", "domainName": "x"}, "which requires hostedZoneId: set it too"),
        ({"database": "existing"}, "database is existing, which requires existingSubnets"),
        ({"database": "existing", "proxy": "true"}, "proxy: true does not work with database"),
        ({"database": "existing"}, "secretsEndpointSubnets names subnets that this stage"),
        ({"database": "existing", "existingEngine": "oracle"}, "existingEngine is oracle"),
        ({"secretsEndpoint": "existing"}, "set database: existing too"),
        ({"database": "aurora", "proxy": True}, "a proxy keeps Aurora awake"),
        ({"architecture": "arm"}, "architecture is arm: choose x86_64 or arm64"),
        ({"guests": "yes"}, "guests is yes: choose true or false"),
        ({"guests": ""}, "guests is : choose true or false"),
        ({"guestDays": -1}, "guestDays is -1: give a whole number from 0 to 99999"),
        ({"guestDays": "1.5"}, "guestDays is 1.5: give a whole number"),
        ({"ticketSeconds": 29}, "ticketSeconds is 29: give 30 to 300 seconds"),
        ({"ticketSeconds": "301"}, "ticketSeconds is 301: give 30 to 300 seconds"),
        ({"ticketSeconds": "1e2"}, "ticketSeconds is 1e2: give 30 to 300 seconds"),
        ({"pollAfterSeconds": 0}, "pollAfterSeconds is 0: give 1 to 60 seconds"),
        ({"pollAfterSeconds": "61"}, "pollAfterSeconds is 61: give 1 to 60 seconds"),
        ({"pollAfterSeconds": "1.5"}, "pollAfterSeconds is 1.5: give 1 to 60 seconds"),
        ({"pollAfterSeconds": ""}, "pollAfterSeconds is : give 1 to 60 seconds"),
        ({"guestDays": None}, "guestDays is null: give a whole number"),
        ({"sessionHistoryDays": "30 days"}, "sessionHistoryDays is 30 days: give a whole number"),
        ({"guestsAlarmPerHour": "many"}, "guestsAlarmPerHour is many: give a whole number"),
        ({"passwordWords": "word " * 51}, "passwordWords has 51 words: give at most 50"),
        ({"passwordWords": "dragon, x"}, "passwordWords has x: give words of 2 to 24 characters"),
        ({"passwordWords": "x" * 25}, "give words of 2 to 24 characters"),
        (
            {"passwordWords": "\u0410" * 1000 + "x"},
            "passwordWords has 2001 bytes: give at most 2000",
        ),
        ({"passwordWords": ["dragon"]}, "passwordWords is a list: set it as one text"),
        ({"concurrency": "26"}, "too many for 60 databaseConnections"),
        ({"databaseConnections": 50}, "20 at most"),
        ({"existingSubnets": "a,b"}, "existingSubnets is a text, a,b: set it as a list"),
        ({"corsOrigins": "https://game.io"}, "corsOrigins is a text, https://game.io"),
        ({"secretsEndpointSubnets": "a"}, "secretsEndpointSubnets is a text, a"),
    ],
)
def test_contradiction(table: dict[str, Parameters], changes: Parameters, line: str) -> None:
    """Each contradiction is reported in a line."""
    assert line in "\n".join(ask("contradictions", {**table["dev"], **changes}))


@pytest.mark.parametrize(
    "changes",
    [
        {"guests": True},
        {"guests": "false"},
        {"guestDays": 0},
        {"guestDays": "365"},
        {"ticketSeconds": 300},
        {"pollAfterSeconds": 1},
        {"pollAfterSeconds": "60"},
    ],
)
def test_guests(table: dict[str, Parameters], changes: Parameters) -> None:
    """A choice may be a value of the file or a text of the command line."""
    assert ask("contradictions", {**table["dev"], **changes}) == []


@pytest.mark.parametrize(
    "value",
    [None, "", "Dragonfall, Embervale", 2048, "E\u0301" * 24, " ".join(["\U0001f3ae\u0410"] * 50)],
)
def test_words_of_the_game(table: dict[str, Parameters], value: object) -> None:
    """The game's words may be none, some, a number, or letters of any language."""
    assert ask("contradictions", {**table["dev"], "passwordWords": value}) == []


def test_guests_return_as_fast_as_players_sign_in(table: dict[str, Parameters]) -> None:
    """The gateway lets guests in, new and returning, at no lower rate than players sign in."""
    for stage in table.values():
        assert stage["guestsPerSecond"] >= stage["signInsPerSecond"]
        assert stage["guestsAtOnce"] >= stage["signInsAtOnce"]


def test_concurrency_that_is_not_reserved(table: dict[str, Parameters]) -> None:
    """Without a reservation, the concurrency may be any number."""
    params = {**table["dev"], "concurrency": 900, "reserveConcurrency": "false"}
    assert ask("contradictions", params) == []


def test_placeholder(table: dict[str, Parameters]) -> None:
    """The web page in the table is a placeholder, and a real one is accepted."""
    (line,) = ask("placeholders", table["prod"])
    assert line.startswith("corsOrigins has https://game.example.com, a placeholder")
    assert ask("placeholders", table["dev"]) == []
    assert ask("placeholders", {"corsOrigins": ["https://notexample.com"]}) == []


@pytest.mark.parametrize(
    ("settings", "region"),
    [
        ({}, "eu-west-3"),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, "eu-west-1"),
        ({"AWS_REGION": "eu-north-1", "AWS_DEFAULT_REGION": "eu-west-1"}, "eu-north-1"),
        ({"REGION": "eu-south-1", "AWS_REGION": "eu-north-1"}, "eu-south-1"),
    ],
)
@pytest.mark.parametrize("target", ["deploy", "rollback", "clean-up", "rotate-token-keys"])
def test_region(tmp_path: Path, settings: dict[str, str], region: str, target: str) -> None:
    """The region is the given one, or else the one of `aws configure`."""
    aws = tmp_path / "aws"
    aws.write_text("#!/bin/sh\necho eu-west-3\n")
    aws.chmod(0o755)
    left_out = ("MAKE", "MFLAGS", "REGION", "AWS_")
    outside = {key: text for key, text in os.environ.items() if not key.startswith(left_out)}
    outside["PATH"] = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    command = ["make", "--dry-run", target, "STAGE=dev"]
    done = subprocess.run(
        command, cwd=ROOT, env=outside | settings, capture_output=True, text=True, check=True
    )
    assert f'--region "{region}"' in done.stdout


def test_a_deployment_stops_at_once() -> None:
    """`serverless deploy` of the delivered table prints one line, and makes no call to AWS."""
    with pytest.raises(AssertionError, match=r"corsOrigins has https://game\.example\.com"):
        serverless("deploy", "--stage", "prod")


def test_a_deployment_stops_at_wrong_values() -> None:
    """`serverless deploy` refuses a value before it reaches a function, in one line for each."""
    wrong = ("--param", "guests=yes", "--param", "guestDays=1.5")
    with pytest.raises(AssertionError, match=r"guests is yes: .+\n.*guestDays is 1\.5: "):
        serverless("deploy", "--stage", "dev", *wrong)
