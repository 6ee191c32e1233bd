"""Identifies players by their tickets, without asking the login backend.

Copy this file into a game server; it needs only `pyjwt[crypto]`. The public keys come from the
backend's JWKS and are cached for five minutes, so that a withdrawn key stops working. A ticket with
an unknown key id causes a read at once, but at most one a minute, so that an attacker with made-up
key ids cannot flood the backend. While the backend is down, the cached keys stay in use.

    tokens = PlayerTokens("https://login.example.com", "game-login-prod", server="eu-1:7777")
    player = tokens.verify(ticket)  # raises InvalidToken, KeysUnavailable

PyJWT checks the signature, but accepts any `typ`, a list as `aud` and a string as `exp`; the other
checks of RFC 8725 are made here.

The clocks of the backend and the game server differ. `iat` is not compared with our clock: if ours
were behind, it would refuse every fresh ticket. `exp` is compared without leeway: if our clock is
ahead, tickets end that much earlier, and the client is told to get another.
"""

import base64
import http.client
import ipaddress
import json
import logging
import re
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import jwt

logger = logging.getLogger(__name__)

MAX_TOKEN_LENGTH = 2048
LIFETIME_SECONDS = 300  # the backend issues no ticket with a longer one
TYPE = "ticket+jwt"
AUDIENCE_PREFIX = "server:"
SERVER_NAME = re.compile("[a-z0-9.:_-]{1,64}")  # the backend issues tickets for no other
ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # so that one id has one spelling
TICKET_ID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
MAX_EPOCH = 2**31 - 1
HEADER_FIELDS = {"typ", "alg", "kid"}  # so nothing like jku, x5u, jwk or crit is followed
ALGORITHMS = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}  # RFC 8725, 3.1: the key decides
MIN_RSA_BITS = 2048

JWKS_PATH = "/.well-known/jwks.json"
MAX_JWKS_BYTES = 65536
READ_SECONDS = 5.0
KEEP_SECONDS = 300.0  # the JWKS's own max-age
RETRY_SECONDS = 60.0  # the least time between two reads
FIRST_RETRY_SECONDS = 5.0  # while there are no keys at all

Jwks = Mapping[str, Any]
T = TypeVar("T")


class InvalidToken(Exception):
    """It is no ticket of the backend for this server, or has expired; the text says why."""


class KeysUnavailable(Exception):
    """The public keys have not been read yet and cannot be read now: try again later."""


@dataclass(frozen=True)
class Player:
    """The player that a ticket was issued to. Times are seconds since 1970."""

    account_id: str
    session_id: str
    name: str
    epoch: int  # the account's: a smaller one than seen before is of an ended session
    guest: bool
    ticket_id: str  # later tickets have greater ids
    issued_at: int
    expires_at: int  # of the ticket: how long the player stays is the server's decision


