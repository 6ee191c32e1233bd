"""Tells who a player is from an access token, without asking the login backend.

Copy this file into a game server; it needs `pyjwt[crypto]` alone. The public keys are read from the
backend's JWKS and kept. They are read again when they are five minutes old, so that a withdrawn key
goes, and at once when a token names a key that is new, but once a minute at most: a stranger who
makes up key ids cannot have us call the backend. While the backend is down the keys at hand go on
verifying.

    tokens = PlayerTokens("https://login.example.com", issuer="game-login-prod", audience="game")
    player = tokens.verify(text)  # raises InvalidToken, KeysUnavailable

PyJWT checks the signature and takes any `typ`, a list as `aud` and a string as `exp`; what RFC 8725
and RFC 9068 ask beyond the signature is checked here.

The backend's clock and ours differ. `iat` is not compared with our clock: if ours were behind, it
would refuse every fresh token. `exp` is compared without leeway: if our clock is ahead, tokens end
that much earlier, and a client that is told so comes back with a fresh one.
"""

import base64
import http.client
import ipaddress
import json
import logging
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt

logger = logging.getLogger(__name__)

MAX_TOKEN_LENGTH = 2048
LIFETIME_SECONDS = 600  # no token of the backend's is good for longer
TYPE = "at+jwt"  # RFC 9068, section 2.1
HEADER_FIELDS = {"typ", "alg", "kid"}  # so nothing like jku, x5u, jwk or crit is followed
ALGORITHMS = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}  # RFC 8725, 3.1: the key decides
MIN_RSA_BITS = 2048

JWKS_PATH = "/.well-known/jwks.json"
MAX_JWKS_BYTES = 65536
READ_SECONDS = 5.0
KEEP_SECONDS = 300.0  # the JWKS's own max-age
RETRY_SECONDS = 60.0  # the least time between two reads
FIRST_RETRY_SECONDS = 5.0  # while there is no key at all

Jwks = Mapping[str, Any]


class InvalidToken(Exception):
    """The token is not one of the backend's for this game, or it has expired; says why."""


class KeysUnavailable(Exception):
    """The public keys have not been read yet and cannot be read now: try again later."""


@dataclass(frozen=True)
class Player:
    """Who a token speaks for."""

    account_id: str
    session_id: str
    name: str
    expires_at: int  # seconds since 1970


