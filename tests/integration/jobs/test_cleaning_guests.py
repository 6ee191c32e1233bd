"""The daily cleaning removes guests who never come back, and old events."""

import uuid
from datetime import datetime, timedelta

import jwt
import pytest

import handler
from auth.store.expired import MAX_EVENTS, ExpiredRows
from auth.times import new_id, system_clock
from tests.conftest import Tables
from tests.play.guests import Guest
from tests.play.operators import Operator
from tests.play.players import Player

DAY = timedelta(days=1)
YEAR = timedelta(days=365)


def account_of(player: Player) -> bytes:
    """Return the id of a player's account, by the access token, which need not be usable."""
    claims = jwt.decode(player.access_token, options={"verify_signature": False})
    return uuid.UUID(claims["sub"]).bytes


def come_last(tables: Tables, guest: Guest, ago: timedelta, *, living: bool = False) -> None:
    """Let a guest have signed in last so long ago."""
    moment = system_clock() - ago
    where = "WHERE account_id = %s"
    tables.run(f"UPDATE identities SET last_used_at = %s {where}", moment, account_of(guest))
    if not living:
        tables.run(f"DELETE FROM sessions {where}", account_of(guest))


@pytest.fixture
def guests(tables: Tables) -> list[Guest]:
    """Return five guests."""
    guests = [Guest() for _ in range(5)]
    for guest in guests:
        assert guest.enter(create=True).status == 201
    return guests


def test_unused_guests(guests: list[Guest], tables: Tables) -> None:
    """A guest goes a year after the last use, unless a session lasts or it is suspended."""
    unused, recent, living, suspended, upgraded = guests
    assert upgraded.upgrade("Ada").status == 200
    tables.run("UPDATE accounts SET created_at = created_at - INTERVAL 900 DAY")
    come_last(tables, unused, YEAR)
    come_last(tables, recent, YEAR - DAY)
    come_last(tables, living, 2 * YEAR, living=True)
    come_last(tables, suspended, 2 * YEAR)
    tables.run(
        "UPDATE accounts SET suspended_until = '9999-01-01' WHERE id = %s", account_of(suspended)
    )
    events = tables.count("events")
    assert handler.clean_up({}, None)["guests"] == 1
    assert tables.count("events") == events - 1  # its own go, and none is written
    assert unused.enter().code == "unknown_guest"
    assert recent.enter().status == 200
    assert living.enter().status == 200
    assert suspended.enter().code == "account_suspended"
    assert Player("Ada").log_in().status == 200


def test_a_living_session_keeps_a_guest(guests: list[Guest], tables: Tables) -> None:
    """A guest who only refreshes, and so never uses the secret, is kept."""
    come_last(tables, guests[0], 2 * YEAR, living=True)
    assert handler.clean_up({}, None)["guests"] == 0
    assert guests[0].refresh().status == 200


