"""A guest plays without a name and a password, and is known by a secret of the device."""

import base64
import re
from dataclasses import replace

import jwt
import pytest

from auth.credentials.crockford import ALPHABET
from auth.credentials.guest_secrets import is_guest_secret
from auth.settings import Settings
from auth.store.sessions import SessionTable
from tests.conftest import FakeClock, Tables
from tests.integration.sign_in.test_enumeration import Work
from tests.play.containers import Serve
from tests.play.events import is_unavailable
from tests.play.guests import Guest, new_secret
from tests.play.players import Player, call
from tests.play.round_trips import round_trips

GOOD = "Zk3yq0S8uVwX1aBcD2eFgH4iJkL5mNoP6qRsT7uVwY8"
WEAK_SECRETS = [
    "",
    GOOD[:42],
    f"{GOOD}A",
    f"+{GOOD[1:]}",
    f"/{GOOD[1:]}",
    f"{GOOD[:42]}=",
    "0b1d6a0c-3e9f-4d24-9a53-2f8e4b6d1c07",  # a UUID
    "0b1d6a0c3e9f4d249a532f8e4b6d1c070b1d6a0c3e9",  # hexadecimal digits, of the right length
    "A" * 43,
    f"{GOOD[:42]}B",  # its last two bits would be lost
    "\N{LATIN SMALL LETTER A WITH GRAVE}" * 43,
    f"{GOOD}\n",
    "A" * 8000,
]


def test_created_once(tables: Tables) -> None:
    """The first call creates a guest with a generated name, and a repetition signs it in."""
    guest = Guest()
    first = guest.enter(create=True)
    assert first.status == 201
    account = first.json["account"]
    assert account["guest"] is True
    assert account["generated_name"] is True
    assert re.fullmatch(f"player-[{ALPHABET}]{{8}}", account["username"])
    assert guest.enter(create=True).status == 200
    returned = guest.enter()
    assert returned.status == 200
    assert returned.json["account"] == account
    assert guest.me().json["account"] == account
    assert guest.refresh().json["account"] == account
    assert tables.count("accounts") == 1
    assert tables.count("sessions") == 3


def test_the_access_token_says_so(tables: Tables, player: Player) -> None:
    """A guest's access token has the claim `guest`; a player's has no such claim."""
    guest = Guest()
    guest.enter(create=True)
    claims = [
        jwt.decode(each.access_token, options={"verify_signature": False})
        for each in (guest, player)
    ]
    assert claims[0]["guest"] is True
    assert "guest" not in claims[1]


@pytest.mark.parametrize("create", [None, False])
def test_a_returning_guest_creates_nothing(tables: Tables, create: object) -> None:
    """Without `create` an unknown secret gets 404, so no failure gives an empty account."""
    answer = call("POST", "/v1/guest", {"guest_secret": new_secret(), "create": create})
    assert (answer.status, answer.code) == (404, "unknown_guest")
    assert tables.count("accounts") == 0
    assert tables.count("rate_limits") == 0


@pytest.mark.parametrize("secret", WEAK_SECRETS)
def test_weak_secret(tables: Tables, secret: str) -> None:
    """A secret that is not 32 random bytes in canonical base64url is refused."""
    answer = call("POST", "/v1/guest", {"guest_secret": secret, "create": True})
    assert (answer.status, answer.code) == (422, "weak_guest_secret")
    assert "guest_secret" in answer.json["error"]["fields"]
    assert tables.count("accounts") == 0


@pytest.mark.parametrize("secret", [1, None, [], {}, True, [new_secret()]])
def test_secret_of_a_wrong_type(tables: Tables, secret: object) -> None:
    """A secret that is no string is refused."""
    answer = call("POST", "/v1/guest", {"guest_secret": secret, "create": True})
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert call("POST", "/v1/guest", {"create": True}).status == 400
    assert call("POST", "/v1/guest", {"guest_secret": new_secret(), "create": 1}).status == 400


def test_a_huge_secret(tables: Tables) -> None:
    """A body over the limit is refused as everywhere."""
    answer = call("POST", "/v1/guest", {"guest_secret": "A" * 9216, "create": True})
    assert answer.status == 413


def test_every_secret_of_random_bytes_is_good() -> None:
    """Random bytes never make a secret that is refused."""
    assert all(is_guest_secret(new_secret()) for _ in range(2000))


def test_the_database_has_a_digest(tables: Tables) -> None:
    """The secret is not stored in any form that gives it back."""
    guest = Guest()
    guest.enter(create=True)
    (row,) = tables.run("SELECT provider, subject FROM identities")
    assert row["provider"] == "guest"
    assert len(row["subject"]) == 32
    assert guest.secret.encode() not in row["subject"]
    assert base64.urlsafe_b64decode(guest.secret + "=") != row["subject"]


def test_guests_are_off(tables: Tables, settings: Settings, serve: Serve) -> None:
    """A stage without guests creates none, and signs in those it has."""
    guest = Guest()
    assert guest.enter(create=True).status == 201
    serve(replace(settings, guests=False))
    refused = Guest().enter(create=True)
    assert (refused.status, refused.code) == (403, "guests_disabled")
    assert Guest().enter().code == "unknown_guest"
    assert guest.enter(create=True).status == 200
    assert guest.enter().status == 200
    assert tables.count("accounts") == 1


