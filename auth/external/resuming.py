"""Waits for a paused database to resume, in functions that have the time for it.

A paused Aurora takes about 15 s to resume, and 30 s or more after a day. Until then it cannot be
reached, or closes connections. Requests of players do not wait: they get 503 and try again.
"""

import logging
import time
from collections.abc import Callable

from auth.external.connection import Connection
from auth.external.failures import DatabaseFailure, FailureKind

logger = logging.getLogger(__name__)

RESUME_SECONDS = 90.0
PAUSE_SECONDS = 2.0
ASLEEP = {FailureKind.UNREACHABLE, FailureKind.LOST}


def wait_for(
    connect: Callable[[], Connection],
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Connection:
    """Return an open connection; wait if the database is resuming.

    Raises:
        DatabaseFailure: still unreachable after RESUME_SECONDS, or refused for another reason.
    """
    end = monotonic() + RESUME_SECONDS
    while True:
        try:
            return connect()
        except DatabaseFailure as failure:
            if failure.kind not in ASLEEP or monotonic() >= end:
                raise
            logger.info("waiting for the database: %s", failure, extra={"event": "database_asleep"})
        sleep(PAUSE_SECONDS)
