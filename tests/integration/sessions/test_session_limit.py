"""An account has at most 50 sessions, which bounds its history, its lists and its deletion."""

from datetime import UTC, datetime, timedelta

import pytest

import handler
from auth.errors import Unavailable
from auth.store.records import MAX_SESSIONS, Session
from auth.store.sessions import TRIMMED_AT_ONCE, SessionTable, Surplus
from tests.conftest import FakeClock, Tables
from tests.play.players import Player

DAY = timedelta(days=1)


def add_sessions(
    tables: Tables, number: int, used_at: datetime, ended_at: datetime | None = None
) -> list[bytes]:
    """Add sessions to the only account, last used at this time."""
    (account,) = tables.run("SELECT id, epoch FROM accounts")
    return [
        tables.add_session(
            account["id"],
            epoch=account["epoch"],
            created_at=used_at,
            rotated_at=used_at,
            idle_expires_at=used_at + 30 * DAY,
            expires_at=used_at + 180 * DAY,
            ended_at=ended_at,
        )
        for _ in range(number)
    ]


def ids_of(tables: Tables) -> set[bytes]:
    """Return the ids of all sessions."""
    return {row["id"] for row in tables.run("SELECT id FROM sessions")}


def test_the_least_recently_used_goes(player: Player, tables: Tables) -> None:
    """The fifty-first session replaces the least recently used one."""
    now = datetime.now(UTC)
    (oldest,) = add_sessions(tables, 1, now - 2 * DAY)
    others = add_sessions(tables, 48, now - DAY)
    assert tables.count("sessions") == MAX_SESSIONS
    assert player.on_another_device().log_in().status == 200
    left = ids_of(tables)
    assert len(left) == MAX_SESSIONS
    assert oldest not in left
    assert set(others) < left
    assert player.me().status == 200


def test_ended_sessions_go_first(player: Player, tables: Tables, clock: FakeClock) -> None:
    """A session that has ended is deleted before any living one, even if used more recently."""
    now = datetime.now(UTC)
    living = add_sessions(tables, 47, now - 20 * DAY)
    (ended,) = add_sessions(tables, 1, now, ended_at=now)
    (expired,) = add_sessions(tables, 1, now - 31 * DAY)
    for gone in (expired, ended):
        assert player.log_in().status == 200
        left = ids_of(tables)
        assert len(left) == MAX_SESSIONS
        assert gone not in left
        assert set(living) < left


def test_an_evicted_session_is_dead(player: Player, tables: Tables, clock: FakeClock) -> None:
    """The tokens of a deleted session are refused, and its player can sign in."""
    for _ in range(MAX_SESSIONS):
        clock.advance(seconds=1)
        assert player.on_another_device().log_in().status == 200
    assert tables.count("sessions") == MAX_SESSIONS
    assert player.me().code == "invalid_token"
    assert player.refresh().code == "session_ended"
    assert player.log_in().status == 200


def test_the_list_has_the_current_one(player: Player, tables: Tables) -> None:
    """The list has at most fifty sessions, the current one included, most recently used first."""
    add_sessions(tables, 200, datetime.now(UTC) + timedelta(minutes=1))
    listed = player.sessions()
    assert len(listed) == MAX_SESSIONS
    assert [session["current"] for session in listed] == [False] * (MAX_SESSIONS - 1) + [True]
    used = [session["last_used_at"] for session in listed]
    assert used == sorted(used, reverse=True)


def test_an_account_that_has_more(player: Player, tables: Tables) -> None:
    """An account with sessions from before the limit is trimmed at sign-in, in bounded steps."""
    add_sessions(tables, TRIMMED_AT_ONCE + 100, datetime.now(UTC) - DAY)
    assert player.log_in().status == 200
    assert tables.count("sessions") == 102
    assert player.log_in().status == 200
    assert tables.count("sessions") == MAX_SESSIONS
    assert player.me().status == 200


