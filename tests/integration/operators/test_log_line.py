"""What a command of an operator leaves in the log, and what operations keep, as the docs say."""

import logging
import uuid
from datetime import timedelta
from typing import Any

import pytest

import handler
from auth.jobs.cleaning import OPERATIONS_KEPT
from auth.times import system_clock
from tests.conftest import Tables
from tests.play.operators import Operator
from tests.play.players import Player

FIELDS = {"event", "role", "command", "operator", "operation", "dry_run", "account_id"}
SECRET = "seven wooden canaries"  # what no line may have


@pytest.fixture
def operator(player: Player) -> Operator:
    """Return an operator, beside a player."""
    assert player.me().status == 200
    return Operator()


def logged(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    """Return the fields of the only line about a command."""
    found = [vars(one) for one in caplog.records if vars(one).get("event") == "operated"]
    (line,) = found
    standard = vars(logging.makeLogRecord({})).keys() | {"message", "asctime"}
    assert line["message"] == f"operator: {line['command']}"
    return {name: value for name, value in line.items() if name not in standard}


@pytest.mark.parametrize(
    ("command", "dry_run", "code"),
    [
        ("players show", False, ""),
        ("note", False, ""),
        ("suspend", True, ""),
        ("recover", False, ""),
        ("delete", False, "wrong_role"),
    ],
)
def test_operated(
    player: Player,
    operator: Operator,
    caplog: pytest.LogCaptureFixture,
    command: str,
    code: str,
    *,
    dry_run: bool,
) -> None:
    """Each command is one line, with the fields that the security page lists, and no others."""
    identifier = str(uuid.uuid4())
    more: dict[str, Any] = {"for_": "7d", "player_reason": SECRET} if command == "suspend" else {}
    role = "support" if code else ""
    with caplog.at_level(logging.INFO, logger="auth"):
        answer = operator.run(
            command,
            role=role,
            command_id=identifier,
            dry_run=dry_run,
            reason=SECRET,
            account=player.username,
            **more,
        )
    line = logged(caplog)
    assert line.keys() == FIELDS | ({"code"} if code else set())
    assert line.get("code", "") == code
    assert (line["command"], line["operation"]) == (command, identifier)
    assert (line["operator"], line["dry_run"]) == (operator.arn, dry_run)
    assert line["account_id"] == answer.get("account_id", "")
    assert bool(line["account_id"]) == (not code)
    for hidden in (SECRET, player.username, answer.get("once", {}).get("recovery_code", SECRET)):
        assert hidden not in str(line)


def test_how_long_operations_are_kept(player: Player, operator: Operator, tables: Tables) -> None:
    """The clean-up deletes an operation after 400 days, and not before."""
    assert timedelta(days=400) == OPERATIONS_KEPT
    for days in (399, 401):
        identifier = uuid.uuid4()
        assert operator.run("note", account=player.username, reason="x", command_id=str(identifier))
        tables.run(
            "UPDATE operations SET at = %s WHERE command_id = %s",
            system_clock() - timedelta(days=days),
            identifier.bytes,
        )
    handler.clean_up({}, None)
    (left,) = tables.run("SELECT command_id FROM operations")
    assert left["command_id"] != identifier.bytes


def test_what_a_deletion_leaves(player: Player, operator: Operator, tables: Tables) -> None:
    """After a deletion the operations stay, without their texts; why it was deleted is kept."""
    operator.must("suspend", account=player.username, for_="7d", player_reason="x", reason=SECRET)
    operator.must("delete", account=player.username, reason="ticket 4714")
    suspension, deletion = tables.run("SELECT command, reason, result FROM operations ORDER BY at")
    assert suspension == {"command": "suspend", "reason": "", "result": b""}
    assert (deletion["command"], deletion["reason"]) == ("delete", "ticket 4714")
    assert player.username.encode() not in deletion["result"]
