"""A player reads what happened to the account, and everything that is stored about it."""

from datetime import UTC, datetime, timedelta

import pytest

from auth.external.database import Database
from auth.store.records import MAX_SESSIONS
from auth.times import new_id, system_clock
from tests.conftest import FakeClock, Tables
from tests.integration.database.test_lost_answers import Wire, wire  # noqa: F401  # a fixture
from tests.play.guests import Guest
from tests.play.players import Player, call

DAY = timedelta(days=1)
NEW_PASSWORD = "seven wooden ladders tonight"


def types_of(player: Player) -> list[str]:
    """Return the types of a player's events, the oldest first."""
    listed = player.ask("GET", "/v1/me/events").json["events"]
    return [one["type"] for one in reversed(listed)]


def data_of(tables: Tables) -> list[bytes | None]:
    """Return the data of all events, the oldest first."""
    return [row["data"] for row in tables.run("SELECT data FROM events ORDER BY seq")]


def test_what_is_recorded(player: Player, tables: Tables) -> None:
    """Changes of the account and its sessions are recorded, each with the session it concerns."""
    session_id = player.sessions()[0]["id"]
    phone = player.on_another_device()
    assert phone.log_in().status == 200
    ended = next(one["id"] for one in player.sessions() if not one["current"])
    assert player.ask("DELETE", f"/v1/sessions/{ended}").status == 200
    assert player.change_password(NEW_PASSWORD).status == 200
    body = {"username": "Ada", "password": NEW_PASSWORD}
    assert player.ask("PUT", "/v1/me/username", body).status == 200
    assert player.log_out(everywhere=True).status == 200
    again = Player("Ada", NEW_PASSWORD)
    assert again.log_in().status == 200
    assert again.log_out().status == 200
    reader = Player("Ada", NEW_PASSWORD)
    assert reader.log_in().status == 200
    listed = reader.ask("GET", "/v1/me/events").json["events"]
    types = [(one["type"], one["session_id"]) for one in listed]
    last = types.pop(0)
    assert last[0] == "session_ended"
    assert types == [
        ("signed_out_everywhere", session_id),
        ("renamed", session_id),
        ("password_changed", session_id),
        ("session_ended", ended),
        ("registered", session_id),
    ]
    old = f'{{"username":"Ada","former":"{player.username}"}}'.encode()
    wanted = [None, None, b'{"epoch":1}', old, b'{"epoch":2}', None]
    assert data_of(tables) == wanted


def test_what_is_not(player: Player, tables: Tables) -> None:
    """Sign-ins, refreshes, failures, and signing out twice write nothing."""
    before = player.refresh_token
    assert player.log_in(refresh_token=before).status == 200  # ends the session before
    assert player.refresh().status == 200
    assert player.log_in("not the password").status == 401
    assert player.change_password("short").status == 422
    assert player.change_password(NEW_PASSWORD, "not the password").status == 401
    assert player.delete("not the password").status == 401
    assert Player("nobody-here").log_in().status == 401
    assert Player(player.username).register().status == 409
    assert types_of(player) == ["registered"]
    assert player.log_out().status == 200
    assert player.log_out().status == 200
    assert player.log_out(everywhere=True).status == 200
    kinds = [row["kind"] for row in tables.run("SELECT kind FROM events ORDER BY seq")]
    assert kinds == [1, 8]


def test_a_session_that_is_over(player: Player, clock: FakeClock, tables: Tables) -> None:
    """Signing out of a session that ended by a new epoch, or expired, writes nothing."""
    phone = player.on_another_device()
    assert phone.log_in().status == 200
    assert player.log_out(everywhere=True).status == 200
    for device in (phone, player):
        assert device.log_out().status == 200
        assert call("POST", "/v1/logout", {"refresh_token": device.refresh_token}).status == 200
    assert player.log_in().status == 200
    clock.advance(days=31)
    for everywhere in (True, False):
        body = {"refresh_token": player.refresh_token, "everywhere": everywhere}
        assert call("POST", "/v1/logout", body).status == 200
    kinds = [row["kind"] for row in tables.run("SELECT kind FROM events ORDER BY seq")]
    assert kinds == [1, 7]


@pytest.mark.parametrize("answered", [True, False])
def test_signing_out_everywhere_loses_its_commit(
    warm: Database,
    tables: Tables,
    wire: Wire,  # noqa: F811
    *,
    answered: bool,
) -> None:
    """Signing out everywhere by refresh token is one event, whichever answer was lost."""
    player = Player()
    player.register()
    wire.cut_at("COMMIT", answered=answered)
    body = {"refresh_token": player.refresh_token, "everywhere": True}
    assert call("POST", "/v1/logout", body).status == 200
    kinds = [row["kind"] for row in tables.run("SELECT kind FROM events ORDER BY seq")]
    assert kinds == [1, 7]


def test_a_copied_token(player: Player, clock: FakeClock) -> None:
    """The end of a session by a reused refresh token is recorded, once."""
    stolen = player.refresh_token
    player.refresh()
    clock.advance(minutes=2)
    for _ in range(2):
        assert player.on_another_device().refresh(stolen).code == "session_ended"
    assert player.log_in().status == 200
    assert types_of(player) == ["registered", "refresh_reused"]


