"""The gateway's event in, the gateway's answer out.

`answer` never raises: an exception would reach the player as an answer without our headers, and
under `serverless offline` as a request that hangs.
"""

import base64
import binascii
import json
import logging
import re
from collections.abc import Sequence
from typing import Any, Protocol

import serverless_wsgi

from auth.api.answers import HEADERS, error_body
from auth.api.request_log import METHODS
from auth.errors import ApiError, InternalError, InvalidRequest, NotFound
from auth.logs import begin_request, request_id, where

logger = logging.getLogger(__name__)

# The headers that reach the application, beside those of a trusted proxy. The caller can invent the
# rest, such as X-Forwarded-For; Transfer-Encoding would make Werkzeug see no body.
HEADERS_READ = ("authorization", "content-type", "idempotency-key")
REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")


class WsgiApplication(Protocol):
    """A WSGI application that names the headers of its trusted proxy."""

    def proxy_headers(self) -> Sequence[str]: ...


def answer(
    application: WsgiApplication | None, start_error: str, event: object, context: object
) -> dict[str, Any]:
    """Answer one request of an API Gateway HTTP API (payload format 2.0).

    Without an application, the start has failed: each request logs `start_error`.
    """
    begin_request("")
    try:
        answer = _answered(application, start_error, event, context)
    except ApiError as error:
        answer = _refused(event, error)
    except Exception as error:  # noqa: BLE001  # the last line of defence
        answer = _refused(event, InternalError(), bug=where(error))
    if _gateway(event).get("method") == "HEAD":
        answer["body"] = ""
    return answer


def _answered(
    application: WsgiApplication | None, start_error: str, event: object, context: object
) -> dict[str, Any]:
    if application is None:
        logger.critical("cannot start: %s", start_error, extra={"event": "setting_wrong"})
        raise InternalError
    request = checked(event, context, (*HEADERS_READ, *application.proxy_headers()))
    answer: dict[str, Any] = serverless_wsgi.handle_request(application, request, context)
    return answer


def checked(event: object, context: object, headers_read: Sequence[str]) -> dict[str, Any]:
    """Return the parts of an event that are used, in a form that every later step accepts.

    Raises:
        InvalidRequest: it is not an HTTP request, or its body is not the base64 it claims to be.
        NotFound: Werkzeug would take the path for another one.
    """
    if not isinstance(event, dict) or event.get("version") != "2.0":
        raise InvalidRequest("This is no request of an HTTP API (payload format 2.0).")
    gateway, headers, path = _gateway(event), event.get("headers"), event.get("rawPath")
    method = gateway.get("method")
    if not (isinstance(method, str) and isinstance(path, str)):
        raise InvalidRequest("This is no HTTP request.")
    begin_request(_request_id(event["requestContext"].get("requestId"), context))
    # The gateway has decoded the path already and serverless-wsgi decodes it once more, so that
    # /v1/%6cogin would be a login that the gateway's limit on logins never saw.
    if not path.startswith("/") or path.startswith("//") or "?" in path or "%" in path:
        raise NotFound
    return {
        "version": "2.0",
        "rawPath": _encodable(path),
        "rawQueryString": _query(event.get("rawQueryString")),
        "headers": _headers(headers if isinstance(headers, dict) else {}, headers_read),
        "body": _body(event),
        "requestContext": {
            "http": {
                "method": _encodable(method),
                "sourceIp": _encodable(str(gateway.get("sourceIp"))),
            }
        },
    }


def _gateway(event: object) -> dict[str, Any]:
    """Return API Gateway's part about the HTTP request, or an empty one if there is none."""
    context = event.get("requestContext") if isinstance(event, dict) else None
    http = context.get("http") if isinstance(context, dict) else None
    return http if isinstance(http, dict) else {}


def _encodable(text: str) -> str:
    """Return the text with lone surrogates, which nothing can encode, replaced."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def _query(text: object) -> str:
    """Return the query string, which is percent-encoded ASCII unless a caller made it up."""
    return text.encode("ascii", "replace").decode() if isinstance(text, str) else ""


def _request_id(gateway_id: object, context: object) -> str:
    """Return API Gateway's id of the request, or else Lambda's."""
    for candidate in (gateway_id, getattr(context, "aws_request_id", None)):
        if isinstance(candidate, str) and REQUEST_ID.fullmatch(candidate):
            return candidate
    return ""


def _headers(headers: dict[Any, Any], names: Sequence[str]) -> dict[str, str]:
    """Return the headers that are read, by their names in lower case."""
    named = {str(name).lower(): value for name, value in headers.items()}
    read = {name: named[name] for name in names if isinstance(named.get(name), str)}
    for name, value in read.items():
        if not value.isprintable():
            raise InvalidRequest(fields={name: "Control characters are not allowed."})
    return read


def _body(event: dict[str, Any]) -> bytes:
    """Return the body as bytes; the gateway passes it on as text or as base64."""
    body = event.get("body") or ""
    if not isinstance(body, str):
        raise InvalidRequest("The body is not text.")
    if not event.get("isBase64Encoded"):
        return body.encode(errors="surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest("The body is not the base64 that it says it is.") from None


def _refused(event: object, error: ApiError, bug: str = "") -> dict[str, Any]:
    """Answer and log a request that does not reach the application, as the application does."""
    method = _gateway(event).get("method")
    fields = {
        "event": "bug" if bug else "request",
        "method": method if isinstance(method, str) and method in METHODS else "(other)",
        "route": "(no route)",
        "status": error.status,
        "code": error.code,
    }
    text = f"{fields['method']} (no route) {error.status} {error.code}"
    if bug:
        logger.error("%s: %s", text, bug, extra=fields)
    else:
        logger.info(text, extra=fields)
    return {
        "statusCode": error.status,
        "headers": {
            **HEADERS,
            **error.headers(),
            "Content-Type": "application/json",
            "X-Request-Id": request_id.get(),
        },
        "body": json.dumps(error_body(error, request_id.get())),
        "isBase64Encoded": False,
    }
