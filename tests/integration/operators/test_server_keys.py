"""Operators give keys to game servers, each made and shown once, and revoke them."""

import uuid
from typing import Any

import pytest

from tests.conftest import Tables
from tests.integration.operators.test_once import rows
from tests.play.game_servers import PollingServer, new_key
from tests.play.operators import Operator, invoke


@pytest.fixture
def operator(tables: Tables) -> Operator:
    """Return an operator, before there is any key."""
    return Operator()


def id_of(key: str) -> str:
    """Return the id in a key."""
    return key.split("_")[1]


def event_of(command: str, **arguments: object) -> dict[str, Any]:
    """Return the event of a command."""
    return {"command": command, "command_id": str(uuid.uuid4()), "arguments": arguments}


def test_a_key_for_a_game_server(operator: Operator) -> None:
    """A key admits a game server; the list has all of them, the newest first."""
    europe = new_key("Europe", server="eu-*")
    assert PollingServer(key=europe).page().status == 200
    events = new_key("Events", redeem_only=True)
    assert PollingServer(key=events).page().code == "wrong_server"
    listed = operator.must("servers list")["keys"]
    assert [(one["key"], one["label"], one["server"], one["redeem_only"]) for one in listed] == [
        (id_of(events), "Events", "*", True),
        (id_of(europe), "Europe", "eu-*", False),
    ]
    assert [one["revoked_at"] for one in listed] == [None, None]


def test_rotation(operator: Operator) -> None:
    """A second key is good beside the first, and alone after the first is revoked."""
    first, old, new = (PollingServer(key=new_key("Europe")) for _ in range(3))
    assert (first.page().status, new.page().status) == (200, 200)
    operator.must("servers revoke", key=id_of(old.key))
    revoked = {one["key"] for one in operator.must("servers list")["keys"] if one["revoked_at"]}
    assert revoked == {id_of(old.key)}
    assert old.page().code == "invalid_server_key"  # no container remembers it
    assert (first.page().status, new.page().status) == (200, 200)


@pytest.mark.parametrize("command", ["servers add", "servers revoke"])
def test_dry_run(operator: Operator, tables: Tables, command: str) -> None:
    """A dry run tells what the real run does, shows no key, and leaves every row as it was."""
    key = id_of(new_key())
    arguments = {"servers add": {"label": "Europe"}, "servers revoke": {"key": key}}
    event = event_of(command, **arguments.get(command, {}))
    before = rows(tables)
    tried = invoke({**event, "dry_run": True}, "own")
    assert (tried["ok"], tried["dry_run"]) == (True, True)
    assert "once" not in tried
    assert rows(tables) == before
    done = invoke(event, "own")
    assert tried["changed"]
    assert done["changed"]
    assert tried["result"].keys() == done["result"].keys()


def test_list(operator: Operator, tables: Tables) -> None:
    """A list of many keys is answered and not recorded; revoked keys come last."""
    revoked = id_of(new_key())
    operator.must("servers revoke", key=revoked)
    for _ in range(60):
        new_key("x" * 64, server="x" * 64)
    before = rows(tables)
    listed = operator.must("servers list")["keys"]
    assert rows(tables) == before
    assert len(listed) == 61
    assert [one["key"] for one in listed if one["revoked_at"]] == [listed[-1]["key"]] == [revoked]
    assert operator.run("servers list", account="Ada")["error"]["code"] == "invalid_command"


def test_once(operator: Operator, tables: Tables) -> None:
    """A repetition makes no other key and shows none; it names the one that was made."""
    event = event_of("servers add", label="Europe")
    first, again = invoke(event, "own"), invoke(event, "own")
    key = first.pop("once")["server_key"]
    assert again == first
    assert again["result"]["key"] == id_of(key)
    assert tables.count("server_keys") == 1
    secret = key.split("_", 2)[2]
    assert secret not in repr(rows(tables))
    other = invoke({**event, "arguments": {"label": "Asia"}}, "own")
    assert other["error"]["code"] == "command_id_reused"


@pytest.mark.parametrize(
    ("command", "arguments", "code", "field"),
    [
        ("servers add", {}, "invalid_command", None),
        ("servers add", {"label": ""}, "invalid_command", "label"),
        ("servers add", {"label": "x" * 65}, "invalid_command", "label"),
        ("servers add", {"label": "a\nb"}, "invalid_command", "label"),
        ("servers add", {"label": "\u202eEurope"}, "invalid_command", "label"),
        ("servers add", {"label": "Europe", "server": ""}, "invalid_command", "server"),
        ("servers add", {"label": "Europe", "server": "EU-*"}, "invalid_command", "server"),
        ("servers add", {"label": "Europe", "server": "x" * 65}, "invalid_command", "server"),
        ("servers add", {"label": "Europe", "redeem_only": "yes"}, "invalid_command", None),
        ("servers revoke", {}, "invalid_command", None),
        ("servers revoke", {"key": "Europe"}, "key_not_found", None),
        ("servers revoke", {"key": str(uuid.UUID(int=1))}, "key_not_found", None),
    ],
)
def test_refusals(
    operator: Operator,
    tables: Tables,
    command: str,
    arguments: dict[str, Any],
    code: str,
    field: str | None,
) -> None:
    """What is not a label, a pattern or a key is refused and recorded, and no key is made."""
    error = operator.run(command, **arguments)["error"]
    assert error["code"] == code
    assert list(error["fields"]) == ([field] if field else [])
    assert tables.count("server_keys") == 0
    assert [row["outcome"] for row in tables.run("SELECT outcome FROM operations")] == [code]


def test_revoked_once(operator: Operator) -> None:
    """A key that was revoked cannot be revoked again, so its time stays."""
    key = id_of(new_key())
    operator.must("servers revoke", key=key)
    (before,) = operator.must("servers list")["keys"]
    assert operator.run("servers revoke", key=key)["error"]["code"] == "key_not_found"
    assert operator.must("servers list")["keys"] == [before]


@pytest.mark.parametrize("role", ["view", "support"])
def test_wrong_role(operator: Operator, tables: Tables, role: str) -> None:
    """Only owners make, see and revoke keys; whoever else tries is recorded."""
    key = id_of(new_key())
    tables.run("DELETE FROM operations")
    for event in (
        event_of("servers add", label="Europe"),
        event_of("servers list"),
        event_of("servers revoke", key=key),
    ):
        assert invoke(event, role)["error"]["code"] == "wrong_role"
    (row,) = tables.run("SELECT COUNT(*) AS n FROM server_keys WHERE revoked_at IS NULL")
    assert row["n"] == 1
    recorded = tables.run("SELECT role, outcome FROM operations")
    assert recorded == [{"role": role, "outcome": "wrong_role"}] * 3
