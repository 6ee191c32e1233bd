"""The token keys in use: read from Secrets Manager, cached, chosen by key id.

Rotating them causes no downtime, since each key is published before it is used.
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
REREAD_SECONDS = 60.0  # between reads caused by unknown key ids or after failed reads


class UnknownKey(Exception):
    """No key has this id: the token is forged, or its key was retired."""


class TokenKeys:
    """Returns keys, and reads the secret as rarely as possible."""

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
        """Return the keys, read at most five minutes ago, or earlier if reading them fails.

        Raises:
            Unavailable: reading them fails, and no earlier keys are cached.
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
        """Return the cached keys of any age; never read the secret."""
        return self._ring

    def mac_key(self, key_id: bytes) -> MacKey:
        """Return the MAC key that a refresh token names.

        Raises:
            UnknownKey: no such key. Keys are published longer before their use than they are
                cached here, so an up-to-date ring has every key in use.
            Unavailable: no such key is cached, and the cache is out of date and cannot be re-read.
        """
        return self._found(lambda ring: ring.mac_keys.get(key_id))

    def signing_key(self, kid: str) -> SigningKey:
        """Return the key that an access token names.

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
        """Re-read the keys, since one may have been added; if that fails, return the old ones."""
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
        "token keys could not be read again; the old ones stay in use: %s",
        error,
        extra={"event": "keys_stale"},
    )


def _warn_of_small(key: SigningKey) -> None:
    if 0 < key.rsa_bits < NEW_RSA_BITS:
        logger.warning(
            "signing key %s is RSA with only %d bits: rotate the token keys (docs/run/rotation.md)",
            key.kid,
            key.rsa_bits,
            extra={"event": "small_signing_key"},
        )
