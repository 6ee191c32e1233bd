"""Every answer that these tests see is held against docs/openapi.json."""

from typing import Any

import pytest

import handler
from local.stack import Stack
from tests.events import Answer
from tests.openapi import description


@pytest.fixture(autouse=True)
def _described(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the handler check each of its answers to a request of API Gateway's form."""
    http = handler.http

    def checked(event: Any, context: object) -> dict[str, Any]:
        answer = http(event, context)
        try:
            method, path = event["requestContext"]["http"]["method"], event["rawPath"]
        except (TypeError, KeyError, IndexError):
            return answer  # no HTTP request at all
        if event.get("version") == "2.0" and isinstance(method, str) and isinstance(path, str):
            description().check(method, path, Answer.of(answer))
        return answer

    monkeypatch.setattr(handler, "http", checked)
