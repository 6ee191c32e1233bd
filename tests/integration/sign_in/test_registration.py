"""Registering an account: allowed names and passwords, and repetition after a lost answer."""

import re
import time
import unicodedata
import uuid
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from auth.store.records import SignInRow
from auth.store.sign_ins import SignIns
from tests.conftest import FakeClock, Tables
from tests.play.players import PASSWORD, Player, call

KEY = "0123456789abcdef"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
STRONG = "lute-Gr4ph!t"  # short, because checking a longer password's strength takes longer


def test_session_body(tables: Tables) -> None:
    """Registering gives exactly the fields of the session body."""
    before = datetime.now(UTC).replace(microsecond=0)
    answer = Player("Ada").register()
    body = answer.json
    assert answer.status == 201
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert set(body) == {
        *("account", "session", "access_token", "token_type", "expires_in"),
        *("refresh_token", "refresh_expires_in", "server_time"),
    }
    assert set(body["account"]) == {*("id", "username", "created_at", "guest", "generated_name")}
    assert set(body["session"]) == {"id", "created_at", "expires_at"}
    assert body["account"]["username"] == "Ada"
    assert uuid.UUID(body["account"]["id"]).version == 7
    assert uuid.UUID(body["session"]["id"]).version == 7
    assert body["account"]["id"] != body["session"]["id"]
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 600)
    assert body["refresh_expires_in"] == 2592000

    created_at = body["account"]["created_at"]
    assert created_at == body["session"]["created_at"] == body["server_time"]
    assert TIME.fullmatch(created_at)
    assert TIME.fullmatch(body["session"]["expires_at"])
    now = datetime.fromisoformat(created_at)
    assert before <= now <= datetime.now(UTC)
    assert datetime.fromisoformat(body["session"]["expires_at"]) == now + timedelta(days=30)

    claims = jwt.decode(body["access_token"], options={"verify_signature": False})
    assert claims["sub"] == body["account"]["id"]
    assert claims["sid"] == body["session"]["id"]
    assert claims["name"] == "Ada"
    assert claims["exp"] - claims["iat"] == 600


def test_tokens_work(tables: Tables) -> None:
    """Registering signs the player in."""
    player = Player("Ada")
    account = player.register().json["account"]
    assert player.me().json["account"] == account
    assert player.refresh().json["account"] == account


def test_one_name_in_every_spelling(tables: Tables) -> None:
    """Ada, ada and ADA are one name, returned in its registered spelling."""
    player = Player("Ada-Lovelace")
    assert player.register().status == 201
    assert Player("ada-lovelace").register().code == "username_taken"
    assert Player("ADA-LOVELACE").register().code == "username_taken"
    assert Player("aDA-lOVELACE").log_in().json["account"]["username"] == "Ada-Lovelace"
    assert player.refresh().json["account"]["username"] == "Ada-Lovelace"
    assert tables.count("accounts") == 1


@pytest.mark.parametrize("username", ["a1b", "X" * 24, "0-0", "a..b", "A_-.z", "007"])
def test_possible_names(username: str, tables: Tables) -> None:
    """A name has 3 to 24 letters and digits, with _ - . between them."""
    answer = Player(username, STRONG).register()
    assert answer.status == 201
    assert answer.json["account"]["username"] == username


@pytest.mark.parametrize(
    ("username", "reason"),
    [
        ("", "3 to 24"),
        ("ab", "3 to 24"),
        ("a" * 25, "3 to 24"),
        ("a" * 5000, "3 to 24"),
        ("ada lovelace", "letters"),
        (" ada", "letters"),
        ("ada ", "letters"),
        ("ada\n", "letters"),
        ("a\x00da", "letters"),
        ("-ada", "begin and end"),
        ("ada.", "begin and end"),
        ("_ada_", "begin and end"),
        ("àda", "letters"),
        ("\u212aate", "letters"),  # the Kelvin sign
        ("\uff41da", "letters"),  # a wide a
        ("\u0661\u0662\u0663", "letters"),  # Arabic digits
        ("ada\U0001f600", "letters"),
        ("ada@example.org", "letters"),
        ("admin", "reserved"),
        ("Admin", "reserved"),
        ("ROOT", "reserved"),
        ("system", "reserved"),
        ("moderator", "reserved"),
        ("support", "reserved"),
        ("null", "reserved"),
        ("Undefined", "reserved"),
    ],
)
def test_impossible_names(username: str, reason: str, tables: Tables) -> None:
    """A name of a wrong length, with wrong characters or reserved is refused with the reason."""
    answer = Player(username).register()
    assert (answer.status, answer.code) == (422, "invalid_username")
    assert set(answer.json["error"]["fields"]) == {"username"}
    assert reason in answer.json["error"]["fields"]["username"]
    assert tables.count("accounts") == 0
    assert tables.count("rate_limits") == 0


