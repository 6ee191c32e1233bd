"""The statements on rate limits: GCRA buckets, each charged atomically.

Every statement is safe to repeat, except `refund`. A repeated charge counts twice, which errs on
the safe side.
"""

from collections.abc import Mapping

from auth.external.database import Database


class BucketTable:
    """The table `rate_limits`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def charge(self, bucket: bytes, now: int, interval: int, tolerance: int, slack: int) -> bool:
        """Charge a GCRA bucket once; False: the limit is reached. All times are in microseconds.

        A `tat` later than any charge can make it (plus `slack` for clocks that differ) means that
        the clock was set back. The bucket then counts as used up just now; otherwise it would
        refuse until the clock reaches the old time.
        """
        full = now + tolerance + interval
        result = self._database.execute(
            "INSERT INTO rate_limits (bucket, tat) VALUES (%(bucket)s, %(now)s + %(interval)s)"
            " ON DUPLICATE KEY UPDATE tat = IF(tat > %(impossible)s, %(full)s,"
            " IF(GREATEST(tat, %(now)s) <= %(latest)s, GREATEST(tat, %(now)s) + %(interval)s,"
            " tat))",
            bucket=bucket,
            now=now,
            interval=interval,
            latest=now + tolerance,
            full=full,
            impossible=full + slack,
        )
        return result.changed > 0

    def arrival_time(self, bucket: bytes) -> int:
        """Return a bucket's theoretical arrival time in microseconds; 0: no such bucket."""
        result = self._database.execute("SELECT tat FROM rate_limits WHERE bucket = %s", bucket)
        return int(result.rows[0]["tat"]) if result.rows else 0

    def refund(self, charges: Mapping[bytes, int]) -> None:
        """Refund charges (bucket -> microseconds). Sent once: a repetition would refund twice."""
        cases = " ".join("WHEN %s THEN %s" for _ in charges)
        self._database.execute_once(
            f"UPDATE rate_limits SET tat = tat - CASE bucket {cases} END"
            f" WHERE bucket IN ({', '.join('%s' for _ in charges)})",
            *(value for charge in charges.items() for value in charge),
            *charges,
        )
