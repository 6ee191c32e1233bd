"""Tickets for game servers, from the API that issues them."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jwt
import pytest

import handler
from auth.app import create_app
from auth.settings import Settings
from tests.conftest import FakeClock, Tables
from tests.play.events import Answer
from tests.play.guests import Guest
from tests.play.operators import Operator
from tests.play.players import Player, call

SERVER = "eu-1:7777"


def ticket_of(player: Player | Guest, server: object = SERVER) -> Answer:
    """Ask for a ticket."""
    return player.ask("POST", "/v1/tickets", {"server": server})


def claims_of(ticket: str) -> dict[str, Any]:
    """Return the claims of a ticket, without verifying it."""
    claims: dict[str, Any] = jwt.decode(ticket, options={"verify_signature": False})
    return claims


def test_ticket(player: Player) -> None:
    """A player gets a ticket for one server, with the session's ids, good for a minute."""
    answer = ticket_of(player)
    assert answer.status == 201
    assert answer.json.keys() == {"ticket", "expires_in"}
    claims = claims_of(answer.json["ticket"])
    account = player.me().json["account"]
    session = next(one for one in player.sessions() if one["current"])
    assert (claims["sub"], claims["sid"]) == (account["id"], session["id"])
    assert (claims["name"], claims["aud"], claims["epoch"]) == (
        player.username,
        "server:eu-1:7777",
        0,
    )
    assert claims["exp"] - claims["iat"] == answer.json["expires_in"] == 60
    assert "guest" not in claims


def test_guest(tables: Tables) -> None:
    """A guest's ticket says so, and has the generated name."""
    guest = Guest()
    assert guest.enter(create=True).status == 201
    claims = claims_of(ticket_of(guest).json["ticket"])
    assert (claims["guest"], claims["name"]) == (True, guest.name())


def test_epoch(player: Player) -> None:
    """Tokens and tickets from after a password change have a greater epoch."""
    assert player.change_password("seven wooden ladders tonight").status == 200
    assert claims_of(ticket_of(player).json["ticket"])["epoch"] == 1
    assert claims_of(player.access_token)["epoch"] == 1
    assert player.refresh().status == 200
    assert claims_of(player.access_token)["epoch"] == 1


def test_epoch_after_a_recovery(player: Player) -> None:
    """So have those from after a recovery."""
    code = player.saved_code()
    assert player.recover(code, "seven wooden ladders tonight").status == 200
    assert claims_of(player.access_token)["epoch"] == 1
    assert claims_of(ticket_of(player).json["ticket"])["epoch"] == 1


def test_epoch_after_an_upgrade(tables: Tables) -> None:
    """So have those from after a guest's upgrade, which ends the guest's other sessions."""
    guest = Guest()
    assert guest.enter(create=True).status == 201
    assert claims_of(guest.access_token)["epoch"] == 0
    upgraded = guest.upgrade("Ada-Lovelace")
    assert upgraded.status == 200
    assert claims_of(upgraded.json["access_token"])["epoch"] == 1


def test_epoch_after_signing_out_everywhere(player: Player) -> None:
    """So have those from after signing out everywhere; signing out once changes nothing."""
    for everywhere, epoch in ((False, 0), (True, 1)):
        assert player.log_out(everywhere=everywhere).status == 200
        assert player.log_in().status == 200
        assert claims_of(player.access_token)["epoch"] == epoch
        assert claims_of(ticket_of(player).json["ticket"])["epoch"] == epoch


@pytest.mark.parametrize("seconds", [30, 300])
def test_ticket_seconds(
    player: Player, settings: Settings, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    """A ticket is good for as long as the setting says, and the answer says so."""
    changed = replace(settings, ticket_seconds=seconds)
    monkeypatch.setattr(handler, "application", create_app(changed))
    answer = ticket_of(player).json
    claims = claims_of(answer["ticket"])
    assert claims["exp"] - claims["iat"] == answer["expires_in"] == seconds


@pytest.mark.parametrize(
    "server",
    ["", "x" * 65, "EU-1", "eu 1", "eu-1\n", "eu/1", "\u00e9u-1", None, 7, ["eu-1"]],
    ids=ascii,
)
def test_impossible_servers(player: Player, server: object) -> None:
    """A name that no server can have is refused, and named."""
    answer = ticket_of(player, server)
    assert answer.code == "invalid_request"
    assert answer.json["error"]["fields"].keys() == {"server"}


def test_longest_name(player: Player) -> None:
    """A name may have 64 characters."""
    assert ticket_of(player, "x" * 64).status == 201


def test_dead_sessions(player: Player) -> None:
    """Nobody gets a ticket after signing out, or while suspended."""
    other = player.on_another_device()
    assert other.log_in().status == 200
    assert other.log_out().status == 200
    assert ticket_of(other).code == "invalid_token"
    Operator().must("suspend", account=player.username, for_good=True, player_reason="Cheating")
    assert ticket_of(player).code == "invalid_token"


def end_by_a_new_password(player: Player) -> None:
    """Change the password, which ends every other session."""
    assert player.change_password("seven wooden ladders tonight").status == 200


def end_by_signing_out_everywhere(player: Player) -> None:
    """Sign out everywhere."""
    assert player.log_out(everywhere=True).status == 200


def end_by_deletion(player: Player) -> None:
    """Delete the account."""
    assert player.delete().status == 200


@pytest.mark.parametrize(
    "end", [end_by_a_new_password, end_by_signing_out_everywhere, end_by_deletion]
)
def test_sessions_that_were_ended_elsewhere(player: Player, end: Callable[[Player], None]) -> None:
    """Nobody gets a ticket with a session that another device has ended."""
    other = player.on_another_device()
    assert other.log_in().status == 200
    assert ticket_of(other).status == 201
    end(player)
    assert ticket_of(other).code == "invalid_token"
    survives = end is end_by_a_new_password
    assert ticket_of(player).status == (201 if survives else 401)


def test_a_ticket_is_no_refresh_token(player: Player) -> None:
    """A ticket in a refresh token's place renews nothing, ends nothing and vouches for nothing."""
    ticket = player.ticket(SERVER)
    assert call("POST", "/v1/refresh", {"refresh_token": ticket}).code == "session_ended"
    said = call("POST", "/v1/logout", {"refresh_token": ticket})
    assert said.code == "session_ended", said
    assert player.log_in(refresh_token=ticket).status == 200
    assert len(player.sessions()) == 2


def test_a_ticket_is_no_access_token(player: Player) -> None:
    """This API takes no ticket, whatever the server is called."""
    for server in (SERVER, "game"):
        ticket = ticket_of(player, server).json["ticket"]
        for method, path in (("GET", "/v1/me"), ("POST", "/v1/tickets"), ("POST", "/v1/logout")):
            assert call(method, path, {"server": SERVER}, token=ticket).code == "invalid_token"
    assert player.me().status == 200


def test_limit(player: Player, clock: FakeClock) -> None:
    """An account gets thirty tickets at once, then one every two seconds."""
    assert player.refresh().status == 200
    answers = [ticket_of(player).status for _ in range(31)]
    assert answers == [201] * 30 + [429]
    clock.advance(seconds=2)
    assert [ticket_of(player).status for _ in range(2)] == [201, 429]


def test_no_ticket_in_the_log(player: Player, caplog: pytest.LogCaptureFixture) -> None:
    """The log has neither the ticket nor the server's name."""
    with caplog.at_level(logging.DEBUG):
        ticket = ticket_of(player).json["ticket"]
    assert caplog.records
    for record in caplog.records:
        for part in (*ticket.split("."), SERVER):
            assert part not in str(record.__dict__)