def test_the_clean_up_trims(player: Player, tables: Tables) -> None:
    """The cleaning trims accounts that do not sign in, and leaves the others alone."""
    now = datetime.now(UTC)
    ended = add_sessions(tables, 30, now, ended_at=now)
    living = add_sessions(tables, 49, now - DAY)
    other = Player()
    assert other.register().status == 201
    assert handler.clean_up({}, None)["sessions"] == 30
    left = ids_of(tables)
    assert not left & set(ended)
    assert set(living) < left
    assert len(left) == MAX_SESSIONS + 1
    assert handler.clean_up({}, None)["sessions"] == 0
    assert player.me().status == 200
    assert other.me().status == 200


def test_registering_again(player: Player, tables: Tables) -> None:
    """A repeated registration opens a session like any sign-in, within the limit."""
    key = "0123456789abcdef"
    other = Player()
    tables.empty()
    assert other.register(key=key).status == 201
    add_sessions(tables, MAX_SESSIONS - 1, datetime.now(UTC) - DAY)
    assert other.register(key=key).status == 201
    assert tables.count("sessions") == MAX_SESSIONS


def test_deletion_is_short(player: Player, tables: Tables) -> None:
    """An account never has more than a few rows to delete with it."""
    for _ in range(MAX_SESSIONS + 10):
        assert player.log_in().status == 200
    assert tables.count("sessions") == MAX_SESSIONS
    assert player.delete().status == 200
    assert tables.count("sessions") == 0


def test_a_session_that_was_used_meanwhile(player: Player, tables: Tables) -> None:
    """A session chosen for deletion stays if it is used meanwhile."""
    phone = player.on_another_device()
    assert phone.log_in().status == 200
    tables.run("UPDATE sessions SET rotated_at = rotated_at - INTERVAL 2 DAY")
    add_sessions(tables, MAX_SESSIONS - 2, datetime.now(UTC) - DAY)
    used: list[int] = []
    remove = SessionTable.remove

    def use_it_first(table: SessionTable, surplus: Surplus, now: datetime) -> int:
        tables.run(
            "UPDATE sessions SET rotated_at = %s WHERE id = %s",
            datetime(2099, 1, 1, tzinfo=UTC),
            surplus.lasting[0],
        )
        used.append(remove(table, surplus, now))
        return used[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SessionTable, "remove", use_it_first)
        assert player.on_another_device().log_in().status == 200
    assert used == [0]
    assert player.refresh().status == 200
    assert phone.refresh().status == 200


def test_an_old_password_takes_no_session(player: Player, tables: Tables) -> None:
    """A sign-in overtaken by a password change does not end the session that made the change."""
    add_sessions(tables, MAX_SESSIONS - 1, datetime.now(UTC) - DAY)
    late = player.on_another_device()
    add = SessionTable.add

    def change_first(table: SessionTable, session: Session) -> None:
        patch.undo()
        assert player.change_password("lute-Gr4ph!t").status == 200
        add(table, session)

    patch = pytest.MonkeyPatch()
    patch.setattr(SessionTable, "add", change_first)
    assert late.log_in().status == 200  # with the old password: its session is unusable at once
    assert late.me().code == "invalid_token"
    assert player.me().status == 200
    assert player.refresh().status == 200


def test_trimming_fails(
    player: Player,
    tables: Tables,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A player signs in even if the trimming fails; the next sign-in trims more."""
    add_sessions(tables, MAX_SESSIONS, datetime.now(UTC) - DAY)
    with monkeypatch.context() as patch:

        def fail(*_: object, **__: object) -> int:
            raise Unavailable("connection lost")

        patch.setattr(SessionTable, "remove", fail)
        assert player.log_in().status == 200
    assert "sessions_kept" in {vars(record).get("event") for record in caplog.records}
    assert tables.count("sessions") == MAX_SESSIONS + 2
    assert player.log_in().status == 200
    assert tables.count("sessions") == MAX_SESSIONS
