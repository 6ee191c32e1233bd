"""Makes clients/conformance/tickets.json: good and forged tickets, for any verifier to try.

`python -m tests.game_server.ticket_vectors` writes the file. The keys are known to everyone, and
the signatures are deterministic (ECDSA as in RFC 6979), so that the file is the same each time.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.utils import der_to_raw_signature

from auth.credentials.token_keys import TokenKeys
from tests.play.sources import ROOT
from tests.unit.test_keys import ScriptedStore, mac, pem

FILE = ROOT / "clients" / "conformance" / "tickets.json"
NOW = datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC)
IAT = int(NOW.timestamp())
ISSUER, SERVER = "game-login-test", "eu-1:7777"

_P = int(
    "e530c2a22161d5dfa8352c527163f7022465acf2d3ce24b88fedd33a6fd73302"
    "829a2e1e52aa87540abfcd4c6030d163fb870278869f9060b1d39be0f99e314f"
    "9c4322e07d5d02a26268729824520be1a6bfac36b10351a0739890cb08e9861f"
    "042b57a14fe873c1908c59a3347ea9e331a1a0ddb7e6b2e5c1ab63ff333d5071",
    16,
)
_Q = int(
    "df14a057f6bde89a183e9d382a95db6cd8f43e2f636d3936db2593872398421d"
    "953f9283825ed96f919a08ea34bcdc50ccc7532b9314312eb9216274bc32a0ff"
    "a05aa8b2354591732da26aa92fb32d3b5ca2ee209a24d9496a62a0250aeb45f9"
    "ae5d78152e12440220888d5f8241ddace39eb00f8e0334ee5747997043c5335d",
    16,
)
_E = 65537
_D = pow(_E, -1, (_P - 1) * (_Q - 1))


def _rsa() -> rsa.RSAPrivateKey:
    numbers = rsa.RSAPrivateNumbers(
        p=_P,
        q=_Q,
        d=_D,
        dmp1=_D % (_P - 1),
        dmq1=_D % (_Q - 1),
        iqmp=pow(_Q, -1, _P),
        public_numbers=rsa.RSAPublicNumbers(_E, _P * _Q),
    )
    return numbers.private_key()


ES = ec.derive_private_key(int.from_bytes(b"the tickets' P-256 key"), ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.from_private_bytes(b"the tickets' key for Ed25519 ...")
RSA = _rsa()
STRANGER = ec.derive_private_key(4711, ec.SECP256R1())  # not published
SECRET = {
    "mac_keys": {"m1": mac(1)},
    "signing_keys": {"es": pem(ES), "rsa": pem(RSA), "ed": pem(ED)},
    "current": {"mac": "m1", "signing": "es"},
}
KEYS = TokenKeys(ScriptedStore(SECRET), "tokens", lambda: 0.0)
JWKS = KEYS.ring().jwks()
STRANGER_JWK = jwt.get_algorithm_by_name("ES256").to_jwk(STRANGER.public_key(), as_dict=True)

HEADER: dict[str, Any] = {"typ": "ticket+jwt", "kid": "es", "alg": "ES256"}
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": f"server:{SERVER}",
    "sub": "019aaab0-0000-7000-8000-0000000000ad",
    "sid": "019aaab0-0000-7000-8000-000000000051",
    "name": "Ada",
    "epoch": 7,
    "iat": IAT,
    "exp": IAT + 60,
    "jti": "019aaab1-8a00-7000-8000-000000000001",
}


def _raw(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _es256(message: bytes, key: ec.EllipticCurvePrivateKey = ES) -> bytes:
    der = key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    return der_to_raw_signature(der, key.curve)


def _es256_in_der(message: bytes) -> bytes:
    return ES.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


def _rs256(message: bytes) -> bytes:
    return RSA.sign(message, PKCS1v15(), hashes.SHA256())


def _rs512(message: bytes) -> bytes:
    return RSA.sign(message, PKCS1v15(), hashes.SHA512())


def _hs256_with_the_public_key(message: bytes) -> bytes:  # CVE-2015-9235
    public = ES.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hmac.digest(public, message, hashlib.sha256)


def signed(
    header: dict[str, Any] | None = None,
    sign: Callable[[bytes], bytes] = _es256,
    without: str = "",
    **claims: Any,
) -> str:
    """Return a ticket with some claims and header fields replaced; `...` leaves a field out."""
    payload = {name: value for name, value in {**CLAIMS, **claims}.items() if name != without}
    head = {name: value for name, value in {**HEADER, **(header or {})}.items() if value is not ...}
    texts = (
        json.dumps(part, separators=(",", ":"), ensure_ascii=False) for part in (head, payload)
    )
    message = ".".join(_raw(text.encode()) for text in texts)
    return f"{message}.{_raw(sign(message.encode()))}"


def unsigned(**header: Any) -> str:
    """Return a ticket with an empty signature."""
    return signed(header, lambda _: b"")


def with_spare_bits(text: str) -> str:
    """Return another spelling of the same bytes, with the bits set that base64 does not use."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1]) | 1]


