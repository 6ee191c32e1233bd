"""The SQL of restore.md and migrations.md, as printed, and the effects of a restore."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from auth.times import rfc3339, system_clock
from tests.conftest import FakeClock, Tables
from tests.play.guests import Guest
from tests.play.operators import Operator
from tests.play.players import PASSWORD, Player
from tests.play.sources import ROOT

DOCS = ROOT / "docs" / "run"
STATEMENTS = "".join((DOCS / page).read_text() for page in ("restore.md", "migrations.md"))
COPIED = ("accounts", "sessions", "identities", "recovery_codes")
TIME = "2026-11-22 18:00:00"  # of the example's backup


def statement(name: str) -> str:
    """Return the SQL that a document gives under a name."""
    found = re.search(rf"<!-- sql: {name} -->\n *```sql\n(.*?)```", STATEMENTS, re.DOTALL)
    assert found, name
    return found[1].strip().rstrip(";")


@contextmanager
def backup(tables: Tables, *, give_back: bool = True) -> Iterator[None]:
    """Copy the players now and restore them at the end, as the document says."""
    for table in COPIED:
        tables.run(f"CREATE TABLE kept_{table} AS SELECT * FROM {table}")
    time = f"{system_clock():%Y-%m-%d %H:%M:%S.%f}"
    assert TIME in statement("keep upgrades")
    try:
        yield
        tables.run(statement("keep upgrades").replace(TIME, time))
        tables.run(statement("replace"))
        for table in COPIED:
            tables.run(f"INSERT INTO {table} SELECT * FROM kept_{table}")
        if give_back:
            tables.run(statement("give back upgrades"))
            tables.run(statement("forget their secrets"))
            tables.run(statement("forget their codes"))
        tables.run(statement("forget the kept upgrades"))
        if give_back:
            tables.run(statement("delete replaced codes").replace(TIME, time))
    finally:
        for table in COPIED:
            tables.run(f"DROP TABLE kept_{table}")


@pytest.mark.usefixtures("tables")
def test_sign_everybody_out() -> None:
    """The command at the end of the document signs all players out, and they can sign in again."""
    assert "python -m operate sign-out --everybody --stage" in STATEMENTS
    assert "UPDATE accounts SET epoch" not in STATEMENTS
    players = [Player() for _ in range(3)]
    for player in players:
        player.register()
    assert Operator().must("sign-out everybody") == {"accounts": 3, "finished": True}
    assert [player.refresh().status for player in players] == [401] * 3
    assert [player.log_in().status for player in players] == [200] * 3


def test_after_a_restore(
    tables: Tables, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """After a restore each player's state is as docs/run/restore.md says."""
    idle, refreshed, gone, changed, deleted = players = [Player() for _ in range(5)]
    for player in players:
        player.register()
    stolen = gone.refresh_token
    new = Player("Newcomer")
    with backup(tables):
        clock.advance(minutes=5)
        assert refreshed.refresh().status == 200
        assert gone.log_out(everywhere=True).status == 200
        assert changed.change_password("another horse, another battery").status == 200
        assert deleted.delete().status == 200
        assert new.register().status == 201
    assert idle.refresh().status == 200
    with caplog.at_level(logging.INFO, logger="auth"):
        assert refreshed.refresh().json["error"]["code"] == "session_ended"
    assert caplog.records[-1].__dict__["event"] == "refresh_ahead"
    assert tables.run("SELECT COUNT(*) AS n FROM sessions WHERE ended_at IS NOT NULL")[0]["n"] == 0
    assert gone.refresh(stolen).status == 200
    assert changed.log_in().status == 401
    assert changed.log_in(PASSWORD).status == 200
    assert deleted.log_in().status == 200
    assert new.log_in().status == 401


def test_guests_after_a_restore(tables: Tables, clock: FakeClock) -> None:
    """After a restore each guest's state is as docs/run/restore.md says, before step 4 ends."""
    idle, upgraded, deleted, renamed = guests = [Guest() for _ in range(4)]
    for guest in guests:
        assert guest.enter(create=True).status == 201
    new, secret = Guest(), upgraded.secret
    old_name = renamed.me().json["account"]["username"]
    with backup(tables, give_back=False):
        clock.advance(minutes=5)
        assert upgraded.upgrade("Ada").status == 200
        assert deleted.ask("POST", "/v1/me/delete", {"guest_secret": deleted.secret}).status == 200
        assert renamed.ask("PUT", "/v1/me/username", {"username": "Grace"}).status == 200
        assert new.enter(create=True).status == 201
    assert idle.enter().status == 200
    assert Player("Ada").log_in().code == "invalid_credentials"
    assert upgraded.refresh().code == "session_ended"
    assert Guest(secret=secret).enter().status == 200  # nobody has this secret any more
    assert deleted.enter().status == 200
    assert renamed.enter().json["account"]["username"] == old_name
    assert new.enter().code == "unknown_guest"
    assert Player("Grace").register().status == 201


def test_upgrades_after_a_restore(tables: Tables, clock: FakeClock) -> None:
    """Guests who upgraded since the backup get their name and password, if it is free, again."""
    ada, grace, earlier, guest = guests = [Guest() for _ in range(4)]
    for each in guests:
        assert each.enter(create=True).status == 201
    assert earlier.upgrade("Earlier").status == 200
    rival = Player("Grace")
    rival.register()
    clock.advance(minutes=2)
    ids = [each.me().json["account"]["id"] for each in guests]
    with backup(tables):
        clock.advance(minutes=2)
        assert rival.delete().status == 200
        assert ada.upgrade("Ada").status == 200
        assert grace.upgrade("Grace").status == 200
    assert Player("Ada").log_in().json["account"]["id"] == ids[0]
    assert ada.enter().code == "unknown_guest"
    assert rival.log_in().status == 200
    assert grace.enter().json["account"]["id"] == ids[1]
    assert Player("Earlier").log_in().json["account"]["id"] == ids[2]
    assert guest.enter().json["account"]["id"] == ids[3]


