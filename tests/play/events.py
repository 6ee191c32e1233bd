"""API Gateway events and the handler's answers to them."""

import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

REQUEST_ID = "JKJaXmPLvHcESHA="


def http_event(
    method: str,
    path: str,
    body: str | bytes | None = None,
    headers: dict[str, str] | None = None,
    address: str = "203.0.113.7",
    query: str = "",
) -> dict[str, Any]:
    """Return an HTTP API event, payload format 2.0; bytes as a body are encoded as base64."""
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {
            "host": "abc.execute-api.eu-central-1.amazonaws.com",
            "x-forwarded-for": address,
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
            **{name.lower(): value for name, value in (headers or {}).items()},
        },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abc",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": address,
                "userAgent": "Godot",
            },
            "requestId": REQUEST_ID,
            "routeKey": "$default",
            "stage": "$default",
        },
        "isBase64Encoded": isinstance(body, bytes),
    }
    if body is not None:
        event["body"] = base64.b64encode(body).decode() if isinstance(body, bytes) else body
    return event


def wsgi_event(environ: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return the event for a WSGI request; a body that is not UTF-8 is encoded as base64."""
    headers = {
        name.removeprefix("HTTP_").replace("_", "-"): str(value)
        for name, value in environ.items()
        if name.startswith("HTTP_") or name == "CONTENT_TYPE"
    }
    content: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    body: str | bytes = content
    with suppress(UnicodeDecodeError):
        body = content.decode()
    event = http_event(environ["REQUEST_METHOD"], path, body or None, headers)
    return event | {"rawQueryString": environ.get("QUERY_STRING", "")}


@dataclass(frozen=True)
class Answer:
    """The handler's answer."""

    status: int
    headers: dict[str, str]
    text: str

    @classmethod
    def of(cls, raw: dict[str, Any]) -> "Answer":
        """Read the dictionary that the handler returned."""
        assert raw["isBase64Encoded"] is False if "isBase64Encoded" in raw else True
        headers = {name.lower(): value for name, value in raw["headers"].items()}
        return cls(raw["statusCode"], headers, raw["body"])

    @property
    def json(self) -> Any:
        """Return the body, which must be a JSON object."""
        body = json.loads(self.text)
        assert isinstance(body, dict)
        return body

    @property
    def code(self) -> str:
        """Return the error's code, or an empty string."""
        code = self.json.get("error", {}).get("code", "")
        assert isinstance(code, str)
        return code


def is_unavailable(answer: Answer) -> bool:
    """Tell whether an answer is the 503 of the contract."""
    error = answer.json["error"]
    return (
        (answer.status, error["code"]) == (503, "unavailable")
        and int(answer.headers["retry-after"]) >= 1
        and error["retry_after"] == int(answer.headers["retry-after"])
    )
