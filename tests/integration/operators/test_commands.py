"""What operators can do to accounts, and what players notice of it."""

import uuid
from typing import Any

import pytest

from auth import app
from auth.jobs import operate, operator_commands
from auth.settings import Settings
from tests.conftest import FakeClock, Tables
from tests.play.operators import Operator, invoke
from tests.play.players import PASSWORD, Player

NEW_PASSWORD = "seven wooden ladders tonight"
NOTHING = "nothing_to_cancel"


@pytest.fixture
def player(tables: Tables) -> Player:
    """Return a registered player."""
    player = Player("Ada")
    assert player.register().status == 201
    return player


@pytest.fixture
def operator() -> Operator:
    """Return an operator."""
    return Operator()


def test_suspend_and_lift(player: Player, operator: Operator) -> None:
    """A suspension takes effect at once; lifting it brings no session back."""
    result = operator.must("suspend", account="ADA", for_="7d", player_reason="Cheating")
    assert result["username"] == "Ada"
    assert player.me().code == "invalid_token"
    assert player.refresh().code == "session_ended"
    refused = player.log_in()
    assert (refused.status, refused.json["error"]["until"]) == (403, result["until"])
    assert refused.json["error"]["reason"] == "Cheating"
    shown = operator.must("players show", account="Ada")
    assert shown["suspended_by"]["operator"] == operator.arn
    assert operator.must("lift", account="Ada") == {"username": "Ada"}
    assert player.me().code == "invalid_token"
    assert player.log_in().status == 200
    events = [event["type"] for event in operator.must("players events", account="Ada")["events"]]
    assert events == ["suspension_lifted", "suspended", "registered"]


def test_sign_out(player: Player, operator: Operator) -> None:
    """One session ends, or all of them."""
    other = player.on_another_device()
    assert other.log_in(device="phone").status == 200
    listed = operator.must("players sessions", account="Ada")["sessions"]
    (phone,) = (one["id"] for one in listed if one["device"] == "phone")
    operator.must("sign-out", account="Ada", session=phone)
    assert (other.me().status, player.me().status) == (401, 200)
    again = operator.run("sign-out", account="Ada", session=phone)
    assert again["error"]["code"] == "session_not_found"
    operator.must("sign-out", account="Ada")
    assert player.me().status == 401


def test_recover(player: Player, operator: Operator, clock: FakeClock) -> None:
    """The player comes back with the operator's code, which is good for a day."""
    own = player.saved_code()
    answer = operator.run("recover", account="Ada")
    code = answer["once"]["recovery_code"]
    assert player.recover(own, NEW_PASSWORD).code == "invalid_credentials"
    assert player.recover(code, NEW_PASSWORD).status == 200
    late = operator.run("recover", account="Ada")["once"]["recovery_code"]
    clock.advance(hours=24)
    assert player.recover(late, PASSWORD).code == "invalid_credentials"


def test_cancelled_code(player: Player, operator: Operator, tables: Tables) -> None:
    """An operator's code can be made worthless; the player's own, a used and an old one cannot."""
    own = player.saved_code()
    assert operator.run("recover", account="Ada", cancel=True)["error"]["code"] == NOTHING
    assert player.recover(own, NEW_PASSWORD).status == 200
    cancelled = operator.run("recover", account="Ada")["once"]["recovery_code"]
    assert operator.must("recover", account="Ada", cancel=True)["cancelled"] is True
    assert player.recover(cancelled, PASSWORD).code == "invalid_credentials"
    used = operator.run("recover", account="Ada")["once"]["recovery_code"]
    assert player.recover(used, PASSWORD).status == 200
    assert operator.run("recover", account="Ada", cancel=True)["error"]["code"] == NOTHING
    assert operator.run("recover", account="Ada")["ok"]
    tables.run("UPDATE recovery_codes SET expires_at = expires_at - INTERVAL 25 HOUR")
    assert operator.run("recover", account="Ada", cancel=True)["error"]["code"] == NOTHING