def test_sessions_pushed_out(player: Player, tables: Tables) -> None:
    """A living session that makes room for another is recorded; one that has ended is not."""
    (account,) = tables.run("SELECT id FROM accounts")
    now = datetime.now(UTC)
    tables.add_session(account["id"], ended_at=now, rotated_at=now - DAY)
    for _ in range(MAX_SESSIONS - 2):
        tables.add_session(account["id"])
    assert player.log_in().status == 200
    assert types_of(player) == ["registered"]
    assert player.log_in().status == 200
    assert types_of(player) == ["registered", "session_ended"]
    assert tables.count("sessions") == MAX_SESSIONS


def test_many_sessions_pushed_out(player: Player, tables: Tables) -> None:
    """Trimming an account that has too many sessions records each living one."""
    (account,) = tables.run("SELECT id FROM accounts")
    for _ in range(60):
        tables.add_session(account["id"])
    assert player.log_in().status == 200
    assert tables.count("sessions") == MAX_SESSIONS
    assert types_of(player) == ["registered"] + ["session_ended"] * 12
    gone = {row["session_id"] for row in tables.run("SELECT session_id FROM events WHERE kind = 8")}
    assert len(gone) == 12
    assert not gone & {row["id"] for row in tables.run("SELECT id FROM sessions")}


def test_the_newest_hundred(player: Player, tables: Tables) -> None:
    """The list has the newest hundred events, and no kind that this version does not know."""
    (account,) = tables.run("SELECT id FROM accounts")
    for kind in [8] * 120 + [99]:
        tables.run(
            "INSERT INTO events (id, at, account_id, kind) VALUES (%s, UTC_TIMESTAMP(6), %s, %s)",
            new_id(system_clock()),
            account["id"],
            kind,
        )
    listed = player.ask("GET", "/v1/me/events").json["events"]
    assert [one["type"] for one in listed] == ["session_ended"] * 100


def test_events_of_others(player: Player) -> None:
    """A player sees no events of another account."""
    other = Player()
    assert other.register().status == 201
    assert other.change_password(NEW_PASSWORD).status == 200
    assert types_of(player) == ["registered"]


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("beginning", ["UPDATE", "INSERT INTO events", "COMMIT"])
def test_recorded_with_the_change(
    warm: Database,
    tables: Tables,
    wire: Wire,  # noqa: F811
    *,
    beginning: str,
    answered: bool,
) -> None:
    """A change is recorded exactly once, whichever answer was lost."""
    player = Player()
    player.register()
    wire.cut_at(beginning, answered=answered)
    assert player.log_out().status == 200
    assert wire.cuts == 1
    kinds = [row["kind"] for row in tables.run("SELECT kind FROM events ORDER BY seq")]
    assert kinds == [1, 8]


def test_not_recorded_without_the_change(
    warm: Database,
    tables: Tables,
    wire: Wire,  # noqa: F811
) -> None:
    """A change that did not happen leaves no event, and an event that failed no change."""
    player = Player()
    player.register()
    wire.cut_at("INSERT INTO events", answered=False, times=2)
    assert player.log_out().status == 503
    assert player.me().status == 200
    assert types_of(player) == ["registered"]


def test_export(player: Player, tables: Tables) -> None:
    """An export has the account, its sessions, ended ones too, and its events; no digest."""
    assert player.on_another_device().log_in(device="Ada's phone").status == 200
    tables.run("UPDATE sessions SET ended_at = UTC_TIMESTAMP(6) WHERE device IS NOT NULL")
    answer = player.ask("POST", "/v1/me/export", {"password": player.password})
    assert answer.status == 200
    export = answer.json
    assert export["account"]["username"] == player.username
    assert export["account"]["has_password"] is True
    assert export["identities"] == []
    assert [one["device"] for one in export["sessions"]] == ["Ada's phone", None]
    assert [one["ended_at"] is None for one in export["sessions"]] == [False, True]
    assert [one["type"] for one in export["events"]] == ["registered"]
    (row,) = tables.run("SELECT password_hash FROM accounts")
    assert row["password_hash"] not in answer.text
    assert "hash" not in answer.text


def test_export_of_names(player: Player) -> None:
    """An export has the former names, which the list of events leaves out."""
    old = player.username
    body = {"username": "Ada", "password": player.password}
    assert player.ask("PUT", "/v1/me/username", body).status == 200
    export = player.ask("POST", "/v1/me/export", {"password": player.password}).json
    assert export["events"][0]["data"] == {"username": "Ada", "former": old}
    assert export["events"][1]["data"] is None
    assert "data" not in player.ask("GET", "/v1/me/events").json["events"][0]


def test_export_of_a_guest(tables: Tables) -> None:
    """A guest confirms with the secret, and sees that it is one."""
    guest = Guest()
    guest.enter(create=True)
    export = guest.ask("POST", "/v1/me/export", {"guest_secret": guest.secret}).json
    assert export["account"]["guest"] is True
    assert export["account"]["has_password"] is False
    assert [one["provider"] for one in export["identities"]] == ["guest"]


def test_exports_need_a_confirmation(player: Player) -> None:
    """A stolen access token is not enough, and exports are rare."""
    assert player.ask("POST", "/v1/me/export", {}).status == 400
    assert player.ask("POST", "/v1/me/export", {"password": "wrong"}).status == 401
    body = {"password": player.password}
    answers = [player.ask("POST", "/v1/me/export", body).status for _ in range(6)]
    assert answers == [200] * 5 + [429]
    assert player.change_password(NEW_PASSWORD).status == 429  # the same bucket