def test_me_is_no_name(tables: Tables) -> None:
    """No account is called `me`, because that is a route's word for the caller."""
    assert Player("me").register().code == "invalid_username"


@pytest.mark.parametrize(
    "password",
    [
        "",
        "aB3$xYz",
        "x" * 7,
        "password",
        "Password1",
        "iloveyou",
        "letmein1",
        "12345678",
        "87654321",
        "11111111",
        "aaaaaaaaaaaaaaaaaaaa",
        "abcdefgh",
        "abcabcabcabc",
        "qwertyuiop",
        "qwertyuiop[]",
        "1qaz2wsx",
        "zxcvbnm,./",
        "p@ssw0rd",
        "2001-09-11",
        "ada-lovelace-Gr4ph!t",
        "lute ADA-LOVELACE lute Gr4ph!t",
        "lute\tGr4ph!t x",
        "lute-Gr4ph!t\n",
        "lute-Gr4ph!t\x00",
        "lute-Gr4ph!t\x85",
        "lute-Gr4ph!t" * 11,
        "\u00e9" * 129,
        "x" * 5000,
    ],
)
def test_weak_passwords(password: str, tables: Tables) -> None:
    """A password that is short, long or easy to guess is refused with a reason to act on."""
    body = {"username": "Ada-Lovelace", "password": password}
    answer = call("POST", "/v1/register", body)
    assert (answer.status, answer.code) == (422, "weak_password")
    assert set(answer.json["error"]["fields"]) == {"password"}
    assert len(answer.json["error"]["fields"]["password"].strip()) > 10
    assert tables.count("accounts") == 0
    charged = [
        row["tat"] > time.time() * 1_000_000 for row in tables.run("SELECT tat FROM rate_limits")
    ]
    assert not any(charged)  # the charge for the strength check has been refunded


@pytest.mark.parametrize("password", ["zaq1@WSX", "ZAQ1@wsx", "bruckner"])
def test_leaked_password(password: str, tables: Tables) -> None:
    """A password known from a leak is refused with a reason, before anything is charged."""
    answer = call("POST", "/v1/register", {"username": "Ada", "password": password})
    assert (answer.status, answer.code) == (422, "weak_password")
    reason = "This password is known from a leak of another service. Choose another one."
    assert answer.json["error"]["fields"] == {"password": reason}
    assert tables.count("accounts") == tables.count("rate_limits") == 0


@pytest.mark.parametrize(
    "password",
    [
        "kV9!xq2#",
        "correct horse battery staple",
        "lute Gr4ph!t ".ljust(128, "~"),
        " kV9!xq2# ",
        "\u0434\u043e\u0436\u0434\u044c \u0438\u0434\u0451\u0442",
        "\u96e8\u304c\u964d\u3063\u3066\u3044\u307e\u3059\u306d",
        "\U0001f3b2\U0001f40d\U0001f30a\U0001f511\U0001f3b8\U0001f4a7\U0001f525\U0001f344",
        "kV9!xq2#\u200d",
    ],
)
def test_strong_passwords(password: str, tables: Tables) -> None:
    """A password has 8 to 128 characters, any of Unicode, and nothing of it is trimmed."""
    player = Player("Ada", password)
    assert player.register().status == 201
    assert player.log_in().status == 200
    assert player.log_in(password[:-1]).code == "invalid_credentials"


def test_trailing_space_counts(tables: Tables) -> None:
    """A password is compared exactly: letter case and spaces count."""
    player = Player("Ada", STRONG)
    assert player.register().status == 201
    for wrong in (f"{STRONG} ", f" {STRONG}", STRONG.lower(), STRONG.upper()):
        assert player.log_in(wrong).code == "invalid_credentials"


def test_password_on_two_keyboards(tables: Tables) -> None:
    """A password typed with combining accents equals the one typed with composed letters."""
    composed = "Z\u00fcrich-\u00c5ngstr\u00f6m"
    decomposed = unicodedata.normalize("NFD", composed)
    assert decomposed != composed
    assert Player("Ada", decomposed).register().status == 201
    assert Player("Ada", composed).log_in().status == 200
    assert Player("Eve", composed).register().status == 201
    assert Player("Eve", decomposed).log_in().status == 200
    assert Player("Eve", "Zurich-Angstrom").log_in().code == "invalid_credentials"


