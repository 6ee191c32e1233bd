"""Signatures and public keys, compared with PyJWT, which is an implementation by others."""

import itertools
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from auth.credentials.signatures import (
    PrivateKey,
    WrongSignature,
    check_signature,
    decode,
    encode,
    public_jwk,
    signature_of,
)
from tests.unit.test_keys import rsa_key

TEXT = b"eyJh.e30"
KEYS: dict[str, PrivateKey] = {
    "RS256": rsa_key(0),
    "ES256": generate_private_key(SECP256R1()),
    "EdDSA": Ed25519PrivateKey.generate(),
}


def theirs(algorithm: str) -> Any:
    """Return PyJWT's implementation of an algorithm."""
    return jwt.get_algorithm_by_name(algorithm)


@pytest.mark.parametrize("algorithm", KEYS)
def test_same_signatures(algorithm: str) -> None:
    """PyJWT accepts our signatures, and we accept those of PyJWT."""
    key = KEYS[algorithm]
    assert theirs(algorithm).verify(TEXT, key.public_key(), signature_of(key, TEXT))
    check_signature(key, TEXT, theirs(algorithm).sign(TEXT, key))


@pytest.mark.parametrize("algorithm", KEYS)
def test_wrong_signature(algorithm: str) -> None:
    """A signature of another text, by another key, or with one byte more or less, is refused."""
    key = KEYS[algorithm]
    signature = signature_of(key, TEXT)
    others = [signature_of(other, TEXT) for name, other in KEYS.items() if name != algorithm]
    wrong = [signature_of(key, b"other"), signature + b"\0", b"\0" + signature, signature[:-1], b""]
    for one in (*others, *wrong):
        with pytest.raises(WrongSignature):
            check_signature(key, TEXT, one)


def test_short_halves() -> None:
    """Both halves of a P-256 signature always have 32 bytes, even if they begin with zeros."""
    key = KEYS["ES256"]
    signatures = (signature_of(key, TEXT) for _ in itertools.count())
    for place in (0, 32):
        signature = next(one for one in signatures if one[place] == 0)
        assert len(signature) == 64
        assert theirs("ES256").verify(TEXT, key.public_key(), signature)
        check_signature(key, TEXT, signature)


def test_other_forms_of_a_p256_signature() -> None:
    """The form of X.509, numbers out of range, and zeros (CVE-2022-21449) are refused."""
    key = KEYS["ES256"]
    assert isinstance(key, EllipticCurvePrivateKey)
    for wrong in (key.sign(TEXT, ECDSA(SHA256())), bytes(64), b"\xff" * 64):
        with pytest.raises(WrongSignature):
            check_signature(key, TEXT, wrong)


@pytest.mark.parametrize("algorithm", KEYS)
def test_same_public_key(algorithm: str) -> None:
    """A key is published as PyJWT would do it."""
    key = KEYS[algorithm]
    expected = theirs(algorithm).to_jwk(key.public_key(), as_dict=True)
    expected.pop("key_ops", None)
    assert public_jwk(key) == expected


def test_short_coordinates() -> None:
    """Both coordinates of a P-256 key always have 32 bytes, even if they begin with zeros."""
    for name in ("x", "y"):
        keys = (generate_private_key(SECP256R1()) for _ in itertools.count())
        key = next(one for one in keys if decode(public_jwk(one)[name])[0] == 0)
        assert len(decode(public_jwk(key)[name])) == 32
        assert public_jwk(key) == theirs("ES256").to_jwk(key.public_key(), as_dict=True)


def test_one_spelling() -> None:
    """Only one text stands for the same bytes."""
    for data in (b"", b"a", b"ab", b"abc", bytes(range(256))):
        assert decode(encode(data)) == data
    for text in ("YQ==", "YR", "YQ\n", " YQ", "Y", "+_", "-/", "é"):
        with pytest.raises(ValueError):  # noqa: PT011  # of base64 or of ours
            decode(text)
