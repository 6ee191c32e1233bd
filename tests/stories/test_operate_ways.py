"""A command gives equal JSON by the command line, by Lambda's Invoke, and by the handler itself."""

import getpass
import json
import os
import re
import shlex
import uuid
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from auth.app import create_operate
from auth.settings import Settings
from local.offline import Offline
from operate.__main__ import main
from operate.command_line import COMMANDS, EVERYBODY
from tests.conftest import Tables
from tests.play.operators import Operator, invoke
from tests.stories.test_offline import ask

PASSWORD = "correct horse battery staple"
Way = Callable[[Offline, str, dict[str, Any]], dict[str, Any]]
VIEWS = (
    "players find",
    "players list",
    "players show",
    "players sessions",
    "players events",
    "log",
    "servers list",
)

# What is typed, the command and its arguments; SESSION and KEY are the ids of two.
STEPS: list[tuple[str, str, dict[str, Any]]] = [
    ("players find a", "players find", {"name": "a"}),
    ("players list", "players list", {}),
    ("players show ada", "players show", {"account": "ada"}),
    ("players show nobody", "players show", {"account": "nobody"}),
    ("players sessions Ada", "players sessions", {"account": "Ada"}),
    (
        "sign-out Ada --session SESSION --reason x",
        "sign-out",
        {"account": "Ada", "session": "SESSION"},
    ),
    ("sign-out Ada --reason x", "sign-out", {"account": "Ada"}),
    ("sign-out nobody --reason x", "sign-out", {"account": "nobody"}),
    (
        "suspend Ada --until 2999-01-31T12:00:00Z --message 'Cheating \x1b[1m🎲' --reason x",
        "suspend",
        {"account": "Ada", "until": "2999-01-31T12:00:00Z", "player_reason": "Cheating \x1b[1m🎲"},
    ),
    (
        "suspend Ada --for-good --message Cheating --reason x",
        "suspend",
        {"account": "Ada", "for_good": True, "player_reason": "Cheating"},
    ),
    (
        "suspend Ada --for 7d --replace --message Cheating --reason x",
        "suspend",
        {"account": "Ada", "for": "7d", "replace": True, "player_reason": "Cheating"},
    ),
    ("players list --suspended", "players list", {"suspended": True}),
    ("players show Ada", "players show", {"account": "Ada"}),
    ("lift Ada --reason x", "lift", {"account": "Ada"}),
    ("unlock Ada --reason x", "unlock", {"account": "Ada"}),
    ("recover Ada --reason x", "recover", {"account": "Ada"}),
    ("recover Ada --cancel --reason x", "recover", {"account": "Ada", "cancel": True}),
    ("rename Ada Bea --reason x", "rename", {"account": "Ada", "username": "Bea"}),
    ("rename Bea admin --reason x", "rename", {"account": "Bea", "username": "admin"}),
    ("note Bea --reason x", "note", {"account": "Bea"}),
    ("export Bea --reason x", "export", {"account": "Bea"}),
    ("players events Bea", "players events", {"account": "Bea"}),
    ("sign-out --everybody --reason x", "sign-out everybody", {}),
    ("delete Bea --reason x", "delete", {"account": "Bea"}),
    (
        "servers add 'Europe 🕹' --server 'eu-*' --reason x",
        "servers add",
        {"label": "Europe 🕹", "server": "eu-*"},
    ),
    (
        "servers add Events --redeem-only --reason x",
        "servers add",
        {"label": "Events", "redeem_only": True},
    ),
    ("servers add '' --reason x", "servers add", {"label": ""}),
    (
        "servers add Asia --server 'Asia 1' --reason x",
        "servers add",
        {"label": "Asia", "server": "Asia 1"},
    ),
    ("servers list", "servers list", {}),
    ("servers revoke KEY --reason x", "servers revoke", {"key": "KEY"}),
    ("servers revoke KEY --reason x", "servers revoke", {"key": "KEY"}),
    ("servers revoke nothing --reason x", "servers revoke", {"key": "nothing"}),
    ("servers list", "servers list", {}),
    ("log", "log", {}),
    ("log --since 2020-01-01T00:00:00Z", "log", {"since": "2020-01-01T00:00:00Z"}),
]
# The first step of each command that changes something is also a dry run.
TRIED = {
    [command for _, command, _ in STEPS].index(name) for _, name, _ in STEPS if name not in VIEWS
}
ROLE_OF = {one.name: one.role for one in (*COMMANDS, EVERYBODY)}
VARYING = {
    r'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"': '"TIME"',
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}": "ID",
    r'"[0-9A-Z]{4}(-[0-9A-Z]{4}){3}"': '"CODE"',
    r'"request_id": "[^"]*"': '"request_id": "REQUEST"',
    r'"glsk_[^"]*"': '"SERVER KEY"',
}


