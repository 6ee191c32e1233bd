"""Access tokens: issuing and verifying them, and every forgery that is refused."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from auth.credentials import tickets
from auth.credentials.access_tokens import Claims, Realm, issue, verify
from auth.credentials.signed_tokens import Subject
from auth.credentials.token_keys import TokenKeys
from auth.errors import InvalidToken, Reason, Unavailable
from auth.times import id_text
from tests.unit.test_keys import ScriptedStore, pem, published, rsa_key, token_secret

NOW = datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC)
IAT = int(NOW.timestamp())
REALM = Realm("issuer", "game")
ADA = Subject(bytes(range(16)), bytes(range(16, 32)), "Ada", epoch=7)
TOKEN = Claims(ADA.account_id, ADA.session_id)
KEYS = TokenKeys(ScriptedStore(token_secret()), "tokens", lambda: 0.0)
TEXT = issue(KEYS.ring(), REALM, ADA, NOW)
HEADER = {"typ": "at+jwt", "kid": "s1", "alg": "RS256"}
CLAIMS: dict[str, Any] = jwt.decode(TEXT, options={"verify_signature": False})


def signed(
    header: dict[str, Any] | None = None,
    without: str = "",
    key: Any = None,
    algorithm: str = "RS256",
    **claims: Any,
) -> str:
    """Return a token signed with our key, with some claims and header fields replaced."""
    payload = {name: value for name, value in {**CLAIMS, **claims}.items() if name != without}
    raw = base64.urlsafe_b64encode
    head = {**HEADER, "alg": algorithm, **(header or {})}
    head = {name: value for name, value in head.items() if value is not ...}
    parts = b".".join(raw(json.dumps(one).encode()).rstrip(b"=") for one in (head, payload))
    signature = jwt.get_algorithm_by_name(algorithm).sign(parts, key or rsa_key(0))
    return (parts + b"." + raw(signature).rstrip(b"=")).decode()


def refused(text: str, now: datetime = NOW) -> Reason:
    """Check that a token is refused, and return the reason that goes to the log."""
    with pytest.raises(InvalidToken) as caught:
        verify(text, KEYS, REALM, now)
    assert str(caught.value) == caught.value.reason  # nothing from the caller's input
    return caught.value.reason


def test_issued_token() -> None:
    """An issued token has the claims of the contract, and verifies."""
    assert verify(TEXT, KEYS, REALM, NOW) == TOKEN
    assert jwt.get_unverified_header(TEXT) == HEADER
    assert len(CLAIMS["jti"]) >= 16
    assert {name: value for name, value in CLAIMS.items() if name != "jti"} == {
        "iss": "issuer",
        "aud": "game",
        "sub": id_text(TOKEN.account_id),
        "sid": id_text(TOKEN.session_id),
        "name": "Ada",
        "epoch": 7,
        "iat": IAT,
        "exp": IAT + 600,
    }


def test_signing_by_hand() -> None:
    """A token signed by these tests verifies if unchanged; otherwise they would prove nothing."""
    assert verify(signed(), KEYS, REALM, NOW) == TOKEN
    assert verify(signed(extra="claim"), KEYS, REALM, NOW) == TOKEN


def test_lifetime() -> None:
    """A token is valid for exactly ten minutes, to the second."""
    assert verify(TEXT, KEYS, REALM, NOW + timedelta(seconds=599)) == TOKEN
    refused(TEXT, NOW + timedelta(seconds=600))
    refused(TEXT, NOW + timedelta(days=1000))


def unsigned(header: dict[str, Any]) -> str:
    """Return a token without a signature."""
    raw = base64.urlsafe_b64encode
    parts = (raw(json.dumps(one).encode()).rstrip(b"=").decode() for one in (header, CLAIMS))
    return ".".join(parts) + "."


def with_public_key_as_secret() -> str:
    """Return a token signed by HMAC with our public key as its key (CVE-2015-9235)."""
    public = rsa_key(0).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head, payload, _ = unsigned({**HEADER, "alg": "HS256"}).split(".")
    mac = hmac.digest(public, f"{head}.{payload}".encode(), hashlib.sha256)
    return f"{head}.{payload}." + base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


def with_spare_bits(segment: str) -> str:
    """Return another spelling of the same bytes, with the bits set that base64 does not use."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return segment[:-1] + alphabet[alphabet.index(segment[-1]) | 1]


