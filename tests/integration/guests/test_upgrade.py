"""An upgrade makes a guest a player in place, wholly or not at all."""

from dataclasses import replace

import pytest

from auth.external.database import Database
from auth.flows.rate_limits import NAME_BY_ADDRESS
from auth.store.identities import IdentityTable
from auth.store.records import Identity
from tests.conftest import FakeClock, Tables
from tests.integration.database.test_lost_answers import Wire, wire  # noqa: F401  # a fixture
from tests.play.events import Answer, is_unavailable
from tests.play.guests import Guest, new_secret
from tests.play.players import PASSWORD, Player

OTHER_PASSWORD = "seven wooden ladders tonight"


@pytest.fixture
def guest(tables: Tables) -> Guest:
    """Return a guest."""
    guest = Guest()
    assert guest.enter(create=True).status == 201
    return guest


def is_guest(tables: Tables, guest: Guest) -> bool:
    """Tell whether the account is wholly a guest's; fail if it is neither that nor a player's."""
    (row,) = tables.run("SELECT guest, has_password, generated_name, username FROM accounts")
    flags = (row["guest"], row["has_password"], row["generated_name"], tables.count("identities"))
    assert flags in {(1, 0, 1, 1), (0, 1, 0, 0)}, row
    assert row["username"].startswith("player-") is bool(row["guest"])
    return bool(row["guest"])


def test_everything_stays(guest: Guest, tables: Tables) -> None:
    """The account keeps its id and age; the secret and all other sessions have ended."""
    before = guest.me().json["account"]
    other = Guest(secret=guest.secret)
    assert other.enter().status == 200
    upgraded = guest.upgrade("Ada")
    assert upgraded.status == 200, upgraded.text
    wanted = before | {"username": "Ada", "guest": False, "generated_name": False}
    assert upgraded.json["account"] == wanted
    assert guest.me().json["account"] == wanted
    assert other.me().code == "invalid_token"
    assert other.refresh().code == "session_ended"
    for create in (False, True):
        stranger = Guest(secret=guest.secret).enter(create=create)
        assert stranger.status == (201 if create else 404)  # the secret names no account any more
    assert Player("Ada").log_in().status == 200
    assert guest.refresh().status == 200


def test_the_token_before_is_dead(guest: Guest) -> None:
    """The refresh token from before the upgrade ends the session, as after a password change."""
    before = guest.refresh_token
    assert guest.upgrade("Ada").status == 200
    assert Guest().refresh(before).code == "session_ended"


def test_repeated(guest: Guest) -> None:
    """A repetition gives the same refresh token until that one is used."""
    first = guest.upgrade("Ada")
    again = guest.upgrade("Ada")
    assert again.status == 200
    assert again.json["refresh_token"] == first.json["refresh_token"]
    assert guest.refresh().status == 200
    used = guest.upgrade("Ada")
    assert (used.status, used.code) == (409, "not_a_guest")
    assert guest.me().status == 200


def test_repeated_with_another_body(guest: Guest) -> None:
    """Another name or password is no repetition, and a guess is charged like any other."""
    assert guest.upgrade("Ada").status == 200
    assert guest.upgrade("Bea").code == "not_a_guest"
    answers = [guest.upgrade("Ada", OTHER_PASSWORD).code for _ in range(6)]
    assert answers == ["not_a_guest"] * 5 + ["too_many_attempts"]


def test_a_player(player: Player) -> None:
    """An account that registered has nothing to upgrade."""
    body = {"username": "Ada", "password": PASSWORD, "guest_secret": new_secret()}
    answer = player.ask("POST", "/v1/me/upgrade", body)
    assert (answer.status, answer.code) == (409, "not_a_guest")


def test_name_taken(guest: Guest, tables: Tables) -> None:
    """If the name is taken the guest is as before."""
    assert Player("Ada").register().status == 201
    answer = guest.upgrade("ada")
    assert (answer.status, answer.code) == (409, "username_taken")
    assert guest.me().json["account"]["guest"] is True
    assert guest.enter().status == 200
    assert guest.refresh().status == 200
    assert guest.upgrade("Bea").status == 200


def test_ones_own_name(guest: Guest) -> None:
    """A name that the guest has chosen before can stay."""
    assert guest.ask("PUT", "/v1/me/username", {"username": "Ada"}).status == 200
    assert guest.upgrade("ADA").json["account"]["username"] == "ADA"


