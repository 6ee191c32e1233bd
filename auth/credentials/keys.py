"""The token keys: from Secrets Manager, cached, chosen by key id, rotated without downtime.

The secret is `{"mac_keys": {kid: base64}, "signing_keys": {kid: PEM}, "current": {"mac": kid,
"signing": kid}}`. A key that is listed but not current is either the next one, already published
so that everybody knows it before it is used, or the previous one, still good for what it signed.
"""

import base64
import hashlib
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_curve_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from auth.errors import Unavailable
from auth.external.secret_store import SecretStore

logger = logging.getLogger(__name__)

CACHE_SECONDS = 300.0
REREAD_SECONDS = 60.0  # how often an unknown key id, or a failing store, may cost a read
MIN_MAC_KEY_BYTES = 32  # RFC 2104: no shorter than the hash
MIN_RSA_BITS = 2048  # NIST SP 800-131A
NEW_RSA_BITS = 3072  # 128 bits of security: NIST SP 800-57 part 1, table 2

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey

# The kinds of signing keys, by the names that `make rotate-token-keys KIND=` takes.
ALGORITHMS = {"es256": "ES256", "rsa": "RS256", "ed25519": "EdDSA"}
DEFAULT_KIND = "es256"


class UnknownKey(Exception):
    """No key of that id: the token is forged, or its key has been retired."""


class CurrentKeys(msgspec.Struct, frozen=True):
    """Which keys make new tokens."""

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
    """A key that authenticates refresh tokens; `key_id` is its id inside a token."""

    key_id: bytes
    secret: bytes = field(repr=False)