def test_suspended_guest(tables: Tables) -> None:
    """A suspension is not shed by asking for a new guest with the same secret."""
    guest = Guest()
    guest.enter(create=True)
    tables.run("UPDATE accounts SET suspended_until = '9999-01-01', suspension_reason = 'cheating'")
    for create in (True, False):
        answer = guest.enter(create=create)
        assert (answer.status, answer.code) == (403, "account_suspended")
        assert answer.json["error"]["reason"] == "cheating"
    assert tables.count("sessions") == 1


def test_one_home_makes_sixty_guests(tables: Tables) -> None:
    """Sixty new guests from one address pass, the next one waits; returning ones never do."""
    guests = [Guest() for _ in range(60)]
    for guest in guests:
        assert guest.enter(create=True).status == 201
    refused = Guest().enter(create=True)
    assert (refused.status, refused.code) == (429, "too_many_attempts")
    assert 1 <= refused.json["error"]["retry_after"] <= 30
    for number in range(200):
        assert guests[number % 60].enter().status == 200


def test_a_guests_sessions_are_limited(tables: Tables) -> None:
    """A guest opens sessions at the rate of any account."""
    guest = Guest()
    assert guest.enter(create=True).status == 201
    answers = [guest.enter().status for _ in range(62)]
    assert answers == [200] * 60 + [429] * 2


def test_a_generated_name_that_is_taken(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a generated name is taken, another one is tried, three times in all."""
    names = iter(["player-AAAAAAAA"] * 3 + ["player-BBBBBBBB"] + ["player-AAAAAAAA"] * 3)
    monkeypatch.setattr("auth.flows.guests.generated_username", lambda: next(names))
    assert Guest().enter(create=True).json["account"]["username"] == "player-AAAAAAAA"
    assert Guest().enter(create=True).json["account"]["username"] == "player-BBBBBBBB"
    before = tables.run("SELECT * FROM rate_limits")
    unlucky = Guest()
    assert is_unavailable(unlucky.enter(create=True))
    assert tables.run("SELECT * FROM rate_limits") == before  # no fault of the player's
    assert tables.count("accounts") == 2


@pytest.mark.parametrize("create", [True, False])
def test_deleted_while_it_signs_in(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, *, create: bool
) -> None:
    """A guest that is deleted while it signs in is unknown; with `create` the next call helps."""
    guest = Guest()
    guest.enter(create=True)
    add = SessionTable.add

    def delete_first(table: SessionTable, session: object) -> None:
        tables.run("DELETE FROM accounts")
        add(table, session)  # type: ignore[arg-type]

    monkeypatch.setattr(SessionTable, "add", delete_first)
    if create:
        assert is_unavailable(guest.enter(create=True))
    else:
        assert guest.enter().code == "unknown_guest"


def test_round_trips(tables: Tables) -> None:
    """A returning guest takes four round trips: find, note its use, charge, open."""
    guest = Guest()
    guest.enter(create=True)
    with round_trips() as sent:
        assert guest.enter().status == 200
    assert len(sent) == 4, sent


@pytest.mark.parametrize("path", ["/v1/login", "/login"])
def test_a_guest_has_no_password(
    clock: FakeClock, player: Player, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Signing in with a guest's generated name is the work and the answer of an unknown name."""
    guest = Guest()
    name = guest.enter(create=True).json["account"]["username"]
    work = Work(monkeypatch)
    done = [
        work.of(lambda: call("POST", path, {"username": one, "password": "not the password"}))  # noqa: B023
        for one in (name, "nobody-here")
    ]
    assert done[0] == done[1]
    answer, statements, verified, hashed = done[0]
    assert answer.status == (401 if path == "/v1/login" else 200)
    assert (verified, hashed) == (1, 0)
    assert len(statements) == 2


def test_no_password_to_change(tables: Tables) -> None:
    """A guest has no password to change; nothing is charged."""
    guest = Guest()
    guest.enter(create=True)
    before = tables.run("SELECT * FROM rate_limits")
    answer = guest.change_password("another long enough one", "anything")
    assert (answer.status, answer.code) == (409, "no_password")
    assert tables.run("SELECT * FROM rate_limits") == before


def test_deletion(tables: Tables) -> None:
    """A guest deletes the account with the secret; only the fact of the deletion is kept."""
    guest = Guest()
    guest.enter(create=True)
    wrong = guest.ask("POST", "/v1/me/delete", {"guest_secret": new_secret()})
    assert (wrong.status, wrong.code) == (401, "invalid_credentials")
    assert wrong.json["error"]["message"] == "The guest secret is wrong."
    assert guest.ask("POST", "/v1/me/delete", {"password": "anything"}).status == 401
    assert guest.ask("POST", "/v1/me/delete", {"guest_secret": "garbled"}).status == 401
    assert guest.ask("POST", "/v1/me/delete", {}).status == 400
    both = {"guest_secret": guest.secret, "password": "anything"}
    assert guest.ask("POST", "/v1/me/delete", both).status == 400
    assert guest.ask("POST", "/v1/me/delete", {"guest_secret": guest.secret}).status == 200
    assert guest.enter().code == "unknown_guest"
    for table in ("accounts", "sessions", "identities"):
        assert tables.count(table) == 0
    (kept,) = tables.run("SELECT kind, session_id, data FROM events")
    assert kept == {"kind": 12, "session_id": None, "data": None}


def test_a_player_has_no_guest_secret(player: Player) -> None:
    """A player who confirms with a guest secret is refused, even with another's real one."""
    guest = Guest()
    guest.enter(create=True)
    answer = player.ask("POST", "/v1/me/delete", {"guest_secret": guest.secret})
    assert (answer.status, answer.code) == (401, "invalid_credentials")
    assert player.me().status == 200
    assert guest.me().status == 200
