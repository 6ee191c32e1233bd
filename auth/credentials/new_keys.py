"""Generates token keys, in the form that the secret has."""

import base64
import secrets

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_curve_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from auth.credentials.keys import ALGORITHMS, MIN_MAC_KEY_BYTES, PrivateKey

NEW_RSA_BITS = 3072  # 128 bits of security: NIST SP 800-57 part 1, table 2
DEFAULT_KIND = "es256"


def new_token_secret(kind: str = DEFAULT_KIND) -> dict[str, object]:
    """Return a token secret with a new MAC key and a new signing key of this kind."""
    return {
        "mac_keys": {"mac-1": new_mac_secret()},
        "signing_keys": {"signing-1": new_signing_pem(kind)},
        "current": {"mac": "mac-1", "signing": "signing-1"},
    }


def new_mac_secret() -> str:
    """Return a new MAC key, base64 as in the secret."""
    return base64.b64encode(secrets.token_bytes(MIN_MAC_KEY_BYTES)).decode()


def new_signing_pem(kind: str = DEFAULT_KIND, at_least_rsa_bits: int = 0) -> str:
    """Return a new signing key of this kind, as PEM."""
    new: PrivateKey
    if kind == "es256":
        new = generate_curve_key(SECP256R1())
    elif kind == "rsa":
        new = generate_private_key(65537, max(NEW_RSA_BITS, at_least_rsa_bits))
    elif kind == "ed25519":
        new = Ed25519PrivateKey.generate()
    else:
        raise ValueError(f"{kind!r} is no kind of signing key: use one of {', '.join(ALGORITHMS)}")
    return new.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