def with_a_flipped_bit(text: str, part: int) -> str:
    """Return a ticket with one bit changed in the middle of its header, claims or signature."""
    parts = text.split(".")
    content = bytearray(base64.urlsafe_b64decode(parts[part] + "=" * (-len(parts[part]) % 4)))
    content[len(content) // 2] ^= 1
    parts[part] = _raw(bytes(content))
    return ".".join(parts)


GOOD = {
    "ES256": signed(),
    "RS256": signed({"kid": "rsa", "alg": "RS256"}, _rs256),
    "EdDSA": signed({"kid": "ed", "alg": "EdDSA"}, ED.sign),
    "of a guest": signed(guest=True),
    "guest false": signed(guest=False),
    "epoch 0": signed(epoch=0),
    "epoch 2147483647": signed(epoch=2**31 - 1),
    "nbf is now": signed(nbf=IAT),
    "nbf with a fraction": signed(nbf=IAT - 0.5),
    "an unknown claim": signed(colour="red"),
    "a name in many alphabets": signed(name="Ädä Жанна 花子"),
    "a clock that is behind: issued in the future": signed(iat=IAT + 120, exp=IAT + 180),
    "300 s": signed(exp=IAT + 300),
    "in its last second": signed(iat=IAT - 59, exp=IAT + 1),
}
TEXT = GOOD["ES256"]
NO_IDS: dict[str, Callable[[str], str]] = {
    "no id": lambda _: "ada",
    "in upper case": str.upper,
    "in braces": "{{{}}}".format,
    "without hyphens": lambda text: text.replace("-", ""),
    "with a line break": "{}\n".format,
}
BAD = {
    "expired": signed(iat=IAT - 120, exp=IAT - 60),
    "an access token": signed({"typ": "at+jwt"}, aud="game", exp=IAT + 600),
    "an access token for this audience": signed({"typ": "at+jwt"}),
    "for another server": signed(aud="server:eu-2:7777"),
    "aud without server:": signed(aud=SERVER),
    "aud with server: twice": signed(aud=f"server:server:{SERVER}"),
    "aud longer": signed(aud=f"server:{SERVER} "),
    "aud in upper case": signed(aud=f"server:{SERVER.upper()}"),
    "aud a list": signed(aud=[f"server:{SERVER}"]),
    "aud two": signed(aud=[f"server:{SERVER}", "server:eu-2:7777"]),
    "another issuer": signed(iss="game-login-prod"),
    "iss a list": signed(iss=[ISSUER]),
    "alg none": unsigned(alg="none"),
    "alg None": unsigned(alg="None"),
    "no alg": signed({"alg": ...}),
    "no signature": unsigned(),
    "HS256 with the public key": signed({"alg": "HS256"}, _hs256_with_the_public_key),
    "another key of that kid": signed(sign=lambda message: _es256(message, STRANGER)),
    "ES256 signature as DER": signed(sign=_es256_in_der),
    "RS256 under the kid of another kind": signed({"alg": "RS256"}, _rs256),
    "RS256 called ES256": signed({"kid": "rsa"}, _rs256),
    "RS512": signed({"kid": "rsa", "alg": "RS512"}, _rs512),
    "unknown kid": signed({"kid": "stranger"}, lambda message: _es256(message, STRANGER)),
    "no kid": signed({"kid": ...}),
    "kid a list": signed({"kid": ["es"]}),
    "kid of every object": signed({"kid": "constructor"}),
    "typ JWT": signed({"typ": "JWT"}),
    "typ in upper case": signed({"typ": "TICKET+JWT"}),
    "typ long": signed({"typ": "application/ticket+jwt"}),
    "no typ": signed({"typ": ...}),
    "jku": signed({"jku": "https://evil.example/jwks.json"}),
    "jwk": signed({"jwk": STRANGER_JWK}, lambda message: _es256(message, STRANGER)),
    "crit": signed({"crit": ["exp"]}),
    "b64": signed({"b64": True}),
    "iat text": signed(iat=str(IAT)),
    "iat with a fraction": signed(iat=IAT + 0.5),
    "iat true": signed(iat=True),
    "exp text": signed(exp=str(IAT + 60)),
    "exp with a fraction": signed(exp=IAT + 60.5),
    "exp null": signed(exp=None),
    "exp huge": signed(exp=10**30),
    "exp infinite": signed(exp=float("inf")),
    "exp is iat": signed(exp=IAT),
    "exp before iat": signed(iat=IAT + 120, exp=IAT + 60),
    "301 s": signed(exp=IAT + 301),
    "nbf later": signed(nbf=4_000_000_000),
    "nbf text": signed(nbf=str(IAT)),
    "nbf true": signed(nbf=True),
    "nbf null": signed(nbf=None),
    "nbf a list": signed(nbf=[IAT]),
    **{f"no {name}": signed(without=name) for name in CLAIMS},
    "sub a number": signed(sub=1),
    "sid null": signed(sid=None),
    "name empty": signed(name=""),
    "epoch text": signed(epoch="7"),
    "epoch true": signed(epoch=True),
    "epoch with a fraction": signed(epoch=7.5),
    "epoch below 0": signed(epoch=-1),
    "epoch 2147483648": signed(epoch=2**31),
    "guest text": signed(guest="true"),
    "guest null": signed(guest=None),
    "jti no id": signed(jti="1"),
    "jti in upper case": signed(jti=str(CLAIMS["jti"]).upper()),
    "jti a number": signed(jti=1),
    "jti a UUID of version 4": signed(jti="019aaab1-8a00-4000-8000-000000000001"),
    "jti a UUID of another variant": signed(jti="019aaab1-8a00-7000-c000-000000000001"),
    **{
        f"{name} {kind}": signed(None, _es256, "", **{name: spell(CLAIMS[name])})
        for name in ("sub", "sid")
        for kind, spell in NO_IDS.items()
    },
    **{
        f"{kind} with a bit flipped in the {part}": with_a_flipped_bit(GOOD[kind], position)
        for kind in ("ES256", "RS256", "EdDSA")
        for position, part in enumerate(("header", "claims", "signature"))
    },
    "claims a list": ".".join([TEXT.split(".")[0], "W10", TEXT.split(".")[2]]),
    "header of another ticket": ".".join(
        [GOOD["RS256"].split(".")[0], *TEXT.split(".")[1:]],
    ),
    "claims of another ticket": ".".join(
        [TEXT.split(".")[0], GOOD["of a guest"].split(".")[1], TEXT.split(".")[2]],
    ),
    "over 2 KiB": signed(name="x" * 2048),
    "empty": "",
    "two parts": TEXT.rpartition(".")[0],
    "four parts": TEXT + ".x",
    "a space in front": " " + TEXT,
    "padded": TEXT + "==",
    "spare bits": with_spare_bits(TEXT),
    "a line break inside": f"{TEXT[:40]}\n{TEXT[40:]}",
    "not ASCII": "é" + TEXT,
    "refresh token": "glrt_" + "A" * 117,
}


def player_of(text: str) -> dict[str, Any]:
    """Return what a verifier should read in a good ticket."""
    claims = jwt.decode(text, options={"verify_signature": False})
    return {
        "account_id": claims["sub"],
        "session_id": claims["sid"],
        "name": claims["name"],
        "epoch": claims["epoch"],
        "guest": claims.get("guest", False),
        "ticket_id": claims["jti"],
        "issued_at": claims["iat"],
        "expires_at": claims["exp"],
    }


def content() -> str:
    """Return the content of the file: a line for each ticket."""
    good = [{"name": name, "ticket": GOOD[name], "player": player_of(GOOD[name])} for name in GOOD]
    bad = [{"name": name, "ticket": BAD[name]} for name in BAD]
    head = {"issuer": ISSUER, "server": SERVER, "now": IAT, "jwks": JWKS}
    members = [f'  "{name}": {json.dumps(value)}' for name, value in head.items()]
    for name, tickets in (("good", good), ("bad", bad)):
        lines = ",\n".join(f"    {json.dumps(one, ensure_ascii=False)}" for one in tickets)
        members.append(f'  "{name}": [\n{lines}\n  ]')
    return "{\n" + ",\n".join(members) + "\n}\n"


if __name__ == "__main__":
    FILE.write_text(content())
