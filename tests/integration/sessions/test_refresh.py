"""Refreshing survives lost answers and parallel calls, and detects a copied token."""

import base64
import hashlib
import hmac
import secrets
import string
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.conftest import FakeClock, Tables
from tests.play.events import Answer
from tests.play.players import PASSWORD, Player, call

KEY = "0123456789abcdef"
OTHER_KEY = "fedcba9876543210"
DAY = 24 * 3600

# The offsets of a token's parts: see auth/credentials/refresh_tokens.py.
KEY_ID, ACCOUNT, SESSION, COUNTER, TAIL, MAC, END = 1, 5, 21, 37, 41, 57, 89
PREFIX = "glrt_"


def refresh(token: object, key: str | None = None) -> Answer:
    """Refresh as some device, without storing the answer."""
    return call("POST", "/v1/refresh", {"refresh_token": token}, key=key)


def raw(token: str) -> bytearray:
    """Return the bytes of a token."""
    body = token.removeprefix(PREFIX)
    return bytearray(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def text(token: bytes | bytearray) -> str:
    """Return bytes as a token."""
    return PREFIX + base64.urlsafe_b64encode(token).rstrip(b"=").decode()


def moment(written: str) -> datetime:
    """Parse a time of an answer."""
    return datetime.fromisoformat(written)


def refused(answer: Answer) -> bool:
    """Tell whether the answer asks the player to sign in again."""
    return (answer.status, answer.code) == (401, "session_ended")


# Rotation


def test_rotation(player: Player) -> None:
    """Each refresh gives the next token of the same session, and a new access token."""
    first = player.refresh()
    tokens = {player.refresh_token, *(player.refresh().json["refresh_token"] for _ in range(3))}
    assert len(tokens) == 4
    again = player.refresh()
    assert again.status == 200
    assert again.json["session"]["id"] == first.json["session"]["id"]
    assert again.json["session"]["created_at"] == first.json["session"]["created_at"]
    assert again.json["account"] == first.json["account"]
    assert again.json["access_token"] != first.json["access_token"]
    assert set(again.json) == set(player.log_in().json)


def test_access_tokens_overlap(player: Player) -> None:
    """An access token from before a refresh stays valid until it expires."""
    before = player.access_token
    assert player.refresh().status == 200
    assert call("GET", "/v1/me", token=before).status == 200
    assert player.me().status == 200


def test_lifetimes(player: Player, clock: FakeClock) -> None:
    """Each refresh extends the session to thirty days from then, and says so."""
    clock.advance(days=29)
    now = clock().replace(microsecond=0)
    body = player.refresh().json
    assert body["refresh_expires_in"] == 30 * DAY
    assert now <= moment(body["server_time"]) <= clock()
    ends_at = moment(body["session"]["expires_at"])
    assert ends_at == moment(body["server_time"]) + timedelta(days=30)
    assert moment(body["session"]["created_at"]) <= now - timedelta(days=29)


def test_sessions_are_apart(player: Player) -> None:
    """Refreshing one session leaves the other's token alone."""
    other = player.on_another_device()
    assert other.log_in().status == 200
    for _ in range(3):
        assert player.refresh().status == 200
    assert other.refresh().status == 200


# Lost answers


def test_parent_within_a_minute(player: Player, clock: FakeClock) -> None:
    """The token just replaced gives the same successor for sixty seconds."""
    parent = player.refresh_token
    successor = refresh(parent).json["refresh_token"]
    for _ in range(3):
        clock.advance(seconds=19)
        answer = refresh(parent)
        assert answer.status == 200
        assert answer.json["refresh_token"] == successor
        assert call("GET", "/v1/me", token=answer.json["access_token"]).status == 200
    assert refresh(successor).status == 200


def test_parent_does_not_move_the_end(player: Player, clock: FakeClock) -> None:
    """A repeated refresh gives the same end of the session, not a later one."""
    parent = player.refresh_token
    first = refresh(parent).json
    clock.advance(seconds=50)
    again = refresh(parent).json
    assert again["session"] == first["session"]
    assert 30 * DAY - 60 <= again["refresh_expires_in"] <= 30 * DAY - 50


def test_parent_after_a_minute(player: Player, clock: FakeClock) -> None:
    """After a minute a replaced token means theft: it ends the session, newest token included."""
    parent = player.refresh_token
    assert player.refresh().status == 200
    clock.advance(seconds=61)
    assert refused(refresh(parent))
    assert refused(player.refresh())
    assert player.me().code == "invalid_token"
    assert player.log_in().status == 200


def test_theft_ends_one_session_only(player: Player, clock: FakeClock) -> None:
    """A copied token ends its own session and no other."""
    other = player.on_another_device()
    assert other.log_in().status == 200
    parent = player.refresh_token
    assert player.refresh().status == 200
    clock.advance(seconds=61)
    assert refused(refresh(parent))
    assert other.me().status == 200
    assert other.refresh().status == 200


def test_parent_with_its_key(player: Player, clock: FakeClock) -> None:
    """With its original key the replaced token gives the same successor weeks later."""
    parent = player.refresh_token
    successor = refresh(parent, KEY).json["refresh_token"]
    for _ in range(3):
        clock.advance(days=9)
        answer = refresh(parent, KEY)
        assert answer.status == 200
        assert answer.json["refresh_token"] == successor
    clock.advance(days=2)
    assert refresh(successor, OTHER_KEY).status == 200


def test_repeating_does_not_keep_alive(player: Player, clock: FakeClock) -> None:
    """Repeating a refresh by its key does not extend the session."""
    parent = player.refresh_token
    assert refresh(parent, KEY).status == 200
    clock.advance(days=29)
    assert refresh(parent, KEY).status == 200
    clock.advance(days=1)
    assert refused(refresh(parent, KEY))


@pytest.mark.parametrize(
    ("first", "again"), [(KEY, OTHER_KEY), (KEY, None), (None, KEY), (KEY, KEY.upper())]
)
def test_parent_with_another_key(
    first: str | None, again: str | None, player: Player, clock: FakeClock
) -> None:
    """With a key other than its first, a replaced token means theft only after a minute."""
    parent = player.refresh_token
    successor = player.refresh(key=first).json["refresh_token"]
    clock.advance(seconds=50)
    assert refresh(parent, again).json["refresh_token"] == successor
    clock.advance(seconds=11)
    assert refused(refresh(parent, again))
    assert refused(player.refresh())


def test_used_successor(player: Player, clock: FakeClock) -> None:
    """Once the successor has been used, the key does not help: the session ends."""
    parent = player.refresh_token
    assert player.refresh(key=KEY).status == 200
    assert player.refresh(key=OTHER_KEY).status == 200
    assert refused(refresh(parent, KEY))
    assert refused(player.refresh())
    assert player.me().code == "invalid_token"


def test_grandparent(player: Player) -> None:
    """The token before the previous one ends the session, even within the minute."""
    grandparent = player.refresh_token
    assert player.refresh().status == 200
    assert player.refresh().status == 200
    assert refused(refresh(grandparent))
    assert refused(player.refresh())


def test_key_of_the_refresh_before(player: Player, clock: FakeClock) -> None:
    """The last refresh's key sent with its new token is refused, and the token stays valid."""
    assert player.refresh(key=KEY).status == 200
    for _ in range(2):
        answer = player.refresh(key=KEY)
        assert (answer.status, answer.code) == (409, "idempotency_key_reused")
        clock.advance(minutes=5)
    successor = player.refresh(key=OTHER_KEY)
    assert successor.status == 200
    assert player.refresh().status == 200


def test_one_key_for_two_sessions(player: Player) -> None:
    """Two sessions may use the same key."""
    other = player.on_another_device()
    assert other.log_in().status == 200
    assert player.refresh(key=KEY).status == 200
    assert other.refresh(key=KEY).status == 200
    assert player.refresh().status == 200
    assert other.refresh().status == 200


@pytest.mark.parametrize("key", ["", "x" * 15, "x" * 129, "0123456789 abcdef", "\u00e9" * 16])
def test_impossible_keys(key: str, player: Player) -> None:
    """A key that is short, long or not visible ASCII is refused, and the token stays valid."""
    token = player.refresh_token
    answer = player.refresh(key=key)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert player.refresh().status == 200
    assert player.refresh_token != token


# Invalid tokens


@pytest.mark.parametrize("token", [None, 0, 1, True, [], ["glrt_"], {}, {"$ne": ""}])
def test_wrong_body(token: object, player: Player) -> None:
    """A token that is not a string is an invalid request, not an ended session."""
    answer = refresh(token)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert call("POST", "/v1/refresh", {}).code == "invalid_request"
    assert player.refresh().status == 200


def _spare_bit(token: str) -> str:
    """Set an unused bit of the last character."""
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) + 1]


