"""A small API Gateway: a WSGI application that passes each request to the handler as an event."""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

import handler
from tests.play.events import Answer, wsgi_event


def gateway(
    environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]
) -> Iterable[bytes]:
    """Answer a WSGI request by calling `handler.http`."""
    path = environ["PATH_INFO"].encode("latin-1").decode(errors="replace")
    answer = Answer.of(handler.http(wsgi_event(environ, path), None))
    start_response(
        f"{answer.status} {HTTPStatus(answer.status).phrase}", list(answer.headers.items())
    )
    return [answer.text.encode()]