@pytest.mark.parametrize(
    "more",
    [{"command_id": "x"}, {"command_id": ""}, {"reason": "x" * 501}],
    ids=["id", "no id", "reason"],
)
def test_wrong_role_in_disguise(tables: Tables, more: dict[str, Any]) -> None:
    """A command of another role is recorded, whatever else is wrong with it."""
    event = {"command": "delete", "arguments": {"account": "Ada"}, **more}
    assert invoke(event, "support")["error"]["code"] == "wrong_role"
    (row,) = tables.run("SELECT role, command, outcome FROM operations")
    assert row == {"role": "support", "command": "delete", "outcome": "wrong_role"}


def test_long_claims(player: Player, tables: Tables) -> None:
    """A long ARN is cut, since it is only a claim; a long unknown argument is refused."""
    event: dict[str, Any] = {"command": "lift", "command_id": str(uuid.uuid4())}
    event |= {"operator": {"arn": "arn:" + "x" * 600}}
    assert invoke({**event, "arguments": {"account": "Ada"}}, "support")["ok"]
    event |= {"command_id": str(uuid.uuid4())}
    refused = invoke({**event, "arguments": {"account": "Ada", "x" * 5000: 1}}, "support")
    assert refused["error"]["code"] == "invalid_command"
    assert [len(row["arn"]) for row in tables.run("SELECT arn FROM operations")] == [255, 255]


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(
    "wrong", [{"command_id": ""}, {"arguments": {"account": "Ada"}}, {"reason": "x" * 501}], ids=str
)
def test_everybody_takes_no_account(
    player: Player, wrong: dict[str, Any], *, dry_run: bool
) -> None:
    """A sign-out of everybody with a wrong event is refused, and nobody is signed out."""
    event = {"command": "sign-out everybody", "command_id": str(uuid.uuid4()), "dry_run": dry_run}
    assert invoke({**event, **wrong}, "own")["error"]["code"] == "invalid_command"
    assert player.me().status == 200