def _standard_alphabet(token: str) -> str:
    """Encode a token's bytes in base64's other alphabet, with at least one + or /."""
    return PREFIX + token.removeprefix(PREFIX).replace("-", "+").replace("_", "/")[:-1] + "+"


OTHER_SPELLINGS: list[Callable[[str], str]] = [
    _spare_bit,
    _standard_alphabet,
    lambda token: f"{token}=",
    lambda token: f"{token} ",
    lambda token: f" {token}",
    lambda token: f"{token}\n",
    lambda token: f"{token}\x00",
    lambda token: f"{token}A",
    lambda token: token[:-1],
    lambda token: token[:40] + "\n" + token[40:],
    lambda token: token[:40] + "\n" + token[41:],
    lambda token: token.removeprefix(PREFIX),
    lambda token: token.replace(PREFIX, PREFIX.upper()),
    lambda token: token.replace(PREFIX, "glat_"),
    lambda token: token.swapcase(),
    lambda token: "\uff27" + token[1:],
    lambda token: token[:-1] + "\u00e9",
    lambda token: token * 20,
    lambda _: "",
    lambda _: PREFIX,
    lambda token: PREFIX + "A" * (len(token) - len(PREFIX)),
    lambda token: PREFIX + "=" * (len(token) - len(PREFIX)),
    lambda _: "null",
]


