"""Rate limits: GCRA buckets in the database; one atomic statement charges those of an attempt.

No account is ever locked: a bucket refills with time, and attackers cannot use up the bucket of a
device that the player already uses. Which limits apply when is for the flows.
"""

import hmac
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv6Address, ip_address, ip_network

from auth.credentials.keys import KeyRing
from auth.credentials.token_keys import TokenKeys
from auth.errors import TooManyAttempts, Unavailable, WeakPassword
from auth.store.rate_limits import BucketTable, Charge

logger = logging.getLogger(__name__)

CLOCK_SLACK_SECONDS = 60  # how far the clocks of two containers may differ
CLOCK_SLACK = CLOCK_SLACK_SECONDS * 1_000_000
ORDER_SLACK_SECONDS = 1  # how much later than it read its clock a request may reach its bucket


@dataclass(frozen=True)
class Limit:
    """So many at once, then one every `seconds`."""

    name: str
    burst: int
    seconds: int


LOGIN_BY_ADDRESS = Limit("login address", burst=20, seconds=10)
LOGIN_BY_ACCOUNT_AND_ADDRESS = Limit("login account address", burst=5, seconds=60)
LOGIN_BY_ACCOUNT = Limit("login account", burst=20, seconds=300)
LOGIN_FROM_KNOWN_DEVICE = Limit("login known device", burst=10, seconds=60)
NAME_BY_ADDRESS = Limit("name address", burst=20, seconds=60)  # asked for, taken or not
PASSWORD_CHECK_BY_ACCOUNT = Limit("password check", burst=5, seconds=60)
CHANGE_BY_ACCOUNT = Limit("account change", burst=5, seconds=600)  # those that succeed
GUEST_BY_ADDRESS = Limit("guest address", burst=60, seconds=30)
RECOVERY_BY_ACCOUNT_AND_ADDRESS = Limit("recovery account address", burst=5, seconds=60)
RECOVERY_BY_ADDRESS = Limit("recovery address", burst=20, seconds=10)
TICKETS_BY_ACCOUNT = Limit("tickets", burst=30, seconds=2)
SESSIONS_BY_ACCOUNT = Limit("sessions opened", burst=60, seconds=60)

Limited = Sequence[tuple[Limit, tuple[bytes, ...]]]  # limits, each with its subject


