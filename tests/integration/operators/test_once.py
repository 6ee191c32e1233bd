"""An operation is done once by its id, wholly or not at all, and a dry run changes nothing."""

import logging
import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from auth.app import create_operate
from auth.jobs import operator_commands
from auth.settings import Settings
from tests.conftest import Tables
from tests.integration.database.test_lost_answers import Wire, wire  # noqa: F401  # a fixture
from tests.play.operators import ROLE_OF, Operator, invoke
from tests.play.players import Player
from tests.play.sources import created_tables

RUNS = 50
SUSPEND: dict[str, Any] = {"account": "Ada", "for": "7d", "player_reason": "Cheating"}
# Each command that changes something, with arguments that it takes.
CHANGES: dict[str, dict[str, Any]] = {
    "suspend": SUSPEND,
    "lift": {"account": "Ada"},
    "sign-out": {"account": "Ada"},
    "note": {"account": "Ada"},
    "unlock": {"account": "Ada"},
    "rename": {"account": "Ada", "username": "Bea"},
    "recover": {"account": "Ada"},
    "delete": {"account": "Ada"},
    "export": {"account": "Ada"},
    "sign-out everybody": {},
}
STATEMENTS = (
    *("BEGIN", "INSERT INTO operations", "SELECT a.id", "UPDATE accounts"),
    *("INSERT INTO events", "UPDATE operations", "COMMIT"),
)


@pytest.fixture
def player(tables: Tables) -> Player:
    """Return a registered player who has used some limits."""
    player = Player("Ada")
    assert player.register().status == 201
    assert player.log_in("wrong").status == 401
    assert player.make_recovery_code().status == 200
    return player


def event_of(command: str, command_id: str = "", **more: object) -> dict[str, Any]:
    """Return the event of a command."""
    identifier = command_id or str(uuid.uuid4())
    arguments = CHANGES[command]
    event = {"command": command, "command_id": identifier, "arguments": arguments}
    return {**event, "reason": "ticket 4711", **more}


def role_of(command: str) -> str:
    """Return the role that runs a command of this module."""
    return ROLE_OF.get(command, "support")


def rows(tables: Tables) -> dict[str, list[Any]]:
    """Return every row of every table."""
    return {
        name: sorted(tables.run(f"SELECT * FROM {name}"), key=repr) for name in created_tables()
    }


def counts(tables: Tables) -> tuple[int, int, int]:
    """Return the epoch of the only account, its suspensions, and the operations."""
    (account,) = tables.run("SELECT epoch FROM accounts")
    (events,) = tables.run("SELECT COUNT(*) AS n FROM events WHERE kind = 10")
    return account["epoch"], events["n"], tables.count("operations")


def test_at_once(player: Player, tables: Tables) -> None:
    """Of 50 runs with one id, one changes something, and all give its answer."""
    settings = Settings.from_environment(os.environ)
    functions = [create_operate(settings, "support") for _ in range(RUNS)]
    for one in functions:  # so that each has read its secrets
        assert one.answer(event_of("note", dry_run=True), "")["ok"]
    event = event_of("suspend")
    with ThreadPoolExecutor(RUNS) as threads:
        answers = list(threads.map(lambda one: one.answer(event, ""), functions))
    assert answers[0]["ok"], answers[0]
    assert all(answer == answers[0] for answer in answers)
    assert counts(tables) == (1, 1, 1)


@pytest.mark.parametrize("statement", STATEMENTS)
@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("times", [1, 2])
def test_lost_answers(
    player: Player,
    tables: Tables,
    wire: Wire,  # noqa: F811
    statement: str,
    times: int,
    *,
    answered: bool,
) -> None:
    """Wherever the connection breaks, a repetition tells the outcome of the one change."""
    event = event_of("suspend")
    wire.cut_at(statement, answered=answered, times=times)
    first = invoke(event, "support")
    assert wire.cuts
    assert first["ok"] or first["error"]["code"] == "unavailable"
    tries = (invoke(event, "support") for _ in range(5))  # a busy machine may answer "try again"
    assert any(answer["ok"] for answer in tries)
    assert counts(tables) == (1, 1, 1)


def test_refused_at_once(player: Player, tables: Tables) -> None:
    """Of many refused runs with one id, one is recorded, and all who learn it learn the same."""
    settings = Settings.from_environment(os.environ)
    functions = [create_operate(settings, "support") for _ in range(10)]
    event = event_of("suspend", arguments={**SUSPEND, "account": "nobody"})
    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(lambda one: one.answer(event, ""), functions))
    final = invoke(event, "support") | {"request_id": ""}
    assert final["error"]["code"] == "not_found"
    assert all(answer in (final, answers[0]) for answer in answers)
    assert tables.count("operations") == 1


@pytest.mark.parametrize("statement", ["UPDATE accounts", "UPDATE operations", "COMMIT"])
@pytest.mark.parametrize("answered", [True, False])
def test_lost_batches(
    tables: Tables,
    wire: Wire,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    statement: str,
    *,
    answered: bool,
) -> None:
    """Wherever the connection breaks, each player is signed out exactly once."""
    monkeypatch.setattr(operator_commands, "BATCH", 2)
    for number in range(5):
        assert Player(f"player.{number}").register().status == 201
    event = event_of("sign-out everybody")
    wire.cut_at(statement, answered=answered, times=2)
    answers = [invoke(event, "own") for _ in range(3)]
    assert wire.cuts
    assert answers[-1]["result"] == {"accounts": 5, "finished": True}
    assert [row["epoch"] for row in tables.run("SELECT epoch FROM accounts")] == [1] * 5