@pytest.mark.parametrize("spelling", OTHER_SPELLINGS)
def test_other_spellings(spelling: Callable[[str], str], player: Player) -> None:
    """A garbled token, or the same one in another encoding, is refused and changes nothing."""
    token = player.refresh_token
    other = spelling(token)
    assert other != token
    assert refused(refresh(other))
    assert player.refresh().status == 200


def test_every_flipped_bit(player: Player, tables: Tables) -> None:
    """A token with any single bit changed is refused and changes nothing."""
    before = tables.run("SELECT * FROM sessions")
    token = raw(player.refresh_token)
    assert len(token) == END
    for bit in range(8 * END):
        if KEY_ID <= bit // 8 < ACCOUNT:
            continue  # names another key: see test_unknown_key
        token[bit // 8] ^= 1 << bit % 8
        assert refused(refresh(text(token)))
        token[bit // 8] ^= 1 << bit % 8
    assert tables.run("SELECT * FROM sessions") == before
    assert player.refresh(text(token)).status == 200


def test_forged(player: Player, tables: Tables) -> None:
    """Knowing all of a session except the MAC key is not enough to use it or to end it."""
    before = tables.run("SELECT * FROM sessions")
    payload = raw(player.refresh_token)[:MAC]
    for counter in (0, 1, 2, 2**32 - 1):
        payload[COUNTER:TAIL] = counter.to_bytes(4, "big")
        for tail in (bytes(16), secrets.token_bytes(16), bytes(payload[TAIL:MAC])):
            payload[TAIL:MAC] = tail
            for mac_key in (b"", bytes(32), b"refresh token"):
                mac = hmac.digest(mac_key, b"refresh token\0" + payload, hashlib.sha256)
                assert refused(refresh(text(bytes(payload) + mac)))
    assert tables.run("SELECT * FROM sessions") == before
    assert player.refresh().status == 200


def test_parts_of_two_tokens(player: Player) -> None:
    """A token put together from two real ones is refused and ends neither session."""
    other = Player()
    assert other.register().status == 201
    mine, theirs = raw(player.refresh_token), raw(other.refresh_token)
    for begin, end in ((ACCOUNT, SESSION), (SESSION, COUNTER), (TAIL, MAC), (MAC, END)):
        mixed = mine.copy()
        mixed[begin:end] = theirs[begin:end]
        assert refused(refresh(text(mixed)))
    assert player.refresh().status == 200
    assert other.refresh().status == 200


def test_unknown_key(player: Player, clock: FakeClock) -> None:
    """A token of an unknown key is refused at once, each time, and ends nothing."""
    token = raw(player.refresh_token)
    token[KEY_ID] ^= 1
    for _ in range(3):
        assert refused(refresh(text(token)))
    assert player.refresh().status == 200


def test_access_token_is_no_refresh_token(player: Player) -> None:
    """Neither kind of token is accepted as the other."""
    assert refused(refresh(player.access_token))
    assert call("GET", "/v1/me", token=player.refresh_token).code == "invalid_token"
    assert player.refresh().status == 200


# Expiry and other ends


def test_idle(player: Player, clock: FakeClock) -> None:
    """A session that is not refreshed lasts thirty days."""
    clock.advance(days=29, hours=23, minutes=59)
    assert player.refresh().status == 200
    clock.advance(days=30)
    assert refused(player.refresh())
    assert player.log_in().status == 200


def test_absolute(player: Player, clock: FakeClock) -> None:
    """A session that is refreshed regularly lasts a hundred and eighty days, and says so."""
    for _ in range(5):
        clock.advance(days=29)
        assert player.refresh().json["refresh_expires_in"] == 30 * DAY
    clock.advance(days=25)
    body = player.refresh().json
    assert 10 * DAY - 60 <= body["refresh_expires_in"] < 10 * DAY
    created_at = moment(body["session"]["created_at"])
    assert moment(body["session"]["expires_at"]) == created_at + timedelta(days=180)
    clock.advance(days=9, hours=23, minutes=50)
    assert 0 < player.refresh().json["refresh_expires_in"] <= 600
    clock.advance(minutes=10)
    assert refused(player.refresh())
    assert player.me().code == "invalid_token"


def test_suspended(player: Player, tables: Tables) -> None:
    """A suspended player's session is unusable, and the answer gives only the code."""
    tables.run(
        "UPDATE accounts SET suspended_until = %s, suspension_reason = 'spam'",
        datetime(9999, 1, 1, tzinfo=UTC),
    )
    answer = player.refresh()
    assert refused(answer)
    assert set(answer.json["error"]) == {"code", "message", "request_id"}
    assert player.me().code == "invalid_token"
    assert tables.run("SELECT counter FROM sessions") == [{"counter": 0}]


def test_suspended_with_the_parent(player: Player, tables: Tables) -> None:
    """A suspension also applies within the minute in which a token may be repeated."""
    parent = player.refresh_token
    assert player.refresh(key=KEY).status == 200
    tables.run("UPDATE accounts SET suspended_until = %s", datetime(9999, 1, 1, tzinfo=UTC))
    assert refused(refresh(parent, KEY))
    assert refused(player.refresh())


@pytest.mark.parametrize("ended", ["log_out", "everywhere", "password", "deletion", "expiry"])
def test_no_grace_after_the_end(ended: str, player: Player, clock: FakeClock) -> None:
    """If a session has ended, the token just replaced is refused too, even with its key."""
    other = player.on_another_device()
    assert other.log_in().status == 200
    parent = player.refresh_token
    assert player.refresh(key=KEY).status == 200
    if ended == "log_out":
        assert player.log_out().status == 200
    elif ended == "everywhere":
        assert other.log_out(everywhere=True).status == 200
    elif ended == "password":
        assert other.change_password("lute-Gr4ph!t").status == 200
    elif ended == "deletion":
        assert other.delete().status == 200
    else:
        clock.advance(days=30)
    assert refused(refresh(parent, KEY))
    assert refused(refresh(parent))
    assert refused(player.refresh())


def test_deleted(player: Player) -> None:
    """A deleted account's session is gone and stays so when the name is registered again."""
    assert player.delete().status == 200
    assert refused(player.refresh())
    assert Player(player.username, PASSWORD).register().status == 201
    assert refused(player.refresh())


def test_restored_backup(player: Player, tables: Tables) -> None:
    """A token newer than its row, as after a restored backup, is refused without meaning theft."""
    row = tables.run("SELECT counter, tail_hash, rotation_key FROM sessions")[0]
    backed_up = player.refresh_token
    for _ in range(2):
        assert player.refresh().status == 200
    tables.run("UPDATE sessions SET counter = %s, tail_hash = %s, rotation_key = %s", *row.values())
    assert refused(player.refresh())
    assert tables.run("SELECT ended_at FROM sessions") == [{"ended_at": None}]
    assert player.me().status == 200
    assert refresh(backed_up).status == 200


def test_refreshing_is_not_limited(player: Player) -> None:
    """Refreshes are not counted as guesses."""
    for _ in range(40):
        assert player.refresh().status == 200