REQUIRED = ("iss", "aud", "sub", "sid", "iat", "exp")
FORGERIES: dict[str, Callable[[], str]] = {
    "a ticket": lambda: tickets.issue(KEYS.ring(), tickets.use_of("issuer", "game"), ADA, NOW),
    "alg none": lambda: unsigned({**HEADER, "alg": "none"}),
    "alg None": lambda: unsigned({**HEADER, "alg": "None"}),
    "no alg": lambda: unsigned({"typ": "at+jwt", "kid": "s1"}),
    "no signature": lambda: unsigned(HEADER),
    "HS256 with the public key": with_public_key_as_secret,
    "another key of that kid": lambda: signed(key=rsa_key(5)),
    "RS512": lambda: signed(algorithm="RS512"),
    "PS256": lambda: signed(algorithm="PS256"),
    "RS256 called PS256": lambda: signed({"alg": "PS256"}),
    "unknown kid": lambda: signed({"kid": "s2"}),
    "no kid": lambda: signed({"kid": ...}),
    "kid null": lambda: signed({"kid": None}),
    "kid a list": lambda: signed({"kid": ["s1"]}),
    "kid a number": lambda: signed({"kid": 1}),
    "kid a path": lambda: signed({"kid": "../../dev/null"}),
    "typ JWT": lambda: signed({"typ": "JWT"}),
    "typ upper case": lambda: signed({"typ": "AT+JWT"}),
    "typ long": lambda: signed({"typ": "application/at+jwt"}),
    "typ null": lambda: signed({"typ": None}),
    "no typ": lambda: signed({"typ": ...}),
    "jku": lambda: signed({"jku": "https://evil.example/jwks.json"}),
    "x5u": lambda: signed({"x5u": "https://evil.example/x.pem"}),
    "x5c": lambda: signed({"x5c": ["x"]}),
    "jwk": lambda: signed({"jwk": {"kty": "oct", "k": "AA"}}),
    "crit": lambda: signed({"crit": ["exp"]}),
    "b64": lambda: signed({"b64": True}),
    "iss": lambda: signed(iss="other"),
    "iss a list": lambda: signed(iss=["issuer"]),
    "iss null": lambda: signed(iss=None),
    "aud": lambda: signed(aud="other"),
    "aud a list": lambda: signed(aud=["game"]),
    "aud two": lambda: signed(aud=["game", "other"]),
    "aud longer": lambda: signed(aud="game "),
    "exp text": lambda: signed(exp=str(IAT + 600)),
    "exp float": lambda: signed(exp=IAT + 600.0),
    "exp fraction": lambda: signed(exp=IAT + 0.5),
    "exp true": lambda: signed(exp=True, iat=0),
    "exp null": lambda: signed(exp=None),
    "exp huge": lambda: signed(exp=10**30),
    "exp of 400 digits": lambda: signed(exp=10**400),
    "exp infinite": lambda: signed(exp=float("inf")),
    "exp NaN": lambda: signed(exp=float("nan")),
    "exp before iat": lambda: signed(exp=IAT - 1),
    "exp is iat": lambda: signed(exp=IAT),
    "exp - iat 601": lambda: signed(exp=IAT + 601),
    "expired": lambda: signed(exp=IAT, iat=IAT - 600),
    "iat text": lambda: signed(iat=str(IAT)),
    "iat true": lambda: signed(iat=True),
    "iat float": lambda: signed(iat=float(IAT)),
    "nbf later": lambda: signed(nbf=4_000_000_000),
    "sub a number": lambda: signed(sub=1),
    "sub null": lambda: signed(sub=None),
    "sub a list": lambda: signed(sub=[CLAIMS["sub"]]),
    "sub no id": lambda: signed(sub="Ada"),
    "sub upper case": lambda: signed(sub="0190A0A0-0000-7000-8000-000000000000"),
    "sid null": lambda: signed(sid=None),
    "sid no id": lambda: signed(sid=""),
    **{f"no {name}": partial(signed, without=name) for name in REQUIRED},
    "over 2 KiB": lambda: signed(name="x" * 2048),
    "empty": lambda: "",
    "two parts": lambda: TEXT.rpartition(".")[0],
    "four parts": lambda: TEXT + ".x",
    "dots": lambda: "..",
    "a space in front": lambda: " " + TEXT,
    "not ASCII": lambda: "é" + TEXT,
    "lone surrogate": lambda: "\ud800." + TEXT,
    "padded": lambda: TEXT + "==",
    "spare bits": lambda: with_spare_bits(TEXT),
    "a line break inside": lambda: f"{TEXT[:40]}\n{TEXT[40:]}",
    "JWE": lambda: "a.b.c.d.e",
    "header a list": lambda: "W10." + TEXT.partition(".")[2],
    "header deep": lambda: base64.urlsafe_b64encode(b"[" * 1000).decode() + ".e30.AA",
    "refresh token": lambda: "glrt_" + "A" * 117,
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forgery(name: str) -> None:
    """Every token that differs from an issued one is refused."""
    refused(FORGERIES[name]())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("another key of that kid", Reason.SIGNATURE),
        ("unknown kid", Reason.UNKNOWN_KEY),
        ("a ticket", Reason.CLAIMS),
        ("typ JWT", Reason.CLAIMS),
        ("aud", Reason.CLAIMS),
        ("iss", Reason.CLAIMS),
        ("exp - iat 601", Reason.CLAIMS),
        ("expired", Reason.EXPIRED),
        ("two parts", Reason.GARBLED),
        ("not ASCII", Reason.GARBLED),
        ("refresh token", Reason.GARBLED),
    ],
)
def test_reason(name: str, reason: Reason) -> None:
    """The log tells a forged token from an expired one."""
    assert refused(FORGERIES[name]()) == reason