def test_played_until_a_session_ended(
    guests: list[Guest], tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Playing counts as use until the session ended, also after its row was deleted."""
    played, left = guests[:2]
    for guest in (played, left):
        come_last(tables, guest, 40 * DAY, living=True)
        assert guest.log_out().status == 200
    tables.run(
        "UPDATE sessions SET rotated_at = rotated_at - INTERVAL 40 DAY WHERE account_id = %s",
        account_of(left),
    )
    monkeypatch.setenv("GUEST_DAYS", "35")
    assert handler.clean_up({}, None)["guests"] == 1
    monkeypatch.setenv("SESSION_HISTORY_DAYS", "0")
    assert handler.clean_up({}, None)["sessions"] == 1
    assert handler.clean_up({}, None)["guests"] == 0
    assert played.enter().status == 200
    assert left.enter().code == "unknown_guest"


def test_several_old_sessions_of_a_guest(
    guests: list[Guest], tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last use of all deleted sessions counts, and an older one never replaces a newer."""
    guest = guests[0]
    account = account_of(guest)
    moments = [system_clock() - days * DAY for days in (50, 20, 30)]
    for moment in moments:
        tables.add_session(account, rotated_at=moment, ended_at=moment)
    come_last(tables, guest, 40 * DAY, living=True)
    monkeypatch.setenv("SESSION_HISTORY_DAYS", "1")
    monkeypatch.setenv("GUEST_DAYS", "0")
    assert handler.clean_up({}, None)["sessions"] == 3
    (row,) = tables.run("SELECT last_used_at FROM identities WHERE account_id = %s", account)
    assert row["last_used_at"] == moments[1]
    tables.add_session(account, rotated_at=moments[0], ended_at=moments[0])
    assert handler.clean_up({}, None)["sessions"] == 1
    (row,) = tables.run("SELECT last_used_at FROM identities WHERE account_id = %s", account)
    assert row["last_used_at"] == moments[1]


@pytest.mark.parametrize(("days", "gone"), [("0", 0), ("1", 2), ("3", 1)])
def test_guest_days(
    guests: list[Guest], tables: Tables, monkeypatch: pytest.MonkeyPatch, days: str, gone: int
) -> None:
    """GUEST_DAYS says how long; 0 keeps guests for ever."""
    come_last(tables, guests[0], 2 * DAY)
    come_last(tables, guests[1], 900 * DAY)
    monkeypatch.setenv("GUEST_DAYS", days)
    assert handler.clean_up({}, None).get("guests", 0) == gone
    assert tables.count("accounts") == 5 - gone


def test_what_operators_wrote(guests: list[Guest], tables: Tables) -> None:
    """Deleting an unused guest empties what operators wrote about it, and about no one else."""
    for guest in guests[:2]:
        Operator().must("note", account=guest.name(), reason="ticket 4711")
    come_last(tables, guests[0], 900 * DAY)
    assert handler.clean_up({}, None)["guests"] == 1
    handler.clean_up({}, None)  # in the next night
    rows = tables.run("SELECT reason, result <> '' AS answered FROM operations ORDER BY reason")
    assert [(row["reason"], row["answered"]) for row in rows] == [("", 0), ("ticket 4711", 1)]


def test_many_unused_guests(tables: Tables) -> None:
    """More guests than one statement takes are removed by one run."""
    for _ in range(60):
        assert Guest().enter(create=True).status == 201
    tables.run("UPDATE identities SET last_used_at = last_used_at - INTERVAL 366 DAY")
    tables.run("DELETE FROM sessions")
    for _ in range(60):
        Guest(address="198.51.100.1").enter(create=True)
    assert handler.clean_up({}, None)["guests"] == 60
    assert tables.count("accounts") == 60
    assert tables.count("events") == 60


def test_a_guest_comes_back_meanwhile(guests: list[Guest], tables: Tables) -> None:
    """A guest that was found unused, and signs in before the deletion, is kept."""
    come_last(tables, guests[0], 2 * YEAR)
    delete = ExpiredRows.delete_guests
    with pytest.MonkeyPatch.context() as patch:

        def enter_first(rows: ExpiredRows, *arguments: object) -> int:
            assert guests[0].enter().status == 200
            return delete(rows, *arguments)  # type: ignore[arg-type]

        patch.setattr(ExpiredRows, "delete_guests", enter_first)
        assert handler.clean_up({}, None)["guests"] == 0
    assert guests[0].enter().status == 200
    assert len(guests[0].events()) == 1


def add_events(tables: Tables, account_id: bytes, kind: int, at: datetime, number: int = 1) -> None:
    """Add events of an account."""
    for _ in range(number):
        tables.run(
            "INSERT INTO events (id, at, account_id, kind) VALUES (%s, %s, %s, %s)",
            new_id(at),
            at,
            account_id,
            kind,
        )


def test_old_events(player: Player, tables: Tables) -> None:
    """Events are kept 90 days, registrations 7, and deletions 30."""
    tables.run("DELETE FROM events")
    (account,) = tables.run("SELECT id FROM accounts")
    now = system_clock()
    for kind, days in ((1, 7), (12, 30), (8, 90), (99, 90)):
        add_events(tables, account["id"], kind, now - days * DAY)
        add_events(tables, account["id"], kind, now - days * DAY + DAY / 24)
    assert handler.clean_up({}, None)["events"] == 4
    left = {row["kind"] for row in tables.run("SELECT kind FROM events")}
    assert left == {1, 12, 8, 99}
    assert tables.count("events") == 4


def test_too_many_events(player: Player, tables: Tables) -> None:
    """Of one account the newest thousand are kept."""
    other = Player()
    assert other.register().status == 201
    account = account_of(player)
    now = system_clock()
    add_events(tables, account, 8, now, MAX_EVENTS + 600)
    assert handler.clean_up({}, None)["events"] == 601
    (row,) = tables.run("SELECT COUNT(*) AS n FROM events WHERE account_id = %s", account)
    assert row["n"] == MAX_EVENTS
    assert len(other.ask("GET", "/v1/me/events").json["events"]) == 1
