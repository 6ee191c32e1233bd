"""Redeeming at once: of everything that happens at the same moment, the newest ticket wins."""

import json
import threading
import time
from collections import Counter
from dataclasses import replace

import pytest

from auth.external.connection import Statement
from auth.external.database import Database
from auth.store.connections import ConnectionTable, Standing
from local.stack import Stack
from tests.conftest import FakeClock, Tables
from tests.integration.database.test_lost_answers import Wire, wire  # noqa: F401  # a fixture
from tests.play.crowd import WORKERS, Crowd, Request
from tests.play.game_servers import PollingServer, new_key
from tests.play.players import Player

SERVER = "eu-1:7777"


def test_older_tickets_at_the_same_moment(
    clock: FakeClock,
    tables: Tables,
    player: Player,
    server: PollingServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The newest ticket is let in however many older ones are redeemed before it is stored."""
    tickets = []
    for _ in range(9):
        clock.advance(milliseconds=3)
        tickets.append(player.ticket(SERVER))
    *older, newest = tickets
    read = ConnectionTable.standing

    def faster(table: ConnectionTable, *ids: bytes, locked: bool) -> Standing | None:
        found = read(table, *ids, locked=locked)
        if older:
            with monkeypatch.context() as patch:
                patch.setattr(ConnectionTable, "standing", read)
                assert server.redeem(older.pop(0)).status == 200
        return found

    monkeypatch.setattr(ConnectionTable, "standing", faster)
    assert server.redeem(newest).status == 200


def test_a_row_that_is_not_visible_yet(
    clock: FakeClock, player: Player, server: PollingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A committed redemption that MariaDB does not show yet costs one more read."""
    assert server.redeem(player.ticket(SERVER)).status == 200
    clock.advance(seconds=1)
    read = ConnectionTable.standing

    def blind(table: ConnectionTable, *ids: bytes, locked: bool) -> Standing | None:
        found = read(table, *ids, locked=locked)
        return found if locked or found is None else replace(found, last=None)

    monkeypatch.setattr(ConnectionTable, "standing", blind)
    assert server.redeem(player.ticket(SERVER)).status == 200


ENDS = ["UPDATE sessions SET ended_at = '2020-01-01'", "UPDATE accounts SET epoch = epoch + 1"]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("has_redeemed", [False, True])
def test_an_end_under_way(
    stack: Stack,
    tables: Tables,
    clock: FakeClock,
    player: Player,
    server: PollingServer,
    *,
    end: str,
    has_redeemed: bool,
) -> None:
    """A redemption waits for a sign-out or a suspension that is being stored, and is refused."""
    if has_redeemed:
        assert server.redeem(player.ticket(SERVER)).status == 200
        clock.advance(seconds=1)
    ticket = player.ticket(SERVER)
    with stack.database.connect() as slow:
        slow.run(Statement("BEGIN"), 10.0)
        slow.run(Statement(end), 10.0)
        commit = threading.Timer(0.5, lambda: slow.run(Statement("COMMIT"), 10.0))
        commit.start()
        assert server.redeem(ticket).code == "invalid_ticket"
        commit.join()


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("statement", ["INSERT INTO connections", "UPDATE connections", "COMMIT"])
def test_lost_answers(
    warm: Database,
    tables: Tables,
    player: Player,
    server: PollingServer,
    wire: Wire,  # noqa: F811
    *,
    statement: str,
    answered: bool,
) -> None:
    """A redemption whose statement lost its answer has taken effect once."""
    ticket = player.ticket(SERVER)
    if statement != "INSERT INTO connections":
        other = "us-1" if statement == "COMMIT" else SERVER
        assert server.redeem(player.ticket(other), other).status == 200
        time.sleep(0.002)  # or the next ticket might have a smaller id
        ticket = player.ticket(SERVER)
    wire.cut_at(statement, answered=answered)
    answer = server.redeem(ticket)
    assert wire.cuts == 1
    assert answer.status == 200
    assert server.redeem(ticket).json == answer.json
    (row,) = tables.run("SELECT fence FROM connections")
    assert row["fence"] == answer.json["fence"]
    superseded = tables.run("SELECT * FROM events WHERE kind = 13")
    assert len(superseded) == (1 if statement == "COMMIT" else 0)


def redemption(key: str, ticket: str, server: str = SERVER) -> Request:
    """Return a redemption."""
    body = {"ticket": ticket, "server": server}
    return Request("POST", "/v1/server/redeem", body, {"token": key})


def test_one_ticket_at_once(crowd: Crowd, player: Player, server: PollingServer) -> None:
    """Fifty redemptions of one ticket with one key get the same answer."""
    answers = crowd.send([redemption(server.key, player.ticket(SERVER))] * WORKERS)
    assert {answer.status for answer in answers} == {200}
    assert len({json.dumps(answer.json) for answer in answers}) == 1


def test_one_ticket_and_two_keys(crowd: Crowd, player: Player, server: PollingServer) -> None:
    """Of two keys that redeem one ticket at once, one wins every time."""
    keys, ticket = [server.key, new_key()], player.ticket(SERVER)
    answers = crowd.send([redemption(keys[n % 2], ticket) for n in range(WORKERS)])
    codes = [Counter(answer.code for answer in answers[n::2]) for n in range(2)]
    assert sorted(codes, key=str) == [{"": 25}, {"ticket_used": 25}]


def test_many_tickets_at_once(
    clock: FakeClock, crowd: Crowd, tables: Tables, player: Player, server: PollingServer
) -> None:
    """Of many tickets redeemed at once the newest is let in, with the greatest fence."""
    tickets: list[str] = []
    for _ in range(10):
        clock.advance(milliseconds=2)
        tickets.append(player.ticket(f"eu-{len(tickets)}:7777"))
    answers = crowd.send(
        [redemption(server.key, one, f"eu-{number}:7777") for number, one in enumerate(tickets)]
    )
    assert answers[-1].status == 200
    assert {answer.code for answer in answers} <= {"", "ticket_used"}
    let_in = [answer.json["fence"] for answer in answers if answer.status == 200]
    assert let_in == sorted(set(let_in))
    (row,) = tables.run("SELECT server, fence FROM connections")
    assert (row["server"], row["fence"]) == ("eu-9:7777", let_in[-1])