def test_batches_at_once(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parallel runs with one id share the work, and sign each player out exactly once."""
    monkeypatch.setattr(operator_commands, "BATCH", 1)
    for number in range(12):
        assert Player(f"player.{number}").register().status == 201
    settings = Settings.from_environment(os.environ)
    functions = [create_operate(settings, "own") for _ in range(8)]
    event = event_of("sign-out everybody")
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda one: one.answer(event, ""), functions))
    assert {answer["result"]["accounts"] for answer in answers if answer["ok"]} == {12}
    assert [row["epoch"] for row in tables.run("SELECT epoch FROM accounts")] == [1] * 12
    other = invoke({**event, "reason": "another"}, "own")
    assert other["error"]["code"] == "command_id_reused"


@pytest.mark.parametrize("command", CHANGES)
def test_dry_run(player: Player, tables: Tables, command: str) -> None:
    """A dry run tells what the real run does, and leaves every row as it was."""
    before = rows(tables)
    tried = invoke(event_of(command, dry_run=True), role_of(command))
    assert tried["ok"], tried
    assert tried["dry_run"] is True
    assert "once" not in tried
    assert rows(tables) == before
    done = invoke(event_of(command), role_of(command))
    assert tried["changed"] == done["changed"]
    assert tried["result"].keys() == done["result"].keys()


def test_another_command_with_one_id(player: Player) -> None:
    """An id that belongs to another command is refused, and so are other arguments."""
    identifier = str(uuid.uuid4())
    assert invoke(event_of("note", identifier), "support")["ok"]
    for event in (
        event_of("lift", identifier),
        event_of("note", identifier, reason="ticket 4712"),
        event_of("note", identifier, arguments={"account": "ADA"}),
    ):
        assert invoke(event, "support")["error"]["code"] == "command_id_reused"


def test_refusals_are_recorded(player: Player, tables: Tables) -> None:
    """A refused command is recorded, and refused again when it is repeated."""
    event = event_of("suspend", arguments={**SUSPEND, "account": "nobody"})
    first = invoke(event, "support")
    assert first["error"]["code"] == "not_found"
    assert invoke(event, "support") == first
    (row,) = tables.run("SELECT outcome, reason, account_id FROM operations")
    assert row == {"outcome": "not_found", "reason": "ticket 4711", "account_id": None}


def test_refusals_belong_to_the_account(player: Player) -> None:
    """A command that was refused for what the account is like is listed with the account."""
    assert invoke(event_of("suspend"), "support")["ok"]
    refused = invoke(event_of("suspend"), "support")
    assert refused["error"]["code"] == "already_suspended"
    listed = Operator().must("log", account="Ada")["operations"]
    assert [one["outcome"] for one in listed] == ["already_suspended", "done"]


def test_repeated_after_signing_in_again(player: Player) -> None:
    """An operator whose role session has a new name repeats a command, and learns its outcome."""
    event = event_of("suspend", str(uuid.uuid4()))
    arn = "arn:aws:sts::123456789012:assumed-role/Support/botocore-session-{}"
    first = invoke({**event, "operator": {"arn": arn.format(1)}}, "support")
    assert first["ok"]
    assert invoke({**event, "operator": {"arn": arn.format(2)}}, "support") == first


@pytest.mark.parametrize("event", [None, [], {}, {"command": 1}, {"command": "log", "extra": 1}])
def test_malformed_events(event: object, caplog: pytest.LogCaptureFixture) -> None:
    """An event that is none of ours is refused, and logged."""
    with caplog.at_level(logging.INFO, logger="auth"):
        assert invoke(event, "view")["error"]["code"] == "invalid_command"
    (record,) = (one for one in caplog.records if one.__dict__.get("event") == "operated")
    assert record.__dict__["code"] == "invalid_command"


def test_codes_are_not_stored(player: Player, tables: Tables) -> None:
    """A recovery code is in the first answer only, and a repetition has none."""
    event = event_of("recover")
    code = invoke(event, "support")["once"]["recovery_code"]
    again = invoke(event, "support")
    assert again["ok"]
    assert "once" not in again
    assert code.encode() not in repr(rows(tables)).encode()
    assert code not in repr(rows(tables))


def test_a_deleted_player_leaves_no_remarks(player: Player, tables: Tables) -> None:
    """Deleting an account empties the texts of the operations on it; none is done again."""
    noted = event_of("note")
    assert invoke(noted, "support")["ok"]
    assert Operator().run("note", account="nobody", reason="of nobody")["ok"] is False
    assert player.delete().status == 200
    reasons = [row["reason"] for row in tables.run("SELECT reason FROM operations ORDER BY at")]
    assert reasons == ["", "of nobody"]
    assert invoke(noted, "support")["error"]["code"] == "account_deleted"
