"""The token keys: their form in the secret, and the parsed keys that sign and verify.

The secret is `{"mac_keys": {kid: base64}, "signing_keys": {kid: PEM}, "current": {"mac": kid,
"signing": kid}}`. A listed key that is not current is either the next one, published early so that
every verifier knows it before it is used, or the previous one, still valid for its tokens.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
)

MIN_MAC_KEY_BYTES = 32  # RFC 2104: no shorter than the hash
MIN_RSA_BITS = 2048  # NIST SP 800-131A

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey

# The kinds of signing keys, by the names that `make rotate-token-keys KIND=` takes.
ALGORITHMS = {"es256": "ES256", "rsa": "RS256", "ed25519": "EdDSA"}


class CurrentKeys(msgspec.Struct, frozen=True):
    """The names of the keys for new tokens."""

    mac: str
    signing: str


class TokenSecret(msgspec.Struct, frozen=True):
    """The form of the secret."""

    mac_keys: dict[str, str]
    signing_keys: dict[str, str]
    current: CurrentKeys

    def __repr__(self) -> str:
        return f"TokenSecret(current={self.current})"


@dataclass(frozen=True)
class MacKey:
    """A key that authenticates refresh tokens; tokens contain its `key_id`."""

    key_id: bytes
    secret: bytes = field(repr=False)


@dataclass(frozen=True)
class SigningKey:
    """A key that signs access tokens; its type determines the algorithm."""

    kid: str
    algorithm: str
    private_key: PrivateKey

    @property
    def kind(self) -> str:
        """Return the key's kind, as in `ALGORITHMS`."""
        return next(kind for kind, name in ALGORITHMS.items() if name == self.algorithm)

    @property
    def rsa_bits(self) -> int:
        """Return the size of an RSA key; 0 for other kinds."""
        return self.private_key.key_size if isinstance(self.private_key, RSAPrivateKey) else 0

    def jwk(self) -> dict[str, str]:
        """Return the public half as a JSON Web Key (RFC 7517)."""
        algorithm = jwt.get_algorithm_by_name(self.algorithm)
        key = algorithm.to_jwk(self.private_key.public_key(), as_dict=True)
        key.pop("key_ops", None)
        return {**key, "kid": self.kid, "use": "sig", "alg": self.algorithm}


Key = TypeVar("Key", MacKey, SigningKey)


@dataclass(frozen=True)
class KeyRing:
    """All keys of the secret, as read at one time."""

    mac_keys: Mapping[bytes, MacKey]
    signing_keys: Mapping[str, SigningKey]
    current_mac: MacKey
    current_signing: SigningKey

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the public keys as a JSON Web Key Set: the current, the next, the previous."""
        return {"keys": [key.jwk() for key in self.signing_keys.values()]}


def key_ring(secret: TokenSecret) -> KeyRing:
    """Return the parsed keys of a secret.

    Raises:
        ValueError: a key is malformed or missing; the text names its field, never its value.
    """
    mac_keys = {kid: mac_key(kid, text) for kid, text in secret.mac_keys.items()}
    signing_keys = {kid: signing_key(kid, pem) for kid, pem in secret.signing_keys.items()}
    if secret.current.mac not in mac_keys:
        raise ValueError("current.mac is not the name of a key in mac_keys")
    if secret.current.signing not in signing_keys:
        raise ValueError("current.signing is not the name of a key in signing_keys")
    by_key_id = {key.key_id: key for key in mac_keys.values()}
    if len(by_key_id) < len(mac_keys):
        raise ValueError("two names in mac_keys give the same key id: rename one of them")
    return KeyRing(
        by_key_id, signing_keys, mac_keys[secret.current.mac], signing_keys[secret.current.signing]
    )


def mac_key(kid: str, text: str) -> MacKey:
    """Return the MAC key that is base64 in the secret."""
    try:
        secret = base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError(f"mac_keys.{kid} is not base64") from None
    if len(secret) < MIN_MAC_KEY_BYTES:
        raise ValueError(f"mac_keys.{kid} is shorter than {MIN_MAC_KEY_BYTES} bytes")
    return MacKey(hashlib.sha256(kid.encode()).digest()[:4], secret)


def signing_key(kid: str, pem: str) -> SigningKey:
    """Return the signing key that is PEM in the secret."""
    try:
        # Skipping the primality checks saves 46 ms at start-up, and the key is our own.
        key = load_pem_private_key(pem.encode(), None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(f"signing_keys.{kid} is not a PEM private key") from None
    if isinstance(key, RSAPrivateKey):
        if key.key_size < MIN_RSA_BITS:
            raise ValueError(f"signing_keys.{kid} has fewer than {MIN_RSA_BITS} bits")
        return SigningKey(kid, "RS256", key)
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
        return SigningKey(kid, "ES256", key)
    if isinstance(key, Ed25519PrivateKey):
        return SigningKey(kid, "EdDSA", key)
    raise ValueError(f"signing_keys.{kid} is neither RSA, P-256 nor Ed25519")