@dataclass(frozen=True)
class SigningKey:
    """A key that signs access tokens; its type decides the algorithm."""

    kid: str
    algorithm: str
    private_key: PrivateKey

    @property
    def kind(self) -> str:
        """Return the name of its kind."""
        return next(kind for kind, name in ALGORITHMS.items() if name == self.algorithm)

    @property
    def rsa_bits(self) -> int:
        """Return the size of an RSA key, and 0 for others."""
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
    """All keys of one reading of the secret."""

    mac_keys: Mapping[bytes, MacKey]
    signing_keys: Mapping[str, SigningKey]
    current_mac: MacKey
    current_signing: SigningKey

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the public keys as a JSON Web Key Set: the current, the next, the previous."""
        return {"keys": [key.jwk() for key in self.signing_keys.values()]}


class TokenKeys:
    """Hands out keys, reading the secret no more often than it has to."""

    def __init__(
        self,
        secret_store: SecretStore,
        secret_id: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._secret_store = secret_store
        self._secret_id = secret_id
        self._monotonic = monotonic
        self._ring: KeyRing | None = None
        self._read_at = 0.0
        self._stale_at = 0.0
        self._next_search_at = 0.0

    def ring(self) -> KeyRing:
        """Return the keys, at most five minutes old, older only while they cannot be read.

        Raises:
            Unavailable: they have never been read, and cannot be now.
        """
        if self._ring is None:
            return self._read()
        if self._monotonic() < self._stale_at:
            return self._ring
        try:
            return self._read()
        except Unavailable as error:
            _log_stale(error)
            self._stale_at = self._next_search_at = self._monotonic() + REREAD_SECONDS
            return self._ring

    def ring_in_memory(self) -> KeyRing | None:
        """Return the keys if they have been read, however old; never reads the secret."""
        return self._ring

    def mac_key(self, key_id: bytes) -> MacKey:
        """Return the MAC key a refresh token names.

        Raises:
            UnknownKey: there is none. Keys are published longer before they are used than they
                are cached here, so a ring that is up to date has every key in use.
            Unavailable: there is none here, and the ring is out of date and cannot be read again.
        """
        return self._found(lambda ring: ring.mac_keys.get(key_id))

    def signing_key(self, kid: str) -> SigningKey:
        """Return the key an access token names.

        Raises:
            UnknownKey, Unavailable: as for `mac_key`.
        """
        return self._found(lambda ring: ring.signing_keys.get(kid))

    def _found(self, look_up: Callable[[KeyRing], Key | None]) -> Key:
        ring = self.ring()
        key = look_up(ring)
        if key is None and self._monotonic() >= self._next_search_at:
            key = look_up(self._searched(ring))
        if key is not None:
            return key
        if self._monotonic() < self._read_at + CACHE_SECONDS:
            raise UnknownKey
        wait = int(self._next_search_at - self._monotonic()) + 1
        raise Unavailable("unknown key id, and the token keys are out of date", retry_after=wait)

    def _searched(self, ring: KeyRing) -> KeyRing:
        """Return the keys, read again if they can be: one may have been added meanwhile."""
        self._next_search_at = self._monotonic() + REREAD_SECONDS
        try:
            return self._read()
        except Unavailable as error:
            _log_stale(error)
            return ring

    def _read(self) -> KeyRing:
        secret = self._secret_store.read(self._secret_id, TokenSecret)
        try:
            ring = key_ring(secret)
        except ValueError as error:
            raise Unavailable(f"secret {self._secret_id}: {error}") from None
        if self._ring is None:
            _warn_of_small(ring.current_signing)
        self._ring = ring
        self._read_at = self._monotonic()
        self._stale_at = self._read_at + CACHE_SECONDS
        return self._ring


def _log_stale(error: Unavailable) -> None:
    logger.warning(
        "token keys could not be read again, so the old ones serve: %s",
        error,
        extra={"event": "keys_stale"},
    )


def new_token_secret(kind: str = DEFAULT_KIND) -> dict[str, object]:
    """Return a token secret with a fresh MAC key and a fresh signing key of a kind."""
    return {
        "mac_keys": {"mac-1": new_mac_secret()},
        "signing_keys": {"signing-1": new_signing_pem(kind)},
        "current": {"mac": "mac-1", "signing": "signing-1"},
    }


def new_mac_secret() -> str:
    """Return a fresh MAC key as it is written in the secret."""
    return base64.b64encode(secrets.token_bytes(MIN_MAC_KEY_BYTES)).decode()


def new_signing_pem(kind: str = DEFAULT_KIND, at_least_rsa_bits: int = 0) -> str:
    """Return a fresh signing key of a kind, as PEM."""
    new: PrivateKey
    if kind == "es256":
        new = generate_curve_key(SECP256R1())
    elif kind == "rsa":
        new = generate_private_key(65537, max(NEW_RSA_BITS, at_least_rsa_bits))
    elif kind == "ed25519":
        new = Ed25519PrivateKey.generate()
    else:
        raise ValueError(f"{kind!r} is no kind of signing key; there are {', '.join(ALGORITHMS)}")
    return new.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _warn_of_small(key: SigningKey) -> None:
    if 0 < key.rsa_bits < NEW_RSA_BITS:
        logger.warning(
            "signing key %s is RSA with %d bits: rotate the token keys (docs/rotation.md)",
            key.kid,
            key.rsa_bits,
            extra={"event": "small_signing_key"},
        )


def key_ring(secret: TokenSecret) -> KeyRing:
    """Return the keys of a secret, ready for use.

    Raises:
        ValueError: a key is malformed or missing; names its field, never its value.
    """
    mac_keys = {kid: mac_key(kid, text) for kid, text in secret.mac_keys.items()}
    signing_keys = {kid: signing_key(kid, pem) for kid, pem in secret.signing_keys.items()}
    if secret.current.mac not in mac_keys:
        raise ValueError("current.mac names no key of mac_keys")
    if secret.current.signing not in signing_keys:
        raise ValueError("current.signing names no key of signing_keys")
    by_key_id = {key.key_id: key for key in mac_keys.values()}
    if len(by_key_id) < len(mac_keys):
        raise ValueError("mac_keys has two names with one key id; rename one of them")
    return KeyRing(
        by_key_id, signing_keys, mac_keys[secret.current.mac], signing_keys[secret.current.signing]
    )


def mac_key(kid: str, text: str) -> MacKey:
    """Return the MAC key written as base64 in the secret."""
    try:
        secret = base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError(f"mac_keys.{kid} is not base64") from None
    if len(secret) < MIN_MAC_KEY_BYTES:
        raise ValueError(f"mac_keys.{kid} is shorter than {MIN_MAC_KEY_BYTES} bytes")
    return MacKey(hashlib.sha256(kid.encode()).digest()[:4], secret)


def signing_key(kid: str, pem: str) -> SigningKey:
    """Return the signing key written as PEM in the secret."""
    try:
        # Skipping the primality checks saves 46 ms at start; the key is our own.
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