class PlayerTokens:
    """Verifies access tokens; safe in several threads.

    Now and then `verify` reads the keys and blocks meanwhile, up to 5 s where the backend is
    silent: call it in a thread where nothing may wait (`asyncio.to_thread`).
    """

    def __init__(
        self,
        backend: str,
        issuer: str,
        audience: str,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the backend's URL, and what its tokens have as `iss` and `aud`.

        Raises:
            ValueError: the URL is neither https nor this machine.
        """
        self._url = _jwks_url(backend)
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._monotonic = monotonic
        self._keys: dict[str, jwt.PyJWK] = {}
        self._tried_at = self._read_at = float("-inf")
        self._reading = threading.Lock()

    def verify(self, text: str) -> Player:
        """Return the player that a token speaks for.

        Raises:
            InvalidToken: it is forged, expired, for another game, or no token at all.
            KeysUnavailable: no key has ever been read, and none can be.
        """
        if len(text) > MAX_TOKEN_LENGTH:
            raise InvalidToken("longer than 2 KiB")
        try:
            header = jwt.get_unverified_header(text)
            if not all(map(_is_canonical, text.split("."))):
                raise InvalidToken("not in the one spelling of base64url")
            if set(header) != HEADER_FIELDS or header["typ"] != TYPE:
                raise InvalidToken("no access token of the backend's")
            key = self._key(header["kid"])
            claims: dict[str, Any] = jwt.decode(
                text,
                key.key,
                algorithms=[key.algorithm_name],
                # All three are checked below, `iat` against `exp` only: clocks differ.
                options={"verify_exp": False, "verify_aud": False, "verify_iat": False},
            )
            return self._player(claims)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise InvalidToken(type(error).__name__) from None  # a text might quote the token

    def _player(self, claims: Mapping[str, Any]) -> Player:
        issued_at, expires_at = claims["iat"], claims["exp"]
        if type(issued_at) is not int or type(expires_at) is not int:
            raise InvalidToken("iat or exp is no integer")
        if not 0 < expires_at - issued_at <= LIFETIME_SECONDS:
            raise InvalidToken("good for too long")
        if self._clock() >= expires_at:
            raise InvalidToken("expired")
        if claims["iss"] != self._issuer or claims["aud"] != self._audience:
            raise InvalidToken("for another issuer or audience")
        account_id, session_id, name = claims["sub"], claims["sid"], claims["name"]
        if not all(isinstance(text, str) and text for text in (account_id, session_id, name)):
            raise InvalidToken("sub, sid or name is no text")
        return Player(account_id, session_id, name, expires_at)

    def _key(self, kid: object) -> jwt.PyJWK:
        if not isinstance(kid, str):
            raise InvalidToken("kid is no text")
        with self._reading:
            now = self._monotonic()
            stale = kid not in self._keys or now - self._read_at >= KEEP_SECONDS
            pause = RETRY_SECONDS if self._keys else FIRST_RETRY_SECONDS
            if stale and now - self._tried_at >= pause:
                self._read(now)
            if not self._keys:
                raise KeysUnavailable(f"no keys from {self._url} yet")
            if kid not in self._keys:
                raise InvalidToken("signed with an unknown key")
            return self._keys[kid]

    def _read(self, now: float) -> None:
        """Read the keys; keep the old ones if that fails."""
        try:
            self._keys = usable_keys(read_jwks(self._url))
            self._read_at = now
        except (OSError, ValueError, RecursionError, http.client.HTTPException) as error:
            logger.warning("no keys from %s: %s", self._url, error)
        finally:
            self._tried_at = self._monotonic()  # whoever waited for this does not read again


def read_jwks(url: str) -> Jwks:
    """Return the JWKS at a URL; follow no redirect.

    Raises:
        OSError, ValueError: it cannot be read, or is no JSON object.
    """
    with _opener(url).open(url, timeout=READ_SECONDS) as answer:
        body = answer.read(MAX_JWKS_BYTES + 1)
    if len(body) > MAX_JWKS_BYTES:
        raise ValueError("longer than 64 KiB")
    jwks = json.loads(body)
    if not isinstance(jwks, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004  # a wrong answer, no wrong argument
    return jwks


def usable_keys(jwks: Jwks) -> dict[str, jwt.PyJWK]:
    """Return the keys of a JWKS that verify signatures, by their ids; leave out all others.

    Raises:
        ValueError: there is none.
    """
    listed = jwks.get("keys")
    keys: dict[str, jwt.PyJWK] = {}
    for entry in listed if isinstance(listed, list) else []:
        try:
            kid, algorithm = entry["kid"], ALGORITHMS[entry["kty"]]
            key = jwt.PyJWK(entry, algorithm)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):
            continue
        weak = algorithm == "RS256" and key.key.key_size < MIN_RSA_BITS
        for_signatures = entry.get("use", "sig") == "sig" and "d" not in entry
        if isinstance(kid, str) and for_signatures and not weak:
            keys[kid] = key
    if not keys:
        raise ValueError("no usable key in it")
    return keys


def _is_canonical(segment: str) -> bool:
    """Tell whether a part of a token is in the one spelling that RFC 7515, section 2 gives it."""
    decoded = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    return base64.urlsafe_b64encode(decoded).rstrip(b"=") == segment.encode()


def _jwks_url(backend: str) -> str:
    url = urllib.parse.urlsplit(backend)
    local = _is_this_machine(url.hostname)
    if not url.hostname or not (url.scheme == "https" or (url.scheme == "http" and local)):
        raise ValueError(f"{backend!r} must be https:// (or http:// on this machine)")
    return backend.rstrip("/") + JWKS_PATH


def _is_this_machine(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Keys come from the backend itself, and not from where somebody points."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Return what opens a URL: by the proxy of the environment, except on this machine."""
    handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
    if _is_this_machine(urllib.parse.urlsplit(url).hostname):
        handlers.append(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(*handlers)
