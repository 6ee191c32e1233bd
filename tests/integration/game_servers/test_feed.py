"""The feed: game servers are told what has ended, once and for all the servers."""

import logging
from typing import Any

import pytest

import handler
from tests.conftest import FakeClock, Tables
from tests.play.events import Answer, http_event
from tests.play.game_servers import PollingServer, new_key
from tests.play.guests import Guest
from tests.play.operators import Operator
from tests.play.players import Player, call

NEW_PASSWORD = "seven wooden ladders tonight"


def news(server: PollingServer, known: set[str] | None = None) -> list[dict[str, Any]]:
    """Return the events of the next poll that are new, without their id and time."""
    found = [one for one in server.poll() if one["id"] not in (known or set())]
    return [{name: one[name] for name in one if name not in ("id", "at")} for one in found]


def account_of(player: Player | Guest) -> str:
    """Return the id of a player's account."""
    identifier: str = player.me().json["account"]["id"]
    return identifier


def test_sign_out(player: Player, server: PollingServer) -> None:
    """Signing out ends one session."""
    account, session = account_of(player), player.sessions()[0]["id"]
    assert player.log_out().status == 200
    assert news(server) == [
        {"type": "session-revoked", "account_id": account, "session_id": session}
    ]


def test_sign_out_everywhere(player: Player, server: PollingServer) -> None:
    """Signing out everywhere ends all sessions of smaller epochs."""
    account = account_of(player)
    assert player.log_out(everywhere=True).status == 200
    assert news(server) == [{"type": "all-sessions-revoked", "account_id": account, "epoch": 1}]


def test_password_change(player: Player, server: PollingServer) -> None:
    """A password change ends all sessions but one."""
    account, session = account_of(player), player.sessions()[0]["id"]
    assert player.change_password(NEW_PASSWORD).status == 200
    changed = {"type": "credential-change", "account_id": account, "epoch": 1}
    assert news(server) == [{**changed, "session_id": session}]


def test_recovery(player: Player, server: PollingServer) -> None:
    """A recovery ends all sessions but the new one."""
    account, code = account_of(player), player.saved_code()
    assert player.recover(code, NEW_PASSWORD).status == 200
    changed = {"type": "credential-change", "account_id": account, "epoch": 1}
    assert news(server) == [{**changed, "session_id": player.sessions()[0]["id"]}]


def test_upgrade(tables: Tables, server: PollingServer) -> None:
    """An upgrade ends all sessions but one, and the name is another."""
    guest = Guest()
    assert guest.enter(create=True).status == 201
    account, session = account_of(guest), guest.sessions()[0]["id"]
    assert guest.upgrade("Ada", NEW_PASSWORD).status == 200
    changed = {"type": "credential-change", "account_id": account, "epoch": 1}
    assert news(server) == [{**changed, "session_id": session, "username": "Ada"}]


def test_reuse(player: Player, server: PollingServer, clock: FakeClock) -> None:
    """A refresh token that was used twice ends its session."""
    account, session, old = account_of(player), player.sessions()[0]["id"], player.refresh_token
    assert player.refresh().status == 200
    assert player.refresh().status == 200
    clock.advance(seconds=61)
    assert player.refresh(old).code == "session_ended"
    assert news(server) == [
        {"type": "session-revoked", "account_id": account, "session_id": session}
    ]


def test_suspension(player: Player, server: PollingServer) -> None:
    """A suspension says until when, and what the player may read; lifting it is told, too."""
    account, operator = account_of(player), Operator()
    operator.must("suspend", account=player.username, for_="7d", player_reason="Spam in the chat.")
    (disabled,) = news(server)
    assert disabled.pop("until").endswith("Z")
    assert disabled == {
        "type": "account-disabled",
        "account_id": account,
        "epoch": 1,
        "reason": "suspended",
        "message": "Spam in the chat.",
    }
    operator.must("lift", account=player.username)
    enabled = {"type": "account-enabled", "account_id": account, "epoch": 1}
    assert enabled in news(server)


def test_suspension_for_good(player: Player, server: PollingServer) -> None:
    """A suspension without an end has null as its end."""
    Operator().must("suspend", account=player.username, for_good=True, player_reason="Fraud.")
    assert news(server)[0]["until"] is None


