"""One trusted proxy, such as CloudFront with a firewall, that may name a caller's address.

Behind a proxy API Gateway sees the proxy's address, which all players then share. The proxy's own
word counts only beside its secret, which no caller knows. Off unless a secret is named.
"""

import hmac
import logging
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Annotated

import msgspec

from auth.errors import Unavailable
from auth.external.secret_store import SecretStore

logger = logging.getLogger(__name__)

SECRET_HEADER = "x-origin-verify"  # noqa: S105  # a header's name
CLOUDFRONT = "cloudfront-viewer-address"
CACHE_SECONDS = 300.0
REREAD_SECONDS = 60.0

Value = Annotated[str, msgspec.Meta(min_length=32)]


class ProxySecret(msgspec.Struct, frozen=True):
    """The secret's form; `previous` counts too, while a new value is on its way to the proxy."""

    value: Value
    previous: Value | None = None

    def __repr__(self) -> str:
        return "ProxySecret(...)"


class TrustedProxy:
    """Tells the caller's address, by the proxy's header if the proxy itself sent the request."""

    def __init__(
        self,
        secret_store: SecretStore,
        secret_id: str,
        address_header: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._secret_store = secret_store
        self._secret_id = secret_id
        self._address_header = address_header
        self._monotonic = monotonic
        self._secret: ProxySecret | None = None
        self._stale_at = 0.0

    def headers(self) -> tuple[str, ...]:
        """Return the names of the headers that it goes by, in lower case."""
        return (SECRET_HEADER, self._address_header) if self._secret_id else ()

    def address(self, seen: str, header: Callable[[str], str | None]) -> str:
        """Return the caller's address.

        Args:
            seen: the address that API Gateway saw.
            header: gives the value of a header of the request.

        Raises:
            Unavailable: the secret has never been read, and cannot be now.
        """
        if not self._secret_id or not self._is_ours(header(SECRET_HEADER) or ""):
            return seen
        # CloudFront's own header has the port after the last colon, in IPv6 too.
        address = _address(
            header(self._address_header) or "", has_port=self._address_header == CLOUDFRONT
        )
        if address is None:
            logger.warning(
                "the trusted proxy sent no address in %s; add it to the origin request policy",
                self._address_header,
                extra={"event": "proxy_address_missing"},
            )
            return seen
        return address

    def _is_ours(self, presented: str) -> bool:
        if not presented:
            return False
        known = self._read()
        fits = [
            hmac.compare_digest(presented.encode(), value.encode())
            for value in (known.value, known.previous)
            if value
        ]
        return any(fits)

    def _read(self) -> ProxySecret:
        """Return the secret, at most five minutes old, older only while it cannot be read."""
        if self._secret is not None and self._monotonic() < self._stale_at:
            return self._secret
        try:
            self._secret = self._secret_store.read(self._secret_id, ProxySecret)
        except Unavailable:
            if self._secret is None:
                raise
            self._stale_at = self._monotonic() + REREAD_SECONDS
        else:
            self._stale_at = self._monotonic() + CACHE_SECONDS
        return self._secret


def _address(text: str, *, has_port: bool) -> str | None:
    """Return the address in a proxy's header, or nothing if it holds none."""
    address = text.rpartition(":")[0] if has_port else text
    try:
        return str(ip_address(address.strip("[]")))
    except ValueError:
        return None
