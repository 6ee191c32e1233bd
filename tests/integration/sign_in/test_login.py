"""Signing in: success, the answers to failures, and the limits on guesses."""

from datetime import UTC, datetime, timedelta

import pytest
from argon2 import PasswordHasher, Type

from tests.conftest import FakeClock, Tables
from tests.play.events import Answer
from tests.play.players import PASSWORD, Player, call

WRONG = "not the password"


def guess(username: str, address: str, password: str = WRONG, **more: object) -> Answer:
    """Try a name and a password from an address."""
    body = {"username": username, "password": password, **more}
    return call("POST", "/v1/login", body, address=address)


def suspend(tables: Tables, until: datetime, reason: str | None) -> None:
    """Suspend all accounts."""
    tables.run("UPDATE accounts SET suspended_until = %s, suspension_reason = %s", until, reason)


# Success and failure


def test_new_session(player: Player, tables: Tables) -> None:
    """Every sign-in opens a new session with new tokens."""
    other = player.on_another_device()
    first, second = player.log_in(device="phone"), other.log_in(device="desk")
    assert (first.status, second.status) == (200, 200)
    assert first.json["account"] == second.json["account"]
    assert first.json["session"]["id"] != second.json["session"]["id"]
    assert player.refresh_token != other.refresh_token
    assert {session["device"] for session in player.sessions()} == {None, "phone", "desk"}
    assert tables.count("sessions") == 3


@pytest.mark.parametrize(
    "username",
    [
        "",
        " ",
        "no",
        "nobody-here",
        "ka te",
        "kate ",
        " kate",
        "kate\x00",
        "kate\n",
        "\u212aate",  # the Kelvin sign, with k as its lower case
        "k\u00e0te",
        "\uff4bate",
        "kate\u200d",
        "k\u0430te",  # a Cyrillic a
        "\U0001f600",
        "admin",
        "kate' OR '1'='1",
        "kate\\",
        "%",
        "x" * 5000,
        "\u00e9" * 1300,
    ],
)
def test_alike(username: str, tables: Tables) -> None:
    """Unknown and impossible names are answered exactly like a wrong password."""
    assert Player("Kate").register().status == 201
    wrong = Player("kate").log_in(WRONG)
    unknown = Player(username).log_in()
    assert (wrong.status, wrong.code) == (401, "invalid_credentials")
    assert (unknown.status, unknown.json) == (wrong.status, wrong.json)
    assert unknown.headers == wrong.headers
    assert set(wrong.json["error"]) == {"code", "message", "request_id"}
    assert wrong.headers["www-authenticate"] == "Bearer"
    assert tables.count("sessions") == 1


@pytest.mark.parametrize(
    "password", ["", " ", "x" * 7000, "\x00", f"{PASSWORD}\x00", PASSWORD.title(), f"{PASSWORD} "]
)
def test_wrong_passwords(password: str, player: Player) -> None:
    """Only the right password is accepted, even among passwords that cannot be registered."""
    answer = guess(player.username, player.address, password)
    assert (answer.status, answer.code) == (401, "invalid_credentials")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"username": "ada"},
        {"password": "x"},
        {"username": None, "password": "x"},
        {"username": "ada", "password": 0},
        {"username": ["ada"], "password": "x"},
        {"username": "ada", "password": "x", "device": "x" * 65},
        {"username": "ada", "password": "x", "device": 1},
        {"username": "ada", "password": "x", "refresh_token": 1},
        {"username": "ada", "password": "x", "refresh_token": ["x"]},
        {"username": "ada\ud800", "password": "x"},
    ],
)
def test_wrong_body(body: dict[str, object], tables: Tables) -> None:
    """An invalid body is refused and charges nothing."""
    answer = call("POST", "/v1/login", body)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert tables.count("rate_limits") == 0


def test_optional_fields_may_be_null(player: Player) -> None:
    """Optional fields may be null, and unknown ones are ignored."""
    assert player.log_in(device=None, refresh_token=None, remember=True).status == 200


# Suspension


def test_suspended(player: Player, tables: Tables, clock: FakeClock) -> None:
    """A suspended player with the right password learns the end and the reason, then signs in."""
    until = (datetime.now(UTC) + timedelta(days=3)).replace(microsecond=0)
    suspend(tables, until, "Spam in the chat")
    answer = player.log_in()
    assert (answer.status, answer.code) == (403, "account_suspended")
    assert answer.json["error"]["until"] == f"{until:%Y-%m-%dT%H:%M:%SZ}"
    assert answer.json["error"]["reason"] == "Spam in the chat"
    assert tables.count("sessions") == 1
    clock.advance(days=3)
    assert player.log_in().status == 200


def test_suspended_for_good(player: Player, tables: Tables) -> None:
    """A suspension without an end gives null."""
    suspend(tables, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), None)
    error = player.log_in().json["error"]
    assert set(error) == {"code", "message", "request_id", "until", "reason"}
    assert (error["code"], error["until"], error["reason"]) == ("account_suspended", None, "")