def test_other_spellings() -> None:
    """A padded or non-canonical segment is refused, though it decodes to the same bytes."""
    key = ed25519.Ed25519PrivateKey.generate()  # its signature leaves four bits unused
    secret = {**token_secret(), "signing_keys": {"s1": pem(key)}}
    keys = TokenKeys(ScriptedStore(secret), "tokens")
    text = issue(keys.ring(), REALM, replace(ADA, username="Ada!"), NOW)
    assert verify(text, keys, REALM, NOW) == TOKEN
    segments = text.split(".")
    for place, segment in enumerate(segments):
        spellings = [
            segment + "=" * (-len(segment) % 4 or 4),
            segment + "\n",
            f"{segment[:4]}\n{segment[4:]}",
        ]
        if len(segment) % 4:
            spellings.append(with_spare_bits(segment))
        for spelling in spellings:
            other = ".".join([*segments[:place], spelling, *segments[place + 1 :]])
            if other != text:
                with pytest.raises(InvalidToken):
                    verify(other, keys, REALM, NOW)
    assert len(segments[2]) % 4


def test_2_kib() -> None:
    """A token of 2 KiB is read; one more character is refused."""
    spare = 2048 - len(signed(name=""))
    fits = [signed(name="x" * size) for size in range(spare * 3 // 4 - 3, spare * 3 // 4 + 3)]
    assert {len(text) <= 2048 for text in fits} == {True, False}
    for text in fits:
        if len(text) <= 2048:
            assert verify(text, KEYS, REALM, NOW) == TOKEN
        else:
            assert refused(text) == Reason.GARBLED


@given(st.text() | st.text("ey.J0-_", max_size=80))
def test_any_text(text: str) -> None:
    """Any text that is not a token is refused with InvalidToken, never another error."""
    refused(text)


@given(at=st.integers(0, len(TEXT) - 2), character=st.characters())
def test_changed_character(at: int, character: str) -> None:
    """A token with one character changed is refused."""
    if TEXT[at] != character:
        refused(TEXT[:at] + character + TEXT[at + 1 :])


def test_spliced_tokens() -> None:
    """Parts of two valid tokens do not make a third."""
    other = issue(KEYS.ring(), REALM, Subject(b"x" * 16, b"y" * 16, "Eve", epoch=0), NOW)
    head, mine, my_signature = TEXT.split(".")
    _, theirs, their_signature = other.split(".")
    refused(f"{head}.{theirs}.{my_signature}")
    refused(f"{head}.{mine}.{their_signature}")


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "ES256"),
        (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
    ],
    ids=["ES256", "EdDSA"],
)
def test_other_kinds_of_keys(key: PrivateKeyTypes, algorithm: str) -> None:
    """A P-256 or Ed25519 key works like an RSA key, with its own algorithm and no other."""
    secret = {**token_secret(), "signing_keys": {"s1": pem(key), "old": pem(rsa_key(0))}}
    keys = TokenKeys(ScriptedStore(secret), "tokens")
    text = issue(keys.ring(), REALM, ADA, NOW)
    assert jwt.get_unverified_header(text) == {**HEADER, "alg": algorithm}
    assert verify(text, keys, REALM, NOW) == TOKEN
    with pytest.raises(InvalidToken):
        verify(signed(), keys, REALM, NOW)  # RS256 under the kid of this key
    assert verify(signed({"kid": "old"}), keys, REALM, NOW) == TOKEN
    jwk = published(keys.ring())[0]
    claims = jwt.decode(
        text,
        jwt.PyJWK(jwk),
        [algorithm],
        options={"verify_exp": False, "verify_iat": False},
        audience="game",
    )
    assert claims["sub"] == id_text(TOKEN.account_id)


def test_new_key() -> None:
    """A token of a newly added key is valid; one of an unknown key costs one read."""
    store = ScriptedStore(token_secret())
    keys = TokenKeys(store, "tokens", lambda: 0.0)
    keys.ring()
    store.answer = token_secret("s1", "s2")
    text = signed({"kid": "s2"}, key=rsa_key(1))
    assert verify(text, keys, REALM, NOW) == TOKEN
    for _ in range(3):
        with pytest.raises(InvalidToken):
            verify(signed({"kid": "s3"}), keys, REALM, NOW)
    assert store.reads == 2


def test_keys_out_of_reach() -> None:
    """If no key has ever been read, verifying raises Unavailable instead of judging the token."""
    keys = TokenKeys(ScriptedStore(Unavailable("down")), "tokens")
    with pytest.raises(Unavailable):
        verify(TEXT, keys, REALM, NOW)


def test_token_of_another_realm() -> None:
    """A token of another stage or audience is refused, even if signed with the same keys."""
    for realm in (Realm("issuer", "other"), Realm("other", "game"), Realm("game", "issuer")):
        with pytest.raises(InvalidToken):
            verify(TEXT, KEYS, realm, NOW)