def by_hand(offline: Offline, role: str, event: dict[str, Any]) -> dict[str, Any]:
    """Send an event as `aws lambda invoke` does."""
    found = offline.operate_environment()
    client = boto3.client("lambda", endpoint_url=found["OPERATE_ENDPOINT"])
    name = f"operate_{role}{found['OPERATE_SUFFIX']}"
    done = client.invoke(FunctionName=name, Payload=json.dumps(event).encode())
    assert (done["StatusCode"], done.get("FunctionError")) == (200, None)
    answer: dict[str, Any] = json.loads(done["Payload"].read())
    return answer


def by_handler(offline: Offline, role: str, event: dict[str, Any]) -> dict[str, Any]:
    """Call the handler, and read its answer as Lambda writes it."""
    answer: dict[str, Any] = json.loads(json.dumps(invoke(event, role)))
    return answer


def normalised(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer with words in place of times, ids and codes."""
    text = json.dumps(answer)
    for pattern, word in VARYING.items():
        text = re.sub(pattern, word, text)
    found: dict[str, Any] = json.loads(text)
    return found


def begin(offline: Offline, tables: Tables) -> dict[str, str]:
    """Make the state in which every way begins; return the ids that the steps name."""
    tables.empty()
    key: str = Operator().must("servers add", label="Old")["key"]
    body = {"username": "Ada", "password": PASSWORD, "device": "Pixel 🕹"}
    assert ask(offline, "POST", "/v1/register", body).status == 201
    signed_in = ask(offline, "POST", "/v1/login", {**body, "device": "=HYPERLINK(1)"})
    return {"SESSION": signed_in.json["session"]["id"], "KEY": key}


def answers_by(way: Way, offline: Offline, tables: Tables) -> list[dict[str, Any]]:
    """Return the answers to all steps, with dry runs, sent one way."""
    ids, answers = begin(offline, tables), []
    for number, (_, command, arguments) in enumerate(STEPS):
        filled = {
            name: ids.get(value, value) if isinstance(value, str) else value
            for name, value in arguments.items()
        }
        changes = command not in VIEWS
        for dry_run in (True, False) if number in TRIED else (False,):
            event = {
                "command": command,
                "command_id": str(uuid.uuid4()),
                "dry_run": dry_run,
                "reason": "x" if changes else "",
                "operator": {"arn": f"local:{getpass.getuser()}", "tool": "by hand"},
                "arguments": filled,
            }
            answers.append(normalised(way(offline, ROLE_OF[command], event)))
    return answers


def answers_typed(
    offline: Offline, tables: Tables, capsys: pytest.CaptureFixture[str]
) -> list[dict[str, Any]]:
    """Return the answers to all steps, with dry runs, typed as commands."""
    ids, answers = begin(offline, tables), []
    for number, (typed, command, _) in enumerate(STEPS):
        line = [ids.get(word, word) for word in shlex.split(typed)]
        ways = [["--dry-run"], ["--yes"]] if number in TRIED else [["--yes"]]
        for more in ways if command not in VIEWS else [[]]:
            capsys.readouterr()
            main([*line, *more, "--json"])
            said = capsys.readouterr()
            assert said.err == ""
            assert said.out.isascii()
            answer = json.loads(said.out)
            assert answer.pop("schema") == f"{command.replace(' ', '.')}@1"
            answers.append(normalised(answer))
    return answers


def all_commands() -> set[str]:
    """Return the names of the commands that the functions run."""
    return set(create_operate(Settings.from_environment(os.environ), "view").commands)


def test_three_ways(operated: Offline, tables: Tables, capsys: pytest.CaptureFixture[str]) -> None:
    """On equal states, all three ways give equal answers to every command."""
    typed = answers_typed(operated, tables, capsys)
    by_hands = answers_by(by_hand, operated, tables)
    direct = answers_by(by_handler, operated, tables)
    for number, answer in enumerate(typed):
        assert answer == by_hands[number]
        assert answer == direct[number]
    assert len(typed) == len(by_hands) == len(direct)
    assert sum(answer["ok"] for answer in typed) > len(STEPS)


@pytest.mark.usefixtures("stack")
def test_every_command() -> None:
    """The steps have every command of the functions, and so has the command line."""
    assert {command for _, command, _ in STEPS} == all_commands()
    assert set(ROLE_OF) == all_commands()
