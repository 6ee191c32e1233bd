"""The token keys that serve: read from Secrets Manager, cached, chosen by key id.

The keys rotate without downtime, since each is published before it is used.
"""

import logging
import time
from collections.abc import Callable

from auth.credentials.keys import (
    Key,
    KeyRing,
    MacKey,
    SigningKey,
    TokenSecret,
    key_ring,
)
from auth.credentials.new_keys import NEW_RSA_BITS
from auth.errors import Unavailable
from auth.external.secret_store import SecretStore

logger = logging.getLogger(__name__)

CACHE_SECONDS = 300.0
REREAD_SECONDS = 60.0  # how often an unknown key id, or a failing store, may cost a read


class UnknownKey(Exception):
    """No key of that id: the token is forged, or its key has been retired."""


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


def _warn_of_small(key: SigningKey) -> None:
    if 0 < key.rsa_bits < NEW_RSA_BITS:
        logger.warning(
            "signing key %s is RSA with %d bits: rotate the token keys (docs/run/rotation.md)",
            key.kid,
            key.rsa_bits,
            extra={"event": "small_signing_key"},
        )
