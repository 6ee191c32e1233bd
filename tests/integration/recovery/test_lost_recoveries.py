"""The connection lost at any statement of a recovery: it is made whole, or not at all."""

from collections.abc import Iterator

import pytest

import handler
from auth.api.application import Application
from auth.app import create_app
from auth.credentials.passwords import Passwords
from auth.external.connection import Connection
from auth.external.database import Database
from auth.settings import Settings
from local.stack import Stack
from tests.conftest import Tables
from tests.integration.database.test_lost_answers import Wire, wire  # noqa: F401  # a fixture
from tests.play.crowd import NEW_PASSWORD, PASSWORD
from tests.play.events import Answer, is_unavailable
from tests.play.guests import Guest
from tests.play.players import Player, call

THIRD_PASSWORD = "pK3$wN9z-Hd"
TRANSACTION = ("BEGIN", "UPDATE accounts a JOIN recovery_codes", "INSERT INTO events", "COMMIT")
READ_FIRST = ("INSERT INTO rate_limits", "SELECT r.account_id", "SELECT a.id")
RECOVER = (*READ_FIRST, *TRANSACTION, "INSERT INTO sessions")
MOVE = (*READ_FIRST, "SELECT id, account_id", *TRANSACTION, "INSERT INTO sessions")
MAKE = (
    "SELECT a.username",
    "INSERT INTO rate_limits",
    "UPDATE rate_limits",
    "BEGIN",
    "INSERT INTO recovery_codes",
    "INSERT INTO events",
    "COMMIT",
)


@pytest.fixture(scope="module")
def quick(stack: Stack) -> Iterator[Application]:
    """Return an application that hashes cheaply."""
    application = create_app(
        Settings.from_environment(stack.environment()), passwords=Passwords(8, 1)
    )
    yield application
    application.close()


@pytest.fixture(autouse=True)
def _warm(tables: Tables, quick: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a container answer that has already answered a request."""
    monkeypatch.setattr(handler, "application", quick)
    assert call("GET", "/v1/health").status == 200


@pytest.fixture
def player() -> Player:
    """Return a registered player, whose password is quick to judge."""
    player = Player(password=PASSWORD)
    assert player.register().status == 201
    return player


@pytest.fixture
def guest(tables: Tables) -> Guest:
    """Return a guest."""
    guest = Guest()
    assert guest.enter(create=True).status == 201
    return guest


def is_whole(answer: Answer, times: int) -> bool:
    """Tell whether the player is in; fail if the player was told anything but to try again."""
    assert answer.status == 200 or is_unavailable(answer), answer.text
    assert times > 1 or answer.status == 200, "a single loss reached the player"
    return answer.status == 200


def recoveries_in(tables: Tables) -> int:
    """Return the number of recoveries that the events tell of."""
    (row,) = tables.run("SELECT COUNT(*) AS number FROM events WHERE kind = 5")
    return int(row["number"])


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("beginning", RECOVER)
def test_recovery(
    player: Player,
    tables: Tables,
    wire: Wire,  # noqa: F811
    *,
    beginning: str,
    times: int,
    answered: bool,
) -> None:
    """One password is in force: the new one and the code is used, or the old one and it is good."""
    code, lost = player.saved_code(), player.on_another_device()
    wire.cut_at(beginning, answered=answered, times=times)
    answer = lost.recover(code, NEW_PASSWORD)
    assert wire.cuts == times
    done = is_whole(answer, times)
    tables.run("DELETE FROM rate_limits")
    in_force = [
        password
        for password in (PASSWORD, NEW_PASSWORD)
        if player.on_another_device().log_in(password).status == 200
    ]
    assert len(in_force) == 1
    is_new = in_force == [NEW_PASSWORD]
    assert is_new or not done
    assert (player.me().status, player.refresh().status) == ((401, 401) if is_new else (200, 200))
    assert recoveries_in(tables) == int(is_new)
    again = lost.on_another_device().recover(code, THIRD_PASSWORD)
    assert again.status == (401 if is_new else 200)
    if done:
        assert (lost.me().status, lost.refresh().status) == (200, 200)
        assert lost.recover(answer.json["recovery_code"], THIRD_PASSWORD).status == 200


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("beginning", MOVE)
def test_move(
    guest: Guest,
    tables: Tables,
    wire: Wire,  # noqa: F811
    *,
    beginning: str,
    times: int,
    answered: bool,
) -> None:
    """One device has the guest: the new one and the code is used, or the old one and it is good."""
    name, code, there = guest.me().json["account"]["username"], guest.saved_code(), Guest()
    wire.cut_at(beginning, answered=answered, times=times)
    answer = there.move(name, code)
    assert wire.cuts == times
    done = is_whole(answer, times)
    tables.run("DELETE FROM rate_limits")
    has_moved = Guest(secret=there.secret).enter().status == 200
    assert (Guest(secret=guest.secret).enter().status == 200) is not has_moved
    assert has_moved or not done
    assert guest.refresh().status == (401 if has_moved else 200)
    assert recoveries_in(tables) == int(has_moved)
    assert tables.count("identities") == 1
    assert Guest().move(name, code).status == (401 if has_moved else 200)
    if done:
        assert (there.me().status, there.refresh().status) == (200, 200)
        assert Guest().move(name, answer.json["recovery_code"]).status == 200


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("earlier", [True, False])
@pytest.mark.parametrize("beginning", MAKE)
def test_making_a_code(
    player: Player,
    tables: Tables,
    wire: Wire,  # noqa: F811
    *,
    beginning: str,
    earlier: bool,
    times: int,
    answered: bool,
) -> None:
    """A code that was shown works; if none was shown, the earlier one does unless it is replaced.

    Repeating the call gives a code that works.
    """
    before = player.saved_code() if earlier else ""
    wire.cut_at(beginning, answered=answered, times=times)
    made = player.make_recovery_code()
    assert wire.cuts == (1 if beginning.startswith("UPDATE rate_limits") else times)
    is_shown = is_whole(made, 1 if beginning.startswith("UPDATE rate_limits") else times)
    wanted = int(earlier) + int(is_shown)
    (row,) = tables.run("SELECT COUNT(*) AS number FROM events WHERE kind = 6")
    unseen = row["number"] - wanted
    assert unseen in ({0} if is_shown else {0, 1})
    assert tables.count("recovery_codes") == int(row["number"] > 0)
    if before:
        replaced = player.on_another_device().recover(before, THIRD_PASSWORD)
        assert replaced.status == (401 if is_shown or unseen else 200)
        if replaced.status == 200:
            return
    code = made.json["recovery_code"] if is_shown else player.saved_code()
    assert player.on_another_device().recover(code, NEW_PASSWORD).status == 200


def test_a_code_replaced_by_another_call(
    player: Player,
    wire: Wire,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A call that lost its answer does not undo the call that came after it, and is no bug."""
    later: Iterator[Player] = iter([player.on_another_device()])
    codes: list[str] = []
    dial = Database._open  # noqa: SLF001  # the moment between two tries

    def another_call_first(database: Database) -> Connection:
        for other in later:
            assert other.log_in().status == 200
            codes.append(other.saved_code())
        return dial(database)

    wire.cut_at("COMMIT", answered=True)
    monkeypatch.setattr(Database, "_open", another_call_first)
    made = player.make_recovery_code()
    assert wire.cuts == 1
    assert made.status == 200, made.text
    (last,) = codes
    assert player.recover(made.json["recovery_code"], NEW_PASSWORD).status == 401
    assert player.recover(last, NEW_PASSWORD).status == 200