def test_suspension_is_no_secret_to_its_owner_only(player: Player, tables: Tables) -> None:
    """With a wrong password the suspension is not shown, and the guess is charged."""
    suspend(tables, datetime(9999, 1, 1, tzinfo=UTC), "Spam")
    for _ in range(4):
        assert player.log_in(WRONG).code == "invalid_credentials"
    assert player.log_in().code == "account_suspended"
    assert player.log_in().code == "too_many_attempts"


# Hashes with other parameters


@pytest.mark.parametrize(
    "hasher",
    [
        PasswordHasher(time_cost=1, memory_cost=64, parallelism=1),
        PasswordHasher(time_cost=2, memory_cost=19456, parallelism=2),
        PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1, hash_len=16),
        PasswordHasher(time_cost=1, memory_cost=64, parallelism=1, type=Type.I),
    ],
)
def test_rehash(hasher: PasswordHasher, player: Player, tables: Tables) -> None:
    """Signing in replaces a hash with other parameters, once; imported passwords may be weak."""
    old = hasher.hash("123")
    tables.run("UPDATE accounts SET password_hash = %s", old)
    player.password = "123"

    assert player.log_in("1234").code == "invalid_credentials"
    assert tables.run("SELECT password_hash AS h FROM accounts")[0]["h"] == old

    assert player.log_in().status == 200
    assert player.me().status == 200
    new = tables.run("SELECT password_hash AS h FROM accounts")[0]["h"]
    assert new != old
    assert new.startswith("$argon2id$v=19$m=19456,t=2,p=1$")

    assert player.log_in().status == 200
    assert player.log_in("1234").code == "invalid_credentials"
    assert tables.run("SELECT password_hash AS h FROM accounts")[0]["h"] == new


def test_no_rehash(player: Player, tables: Tables) -> None:
    """A hash with current parameters stays."""
    before = tables.run("SELECT password_hash FROM accounts")
    assert player.log_in().status == 200
    assert tables.run("SELECT password_hash FROM accounts") == before


# Rate limits


def test_five_guesses(player: Player, clock: FakeClock) -> None:
    """An address has five guesses at an account, then one a minute."""
    for _ in range(5):
        assert player.log_in(WRONG).code == "invalid_credentials"
    answer = player.log_in()
    assert (answer.status, answer.code) == (429, "too_many_attempts")
    retry_after = answer.json["error"]["retry_after"]
    assert 50 <= retry_after <= 60
    assert answer.headers["retry-after"] == str(retry_after)

    clock.advance(seconds=retry_after - 10)
    assert player.log_in().status == 429
    clock.advance(seconds=10)
    assert player.log_in(WRONG).status == 401
    assert player.log_in().status == 429
    clock.advance(minutes=2)
    assert player.log_in(WRONG).status == 401
    assert player.log_in(WRONG).status == 401
    assert player.log_in().status == 429
    clock.advance(days=1)
    assert [player.log_in(WRONG).status for _ in range(6)] == [401] * 5 + [429]


def test_spellings_are_one_account(player: Player) -> None:
    """Guesses at another spelling of a name are guesses at the same account."""
    for number in range(5):
        name = player.username.upper() if number % 2 else player.username
        assert guess(name, player.address).status == 401
    assert guess(player.username.title(), player.address).status == 429


def test_unknown_names_are_limited_alike(tables: Tables) -> None:
    """Guesses at unknown names are limited in the same way, or the limit would reveal them."""
    assert [Player("nobody-here").log_in().status for _ in range(6)] == [401] * 5 + [429]
    assert [Player("No Body").log_in().status for _ in range(6)] == [401] * 5 + [429]


def test_success_is_no_guess(player: Player) -> None:
    """Signing in with the right password costs nothing, however often."""
    for _ in range(30):
        assert player.log_in().status == 200


def test_success_gives_only_itself_back(player: Player) -> None:
    """A right password does not refund earlier wrong ones."""
    for _ in range(4):
        assert player.log_in(WRONG).status == 401
    for _ in range(3):
        assert player.log_in().status == 200
    assert player.log_in(WRONG).status == 401
    assert player.log_in().status == 429


def test_one_address_many_names(player: Player, clock: FakeClock) -> None:
    """An address has twenty guesses at all names together, then one every ten seconds."""
    for number in range(20):
        assert guess(f"name-{number}", "198.51.100.1").status == 401
    answer = guess(player.username, "198.51.100.1", PASSWORD)
    assert answer.code == "too_many_attempts"
    assert 5 <= answer.json["error"]["retry_after"] <= 10
    assert guess(player.username, "198.51.100.2", PASSWORD).status == 200
    clock.advance(seconds=10)
    assert guess("name-20", "198.51.100.1").status == 401
    clock.advance(minutes=10)
    assert guess(player.username, "198.51.100.1", PASSWORD).status == 200