def test_deletion(player: Player, server: PollingServer) -> None:
    """A deletion is told, and nothing else of the account."""
    account = account_of(player)
    assert player.change_password(NEW_PASSWORD).status == 200
    assert player.delete().status == 200
    assert news(server) == [{"type": "account-purged", "account_id": account}]


def test_rename(player: Player, server: PollingServer) -> None:
    """A rename tells the new name, whoever does it."""
    account = account_of(player)
    assert player.rename("Grace").status == 200
    Operator().must("rename", account="Grace", username="Hopper")
    assert news(server) == [
        {"type": "identifier-changed", "account_id": account, "username": name}
        for name in ("Grace", "Hopper")
    ]


def test_superseded(player: Player, server: PollingServer, clock: FakeClock) -> None:
    """The server that has lost a player to another is told so, and no other server."""
    other = PollingServer("us-1:7777", server.key)
    assert server.redeem(player.ticket(server.name)).status == 200
    clock.advance(seconds=1)
    fence = other.redeem(player.ticket(other.name)).json["fence"]
    lost = {"type": "connection-superseded", "account_id": account_of(player), "fence": fence}
    assert news(server) == [lost]
    assert news(other) == []
    assert call("GET", "/v1/server/events", token=server.key).json["events"] == []


def test_coming_back(player: Player, server: PollingServer, clock: FakeClock) -> None:
    """A player who comes back to the same server is no event."""
    for _ in range(2):
        clock.advance(seconds=1)
        assert server.redeem(player.ticket(server.name)).status == 200
    assert news(server) == []


def test_events_that_are_no_news(player: Player, server: PollingServer) -> None:
    """Signing in, refreshing, registering and making a recovery code end nothing."""
    assert player.log_in().status == 200
    assert player.refresh().status == 200
    player.saved_code()
    assert Player().register().status == 201
    assert news(server) == []


HOSTILE = [
    "after=\ud800",
    "after=%ff&server=eu-1",
    "after=a&after=b",
    "server=eu-1&server=us-1",
    "server=",
    "after",
    "&&&=",
    "server=%F0%9F%98%80",
    "ä=1",
    "after=" + "a" * 9000,
    "server=eu-1%0a",
    "unknown=1",
]


@pytest.mark.parametrize("query", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_queries(query: str, server: PollingServer) -> None:
    """Whatever the query, the answer is a page or says what is wrong."""
    headers = {"Authorization": f"Bearer {server.key}"}
    event = http_event("GET", "/v1/server/events", None, headers, query=query)
    answer = Answer.of(handler.http(event, None))
    assert answer.status == 200 or answer.code == "invalid_request", answer


def test_keys(player: Player, server: PollingServer) -> None:
    """The feed is not for keys that only redeem, for other servers' keys, or for players."""
    redeeming = PollingServer(key=new_key(redeem_only=True))
    assert redeeming.page().code == "wrong_server"
    assert redeeming.redeem(player.ticket(redeeming.name)).status == 200
    us = PollingServer(key=new_key(server="us-*"))
    assert us.page().code == "wrong_server"
    assert us.page(server="us-1").status == 200
    assert PollingServer(key=player.access_token).page().code == "invalid_server_key"
    assert call("GET", "/v1/server/events").code == "invalid_server_key"
    assert server.page(server="EU 1").code == "invalid_request"


def test_when_to_poll(server: PollingServer) -> None:
    """A page says when to ask again, and the backend's time."""
    answer = server.page(server.cursor).json
    assert answer["poll_after"] == 2
    assert answer["server_time"].endswith("Z")


def test_log(player: Player, server: PollingServer, caplog: pytest.LogCaptureFixture) -> None:
    """A poll without news writes no line; one with news names the key and holds no secret."""
    with caplog.at_level(logging.INFO):
        server.poll()
        assert caplog.records == []
        assert player.log_out().status == 200
        caplog.clear()
        server.poll()
    (line,) = caplog.records
    assert vars(line)["event"] == "feed_read"
    with caplog.at_level(logging.INFO), pytest.MonkeyPatch.context() as patch:
        patch.setattr("auth.api.game_server_views.feed_body", lambda *_: 1 / 0)
        caplog.clear()
        assert server.page(server.cursor).status == 500
        assert len(caplog.records) == 1, "a bug has its line"
    assert vars(line)["server_key_id"] == server.key.split("_")[1]
    assert server.key.split("_", 2)[2] not in str(vars(line))
