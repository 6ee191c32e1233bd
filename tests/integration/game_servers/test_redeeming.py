"""Redeeming: a ticket lets a player in once, the newest wins, and fences rise."""

import logging

import pytest

from tests.conftest import FakeClock, Tables
from tests.play.events import Answer
from tests.play.game_servers import PollingServer, new_key
from tests.play.operators import Operator
from tests.play.players import Player, call
from tests.play.round_trips import round_trips

SERVER = "eu-1:7777"


def connections(tables: Tables) -> list[dict[str, object]]:
    """Return what is stored about redemptions."""
    return tables.run("SELECT * FROM connections ORDER BY account_id")


def refused(tables: Tables, answer: Answer, code: str) -> None:
    """Check that a first redemption was refused and stored nothing."""
    assert answer.code == code, answer.text
    assert connections(tables) == []
    assert tables.run("SELECT * FROM events WHERE kind = 13") == []


def test_redeemed(player: Player, server: PollingServer) -> None:
    """A redeemed ticket tells who the player is, in which session, and the fence."""
    answer = server.redeem(player.ticket(SERVER))
    assert answer.status == 200
    assert answer.json["account"] == player.me().json["account"]
    assert answer.json["session"] == {"id": player.sessions()[0]["id"]}
    assert answer.json["fence"] > 1_700_000_000_000


def test_again(clock: FakeClock, player: Player, server: PollingServer) -> None:
    """The same ticket with the same key gets the same answer, also after it has expired."""
    ticket = player.ticket(SERVER)
    first = server.redeem(ticket)
    assert server.redeem(ticket).json == first.json
    clock.advance(seconds=61)
    assert server.redeem(ticket).json == first.json


def test_with_another_key(player: Player, server: PollingServer) -> None:
    """A ticket that one key has redeemed is used for every other."""
    ticket = player.ticket(SERVER)
    assert server.redeem(ticket).status == 200
    assert PollingServer(SERVER, new_key()).redeem(ticket).code == "ticket_used"


def test_an_older_ticket(clock: FakeClock, player: Player, server: PollingServer) -> None:
    """A ticket that is older than the last one redeemed is used, wherever it is for."""
    older = player.ticket(SERVER)
    clock.advance(seconds=1)
    assert server.redeem(player.ticket(SERVER)).status == 200
    assert server.redeem(older).code == "ticket_used"


def test_fences_rise(
    clock: FakeClock, tables: Tables, player: Player, server: PollingServer
) -> None:
    """Each redemption has a greater fence, also after the row was put back to an older copy."""
    fences, rows = [], []
    for number in range(40):
        clock.advance(milliseconds=1)
        tables.run("DELETE FROM rate_limits")
        fences.append(server.redeem(player.ticket(SERVER)).json["fence"])
        rows.append(connections(tables)[0])
        if number == 30:  # a backup is restored
            old = rows[10]
            tables.run("UPDATE connections SET fence = %(fence)s, ticket = %(ticket)s", **old)
            clock.advance(seconds=1)
    assert fences == sorted(set(fences))


def test_a_clock_that_is_behind(
    clock: FakeClock, tables: Tables, player: Player, server: PollingServer
) -> None:
    """The fence rises even if the clock of another container is far ahead."""
    assert server.redeem(player.ticket(SERVER)).status == 200
    ahead = 9_000_000_000_000
    tables.run("UPDATE connections SET fence = %s", ahead)
    clock.advance(seconds=1)
    assert server.redeem(player.ticket(SERVER)).json["fence"] == ahead + 1


@pytest.mark.long
def test_a_thousand_redemptions(
    clock: FakeClock, tables: Tables, player: Player, server: PollingServer
) -> None:
    """The fences of a thousand redemptions strictly rise."""
    fences = []
    for _ in range(1000):
        clock.advance(milliseconds=1)
        tables.run("DELETE FROM rate_limits")
        fences.append(server.redeem(player.ticket(SERVER)).json["fence"])
    assert fences == sorted(set(fences))


def test_wrong_server(tables: Tables, player: Player, server: PollingServer) -> None:
    """A ticket for another server is refused, and so is a key for other servers."""
    refused(tables, server.redeem(player.ticket("eu-2:7777")), "wrong_server")
    us = PollingServer(SERVER, new_key(server="us-*"))
    refused(tables, us.redeem(player.ticket(SERVER)), "wrong_server")
    europe = PollingServer(SERVER, new_key(server="eu-*"))
    assert europe.redeem(player.ticket(SERVER)).status == 200


def test_after_signing_out(tables: Tables, player: Player, server: PollingServer) -> None:
    """The ticket of a session that has ended is refused."""
    ticket = player.ticket(SERVER)
    assert player.log_out().status == 200
    refused(tables, server.redeem(ticket), "invalid_ticket")


