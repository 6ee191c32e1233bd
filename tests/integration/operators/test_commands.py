"""What operators can do to accounts, and what players notice of it."""

import pytest

from tests.conftest import FakeClock, Tables
from tests.play.operators import Operator
from tests.play.players import PASSWORD, Player

NEW_PASSWORD = "seven wooden ladders tonight"


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


def test_wrong_role(player: Player, operator: Operator, tables: Tables) -> None:
    """A command that belongs to another role is refused, and recorded."""
    answer = operator.run("delete", role="support", account="Ada")
    assert answer["error"]["code"] == "wrong_role"
    (row,) = tables.run("SELECT role, command, outcome FROM operations")
    assert row == {"role": "support", "command": "delete", "outcome": "wrong_role"}
    assert player.me().status == 200