def test_one_account_many_addresses(player: Player, clock: FakeClock) -> None:
    """All addresses together have twenty guesses at an account, then one every five minutes."""
    for number in range(20):
        assert guess(player.username, f"198.51.100.{number}").status == 401
    answer = guess(player.username, "198.51.100.99", PASSWORD)
    assert answer.code == "too_many_attempts"
    assert 280 <= answer.json["error"]["retry_after"] <= 300
    clock.advance(minutes=4)
    assert guess(player.username, "198.51.100.99", PASSWORD).status == 429
    clock.advance(minutes=1)
    assert guess(player.username, "198.51.100.98").status == 401
    assert guess(player.username, "198.51.100.97", PASSWORD).status == 429


def test_a_burst_out_of_order(player: Player, clock: FakeClock) -> None:
    """A burst is accepted in any order of the requests' clocks, without an extra attempt."""
    for number in range(20):
        assert guess(player.username, f"198.51.100.{number}").status == 401
        clock.advance(milliseconds=-40)
    assert guess(player.username, "198.51.100.99", PASSWORD).code == "too_many_attempts"
    clock.advance(seconds=2)
    assert guess(player.username, "198.51.100.99", PASSWORD).code == "too_many_attempts"


def test_other_accounts_are_not_touched(player: Player, tables: Tables) -> None:
    """Guessing at one account does not limit another one at the same address."""
    other = Player()
    assert other.register().status == 201
    for _ in range(5):
        assert player.log_in(WRONG).status == 401
    assert player.log_in().status == 429
    assert other.log_in().status == 200


def test_one_home_is_one_address(player: Player) -> None:
    """All addresses of an IPv6 /64 count as one; those of the next /64 as another."""
    home = "2001:db8:1:2"
    for host in ("::1", "::2", ":ffff:ffff:ffff:ffff", ":1:2:3:4", "::"):
        assert guess(player.username, f"{home}{host}").status == 401
    assert guess(player.username, f"{home}::99", PASSWORD).status == 429
    assert guess(player.username, "2001:db8:1:3::1", PASSWORD).status == 200


def test_ipv4_in_ipv6_is_one_address(player: Player) -> None:
    """An IPv4 address written as IPv6 counts as the IPv4 address, not as part of a /64."""
    for _ in range(5):
        assert guess(player.username, "::ffff:198.51.100.1").status == 401
    assert guess(player.username, "198.51.100.1", PASSWORD).status == 429
    assert guess(player.username, "::ffff:198.51.100.2", PASSWORD).status == 200


def test_no_name_and_no_address_at_rest(player: Player, tables: Tables) -> None:
    """The stored data of a guess contains neither the name nor the address."""
    tables.run("DELETE FROM rate_limits")
    assert player.log_in(WRONG).status == 401
    rows = tables.run("SELECT bucket FROM rate_limits")
    assert len(rows) == 3
    assert all(len(row["bucket"]) == 16 for row in rows)
    assert player.username.encode() not in b"".join(row["bucket"] for row in rows)


def test_a_refused_guess_charges_no_name(tables: Tables) -> None:
    """Requests from a limited address charge no name's bucket, so attackers cannot drain it."""
    for number in range(20):
        Player(f"name-{number}", address="198.51.100.9").log_in("wrong")
    owner = Player("somebody-else")
    assert owner.register().status == 201
    stranger = Player(owner.username, address="198.51.100.9")
    assert [stranger.log_in("wrong").status for _ in range(30)] == [429] * 30
    tries = [owner.on_another_device().log_in("wrong").status for _ in range(6)]
    assert tries == [401] * 5 + [429]


# Sessions opened


def test_sixty_sessions(player: Player, clock: FakeClock) -> None:
    """An account opens sixty sessions at once, from wherever, then one a minute."""
    devices = [player.on_another_device() for _ in range(61)]
    assert [device.log_in().status for device in devices[:60]] == [200] * 60
    answer = devices[60].log_in()
    assert (answer.status, answer.code) == (429, "too_many_attempts")
    retry_after = answer.json["error"]["retry_after"]
    assert 30 <= retry_after <= 60
    assert answer.headers["retry-after"] == str(retry_after)
    assert devices[59].refresh().status == 200
    clock.advance(seconds=retry_after)
    assert player.log_in().status == 200


def test_sessions_refused_cost_no_guess(player: Player, tables: Tables, clock: FakeClock) -> None:
    """If an account has opened too many sessions, right passwords are refused at no charge."""
    for _ in range(60):
        assert player.log_in().status == 200
    for _ in range(10):
        assert player.log_in().status == 429
    body = {"username": player.username, "password": PASSWORD}
    assert call("POST", "/login", body, address=player.address).json == {"status": True}
    assert [player.log_in(WRONG).status for _ in range(6)] == [401] * 5 + [429]


def test_sessions_of_other_accounts(player: Player) -> None:
    """The sessions that one account opened are no charge to another."""
    other = Player()
    assert other.register().status == 201
    for _ in range(61):
        player.log_in()
    assert other.log_in().status == 200