def test_made_once_in_a_container(
    player: Player, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lambda names a trace in the environment of each call; the connections' users are kept."""
    made: list[str] = []
    create = app.create_operate

    def counted(settings: Settings, role: str) -> operate.Operate:
        made.append(role)
        return create(settings, role)

    monkeypatch.setattr(app, "create_operate", counted)
    app._kept_operate.cache_clear()  # noqa: SLF001
    for trace in ("Root=1-1", "Root=1-2", "Root=1-3"):
        monkeypatch.setenv("_X_AMZN_TRACE_ID", trace)
        operator.must("players show", account="Ada")
    assert made == ["view"]


@pytest.mark.parametrize(
    "event",
    [
        {"command": "players find", "arguments": {"name": "a", "after": "\ud800"}},
        {"command": "players show", "arguments": {"account": "Ada", "\ud800": 1}},
        {"command": "lift", "operator": {"arn": "\ud800"}, "arguments": {"account": "Ada"}},
        {"command": "\ud800"},
        {"\ud800": 1},
    ],
    ids=ascii,
)
def test_half_characters(player: Player, tables: Tables, event: dict[str, Any]) -> None:
    """An event with half a character, which cannot be stored or logged, is refused."""
    for role in ("view", "support"):
        assert invoke(event, role)["error"]["code"] == "invalid_command"
    assert tables.count("operations") == 0


def test_wrong_role(player: Player, operator: Operator, tables: Tables) -> None:
    """A command that belongs to another role is refused, and recorded."""
    answer = operator.run("delete", role="support", account="Ada")
    assert answer["error"]["code"] == "wrong_role"
    (row,) = tables.run("SELECT role, command, outcome FROM operations")
    assert row == {"role": "support", "command": "delete", "outcome": "wrong_role"}
    assert player.me().status == 200


def test_everybody(operator: Operator, tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every player is signed out once, in batches, over as many calls as it takes."""
    monkeypatch.setattr(operator_commands, "BATCH", 2)
    monkeypatch.setattr(operate, "BATCHES_SECONDS", 0)  # one batch a call
    players = [Player() for _ in range(5)]
    for player in players:
        assert player.register().status == 201
    identifier = str(uuid.uuid4())
    said: list[dict[str, object]] = []
    while not said or not said[-1]["finished"]:
        said.append(operator.must("sign-out everybody", command_id=identifier))
    assert said[-1] == {"accounts": 5, "finished": True}
    assert operator.must("sign-out everybody", command_id=identifier) == said[-1]
    assert [row["epoch"] for row in tables.run("SELECT epoch FROM accounts")] == [1] * 5
    assert [player.me().status for player in players] == [401] * 5
    assert [player.log_in().status for player in players] == [200] * 5


def test_export(player: Player, operator: Operator) -> None:
    """An operator's export is the player's own."""
    theirs = player.ask("POST", "/v1/me/export", player.proof()).json
    ours = operator.run("export", account="Ada")["once"]["export"]
    assert ours.keys() == theirs.keys()
    assert ours["account"] == theirs["account"]
    assert ours["sessions"] == theirs["sessions"]


def test_unlock(player: Player, operator: Operator, tables: Tables) -> None:
    """A player whose name was attacked may try again at once, from a new device."""
    for number in range(20):
        attacker = Player("Ada", "wrong", address=f"198.51.100.{number}")
        assert attacker.log_in().code == "invalid_credentials"
    owner = player.on_another_device()
    assert owner.log_in().code == "too_many_attempts"
    (limited,) = operator.must("players show", account="Ada")["limits"]
    assert limited["limit"] == "login account"
    assert limited["seconds"] > 200
    operator.must("unlock", account="Ada")
    assert operator.must("players show", account="Ada")["limits"] == []
    assert owner.log_in().status == 200


def test_rename(player: Player, operator: Operator) -> None:
    """The rules for names hold, and the player cannot change the name back for 30 days."""
    assert Player("Bea").register().status == 201
    for name in ("Bea", "admin", "x", "player-12345678", "a b"):
        refused = operator.run("rename", account="Ada", username=name)
        assert refused["error"]["code"] == "name_refused", name
        assert refused["error"]["fields"]["username"]
    assert operator.run("rename", account="Ada", username="Ada")["changed"] is False
    operator.must("rename", account="Ada", username="Cleo")
    assert player.me().json["account"]["username"] == "Cleo"
    back = player.ask("PUT", "/v1/me/username", {"username": "Ada", **player.proof()})
    assert back.code == "renamed_recently"


@pytest.mark.parametrize(
    "account", ["nobody", "", "x" * 300, "a\0b", "🕹", "\ud800", "\u017f", " Ada", "Ada' OR '1"]
)
def test_no_such_account(player: Player, operator: Operator, tables: Tables, account: str) -> None:
    """A name that no account has is refused in one line, and only the operation is written."""
    answer = operator.run("lift", account=account)
    assert answer["error"]["code"] in {"not_found", "invalid_command"}
    assert "\n" not in answer["error"]["message"]
    shown = operator.run("players show", account=account)["error"]["code"]
    assert shown == answer["error"]["code"]
    assert tables.count("operations") == (0 if account == "\ud800" else 1)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"for_": "0d"},
        {"for_": "7 days"},
        {"for_": "\u0667d"},
        {"for_": "7d", "for_good": True},
        {"until": "2020-01-01T00:00:00Z"},
        {"until": "2027-01-01T00:00:00"},
        {"until": "9999-12-31T00:00:00Z"},
        {"until": "0001-01-01T00:00:00+14:00"},
        {"for_good": True, "player_reason": ""},
        {"for_good": True, "player_reason": "a\nb"},
        {"for_good": True, "player_reason": "x" * 256},
        {"for_good": True, "unknown": 1},
        {"for_good": "yes"},
    ],
    ids=str,
)
def test_impossible_suspensions(
    player: Player, operator: Operator, arguments: dict[str, Any]
) -> None:
    """A suspension without an end in the future, or without a message, is refused."""
    answer = operator.run("suspend", account="Ada", **{"player_reason": "x", **arguments})
    assert answer["error"]["code"] == "invalid_command", answer
    assert player.me().status == 200
