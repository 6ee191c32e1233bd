"""JSON Web Signatures and Keys, for the three kinds of token keys (RFC 7515, 7517, 7518, 8037).

`cryptography` signs and verifies; this module knows only the forms. The key determines the
algorithm, never the token. docs/decisions/0014-own-signatures.md says why no JWT library does it.
"""

import base64

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey

P256_BYTES = 32  # of a coordinate, and of each half of a signature: RFC 7518, section 3.4


class WrongSignature(Exception):
    """The text was not signed by this key."""


def signature_of(key: PrivateKey, text: bytes) -> bytes:
    """Return the signature of a text, in the form that a token has."""
    if isinstance(key, RSAPrivateKey):
        return key.sign(text, PKCS1v15(), SHA256())
    if isinstance(key, EllipticCurvePrivateKey):
        r, s = decode_dss_signature(key.sign(text, ECDSA(SHA256())))
        return r.to_bytes(P256_BYTES) + s.to_bytes(P256_BYTES)
    return key.sign(text)


def check_signature(key: PrivateKey, text: bytes, signature: bytes) -> None:
    """Check the signature of a text.

    Raises:
        WrongSignature: it is not this key's signature of this text.
    """
    try:
        if isinstance(key, RSAPrivateKey):
            key.public_key().verify(signature, text, PKCS1v15(), SHA256())
        elif isinstance(key, EllipticCurvePrivateKey):
            key.public_key().verify(_in_der(signature), text, ECDSA(SHA256()))
        else:
            key.public_key().verify(signature, text)
    except InvalidSignature:
        raise WrongSignature from None


def public_jwk(key: PrivateKey) -> dict[str, str]:
    """Return the public half of a key as a JSON Web Key, without its name and its use."""
    if isinstance(key, RSAPrivateKey):
        rsa = key.public_key().public_numbers()
        return {"kty": "RSA", "n": _number(rsa.n), "e": _number(rsa.e)}
    if isinstance(key, EllipticCurvePrivateKey):
        point = key.public_key().public_numbers()
        x, y = (encode(number.to_bytes(P256_BYTES)) for number in (point.x, point.y))
        return {"kty": "EC", "crv": "P-256", "x": x, "y": y}
    return {"kty": "OKP", "crv": "Ed25519", "x": encode(key.public_key().public_bytes_raw())}


def encode(data: bytes) -> str:
    """Return bytes as base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Return the bytes of a text; accept only the spelling that `encode` writes.

    Raises:
        ValueError: the text has another spelling.
    """
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode(data) != text:
        raise ValueError("not canonical base64url")
    return data


def _in_der(signature: bytes) -> bytes:
    """Return a P-256 signature in the form that `cryptography` takes."""
    if len(signature) != 2 * P256_BYTES:
        raise WrongSignature
    r, s = signature[:P256_BYTES], signature[P256_BYTES:]
    return encode_dss_signature(int.from_bytes(r), int.from_bytes(s))


def _number(value: int) -> str:
    return encode(value.to_bytes((value.bit_length() + 7) // 8))
