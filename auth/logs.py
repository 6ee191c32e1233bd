"""Logging: one line a request, readable on a terminal, a JSON object in Lambda.

In Lambda the runtime writes the JSON and takes over every `extra` field; elsewhere the lines go to
stderr. Events of a request are noted here and written in that request's one line. Nothing that a
caller sent is ever logged.
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
    """Begin another request: later log lines belong to it."""
    request_id.set(identifier)
    _notes.set({})


def note(event: str = "", **fields: str) -> None:
    """Note an event and its subjects for the request's line; the last event counts.

    Metrics are counted by these events; docs/promises/security.md lists them all.
    """
    _notes.get({}).update({"event": event, **fields} if event else fields)


def notes() -> dict[str, str]:
    """Return the notes of this request."""
    return dict(_notes.get({}))


def where(error: BaseException) -> str:
    """Return the type of an unexpected error and the lines it came through.

    Its text is left out: it may quote a value that a player sent. An error of the database says its
    number by `in_full`, which holds no value.
    """
    frames = traceback.extract_tb(error.__traceback__)
    path = " < ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(frames))
    in_full = getattr(error, "in_full", None)
    detail = f" ({in_full()})" if in_full else ""
    return f"{type(error).__name__}{detail} at {path}"


def _record(*args: object, **kwargs: object) -> logging.LogRecord:
    record = logging.LogRecord(*args, **kwargs)  # type: ignore[arg-type]
    record.request_id = request_id.get()
    return record