def test_after_a_suspension(tables: Tables, player: Player, server: PollingServer) -> None:
    """So is one from before a suspension, also after it was lifted."""
    ticket = player.ticket(SERVER)
    operator = Operator()
    operator.must("suspend", account=player.username, for_good=True, player_reason="spam")
    refused(tables, server.redeem(ticket), "invalid_ticket")
    operator.must("lift", account=player.username)
    refused(tables, server.redeem(ticket), "invalid_ticket")


def test_after_a_password_change(tables: Tables, player: Player, server: PollingServer) -> None:
    """So is one from before a password change, even of the session that goes on."""
    ticket = player.ticket(SERVER)
    assert player.change_password("seven wooden ladders tonight").status == 200
    refused(tables, server.redeem(ticket), "invalid_ticket")
    assert server.redeem(player.ticket(SERVER)).status == 200


def test_after_a_deletion(tables: Tables, player: Player, server: PollingServer) -> None:
    """So is that of an account that is gone."""
    ticket = player.ticket(SERVER)
    assert player.delete().status == 200
    refused(tables, server.redeem(ticket), "invalid_ticket")


def test_refused_after_another(
    clock: FakeClock, tables: Tables, player: Player, server: PollingServer
) -> None:
    """A refused ticket leaves the last redemption as it was, and tells no other server."""
    late, dead = player.ticket("us-1"), player.ticket("us-1")
    clock.advance(seconds=1)
    assert server.redeem(player.ticket(SERVER)).status == 200
    before = connections(tables)
    clock.advance(seconds=60)
    answers = [server.redeem(late, "us-1"), server.redeem(dead, "us-2")]
    newer = player.ticket("us-1")
    assert player.log_out().status == 200
    answers.append(server.redeem(newer, "us-1"))
    codes = ["ticket_expired", "wrong_server", "invalid_ticket"]
    assert [answer.code for answer in answers] == codes
    assert connections(tables) == before
    assert tables.run("SELECT * FROM events WHERE kind = 13") == []


def test_expired(clock: FakeClock, tables: Tables, player: Player, server: PollingServer) -> None:
    """A ticket that has expired is refused with a code of its own."""
    ticket = player.ticket(SERVER)
    clock.advance(seconds=60)
    answer = server.redeem(ticket)
    assert answer.status == 410
    refused(tables, answer, "ticket_expired")


def test_other_tokens(tables: Tables, player: Player, server: PollingServer) -> None:
    """A token in the place of a ticket is refused, and a ticket with one bit flipped."""
    ticket = player.ticket(SERVER)
    flipped = [
        ticket[:place] + _other(ticket[place]) + ticket[place + 1 :] for place in (5, 90, -9)
    ]
    for text in (player.access_token, player.refresh_token, server.key, "", *flipped):
        refused(tables, server.redeem(text), "invalid_ticket")


def _other(letter: str) -> str:
    """Return another letter of base64url, of which at least one bit differs."""
    return "B" if letter == "A" else "A"


def test_bad_requests(tables: Tables, player: Player, server: PollingServer) -> None:
    """A request without a ticket, or with a name that no server has, is refused."""
    refused(tables, server.redeem(player.ticket(SERVER), "EU 1"), "invalid_request")
    refused(tables, call("POST", "/v1/server/redeem", {}, token=server.key), "invalid_request")


def test_round_trips(clock: FakeClock, player: Player, server: PollingServer) -> None:
    """Redeeming takes three round trips at most, six if another server loses the player."""
    tickets = [player.ticket(SERVER), player.ticket("eu-2:7777")]
    with round_trips() as sent:
        assert server.redeem(tickets[0]).status == 200
        assert 1 <= len(sent) <= 3, sent
        sent.clear()
        assert server.redeem(tickets[1], "eu-2:7777").status == 200
        assert 1 <= len(sent) <= 6, sent


def test_nothing_secret_in_the_log(
    player: Player, server: PollingServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The line of a redemption has the ids of key, account and session, and no secret."""
    ticket = player.ticket(SERVER)
    with caplog.at_level(logging.INFO):
        assert server.redeem(ticket).status == 200
        assert server.redeem(ticket[:-9] + _other(ticket[-9]) + ticket[-8:]).status == 401
    lines = [one for one in caplog.records if one.name == "auth.api.request_log"]
    good, bad = (one for one in lines if vars(one)["route"] == "/v1/server/redeem")
    assert {vars(line)["server_key_id"] for line in (good, bad)} == {server.key.split("_")[1]}
    assert vars(good)["account_id"] == player.me().json["account"]["id"]
    assert (vars(bad)["code"], vars(bad)["reason"]) == ("invalid_ticket", "signature")
    secret = server.key.split("_", 2)[2]
    for record in (good, bad):
        assert secret not in str(vars(record))
        assert ticket[20:60] not in str(vars(record))
