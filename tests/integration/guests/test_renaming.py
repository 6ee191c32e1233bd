"""Renaming: free once for a generated name, then once in thirty days."""

import pytest

from auth.external.database import Database
from tests.conftest import FakeClock, Tables
from tests.integration.database.test_lost_answers import Wire, wire  # noqa: F401  # a fixture
from tests.play.events import Answer, is_unavailable
from tests.play.guests import Guest
from tests.play.players import Player


def rename(player: Player, username: str, **more: object) -> Answer:
    """Rename a player, who confirms with the password unless told otherwise."""
    body = {"username": username, **(more or {"password": player.password})}
    answer = player.ask("PUT", "/v1/me/username", body)
    if answer.status == 200:
        player.username = username
    return answer


def charged(tables: Tables) -> set[tuple[bytes, int]]:
    """Return the buckets of the rate limits, each with its time."""
    rows = tables.run("SELECT bucket, tat FROM rate_limits")
    return {(row["bucket"], row["tat"]) for row in rows}


def test_renamed(player: Player, tables: Tables) -> None:
    """A renamed player signs in by the new name, and the old one is free at once."""
    old = player.username
    before = player.me().json["account"]
    answer = rename(player, "Ada")
    assert answer.status == 200
    assert answer.json == {"account": before | {"username": "Ada"}}
    assert player.refresh().json["account"]["username"] == "Ada"
    assert Player("ada").log_in().status == 200
    assert Player(old).log_in().status == 401
    assert Player(old).register().status == 201


def test_once_in_thirty_days(player: Player, clock: FakeClock) -> None:
    """A second change waits for thirty days, and the answer says until when."""
    assert rename(player, "Ada").status == 200
    clock.advance(days=29)
    assert player.log_in().status == 200
    answer = rename(player, "Bea")
    assert (answer.status, answer.code) == (409, "renamed_recently")
    assert answer.json["error"]["until"].endswith("Z")
    clock.advance(days=1)
    assert player.log_in().status == 200
    assert rename(player, "Bea").status == 200


def test_another_spelling(
    player: Player, tables: Tables, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another spelling is always free, charges no name, and moves no date."""
    now = clock()
    monkeypatch.setattr(FakeClock, "__call__", lambda _: now)  # or a refunded charge moves a bucket
    assert rename(player, "Ada").status == 200
    (date,) = tables.run("SELECT renamed_at FROM accounts")
    before = charged(tables)
    assert rename(player, "ADA").status == 200
    assert len(charged(tables) - before) == 1  # counted as a change
    after = charged(tables)
    assert rename(player, "ADA").status == 200  # the same again
    assert tables.run("SELECT renamed_at FROM accounts") == [date]
    assert charged(tables) == after
    assert rename(player, "Bea").code == "renamed_recently"


def test_taken(player: Player, tables: Tables) -> None:
    """A taken name is refused, and the try costs a name but no change."""
    other = Player("Ada")
    assert other.register().status == 201
    for _ in range(7):  # more than the changes that may succeed
        answer = rename(player, "ada")
        assert (answer.status, answer.code) == (409, "username_taken")
    assert rename(player, "Bea").status == 200


def test_names_are_limited_by_address(player: Player) -> None:
    """Whoever asks for many names must wait, whether they are taken or not."""
    assert Player("Ada").register().status == 201  # the second name, after the player's own
    answers = [rename(player, "ada").code for _ in range(19)]
    assert answers == ["username_taken"] * 18 + ["too_many_attempts"]


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"password": "not the password"}, 401),
        ({"guest_secret": "x"}, 401),
        ({"password": None}, 400),
        ({"password": "a", "guest_secret": "b"}, 400),
    ],
)
def test_confirmation(player: Player, more: dict[str, object], status: int) -> None:
    """A chosen name changes only with exactly one confirmation, the right one."""
    old = player.me().json["account"]["username"]
    assert rename(player, "Ada", **more).status == status
    assert player.me().json["account"]["username"] == old


def test_wrong_passwords_are_limited(player: Player) -> None:
    """Guessing at the password by renaming is limited together with the other ways."""
    for _ in range(5):
        assert rename(player, "Ada", password="wrong").status == 401
    assert rename(player, "Ada").code == "too_many_attempts"
    assert player.delete("wrong").code == "too_many_attempts"


@pytest.mark.parametrize("name", ["player-1", "PLAYER-ABCDEFGH", "guest-1", "admin", "no name"])
def test_reserved(player: Player, tables: Tables, name: str) -> None:
    """Reserved names and the prefixes of generated ones are refused, and not charged."""
    before = charged(tables)
    assert rename(player, name).code == "invalid_username"
    assert charged(tables) == before


def test_a_guest(tables: Tables) -> None:
    """A guest replaces the generated name without confirmation, once; the date starts later."""
    guest = Guest()
    guest.enter(create=True)
    assert rename(guest, "Ada", password=None).status == 200
    (row,) = tables.run("SELECT guest, generated_name, renamed_at FROM accounts")
    assert row == {"guest": 1, "generated_name": 0, "renamed_at": None}
    assert rename(guest, "Bea", password=None).status == 400
    assert rename(guest, "Bea", guest_secret=guest.secret).status == 200
    assert rename(guest, "Cia", guest_secret=guest.secret).code == "renamed_recently"
    assert guest.enter().json["account"]["username"] == "Bea"


def test_a_repetition(tables: Tables) -> None:
    """A repeated call after a lost answer gives 200, even if it would need a confirmation now."""
    guest = Guest()
    guest.enter(create=True)
    for _ in range(2):
        assert rename(guest, "Ada", password=None).status == 200
    assert [one["type"] for one in guest.events()] == ["renamed", "registered"]


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("beginning", ["UPDATE accounts SET username", "COMMIT"])
def test_lost_answer(
    warm: Database,
    tables: Tables,
    wire: Wire,  # noqa: F811
    *,
    beginning: str,
    times: int,
    answered: bool,
) -> None:
    """A renaming with an unknown outcome is looked up: 200 or 503, never "taken"."""
    player = Player()
    player.register()
    wire.cut_at(beginning, answered=answered, times=times)
    answer = rename(player, "Ada")
    assert answer.status == 200 or is_unavailable(answer)
    if answer.status != 200:
        assert rename(player, "Ada").status == 200
    types = [row["kind"] for row in tables.run("SELECT kind FROM events ORDER BY seq")]
    assert types == [1, 3]
