"""API Gateway in small: a WSGI application that passes each request to the handler as an event."""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

import handler
from tests.events import Answer, http_event


def gateway(
    environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]
) -> Iterable[bytes]:
    """Answer a WSGI request by way of `handler.http`."""
    headers = {
        name.removeprefix("HTTP_").replace("_", "-"): value
        for name, value in environ.items()
        if name.startswith("HTTP_") or name == "CONTENT_TYPE"
    }
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    path = environ["PATH_INFO"].encode("latin-1").decode(errors="replace")
    event = http_event(environ["REQUEST_METHOD"], path, body or None, headers)
    answer = Answer.of(handler.http(event, None))
    start_response(
        f"{answer.status} {HTTPStatus(answer.status).phrase}", list(answer.headers.items())
    )
    return [answer.text.encode()]