class RateLimits:
    """Charges buckets; `scale` multiplies burst and refill of all of them."""

    def __init__(self, table: BucketTable, keys: TokenKeys, scale: float) -> None:
        self._table = table
        self._keys = keys
        self._scale = scale

    def charge(self, limit: Limit, *subject: bytes, now: datetime) -> Charge:
        """Charge one attempt of `subject`.

        Raises:
            TooManyAttempts: the bucket is empty.
            Unavailable: the database cannot be asked; never taken for "unlimited".
        """
        (charge,) = self.charge_all(((limit, subject),), now)
        return charge

    def charge_all(self, limited: Limited, now: datetime) -> list[Charge]:
        """Charge several buckets for one attempt, all or none.

        Raises:
            TooManyAttempts: a bucket is empty; if several are, it names the last to refill.
            Unavailable: as for `charge`.
        """
        charges = [self._charge_of(limit, subject) for limit, subject in limited]
        time = _microseconds(now)
        if self._table.charge(charges, time, CLOCK_SLACK):
            return charges
        raise self._refusal(limited, charges, time)

    def exchange(
        self, refunded: Sequence[Charge], limit: Limit, *subject: bytes, now: datetime
    ) -> None:
        """Refund charges and charge another limit, by one statement.

        Raises:
            TooManyAttempts: the bucket is empty; the refund is made all the same.
            Unavailable: as for `charge`.
        """
        charge, time = self._charge_of(limit, subject), _microseconds(now)
        try:
            accepted = self._table.exchange(_owed(refunded), charge, time, CLOCK_SLACK)
        except Unavailable as error:
            _log_kept(error)
            self.charge(limit, *subject, now=now)  # which is safe to repeat, unlike the refund
            return
        if not accepted:
            self.refund(refunded)
            raise self._refusal(((limit, subject),), [charge], time)

    def _refusal(self, limited: Limited, charges: Sequence[Charge], time: int) -> TooManyAttempts:
        """Read which limit refused, and for how long."""
        waits = self._waits(charges, time)
        wait = max(waits)
        limit, _ = limited[waits.index(wait)]
        return TooManyAttempts(max(1, -(-wait // 1_000_000)), limit.name)

    def _waits(self, charges: Sequence[Charge], time: int) -> list[int]:
        """Return in how many microseconds each bucket accepts another charge."""
        arrivals = self._table.arrival_times(charges)
        return [arrivals.get(one.bucket, 0) - one.tolerance - time for one in charges]

    @contextmanager
    def refunded_if_unavailable(self, charges: Sequence[Charge]) -> Iterator[None]:
        """Refund charges if the work inside ends in 503, which is no fault of the player's."""
        try:
            yield
        except Unavailable:
            self.refund(charges)
            raise

    @contextmanager
    def refunded_if_weak(self, charges: Sequence[Charge]) -> Iterator[None]:
        """Refund charges if the work inside refuses a new password: nothing was guessed at."""
        try:
            yield
        except WeakPassword:
            self.refund(charges)
            raise

    def refund(self, charges: Sequence[Charge]) -> None:
        """Refund charges.

        If that fails the charges stay, which is the safe side: the call itself has succeeded.
        """
        if not charges:
            return
        try:
            self._table.refund(_owed(charges))
        except Unavailable as error:
            _log_kept(error)

    def waits(self, limited: Limited, now: datetime) -> list[int]:
        """Return in how many seconds each bucket accepts another attempt; 0: now."""
        charges = [self._charge_of(limit, subject) for limit, subject in limited]
        waits = self._waits(charges, _microseconds(now))
        return [max(0, -(-wait // 1_000_000)) for wait in waits]

    def forgive(self, limited: Limited, now: datetime) -> int:
        """Make buckets full again; return how many refused an attempt."""
        refusing = sum(wait > 0 for wait in self.waits(limited, now))
        self._table.empty([self._bucket(limit, subject) for limit, subject in limited])
        return refusing

    def network_digest(self, address: str) -> str:
        """Return the log's name for an address: a MAC of its network.

        Equal digests are one network, until the MAC key is rotated. Empty before a key was read.
        """
        ring = self._keys.ring_in_memory()
        return _mac(ring, b"network", network_of(address)).hex() if ring else ""

    def _charge_of(self, limit: Limit, subject: tuple[bytes, ...]) -> Charge:
        interval = round(limit.seconds * 1_000_000 / self._scale)
        tolerance = interval * (max(1, round(limit.burst * self._scale)) - 1)
        # Requests reach their bucket out of order. Without this, a burst's last one would be
        # refused if it read its clock before the others. Half an interval admits no attempt more.
        tolerance += min(ORDER_SLACK_SECONDS * 1_000_000, interval // 2)
        return Charge(self._bucket(limit, subject), interval, tolerance)

    def _bucket(self, limit: Limit, subject: tuple[bytes, ...]) -> bytes:
        """Return the bucket's key: a MAC, so that no name and no address is at rest."""
        return _mac(self._keys.ring(), b"bucket", limit.name.encode(), *subject)


def _owed(charges: Sequence[Charge]) -> Counter[bytes]:
    """Return the microseconds to refund, by bucket."""
    owed: Counter[bytes] = Counter()
    for charge in charges:
        owed[charge.bucket] += charge.interval
    return owed


def _log_kept(error: Unavailable) -> None:
    logger.warning("charge not refunded: %s", error, extra={"event": "charge_kept"})


def _mac(ring: KeyRing, *parts: bytes) -> bytes:
    message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hmac.digest(ring.current_mac.secret, message, "sha256")[:16]


def network_of(address: str) -> bytes:
    """Return the network of an address: an IPv4 address, or an IPv6 /64, which one home has.

    Everything that is no address shares one bucket.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return b"unknown"
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is None:
            return ip_network((int(ip) >> 64 << 64, 64)).network_address.packed
        ip = ip.ipv4_mapped
    return ip.packed


def _microseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)