def test_codes_after_a_restore(tables: Tables, clock: FakeClock) -> None:
    """After a restore the codes of that time are good, except for those that were replaced."""
    new_password = "another horse, another battery"
    idle, back, replacing, without = players = [Player() for _ in range(4)]
    for player in players:
        assert player.register().status == 201
    kept, used, replaced = idle.saved_code(), back.saved_code(), replacing.saved_code()
    guest, there = Guest(), Guest()
    assert guest.enter(create=True).status == 201
    name, moved = guest.name(), guest.saved_code()
    clock.advance(minutes=2)
    with backup(tables):
        clock.advance(minutes=2)
        following = back.recover(used, new_password).json["recovery_code"]
        back.saved_code()  # of a player who has also recovered: the used one stays
        newer, first = replacing.saved_code(), without.saved_code()
        assert there.move(name, moved).status == 200
    tables.run("DELETE FROM rate_limits")
    for player, code in (
        (back, following),
        (replacing, replaced),
        (replacing, newer),
        (without, first),
    ):
        assert player.recover(code, new_password).code == "invalid_credentials"
    assert back.log_in(PASSWORD).status == 200
    assert back.recover(used, new_password).status == 200
    assert idle.recover(kept, new_password).status == 200
    assert replacing.log_in(PASSWORD).status == 200
    assert replacing.recover(replacing.saved_code(), new_password).status == 200
    assert there.enter().code == "unknown_guest"
    assert guest.enter().status == 200
    assert there.move(name, moved).status == 200


def test_codes_of_upgrades_after_a_restore(tables: Tables, clock: FakeClock) -> None:
    """A code from before an upgrade stays dead, unless the account is a guest's again."""
    ada, grace = guests = [Guest() for _ in range(2)]
    for each in guests:
        assert each.enter(create=True).status == 201
    name = grace.name()
    codes = [each.saved_code() for each in guests]
    rival = Player("Grace")
    assert rival.register().status == 201
    clock.advance(minutes=2)
    with backup(tables):
        clock.advance(minutes=2)
        assert rival.delete().status == 200
        assert ada.upgrade("Ada").status == 200
        assert grace.upgrade("Grace").status == 200
    new_password = "another horse, another battery"
    assert Player("Ada").recover(codes[0], new_password).code == "invalid_credentials"
    assert Player("Ada").log_in().status == 200
    assert Guest().move(name, codes[1]).status == 200


def test_end_restored_sessions(tables: Tables, clock: FakeClock) -> None:
    """Signing everybody out ends the sessions that a restore brought back."""
    player = Player()
    player.register()
    stolen = player.refresh_token
    with backup(tables):
        clock.advance(minutes=5)
        assert player.log_out(everywhere=True).status == 200
    assert Operator().must("sign-out everybody")["finished"]
    assert player.refresh(stolen).status == 401
    assert player.log_in().status == 200


def test_suspend_again(tables: Tables, clock: FakeClock) -> None:
    """What operators did since the backup is listed after a restore, so that it is done again."""
    player, operator = Player("Ada"), Operator()
    player.register()
    earlier = rfc3339(system_clock())
    with backup(tables):
        clock.advance(minutes=5)
        operator.must("suspend", account="Ada", for_="7d", player_reason="Cheating", reason="1203")
    assert player.log_in().status == 200
    done = operator.must("log", since=earlier)["operations"]
    assert [(one["command"], one["reason"]) for one in done] == [("suspend", "1203")]
    assert operator.must("players show", account=done[0]["account_id"])["username"] == "Ada"
    assert done[0]["result"]["player_reason"] == "Cheating"


def test_delete_again(tables: Tables, clock: FakeClock) -> None:
    """Accounts deleted since the backup, by owner or operator, are found and deleted again."""
    before, own, by_operator, _ = players = [Player() for _ in range(4)]
    for player in players:
        assert player.register().status == 201
    assert before.delete().status == 200
    time = f"{system_clock():%Y-%m-%d %H:%M:%S.%f}"
    clock.advance(minutes=2)
    with backup(tables):
        clock.advance(minutes=2)
        assert own.delete().status == 200
        Operator().must("delete", account=by_operator.username, reason="ticket 4711")
    found = tables.run(statement("deleted since").replace(TIME, time))
    assert len(found) == 2
    for row in found:
        Operator().must("delete", account=str(row["account"]))
    assert [player.log_in().status for player in players] == [401, 401, 401, 200]


def test_codes_after_rolling_back(tables: Tables) -> None:
    """A code from before an upgrade is deleted, if the upgrade by an older version left it."""
    guest, other = Guest(), Guest()
    assert guest.enter(create=True).status == other.enter(create=True).status == 201
    code, theirs = guest.saved_code(), other.saved_code()
    (kept,) = tables.run(
        "SELECT r.* FROM recovery_codes r JOIN accounts a ON a.id = r.account_id"
        " WHERE a.username = %s",
        guest.name(),
    )
    assert guest.upgrade("Ada").status == 200
    names = ", ".join(kept)
    places = ", ".join(["%s"] * len(kept))
    tables.run(f"INSERT INTO recovery_codes ({names}) VALUES ({places})", *kept.values())
    tables.run(statement("delete codes from before an upgrade"))
    assert Player("Ada").recover(code, "seven wooden ladders tonight").code == "invalid_credentials"
    assert Guest().move(other.name(), theirs).status == 200