@pytest.mark.parametrize("username", ["player-12345678", "Guest-of-honour", "admin", "x"])
def test_refused_name(guest: Guest, tables: Tables, username: str) -> None:
    """A reserved or impossible name is refused, one's own generated one too."""
    assert guest.upgrade(username).code == "invalid_username"
    own = guest.me().json["account"]["username"]
    assert guest.upgrade(own).code == "invalid_username"
    assert is_guest(tables, guest)


@pytest.mark.parametrize("password", ["short", "qwertyuiop[]", "iamAdaLovelace", "zaq1@WSX"])
def test_weak_password(guest: Guest, tables: Tables, password: str) -> None:
    """The password follows the rules of a registration, and a refusal is not charged."""
    for _ in range(NAME_BY_ADDRESS.burst + 1):  # more than the bucket of any limit holds
        assert guest.upgrade("Ada", password).code == "weak_password"
    assert is_guest(tables, guest)
    assert guest.upgrade("Ada").status == 200


@pytest.mark.parametrize("secret", ["Zk3yq0S8uVwX1aBcD2eFgH4iJkL5mNoP6qRsT7uVwY8", "garbled", ""])
def test_wrong_secret(guest: Guest, tables: Tables, secret: str) -> None:
    """A wrong secret is refused and counted, and the guest is as before."""
    answers = [guest.upgrade("Ada", guest_secret=secret) for _ in range(6)]
    assert [answer.code for answer in answers[:5]] == ["invalid_credentials"] * 5
    assert answers[5].code == "too_many_attempts"
    assert is_guest(tables, guest)


def test_the_secret_of_another_guest(guest: Guest) -> None:
    """A guest cannot be upgraded with the secret of another one."""
    other = Guest()
    assert other.enter(create=True).status == 201
    assert guest.upgrade("Ada", guest_secret=other.secret).code == "invalid_credentials"
    assert other.enter().status == 200


def remove(guest: Guest) -> Answer:
    """Delete a guest."""
    return guest.ask("POST", "/v1/me/delete", {"guest_secret": guest.secret})


@pytest.mark.parametrize("parallel", ["same", "other name", "deletion"])
def test_at_once(
    guest: Guest, tables: Tables, monkeypatch: pytest.MonkeyPatch, parallel: str
) -> None:
    """A call that ends the secret after another has read the account is no wrong secret."""
    find, faster = IdentityTable.find, replace(guest)
    calls = iter([{"same": "Ada", "other name": "Grace"}.get(parallel)])

    def find_later(table: IdentityTable, provider: str, subject: bytes) -> Identity | None:
        for name in calls:
            done = faster.upgrade(name) if name else remove(faster)
            assert done.status == 200, done.text
        return find(table, provider, subject)

    monkeypatch.setattr(IdentityTable, "find", find_later)
    if parallel == "deletion":
        assert remove(guest).status == 200
        assert tables.count("accounts") == 0
        return
    slower = guest.upgrade("Ada")
    if parallel == "same":
        assert slower.status == 200, slower.text
        assert guest.refresh_token == faster.refresh_token
    else:
        assert (slower.status, slower.code) == (409, "not_a_guest")
    assert faster.refresh().status == 200


BEGINNINGS = (
    "BEGIN",
    "UPDATE accounts a JOIN sessions s",
    "DELETE FROM identities",
    "INSERT INTO events",
    "COMMIT",
)


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_cut_between_statements(
    warm: Database,
    guest: Guest,
    tables: Tables,
    wire: Wire,  # noqa: F811
    *,
    beginning: str,
    times: int,
    answered: bool,
) -> None:
    """The connection lost at any statement leaves a guest or a player; the repetition gives 200."""
    wire.cut_at(beginning, answered=answered, times=times)
    answer = guest.upgrade("Ada")
    assert wire.cuts >= 1
    if answer.status != 200:
        assert is_unavailable(answer)
        is_guest(tables, guest)
        assert guest.upgrade("Ada").status == 200
    assert not is_guest(tables, guest)
    assert guest.me().json["account"]["username"] == "Ada"
    assert guest.refresh().status == 200
    assert Player("Ada").log_in().status == 200
    assert [one["type"] for one in guest.events()] == ["upgraded", "registered"]


def test_time_passes_before_the_repetition(guest: Guest, clock: FakeClock) -> None:
    """A repetition works as long as the session does."""
    first = guest.upgrade("Ada")
    clock.advance(minutes=9)
    assert guest.upgrade("Ada").json["refresh_token"] == first.json["refresh_token"]
