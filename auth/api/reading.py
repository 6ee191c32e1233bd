"""The parts of a request: its body as a form, the bearer token, the caller's address.

Refuses with the contract's errors; does not know the purpose of a value.
"""

import codecs
import re
from typing import Any, TypeVar

import msgspec
from flask import request

from auth.api.trusted_proxy import TrustedProxy
from auth.errors import (
    InvalidRequest,
    MissingToken,
    PayloadTooLarge,
    UnsupportedMediaType,
)

CHARSETS = {"utf-8", "utf8", "us-ascii"}  # the last is a part of UTF-8
MAX_BODY_BYTES = 8192

_ADDRESS = "auth.client_address"  # a request keeps it under this name
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{16,128}")
_FIELD = re.compile(r"`\$\.(\w+)")
_MISSING_FIELD = re.compile(r"missing required field `(\w+)`")

T = TypeVar("T")


def read(form: type[T]) -> T:
    """Return the body as a `form`.

    Raises:
        InvalidRequest, UnsupportedMediaType: the body is not one.
    """
    # Unity's and .NET's clients send a byte order mark.
    body = request.get_data(cache=False).removeprefix(codecs.BOM_UTF8)
    if body and not _says_json_in_utf8():
        raise UnsupportedMediaType
    try:
        body.decode()  # msgspec lets invalid UTF-8 pass in fields that the form does not have
        return msgspec.json.decode(body or b"{}", type=form)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except (msgspec.DecodeError, UnicodeError):
        raise InvalidRequest("The body is not valid JSON in UTF-8.") from None
    except RecursionError:
        raise InvalidRequest("The body is nested too deeply.") from None


def read_query(form: type[T]) -> T:
    """Return the query string as a `form`, whose fields are texts.

    Raises:
        InvalidRequest: it is not one.
    """
    try:
        return msgspec.convert(request.args.to_dict(), form)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None


def _says_json_in_utf8() -> bool:
    charset = request.mimetype_params.get("charset", "utf-8")
    return request.mimetype == "application/json" and charset.lower() in CHARSETS


def check_size() -> None:
    """Refuse a body over the limit, on every route.

    Raises:
        PayloadTooLarge: it is over 8 KiB.
    """
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise PayloadTooLarge


def bearer_token() -> str:
    """Return the access token, which travels in the Authorization header only (RFC 6750, 2.1).

    Raises:
        MissingToken: there is none.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise MissingToken
    return token.strip()


def idempotency_key() -> str | None:
    """Return the Idempotency-Key header, if there is one.

    Raises:
        InvalidRequest: it is too short, too long, or not visible ASCII.
    """
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise InvalidRequest(
            fields={"Idempotency-Key": "Send 16 to 128 visible ASCII characters, without spaces."}
        )
    return key


def client_address(proxy: TrustedProxy) -> str:
    """Return the caller's address: the one that API Gateway saw, or the one a trusted proxy names.

    X-Forwarded-For alone is the caller's to invent.

    Raises:
        Unavailable: the trusted proxy's secret cannot be read.
    """
    known: str | None = request.environ.get(_ADDRESS)
    if known is not None:
        return known
    event: dict[str, Any] = request.environ.get("serverless.event", {})
    context: dict[str, Any] = event.get("requestContext", {})
    seen = str(context.get("http", {}).get("sourceIp", ""))
    address = request.environ[_ADDRESS] = proxy.address(seen, request.headers.get)
    return address


def _invalid(complaint: str) -> InvalidRequest:
    """Turn msgspec's complaint, which never quotes the value, into reasons by field."""
    field = _MISSING_FIELD.search(complaint) or _FIELD.search(complaint)
    if field is None:
        return InvalidRequest("The body must be a JSON object.")
    if complaint.startswith("Object missing"):
        return InvalidRequest(fields={field[1]: "This field is missing."})
    return InvalidRequest(fields={field[1]: complaint.partition(" - at ")[0].replace("`", "")})