class PlayerTokens:
    """Verifies tickets; safe in several threads.

    `verify` sometimes reads the keys, and blocks for up to 5 s if the backend does not answer: call
    it in a thread if you have an event loop (`asyncio.to_thread`). While one thread reads, only
    those wait that have no key for their ticket.
    """

    def __init__(
        self,
        backend: str,
        issuer: str,
        server: str | Iterable[str],
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the backend's URL, its tickets' `iss`, and the server's own name, or all its names.

        Raises:
            ValueError: the URL is neither https nor this machine, or no ticket has such a name.
        """
        names = [server] if isinstance(server, str) else list(server)
        for name in names or [""]:
            if not SERVER_NAME.fullmatch(name):
                raise ValueError(f"{name!r} must be 1 to 64 characters of a-z, 0-9 and . : _ -")
        self._url = checked_url(backend) + JWKS_PATH
        self._issuer = issuer
        self._audiences = {AUDIENCE_PREFIX + name for name in names}
        self._clock = clock
        self._monotonic = monotonic
        self._keys: dict[str, jwt.PyJWK] = {}
        self._tried_at = self._read_at = float("-inf")
        self._reading = threading.Lock()

    def verify(self, text: str) -> Player:
        """Return the player that a ticket was issued to.

        Raises:
            InvalidToken: it is forged, expired, for another server, or not a ticket.
            KeysUnavailable: no key has been read so far, and the backend has none to offer now.
        """
        if len(text) > MAX_TOKEN_LENGTH:
            raise InvalidToken("longer than 2 KiB")
        try:
            header = jwt.get_unverified_header(text)
            if not all(map(_is_canonical, text.split("."))):
                raise InvalidToken("not canonical base64url")
            if set(header) != HEADER_FIELDS or header["typ"] != TYPE:
                raise InvalidToken("not a ticket of the backend")
            key = self._key(header["kid"])
            claims: dict[str, Any] = jwt.decode(
                text,
                key.key,
                algorithms=[key.algorithm_name],
                # These are checked below; `iat` only against `exp`, because clocks differ.
                options={
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_aud": False,
                },
            )
            return self._checked(claims)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise InvalidToken(type(error).__name__) from None  # its text might quote the token

    def _checked(self, claims: Mapping[str, Any]) -> Player:
        issued_at, expires_at = claims["iat"], claims["exp"]
        if type(issued_at) is not int or type(expires_at) is not int:
            raise InvalidToken("iat or exp is not an integer")
        if not 0 < expires_at - issued_at <= LIFETIME_SECONDS:
            raise InvalidToken("valid for too long")
        audience = claims["aud"]
        if not isinstance(audience, str) or audience not in self._audiences:
            raise InvalidToken("for another server")
        if claims["iss"] != self._issuer:
            raise InvalidToken("from another issuer")
        now, not_before = self._clock(), claims.get("nbf", 0)
        if now >= expires_at:
            raise InvalidToken("expired")
        if type(not_before) not in {int, float} or not not_before <= now:
            raise InvalidToken("not valid yet")
        return _player(claims)

    def _key(self, kid: object) -> jwt.PyJWK:
        if not isinstance(kid, str):
            raise InvalidToken("kid is not a string")
        if self._is_stale(kid):
            # Whoever has a key goes on with it while another thread reads.
            has_turn = self._reading.acquire(blocking=kid not in self._keys)
            if has_turn:
                try:
                    self._read_if_due(kid)
                finally:
                    self._reading.release()
        keys = self._keys
        if not keys:
            raise KeysUnavailable(f"no keys read from {self._url} so far")
        if kid not in keys:
            raise InvalidToken("signed with an unknown key")
        return keys[kid]

    def _is_stale(self, kid: str) -> bool:
        return kid not in self._keys or self._monotonic() - self._read_at >= KEEP_SECONDS

    def _read_if_due(self, kid: str) -> None:
        now = self._monotonic()
        pause = RETRY_SECONDS if self._keys else FIRST_RETRY_SECONDS
        if self._is_stale(kid) and now - self._tried_at >= pause:
            self._read(now)

    def _read(self, now: float) -> None:
        """Read the keys; keep the old ones if that fails."""
        try:
            self._keys = usable_keys(read_jwks(self._url))
            self._read_at = now
        except (OSError, ValueError, RecursionError, http.client.HTTPException) as error:
            logger.warning("cannot read the keys from %s, will retry: %s", self._url, error)
        finally:
            self._tried_at = self._monotonic()  # so that waiting threads do not read again


def read_jwks(url: str) -> Jwks:
    """Return the JWKS at a URL, without following redirects, within READ_SECONDS.

    Raises:
        OSError, ValueError: it cannot be read in time, or is not a JSON object.
    """
    # In a thread, since a socket's timeout starts again with each byte that comes.
    jwks = json.loads(in_thread(partial(_body_at, url)).result(READ_SECONDS))
    if not isinstance(jwks, dict):
        raise ValueError("JWKS is not a JSON object")  # noqa: TRY004  # a bad answer
    return jwks


def in_thread(call: Callable[[], T]) -> Future[T]:
    """Call in a thread of its own, which holds up neither its caller nor the process's end."""
    result: Future[T] = Future()
    result.set_running_or_notify_cancel()  # so that nobody cancels what the thread will set

    def settle() -> None:
        try:
            result.set_result(call())
        except Exception as error:  # noqa: BLE001  # raised again in the thread that waits
            result.set_exception(error)

    threading.Thread(target=settle, daemon=True).start()
    return result


def _body_at(url: str) -> bytes:
    deadline = time.monotonic() + READ_SECONDS
    try:
        with opener(url).open(url, timeout=READ_SECONDS) as answer:
            return read_within(answer, MAX_JWKS_BYTES, deadline)
    except urllib.error.HTTPError as error:
        error.close()  # its connection
        raise


def read_within(answer: Any, most: int, deadline: float) -> bytes:
    """Return the body of an answer. `deadline`: of the monotonic clock.

    Raises:
        TimeoutError: it has not come by then.
        ValueError: it has more bytes than `most`.
    """
    body = b""
    while part := answer.read1(most + 1 - len(body)):
        body += part
        if time.monotonic() > deadline:  # the socket's time-out begins again with each byte
            raise TimeoutError("the backend is too slow")
    if len(body) > most:
        raise ValueError(f"the backend's answer is longer than {most} bytes")
    return body


def usable_keys(jwks: Jwks) -> dict[str, jwt.PyJWK]:
    """Return the keys of a JWKS that verify signatures, by id; leave out all others.

    Raises:
        ValueError: there are none.
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
        raise ValueError("JWKS has no usable key")
    return keys


def _player(claims: Mapping[str, Any]) -> Player:
    account_id, session_id, name = claims["sub"], claims["sid"], claims["name"]
    if not (ID.fullmatch(account_id) and ID.fullmatch(session_id)):
        raise InvalidToken("sub or sid is not an id")
    if not isinstance(name, str) or not name:
        raise InvalidToken("name is not a string")
    epoch, guest, ticket_id = claims["epoch"], claims.get("guest", False), claims["jti"]
    if type(epoch) is not int or not 0 <= epoch <= MAX_EPOCH:
        raise InvalidToken("epoch has a wrong form")
    if type(guest) is not bool or not TICKET_ID.fullmatch(ticket_id):
        raise InvalidToken("guest or jti has a wrong form")
    issued_at, expires_at = claims["iat"], claims["exp"]
    return Player(account_id, session_id, name, epoch, guest, ticket_id, issued_at, expires_at)


def _is_canonical(segment: str) -> bool:
    """Tell whether a part of a ticket has the canonical spelling of RFC 7515, section 2."""
    decoded = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    return base64.urlsafe_b64encode(decoded).rstrip(b"=") == segment.encode()


def checked_url(backend: str) -> str:
    """Return the backend's URL without a slash at its end.

    Raises:
        ValueError: it is neither https nor this machine.
    """
    url = urllib.parse.urlsplit(backend)
    local = _is_this_machine(url.hostname)
    if not url.hostname or not (url.scheme == "https" or (url.scheme == "http" and local)):
        raise ValueError(f"{backend!r} must be https:// (or http:// on this machine)")
    return backend.rstrip("/")


def _is_this_machine(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: answers must come from the backend itself."""

    def redirect_request(self, *_: Any) -> None:
        return None


def opener(url: str) -> urllib.request.OpenerDirector:
    """Return an opener that uses the environment's proxy, except for this machine.

    Keep it for further calls: the certificates that it reads take some milliseconds.
    """
    tls = ssl.create_default_context()
    tls.set_alpn_protocols(["http/1.1"])
    handlers: list[urllib.request.BaseHandler] = [
        _NoRedirect(),
        urllib.request.HTTPSHandler(context=tls),
    ]
    if _is_this_machine(urllib.parse.urlsplit(url).hostname):
        handlers.append(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(*handlers)
