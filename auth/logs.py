"""Logging: one line a request, readable on a terminal, a JSON object in Lambda.

In Lambda the runtime writes the JSON and takes over every `extra` field; elsewhere the lines go to
stderr. What happens during a request is noted here and ends up in that request's one line. Nothing
that a caller sent is ever logged.
"""

import logging
import os
import sys
import traceback
from contextvars import ContextVar
from pathlib import Path

request_id: ContextVar[str] = ContextVar("request_id", default="")
_notes: ContextVar[dict[str, str]] = ContextVar("notes")

_APPLICATION = "auth"
_LINE = "%(asctime)s %(levelname)-7s %(message)s %(request_id)s"


def configure_logging() -> None:
    """Set logging up for this process."""
    if "AWS_LAMBDA_RUNTIME_API" not in os.environ:
        logging.basicConfig(stream=sys.stderr, format=_LINE, datefmt="%H:%M:%S", force=True)
    logging.getLogger(_APPLICATION).setLevel(logging.INFO)
    for library in ("boto3", "botocore", "urllib3"):  # at DEBUG they log whole secrets
        logging.getLogger(library).setLevel(logging.WARNING)
    logging.setLogRecordFactory(_record)


def begin_request(identifier: str) -> None:
    """Let what is logged from here on belong to another request."""
    request_id.set(identifier)
    _notes.set({})


def note(event: str = "", **fields: str) -> None:
    """Note what happened and to whom, for the request's line; the last event counts.

    Metrics are counted by these events; docs/security.md lists them all.
    """
    _notes.get({}).update({"event": event, **fields} if event else fields)


def notes() -> dict[str, str]:
    """Return what was noted during this request."""
    return dict(_notes.get({}))


def where(error: BaseException) -> str:
    """Return the type of an unexpected error and the lines it came through.

    Without its text, which may quote what a player sent.
    """
    frames = traceback.extract_tb(error.__traceback__)
    path = " < ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(frames))
    return f"{type(error).__name__} at {path}"


def _record(*args: object, **kwargs: object) -> logging.LogRecord:
    record = logging.LogRecord(*args, **kwargs)  # type: ignore[arg-type]
    record.request_id = request_id.get()
    return record
