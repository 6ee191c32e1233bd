"""The token keys: caching, re-reading and rotation, and the errors for a broken secret."""

import base64
import functools
import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from auth.credentials.keys import CurrentKeys, KeyRing, TokenSecret, key_ring
from auth.credentials.new_keys import new_signing_pem, new_token_secret
from auth.credentials.token_keys import TokenKeys, UnknownKey
from auth.errors import Unavailable
from auth.external.secret_store import SecretStore

CANARY = "canary-4711"


class ScriptedStore(SecretStore):
    """A secrets store that answers as told and counts its reads."""

    def __init__(self, answer: object = None) -> None:
        super().__init__()
        self.answer = answer
        self.reads = 0

    def _text(self, secret_id: str, stage: str) -> str:  # noqa: ARG002  # there is only one secret
        self.reads += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer if isinstance(self.answer, str) else json.dumps(self.answer)


class Monotonic:
    """A clock that stands still until told to advance."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def pem(key: PrivateKeyTypes, lock: KeySerializationEncryption | None = None) -> str:
    """Return a key as PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock or NoEncryption()).decode()


@functools.cache
def rsa_key(number: int, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return one of several RSA keys, each generated once."""
    assert number >= 0
    return rsa.generate_private_key(65537, bits)


@functools.cache
def rsa_pem(number: int) -> str:
    """Return one of several RSA keys as PEM."""
    return pem(rsa_key(number))


def mac(number: int, length: int = 32) -> str:
    """Return a MAC key as base64."""
    return base64.b64encode(bytes([number]) * length).decode()


def token_secret(*signing: str, **more: str) -> dict[str, Any]:
    """Return a secret with these keys, the first of them current."""
    names = signing or ("s1",)
    return {
        "mac_keys": {"m1": mac(1)},
        "signing_keys": {**{kid: rsa_pem(number) for number, kid in enumerate(names)}, **more},
        "current": {"mac": "m1", "signing": [*names, *more][0] if signing else [*more, "s1"][0]},
    }


def ring_of(secret: dict[str, Any]) -> KeyRing:
    """Return the keys of a secret."""
    return TokenKeys(ScriptedStore(secret), "tokens").ring()


def key_id(kid: str) -> bytes:
    """Return the id that represents a MAC key inside a token."""
    secret = TokenSecret(
        **{**token_secret(), "mac_keys": {kid: mac(9)}, "current": CurrentKeys(kid, "s1")}
    )
    return key_ring(secret).current_mac.key_id


def published(ring: KeyRing) -> list[dict[str, Any]]:
    """Return the published keys."""
    keys: Any = ring.jwks()["keys"]
    assert isinstance(keys, list)
    return keys


# PKCS #8 with an unknown algorithm (1.2.3.4.5.6).
UNKNOWN_ALGORITHM = "-----BEGIN {0}-----\n{1}\n-----END {0}-----\n".format(
    "PRIVATE KEY",
    base64.b64encode(bytes.fromhex("3013020100300906052a0304050605000403000102")).decode(),
)


@pytest.fixture
def monotonic() -> Monotonic:
    """Return a clock that stands still."""
    return Monotonic()


@pytest.fixture
def store() -> ScriptedStore:
    """Return a store that holds a valid secret."""
    return ScriptedStore(token_secret())


@pytest.fixture
def keys(store: ScriptedStore, monotonic: Monotonic) -> TokenKeys:
    """Return the keys of that store."""
    return TokenKeys(store, "tokens", monotonic)


# Caching


def test_read_late(store: ScriptedStore, keys: TokenKeys) -> None:
    """The secret is read on the first use of the keys, not before."""
    assert store.reads == 0
    keys.ring()
    assert store.reads == 1


def test_cached_for_five_minutes(
    store: ScriptedStore, keys: TokenKeys, monotonic: Monotonic
) -> None:
    """The keys are kept for five minutes, then read again."""
    first = keys.ring()
    monotonic.now += 299
    assert keys.ring() is first
    assert store.reads == 1
    monotonic.now += 1
    assert keys.ring() is not first
    assert store.reads == 2
    monotonic.now += 299
    keys.ring()
    assert store.reads == 2


FAILURES = {
    "out of reach": Unavailable("down"),
    "no JSON": "x",
    "no fields": {},
    "broken mac key": {**token_secret(), "mac_keys": {"m1": "!"}},
    "broken signing key": {**token_secret(), "signing_keys": {"s1": "x"}},
    "unknown algorithm": {**token_secret(), "signing_keys": {"s1": UNKNOWN_ALGORITHM}},
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_stale_keys(
    failure: object, store: ScriptedStore, keys: TokenKeys, monotonic: Monotonic
) -> None:
    """While the secret cannot be read, the old keys serve, with one retry a minute."""
    good, first = store.answer, keys.ring()
    store.answer = failure
    monotonic.now += 300
    assert keys.ring() is first
    assert store.reads == 2
    monotonic.now += 59
    assert keys.ring() is first
    assert store.reads == 2
    monotonic.now += 1
    assert keys.ring() is first
    assert store.reads == 3
    store.answer = good
    monotonic.now += 60
    assert keys.ring() is not first
    assert store.reads == 4


def test_never_read(store: ScriptedStore, keys: TokenKeys) -> None:
    """If the secret has never been read, there are no keys until a read succeeds."""
    good, store.answer = store.answer, Unavailable("down")
    for _ in range(2):
        with pytest.raises(Unavailable, match="down"):
            keys.ring()
    store.answer = good
    assert keys.ring().current_signing.kid == "s1"


# Key ids


def test_known_key(store: ScriptedStore, keys: TokenKeys) -> None:
    """A known key costs no read."""
    assert keys.signing_key("s1") is keys.ring().current_signing
    assert keys.mac_key(key_id("m1")) is keys.ring().current_mac
    assert store.reads == 1


def test_unknown_key(store: ScriptedStore, keys: TokenKeys, monotonic: Monotonic) -> None:
    """An unknown key id is refused at once, and costs at most one read a minute."""
    keys.ring()
    for waited in (0, 0, 20, 39):
        monotonic.now += waited
        with pytest.raises(UnknownKey):
            keys.mac_key(b"none")
        with pytest.raises(UnknownKey):
            keys.signing_key("none")
        assert store.reads == 2
    monotonic.now += 1
    with pytest.raises(UnknownKey):
        keys.signing_key("none")
    assert store.reads == 3


def test_new_key(store: ScriptedStore, keys: TokenKeys) -> None:
    """A newly added key is found by its id at once."""
    keys.ring()
    store.answer = {**token_secret("s1", "s2"), "mac_keys": {"m1": mac(1), "m2": mac(2)}}
    assert keys.signing_key("s2").kid == "s2"
    assert keys.mac_key(key_id("m2")).secret == b"\2" * 32
    assert store.reads == 2


def test_search_while_the_store_is_down(
    store: ScriptedStore, keys: TokenKeys, monotonic: Monotonic
) -> None:
    """An unknown key is refused while the keys are under five minutes old, then undecided."""
    keys.ring()
    store.answer = Unavailable("down")
    for _ in range(3):
        with pytest.raises(UnknownKey):
            keys.mac_key(b"none")
    assert store.reads == 2
    monotonic.now += 299
    with pytest.raises(UnknownKey):
        keys.signing_key("none")
    assert store.reads == 3
    for waited, left in ((1, 61), (59, 2), (1, 61)):
        monotonic.now += waited
        for look_up in (lambda: keys.mac_key(b"none"), lambda: keys.signing_key("none")):
            with pytest.raises(Unavailable) as caught:
                look_up()
            assert caught.value.retry_after == left
    assert store.reads == 5
    assert keys.signing_key("s1").kid == "s1"


def test_search_renews_the_cache(
    store: ScriptedStore, keys: TokenKeys, monotonic: Monotonic
) -> None:
    """A read during a search renews the cache for five minutes."""
    keys.ring()
    monotonic.now += 200
    with pytest.raises(UnknownKey):
        keys.mac_key(b"none")
    monotonic.now += 200
    keys.ring()
    assert store.reads == 2


# Rotation


def test_rotation(store: ScriptedStore, keys: TokenKeys, monotonic: Monotonic) -> None:
    """The next key is published before it signs; the previous one stays valid afterwards."""

    def kids() -> list[object]:
        return [key["kid"] for key in published(keys.ring())]

    assert (kids(), keys.ring().current_signing.kid) == (["s1"], "s1")
    store.answer = token_secret("s1", "s2")
    monotonic.now += 300
    assert (kids(), keys.ring().current_signing.kid) == (["s1", "s2"], "s1")
    store.answer = {**token_secret("s1", "s2"), "current": {"mac": "m1", "signing": "s2"}}
    monotonic.now += 300
    assert (kids(), keys.ring().current_signing.kid) == (["s1", "s2"], "s2")
    assert keys.signing_key("s1").kid == "s1"


def test_mac_rotation() -> None:
    """Every listed MAC key is valid; the secret names the current one."""
    secret = {**token_secret(), "mac_keys": {"m1": mac(1), "m2": mac(2), "m3": mac(3)}}
    ring = ring_of({**secret, "current": {"mac": "m2", "signing": "s1"}})
    assert ring.current_mac.secret == b"\2" * 32
    assert {key.secret[0] for key in ring.mac_keys.values()} == {1, 2, 3}


# Kinds of keys


@pytest.mark.parametrize(
    ("key", "algorithm", "members"),
    [
        (rsa_key(0), "RS256", {"kty", "n", "e"}),
        (ec.generate_private_key(ec.SECP256R1()), "ES256", {"kty", "crv", "x", "y"}),
        (ed25519.Ed25519PrivateKey.generate(), "EdDSA", {"kty", "crv", "x"}),
    ],
    ids=["RSA", "P-256", "Ed25519"],
)
def test_kinds_of_signing_keys(key: PrivateKeyTypes, algorithm: str, members: set[str]) -> None:
    """The key's type decides the algorithm; only its public half is published."""
    secret = {**token_secret(), "signing_keys": {"s1": pem(key)}}
    ring = ring_of(secret)
    assert ring.current_signing.algorithm == algorithm
    (jwk,) = published(ring)
    assert set(jwk) == members | {"kid", "use", "alg"}
    assert (jwk["kid"], jwk["use"], jwk["alg"]) == ("s1", "sig", algorithm)


@pytest.mark.parametrize(
    ("kind", "algorithm", "bits"),
    [("es256", "ES256", 0), ("rsa", "RS256", 3072), ("ed25519", "EdDSA", 0)],
)
def test_new_signing_keys(kind: str, algorithm: str, bits: int) -> None:
    """A new key has the requested kind; a new RSA key has 3072 bits."""
    key = ring_of(new_token_secret(kind)).current_signing
    assert (key.kind, key.algorithm, key.rsa_bits) == (kind, algorithm, bits)


def test_a_new_stage_signs_with_es256() -> None:
    """The first keys of a stage, generated by a deployment, sign with P-256."""
    assert ring_of(new_token_secret()).current_signing.algorithm == "ES256"


def test_no_other_kind_of_signing_key() -> None:
    """An unknown kind of key is refused by name."""
    with pytest.raises(ValueError, match="'dsa' is no kind of signing key"):
        new_signing_pem("dsa")


@pytest.mark.parametrize(("bits", "warnings"), [(2048, 1), (3072, 0)])
def test_small_rsa_keys(caplog: pytest.LogCaptureFixture, bits: int, warnings: int) -> None:
    """A small RSA key goes on signing, and each container warns once and says how to fix it."""
    monotonic = Monotonic()
    secret = {**token_secret(), "signing_keys": {"s1": pem(rsa_key(0, bits))}}
    keys = TokenKeys(ScriptedStore(secret), "tokens", monotonic)
    for _ in range(3):
        assert keys.ring().current_signing.rsa_bits == bits
        monotonic.now += 301.0
    said = [record for record in caplog.records if record.__dict__["event"] == "small_signing_key"]
    assert len(said) == warnings
    assert all("rotate the token keys" in record.getMessage() for record in said)


def public_pem(key: rsa.RSAPrivateKey) -> str:
    """Return the public half."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


OTHER_PEMS = {
    "public": public_pem(rsa_key(0)),
    "locked": pem(rsa_key(0), BestAvailableEncryption(b"secret")),
    "too short": pem(rsa_key(0, 1024)),
    "P-384": pem(ec.generate_private_key(ec.SECP384R1())),
    "secp256k1": pem(ec.generate_private_key(ec.SECP256K1())),
    "Ed448": pem(ed448.Ed448PrivateKey.generate()),
    "DSA": pem(dsa.generate_private_key(1024)),
    "unknown algorithm": UNKNOWN_ALGORITHM,
    "empty": "",
    "text": CANARY,
    "not ASCII": "ü" + CANARY,
    "cut": rsa_pem(0)[:600],
}
BROKEN: dict[str, tuple[str, object]] = {
    **{f"signing key: {name}": ("signing_keys.s1", text) for name, text in OTHER_PEMS.items()},
    "mac key: no base64": ("mac_keys.m1", CANARY + "!"),
    "mac key: not ASCII": ("mac_keys.m1", CANARY + "ü"),
    "mac key: padding": ("mac_keys.m1", mac(1)[:-1]),
    "mac key: short": ("mac_keys.m1", mac(1, 31)),
    "mac key: empty": ("mac_keys.m1", ""),
    "mac key: number": ("mac_keys", [CANARY]),
    "no such mac key": ("current.mac", CANARY),
    "no such signing key": ("current.signing", CANARY),
    "no current": ("current", CANARY),
    "signing keys": ("signing_keys", CANARY),
}


@pytest.mark.parametrize(("place", "value"), BROKEN.values(), ids=BROKEN)
def test_broken_secret(place: str, value: object) -> None:
    """An unusable secret raises Unavailable with the name of the faulty field, never its value."""
    secret: dict[str, Any] = token_secret()
    field, _, inner = place.partition(".")
    secret[field] = {**secret[field], inner: value} if inner else value
    with pytest.raises(Unavailable) as caught:
        ring_of(secret)
    text = str(caught.value)
    assert place in text
    assert "tokens" in text
    assert CANARY not in text
    assert "PRIVATE" not in text
    assert caught.value.__suppress_context__  # or a traceback would show the cause


@pytest.mark.parametrize("missing", ["mac_keys", "signing_keys", "current"])
def test_missing_field(missing: str) -> None:
    """A missing field is named."""
    secret = {name: value for name, value in token_secret().items() if name != missing}
    with pytest.raises(Unavailable, match=missing):
        ring_of(secret)


@pytest.mark.parametrize("text", ["", "x", "[]", "null", "[" * 100_000, '{"mac_keys": NaN}', "1"])
def test_no_secret_at_all(text: str) -> None:
    """A secret that is not a JSON object raises Unavailable."""
    with pytest.raises(Unavailable, match="tokens"):
        TokenKeys(ScriptedStore(text), "tokens").ring()


def test_two_names_with_one_key_id() -> None:
    """Two MAC keys with the same id inside a token are refused, not confused."""
    found: dict[bytes, str] = {}
    for number in range(1_000_000):
        name = f"m{number}"
        digest = hashlib.sha256(name.encode()).digest()[:4]
        if digest in found:
            break
        found[digest] = name
    else:
        pytest.fail("no two names found")
    pair = {found[digest]: mac(1), name: mac(2)}
    secret = {**token_secret(), "mac_keys": pair, "current": {"mac": name, "signing": "s1"}}
    with pytest.raises(Unavailable, match="mac_keys"):
        ring_of(secret)
