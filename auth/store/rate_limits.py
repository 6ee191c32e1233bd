"""The statements on rate limits: GCRA buckets, charged together by one atomic statement.

Every statement is safe to repeat, except those that refund. A repeated charge counts twice, which
errs on the safe side. Each statement takes its buckets in the order of their keys, or two could
deadlock.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from auth.external.connection import Value
from auth.external.database import Database
from auth.external.failures import OutOfRange

# Above what a BIGINT holds, so the statement fails, and InnoDB undoes its other rows.
_REFUSAL = "tat + 9223372036854775807"


@dataclass(frozen=True)
class Charge:
    """One charge of one bucket: by how much, and how far ahead its `tat` may be. Microseconds."""

    bucket: bytes
    interval: int
    tolerance: int


class BucketTable:
    """The table `rate_limits`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def charge(self, charges: Iterable[Charge], now: int, slack: int) -> bool:
        """Charge different buckets, all or none; False: one of them refused.

        A `tat` later than any charge can make it (plus `slack` for clocks that differ) means that
        the clock was set back. The bucket then counts as used up just now; otherwise it would
        refuse until the clock reaches the old time.
        """
        return self._change({one.bucket: one for one in charges}, now, slack, once=False)

    def exchange(self, refunds: Mapping[bytes, int], charge: Charge, now: int, slack: int) -> bool:
        """Refund some buckets (bucket -> microseconds) and charge another; False: it refused.

        Both or none. Sent once, as a refund.
        """
        return self._change({**refunds, charge.bucket: charge}, now, slack, once=True)

    def _change(
        self, changes: Mapping[bytes, Charge | int], now: int, slack: int, *, once: bool
    ) -> bool:
        rows, cases = [], []
        parameters: dict[str, Value] = {"now": now}
        for number, bucket in enumerate(sorted(changes)):
            change = changes[bucket]
            parameters[f"bucket{number}"] = bucket
            if isinstance(change, Charge):
                rows.append(f"(%(bucket{number})s, %(now)s + %(interval{number})s)")
                cases.append(_case(number))
                parameters |= _parameters(number, change, now, slack)
            else:
                # A row that is gone has nothing to refund.
                rows.append(f"(%(bucket{number})s, 0)")
                cases.append(f"WHEN %(bucket{number})s THEN tat - %(refund{number})s")
                parameters[f"refund{number}"] = change
        run = self._database.execute_once if once else self._database.execute
        try:
            run(
                f"INSERT INTO rate_limits (bucket, tat) VALUES {', '.join(rows)}"
                f" ON DUPLICATE KEY UPDATE tat = CASE bucket {' '.join(cases)} END",
                **parameters,
            )
        except OutOfRange:
            return False
        return True

    def arrival_times(self, charges: Iterable[Charge]) -> dict[bytes, int]:
        """Return the buckets' theoretical arrival times in microseconds, of those that have one."""
        buckets = [charge.bucket for charge in charges]
        result = self._database.execute(
            "SELECT bucket, tat FROM rate_limits"
            f" WHERE bucket IN ({', '.join('%s' for _ in buckets)})",
            *buckets,
        )
        return {row["bucket"]: row["tat"] for row in result.rows}

    def empty(self, buckets: Sequence[bytes]) -> None:
        """Delete buckets, which makes them full again."""
        self._database.execute(
            f"DELETE FROM rate_limits WHERE bucket IN ({', '.join('%s' for _ in buckets)})",
            *sorted(buckets),
        )

    def refund(self, charges: Mapping[bytes, int]) -> None:
        """Refund charges (bucket -> microseconds). Sent once: a repetition would refund twice."""
        cases = " ".join("WHEN %s THEN %s" for _ in charges)
        self._database.execute_once(
            f"UPDATE rate_limits SET tat = tat - CASE bucket {cases} END"
            f" WHERE bucket IN ({', '.join('%s' for _ in charges)})",
            *(value for charge in charges.items() for value in charge),
            *charges,
        )


def _case(number: int) -> str:
    """Return the new `tat` of a charged bucket; its parameters have this number."""
    return (
        f"WHEN %(bucket{number})s THEN IF(tat > %(impossible{number})s, %(full{number})s,"
        f" IF(GREATEST(tat, %(now)s) <= %(latest{number})s,"
        f" GREATEST(tat, %(now)s) + %(interval{number})s, {_REFUSAL}))"
    )


def _parameters(number: int, charge: Charge, now: int, slack: int) -> dict[str, Value]:
    full = now + charge.tolerance + charge.interval
    return {
        f"interval{number}": charge.interval,
        f"latest{number}": now + charge.tolerance,
        f"full{number}": full,
        f"impossible{number}": full + slack,
    }
