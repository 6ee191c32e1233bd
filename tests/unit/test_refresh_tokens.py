"""Refresh tokens: one spelling, one MAC, one successor."""

import base64
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.credentials.refresh_tokens import (
    PREFIX,
    InvalidRefreshToken,
    RefreshToken,
    decode,
    encode,
    hash_of,
    new_tail,
    renewed_tail,
)
from auth.credentials.token_keys import TokenKeys
from auth.errors import Reason, Unavailable
from tests.unit.test_keys import ScriptedStore, mac, token_secret

SECRET = token_secret()
KEYS = TokenKeys(ScriptedStore(SECRET), "tokens", lambda: 0.0)
TOKEN = RefreshToken(b"a" * 16, b"s" * 16, 7, b"t" * 16)
TEXT = encode(TOKEN, KEYS.ring())
RAW = base64.urlsafe_b64decode(TEXT.removeprefix(PREFIX) + "==")
tokens = st.builds(
    RefreshToken,
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=16, max_size=16),
    st.integers(0, 2**32 - 1),
    st.binary(min_size=16, max_size=16),
)


def written(raw: bytes) -> str:
    """Return bytes in the spelling of a token."""
    return PREFIX + base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@given(tokens)
def test_round_trip(token: RefreshToken) -> None:
    """A token reads back unchanged; its successor is of the same session, with the next counter."""
    text = encode(token, KEYS.ring())
    read = decode(text, KEYS)
    successor = read.successor()
    assert read == token
    assert successor == replace(token, counter=token.counter + 1, tail=successor.tail)
    assert successor.tail != token.tail
    assert len(successor.tail) == 16


@given(tokens)
def test_successor_is_always_the_same(token: RefreshToken) -> None:
    """A token has the same successor each time, in another process too."""
    text = encode(token, KEYS.ring())
    others = TokenKeys(ScriptedStore(SECRET), "tokens")
    assert decode(text, KEYS) == decode(text, KEYS) == decode(text, others)


@given(tokens, tokens)
def test_successors_differ(first: RefreshToken, second: RefreshToken) -> None:
    """Two tokens have two successors, each derived from every part of the token."""
    tails = {decode(encode(token, KEYS.ring()), KEYS).successor().tail for token in (first, second)}
    assert len(tails) == len({first, second})


def test_successor_depends_on_every_part() -> None:
    """Another account, session, counter or tail gives another next tail."""
    changed = (
        TOKEN,
        replace(TOKEN, account_id=b"b" * 16),
        replace(TOKEN, session_id=b"b" * 16),
        replace(TOKEN, counter=8),
        replace(TOKEN, tail=b"b" * 16),
    )
    assert len({decode(encode(one, KEYS.ring()), KEYS).successor().tail for one in changed}) == 5


@given(tokens)
def test_successor_is_not_in_the_token(token: RefreshToken) -> None:
    """No part of a token reveals the tail of its successor: the MAC and the next tail differ."""
    text = encode(token, KEYS.ring())
    raw = base64.urlsafe_b64decode(text.removeprefix(PREFIX) + "==")
    assert decode(text, KEYS).successor().tail not in raw


def test_successor_over_a_key_rotation() -> None:
    """Two containers that disagree about the current MAC key derive the same successor."""
    secret = {**SECRET, "mac_keys": {"m1": mac(2)}}
    other = TokenKeys(ScriptedStore(secret), "tokens")
    mine, theirs = decode(TEXT, KEYS), decode(encode(TOKEN, other.ring()), other)
    assert mine.successor() == theirs.successor()


@given(at=st.integers(0, len(RAW) - 1), change=st.integers(1, 255))
def test_changed_byte(at: int, change: int) -> None:
    """A token with any one byte changed is refused.

    If the byte names another key, the error may be that this key cannot be looked up now.
    """
    raw = bytearray(RAW)
    raw[at] ^= change
    errors = (InvalidRefreshToken, Unavailable) if at in range(1, 5) else (InvalidRefreshToken,)
    with pytest.raises(errors):
        decode(written(bytes(raw)), KEYS)


@given(at=st.integers(0, len(TEXT) - 1), character=st.characters())
def test_changed_character(at: int, character: str) -> None:
    """A token with any one character changed is refused."""
    text = TEXT[:at] + character + TEXT[at + 1 :]
    if text != TEXT:
        with pytest.raises((InvalidRefreshToken, Unavailable)):
            decode(text, KEYS)


@given(st.text() | st.text("AZaz09-_").map(PREFIX.__add__) | st.binary(max_size=99).map(written))
def test_any_text(text: str) -> None:
    """Any other text is refused with InvalidToken, never another error."""
    with pytest.raises(InvalidRefreshToken):
        decode(text, KEYS)


@pytest.mark.parametrize(
    "text",
    [
        *(TEXT + "=", TEXT + "==", TEXT + "A", TEXT[:-1], " " + TEXT, TEXT + "\n", TEXT[5:]),
        *(TEXT.upper(), TEXT.replace("glrt_", "GLRT_"), "glrt_" + TEXT, "xxxx_" + TEXT[5:]),
        TEXT[:50] + "\n" + TEXT[50:],
        TEXT[:50] + "\n" + TEXT[51:],
        TEXT[:50] + "=" + TEXT[51:],
        *(written(b""), written(RAW + b"\0"), written(RAW[:-1]), written(b"\0" * len(RAW))),
        *("", PREFIX, PREFIX + "é" * (len(TEXT) - 5), PREFIX + "\ud800" * (len(TEXT) - 5)),
    ],
    ids=ascii,
)
def test_other_spellings(text: str) -> None:
    """A token has exactly one spelling."""
    with pytest.raises(InvalidRefreshToken):
        decode(text, KEYS)