def test_length_counts_after_composing(tables: Tables) -> None:
    """Combining accents make a password neither longer nor shorter."""
    short = unicodedata.normalize("NFD", "\u00e4\u00f6\u00fc\u00e9\u00e8\u00ea\u00f1")
    assert len(short) == 14
    assert Player("Ada", short).register().code == "weak_password"
    long = unicodedata.normalize("NFD", STRONG.ljust(128, "\u00e9"))
    assert len(long) > 200
    assert Player("Ada", long).register().status == 201


def test_lost_answer(tables: Tables) -> None:
    """The same key with the same body gives the same account, signed in once more."""
    player = Player("Ada", STRONG)
    first = player.register(key=KEY)
    again = player.register(key=KEY)
    assert (first.status, again.status) == (201, 201)
    assert again.json["account"] == first.json["account"]
    assert tables.count("accounts") == 1
    assert player.me().json["account"] == first.json["account"]
    assert player.refresh().status == 200


def test_lost_answer_after_days(clock: FakeClock) -> None:
    """The key of a registration does not expire."""
    player = Player("Ada", STRONG)
    first = player.register(key=KEY)
    clock.advance(days=40)
    assert player.register(key=KEY).json["account"] == first.json["account"]


def test_key_with_another_body(tables: Tables) -> None:
    """The key of one registration is refused with another name or password."""
    assert Player("Ada", STRONG).register(key=KEY).status == 201
    for other in (Player("Eve", STRONG), Player("Ada", "Gr4ph!t-lute")):
        answer = other.register(key=KEY)
        assert (answer.status, answer.code) == (409, "idempotency_key_reused")
        assert "refresh_token" not in answer.json
    assert tables.count("accounts") == 1


def test_key_with_a_taken_name(tables: Tables) -> None:
    """The key of one registration is refused with a name of a third account, too."""
    assert Player("Ada", STRONG).register(key=KEY).status == 201
    assert Player("Eve", STRONG).register().status == 201
    assert Player("Eve", STRONG).register(key=KEY).code == "idempotency_key_reused"


def test_another_key_or_none(tables: Tables) -> None:
    """Without the key of its registration a name is taken, even with its password."""
    assert Player("Ada", STRONG).register(key=KEY).status == 201
    for key in (None, "another-key-of-16", KEY.upper()):
        answer = Player("Ada", STRONG).register(key=key)
        assert (answer.status, answer.code) == (409, "username_taken")
    assert Player("Eve", STRONG).register().status == 201
    assert Player("Eve", STRONG).register().code == "username_taken"
    assert Player("Eve", STRONG).register(key=KEY[::-1]).code == "username_taken"


def test_key_after_a_refusal(tables: Tables) -> None:
    """A refused registration leaves its key free."""
    assert Player("Ada", STRONG).register().status == 201
    assert Player("Ada", STRONG).register(key=KEY).code == "username_taken"
    assert Player("Eve", "password").register(key=KEY).code == "weak_password"
    assert Player("Eve", STRONG).register(key=KEY).status == 201


def test_key_of_a_deleted_account(tables: Tables) -> None:
    """Deleting an account frees its key as well as its name."""
    player = Player("Ada", STRONG)
    first = player.register(key=KEY).json["account"]["id"]
    assert player.delete().status == 200
    answer = Player("Eve", STRONG).register(key=KEY)
    assert answer.status == 201
    assert answer.json["account"]["id"] != first
    assert Player("Ada", STRONG).register().status == 201


@pytest.mark.parametrize(
    "key", ["", "x" * 15, "x" * 129, "0123456789 abcdef", "\u00e9" * 16, "0123456789abcde\t"]
)
def test_impossible_keys(key: str, tables: Tables) -> None:
    """A key that is short, long or not visible ASCII is refused before any work is done."""
    answer = Player("Ada", STRONG).register(key=key)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert [name.lower() for name in answer.json["error"]["fields"]] == ["idempotency-key"]
    assert tables.count("accounts") == 0
    assert tables.count("rate_limits") == 0


@pytest.mark.parametrize("key", ["x" * 16, "x" * 128, "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"])
def test_possible_keys(key: str, tables: Tables) -> None:
    """A key has 16 to 128 visible ASCII characters."""
    player = Player("Ada", STRONG)
    first = player.register(key=key)
    assert player.register(key=key).json["account"] == first.json["account"]


def test_suspended_replay(tables: Tables) -> None:
    """A suspended player gets no session by repeating the registration."""
    player = Player("Ada", STRONG)
    assert player.register(key=KEY).status == 201
    until = datetime(2999, 1, 2, 3, 4, 5, tzinfo=UTC)
    tables.run("UPDATE accounts SET suspended_until = %s, suspension_reason = 'spam'", until)
    answer = player.register(key=KEY)
    assert (answer.status, answer.code) == (403, "account_suspended")
    assert answer.json["error"]["until"] == "2999-01-02T03:04:05Z"
    assert answer.json["error"]["reason"] == "spam"
    assert Player("Ada", "Gr4ph!t-lute").register(key=KEY).code == "idempotency_key_reused"
    assert tables.count("sessions") == 1


FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"  # joined by zero-width joiners


@pytest.mark.parametrize(
    "device", ["x" * 64, "\U0001f3ae" * 64, "", "Ada's phone", FAMILY, "\u05d0\u05d1 x", None]
)
def test_device(device: str | None, tables: Tables) -> None:
    """A device label of up to 64 characters of any kind is stored unchanged."""
    player = Player("Ada", STRONG)
    assert player.register(device=device).status == 201
    assert player.sessions()[0]["device"] == device


@pytest.mark.parametrize(
    "device",
    [
        *("x" * 65, 7, True, ["phone"], {"name": "phone"}),
        *("a\0", "\t", "two\nlines", "\x7f", "\x85", "\u2028", "\u2029", "\u202eevil"),
        *("\u200e", "\u200f", "\u061c", "\u202a", "\u2066x\u2069"),
    ],
)
def test_impossible_device(device: object, tables: Tables) -> None:
    """A device label that is longer, not text, or has control characters is refused."""
    answer = Player("Ada", STRONG).register(device=device)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert set(answer.json["error"]["fields"]) == {"device"}
    assert tables.count("accounts") == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "username"),
        ({"username": "Ada"}, "password"),
        ({"password": PASSWORD}, "username"),
        ({"username": None, "password": PASSWORD}, "username"),
        ({"username": "Ada", "password": None}, "password"),
        ({"username": 7, "password": PASSWORD}, "username"),
        ({"username": "Ada", "password": ["x"]}, "password"),
    ],
)
def test_wrong_body(body: dict[str, object], field: str, tables: Tables) -> None:
    """A field that is missing or has a wrong type is named."""
    answer = call("POST", "/v1/register", body)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert set(answer.json["error"]["fields"]) == {field}


def test_rate_limit(clock: FakeClock) -> None:
    """An address registers 20 accounts at once and then one a minute; a taken name counts."""
    for number in range(12):
        assert Player(f"ada-{number}", STRONG).register().status == 201
    for _ in range(8):
        assert Player("ada-0", STRONG).register().status == 409
    answer = Player("ada-20", STRONG).register()
    assert (answer.status, answer.code) == (429, "too_many_attempts")
    retry_after = answer.json["error"]["retry_after"]
    assert 45 <= retry_after <= 60
    assert answer.headers["retry-after"] == str(retry_after)
    assert Player("ada-20", STRONG, address="203.0.113.8").register().status == 201

    clock.advance(seconds=retry_after)
    assert Player("ada-21", STRONG).register().status == 201
    assert Player("ada-22", STRONG).register().status == 429


def test_what_is_not_charged(tables: Tables) -> None:
    """A registration refused for its content costs nothing."""
    for _ in range(25):
        assert Player("a", STRONG).register().status == 422
        assert Player("ada", "short").register().status == 422
        assert Player("ada", STRONG).register(device=7).status == 400
    assert tables.count("rate_limits") == 0
    assert Player("ada", STRONG).register().status == 201
    assert tables.count("rate_limits") == 1


def test_guessing_with_a_known_key(tables: Tables) -> None:
    """With a registration's leaked Idempotency-Key guesses are as limited as when signing in."""
    player = Player()
    assert player.register(key="a-key-that-leaked").status == 201
    guesses = [
        Player(player.username, f"wrong guess {n} at it", f"198.51.100.{n}").register(
            key="a-key-that-leaked"
        )
        for n in range(25)
    ]
    assert [answer.status for answer in guesses].count(409) == 20
    assert [answer.code for answer in guesses[20:]] == ["too_many_attempts"] * 5


def test_an_account_that_is_not_visible_yet(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registration whose twin is committed, but that MariaDB does not show yet, is its own."""
    ada = Player("Ada", STRONG)
    assert ada.register(key=KEY).status == 201
    read = SignIns.by_registration_key

    def blind(
        table: SignIns, key: bytes, now: datetime, *, locked: bool = False
    ) -> SignInRow | None:
        return read(table, key, now, locked=locked) if locked else None

    monkeypatch.setattr(SignIns, "by_registration_key", blind)
    assert Player("Ada", STRONG).register(key=KEY).status == 201
    assert Player("Ada", STRONG).register(key="another-key-of-a-client").code == "username_taken"
