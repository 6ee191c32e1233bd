"""Cursors: no event is lost or invented, whoever commits late and whatever a reader sends."""

from datetime import timedelta

import pytest

from auth.external.connection import Statement
from local.stack import Stack
from tests.conftest import FakeClock, Tables
from tests.integration.game_servers.ended_sessions import ADD, add_events, ended_at
from tests.play.game_servers import PollingServer
from tests.play.operators import Operator
from tests.play.players import Player


def test_repeats(player: Player, server: PollingServer, clock: FakeClock) -> None:
    """An event comes again while it is young, under its id, and then no more."""
    assert player.log_out().status == 200
    (first,) = server.poll()
    clock.advance(seconds=80)
    assert server.poll() == [first]
    clock.advance(seconds=6)
    assert server.poll() == [first]
    assert server.poll() == []


def test_a_new_server(player: Player, server: PollingServer, clock: FakeClock) -> None:
    """A server without a cursor learns what has ended while a ticket or token may live."""
    assert player.log_out().status == 200
    clock.advance(seconds=650)
    assert [one["type"] for one in PollingServer(key=server.key).poll()] == ["session-revoked"]
    clock.advance(seconds=97)
    assert Player().register().status == 201  # or the server would begin before the older row
    assert PollingServer(key=server.key).poll() == []


def test_pages(tables: Tables, server: PollingServer, clock: FakeClock) -> None:
    """A page has a thousand events, the next goes on, and the next poll begins at the settled."""
    add_events(tables, clock, 2500)
    first = server.page(server.cursor).json
    assert (len(first["events"]), first["more"]) == (1000, True)
    second = server.page(first["cursor"]).json
    third = server.page(second["cursor"]).json
    assert (len(second["events"]), len(third["events"])) == (1000, 500)
    assert not third["more"]
    ids = [one["id"] for page in (first, second, third) for one in page["events"]]
    assert len(set(ids)) == 2500
    server.cursor = third["cursor"]
    assert [one["id"] for one in server.poll()] == ids
    clock.advance(seconds=86)
    assert [one["id"] for one in server.poll()] == ids
    assert server.poll() == []


BAD_CURSORS = ["", "x", "A" * 43, "%%%", "ä", "a" * 500]


@pytest.mark.parametrize("cursor", BAD_CURSORS, ids=range(len(BAD_CURSORS)))
def test_garbled_cursors(cursor: str, player: Player, server: PollingServer) -> None:
    """A cursor that is none begins again, and says so."""
    assert player.log_out().status == 200
    answer = server.page(cursor).json
    assert answer["reset"] is True
    assert [one["type"] for one in answer["events"]] == ["session-revoked"]
    assert "reset" not in server.page(answer["cursor"]).json


def test_old_cursor(server: PollingServer, clock: FakeClock) -> None:
    """So does one that is older than the events that are kept."""
    clock.advance(hours=22, minutes=59)
    assert "reset" not in server.page(server.cursor).json
    clock.advance(minutes=2)
    assert server.page(server.cursor).json["reset"] is True


def test_old_cursor_while_there_is_more(
    tables: Tables, server: PollingServer, clock: FakeClock
) -> None:
    """A reader that stops between two pages gets no younger cursor by it."""
    add_events(tables, clock, 1500)
    clock.advance(hours=20)
    first = server.page(server.cursor).json
    assert first["more"]
    clock.advance(hours=4)
    assert server.page(first["cursor"]).json["reset"] is True


def test_late_commit(stack: Stack, tables: Tables, clock: FakeClock) -> None:
    """A row that is committed late is delivered, although a later row was old when it came.

    The slow writer's clock is right. The other one's is 60 s behind, and it inserts its row 8 s
    after the beginning of its request.
    """
    server = PollingServer()
    server.poll()
    began = clock()
    with stack.database.connect() as slow:
        slow.run(Statement("BEGIN"), 10.0)
        slow.run(Statement(ADD, ended_at(began + timedelta(seconds=7.7))), 10.0)
        tables.run(ADD, **ended_at(began - timedelta(seconds=60)))
        clock.advance(seconds=15.2)
        assert len(server.poll()) == 1
        slow.run(Statement("COMMIT"), 10.0)
    assert len(server.poll()) == 2


def test_after_a_restore(
    tables: Tables, player: Player, server: PollingServer, clock: FakeClock
) -> None:
    """Signing everybody out resets every server, which then sees nothing from before."""
    Operator().must("suspend", account=player.username, for_good=True, player_reason="spam")
    # From the last player's request until the end of a restore.
    tables.run("UPDATE events SET at = at - INTERVAL 2 MINUTE")
    Operator().must("sign-out everybody", reason="restored a backup")
    answer = server.page(server.cursor).json
    assert (answer["reset"], answer["events"]) == (True, [])
    server.cursor = answer["cursor"]
    Operator().must("lift", account=player.username)
    assert [one["type"] for one in server.poll()] == ["account-enabled"]
    started = PollingServer(key=server.key).page().json
    assert [one["type"] for one in started["events"]] == ["account-enabled"]
    assert started["reset"] is True, "it may have let in tickets from before"
    clock.advance(seconds=661)
    assert "reset" not in PollingServer(key=server.key).page().json


def test_an_event_under_way_during_a_sign_out_of_everybody(
    stack: Stack, tables: Tables, server: PollingServer, clock: FakeClock
) -> None:
    """An event that is committed just after a reset is delivered."""
    with stack.database.connect() as slow:
        slow.run(Statement("BEGIN"), 10.0)
        slow.run(Statement(ADD, ended_at(clock())), 10.0)
        tables.run(ADD, **ended_at(clock()))
        Operator().must("sign-out everybody", reason="a key has leaked")
        slow.run(Statement("COMMIT"), 10.0)
    answer = server.page(server.cursor).json
    assert (answer["reset"], len(answer["events"])) == (True, 2)


def test_a_dry_run_resets_nobody(player: Player, server: PollingServer) -> None:
    """Counting whom a sign-out of everybody concerns changes nothing for game servers."""
    assert Operator().run("sign-out everybody", dry_run=True)["ok"]
    assert "reset" not in server.page(server.cursor).json


def test_a_lift_by_the_previous_version(
    tables: Tables, player: Player, server: PollingServer, clock: FakeClock
) -> None:
    """An event that was stored without an epoch is told without one."""
    add_events(tables, clock, 1)
    tables.run("UPDATE events SET kind = 11, data = NULL WHERE kind = 8")
    (event,) = server.poll()
    assert event.keys() == {"id", "at", "type", "account_id"}