def test_spare_bits() -> None:
    """The unused bits of the last character must be zero, or a token would have four spellings."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    same = [
        TEXT[:-1] + character
        for character in alphabet
        if base64.urlsafe_b64decode((TEXT[:-1] + character).removeprefix(PREFIX) + "==") == RAW
    ]
    assert len(same) > 1
    for text in same:
        if text != TEXT:
            with pytest.raises(InvalidRefreshToken):
                decode(text, KEYS)
    assert decode(TEXT, KEYS) == TOKEN


def test_standard_alphabet() -> None:
    """Only the URL-safe alphabet is accepted."""
    for number in range(200):
        text = encode(replace(TOKEN, counter=number), KEYS.ring())
        other = text.removeprefix(PREFIX).replace("-", "+").replace("_", "/")
        if PREFIX + other != text:
            with pytest.raises(InvalidRefreshToken):
                decode(PREFIX + other, KEYS)
            return
    pytest.fail("no token with a character that differs")


def test_forged_with_another_key() -> None:
    """A token made with another key of the same name is refused."""
    secret = {**SECRET, "mac_keys": {"m1": mac(2)}}
    with pytest.raises(InvalidRefreshToken):
        decode(encode(TOKEN, TokenKeys(ScriptedStore(secret), "tokens").ring()), KEYS)


def test_key_rotation() -> None:
    """A token stays valid while its key is the previous one, and is refused once it is removed."""
    both = {**SECRET, "mac_keys": {"m1": mac(1), "m2": mac(2)}}
    store, now = ScriptedStore({**both, "current": {"mac": "m2", "signing": "s1"}}), [0.0]
    keys = TokenKeys(store, "tokens", lambda: now[0])
    token = decode(TEXT, keys)
    successor = token.successor()
    assert token == TOKEN
    assert successor == decode(TEXT, KEYS).successor()
    renewed = encode(successor, keys.ring())
    assert decode(renewed, keys) == successor
    store.answer = {**both, "mac_keys": {"m2": mac(2)}, "current": {"mac": "m2", "signing": "s1"}}
    now[0] += 300
    with pytest.raises(InvalidRefreshToken):
        decode(TEXT, keys)


def test_unknown_key() -> None:
    """An unpublished key is refused at once: otherwise junk would be answered 503."""
    secret = {**SECRET, "mac_keys": {"m9": mac(9)}, "current": {"mac": "m9", "signing": "s1"}}
    forged = encode(TOKEN, TokenKeys(ScriptedStore(secret), "tokens").ring())
    store = ScriptedStore(SECRET)
    keys = TokenKeys(store, "tokens", lambda: 0.0)
    for _ in range(3):
        with pytest.raises(InvalidRefreshToken) as caught:
            decode(forged, keys)
        assert caught.value.reason == Reason.UNKNOWN_KEY
    assert store.reads == 2
    assert decode(TEXT, keys) == TOKEN


def test_keys_out_of_date() -> None:
    """A key that cannot be looked up now does not end a session."""
    secret = {**SECRET, "mac_keys": {"m9": mac(9)}, "current": {"mac": "m9", "signing": "s1"}}
    newer = encode(TOKEN, TokenKeys(ScriptedStore(secret), "tokens").ring())
    now = [0.0]
    store = ScriptedStore(SECRET)
    keys = TokenKeys(store, "tokens", lambda: now[0])
    keys.ring()
    store.answer, now[0] = Unavailable("down"), 300.0
    with pytest.raises(Unavailable):
        decode(newer, keys)
    store.answer, now[0] = secret, 360.0
    assert decode(newer, keys) == TOKEN


def test_renewed_tail() -> None:
    """The token after a password change derives from the stored values, and from nothing less."""
    ring = TokenKeys(
        ScriptedStore({**SECRET, "mac_keys": {"m1": mac(1), "m2": mac(2)}}), "t"
    ).ring()
    first, second = ring.mac_keys.values()
    tails = {
        renewed_tail(first, b"s" * 16, 8, "hash"),
        renewed_tail(first, b"s" * 16, 8, "hash"),
        renewed_tail(second, b"s" * 16, 8, "hash"),
        renewed_tail(first, b"t" * 16, 8, "hash"),
        renewed_tail(first, b"s" * 16, 9, "hash"),
        renewed_tail(first, b"s" * 16, 8, "other"),
    }
    assert len(tails) == 5
    assert {len(tail) for tail in tails} == {len(new_tail())}


def test_junk_costs_no_read() -> None:
    """Junk is refused before any key is read."""
    store = ScriptedStore(SECRET)
    keys = TokenKeys(store, "tokens")
    for text in ("", "x", TEXT[:-1], PREFIX + "A" * (len(TEXT) - 5)):
        with pytest.raises(InvalidRefreshToken):
            decode(text, keys)
    assert store.reads == 0


def test_tails() -> None:
    """Tails are random; the database keeps only their hash; a token's repr hides its own."""
    assert len({new_tail() for _ in range(100)}) == 100
    assert TOKEN.tail_hash() == hash_of(TOKEN.tail)
    assert len(hash_of(TOKEN.tail)) == 32
    assert "tttt" not in repr(TOKEN)
    assert TOKEN.tail.hex() not in repr(TOKEN)
