"""The one log line of a request: the route, the outcome, and the account.

A game server that polls the feed and gets nothing new has no line.

It holds nothing that the caller sent: the route and never the path, our own ids, and of the
caller's address a keyed digest, only if something was refused that an attacker might try.
docs/promises/security.md has the table of events and fields.
"""

import logging
import time

from flask import Response, request
from werkzeug.exceptions import HTTPException

from auth.api.reading import client_address
from auth.api.trusted_proxy import TrustedProxy
from auth.errors import (
    AccountSuspended,
    ApiError,
    IdempotencyKeyReused,
    TooManyAttempts,
    Unauthorized,
    Unavailable,
)
from auth.flows.rate_limits import RateLimits
from auth.logs import notes, where

logger = logging.getLogger(__name__)

# A log line names these methods; any other may be text that the caller made up.
METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"}
# The refusals of which it matters from which network they come.
REFUSALS = (Unauthorized, AccountSuspended, IdempotencyKeyReused, TooManyAttempts)


class RequestLog:
    """Writes the lines."""

    def __init__(self, rate_limits: RateLimits, proxy: TrustedProxy) -> None:
        self._rate_limits = rate_limits
        self._proxy = proxy

    def write(self, answer: Response, began_at: float, error: Exception | None) -> None:
        """Write the line of a request that began at this `time.perf_counter()`."""
        fields = {"event": "request", "code": "", **notes()}
        if error is None and fields["event"] == "feed_empty":
            return
        if isinstance(error, ApiError):
            fields |= {"code": error.code, **error.log_fields()}
        if isinstance(error, REFUSALS):
            fields |= self._network()
        milliseconds = (time.perf_counter() - began_at) * 1000
        shown = {
            "method": request.method if request.method in METHODS else "(other)",
            "route": request.url_rule.rule if request.url_rule else "(no route)",
            "status": answer.status_code,
        }
        text = " ".join([*map(str, shown.values()), f"{milliseconds:.0f} ms", *_outcome(fields)])
        level = logging.INFO
        if isinstance(error, Unavailable):
            level, text = logging.WARNING, f"{text}: {error}"
        elif error is not None and not isinstance(error, ApiError | HTTPException):
            level, text = logging.ERROR, f"{text}: {where(error)}"
        extra = {**fields, **shown, "duration_ms": round(milliseconds, 1)}
        logger.log(level, text, extra=extra)

    def _network(self) -> dict[str, str]:
        try:
            digest = self._rate_limits.network_digest(client_address(self._proxy))
        except Unavailable:
            return {}
        return {"network": digest} if digest else {}


def _outcome(fields: dict[str, str]) -> list[str]:
    """Return the words of a line: the error code with its detail, or the event."""
    if not fields["code"]:
        return [fields["event"]] if fields["event"] != "request" else []
    detail = fields.get("reason") or fields.get("limit")
    return [fields["code"], f"({detail})"] if detail else [fields["code"]]
