"""Game servers' keys: who calls, answered once, and for which servers a key may act."""

import time
from collections.abc import Callable

from auth.credentials.server_keys import read_server_key
from auth.errors import InvalidServerKey, Reason, WrongServer
from auth.store.records import ServerKey
from auth.store.server_keys import ServerKeyTable

CACHE_SECONDS = 30.0  # for which a revoked key may still be taken


class ServerKeys:
    """Finds the key that a game server presents. Each container remembers keys for a short time."""

    def __init__(
        self, table: ServerKeyTable, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._table = table
        self._monotonic = monotonic
        self._known: dict[bytes, tuple[ServerKey, float]] = {}  # with the time of reading

    def check(self, text: str) -> ServerKey:
        """Return the key with this text.

        Raises:
            InvalidServerKey: there is none, or it was revoked.
            Unavailable: it cannot be decided now.
        """
        try:
            presented = read_server_key(text)
        except ValueError:
            raise InvalidServerKey(Reason.GARBLED) from None
        key = self._find(presented.id)
        if key is None or not presented.matches(key.secret_hash):
            raise InvalidServerKey(Reason.UNKNOWN_KEY)
        if key.revoked_at is not None:
            raise InvalidServerKey(Reason.REVOKED)
        return key

    def _find(self, key_id: bytes) -> ServerKey | None:
        now = self._monotonic()
        if key_id in self._known:
            key, read_at = self._known[key_id]
            if now - read_at < CACHE_SECONDS:
                return key
        found = self._table.find(key_id)
        if found is None:
            self._known.pop(key_id, None)
            return None
        self._known[key_id] = found, now
        return found


def check_server(key: ServerKey, server: str) -> None:
    """Check that a key may act for this game server.

    Raises:
        WrongServer: it may not.
    """
    if not key.may_act_for(server):
        raise WrongServer("the key is for other servers")
