"""The errors: the client's text and the log's text are separate."""

from datetime import UTC, datetime

import pytest

from auth.api.answers import error_body
from auth.errors import (
    AccountSuspended,
    ApiError,
    IdempotencyKeyReused,
    InternalError,
    InvalidCredentials,
    InvalidRequest,
    InvalidToken,
    InvalidUsername,
    MethodNotAllowed,
    MissingToken,
    NotFound,
    PayloadTooLarge,
    Reason,
    SessionEnded,
    TooManyAttempts,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
    UsernameTaken,
    WeakNewPassword,
    WeakPassword,
    WrongCurrentPassword,
    WrongPassword,
)

PLAIN: tuple[type[ApiError], ...] = (
    *(InvalidCredentials, WrongPassword, WrongCurrentPassword, NotFound, UsernameTaken),
    *(IdempotencyKeyReused, PayloadTooLarge, UnsupportedMediaType, InternalError),
)


def members(error: ApiError) -> dict[str, object]:
    """Return the members of an error's answer."""
    body = error_body(error, "request-1")
    assert set(body) == {"error"}
    inner = body["error"]
    assert isinstance(inner, dict)
    assert (inner["code"], inner["request_id"]) == (error.code, "request-1")
    return inner


@pytest.mark.parametrize("error", PLAIN)
def test_log_text_stays_in_the_log(error: type[ApiError]) -> None:
    """An error's own text goes to the log; the client reads the text of its class."""
    raised = error("canary")
    assert str(raised) == "canary"
    assert "canary" not in str(members(raised))
    assert members(raised)["message"] == error.message == str(error())
    assert set(members(raised)) == {"code", "message", "request_id"}


def tree() -> list[type[ApiError]]:
    """Return every class of the tree."""
    found: list[type[ApiError]] = [ApiError]
    for one in found:
        found += one.__subclasses__()
    return found


def test_every_class_says_when() -> None:
    """Each error has a docstring, a code, a status and a message that ends in a full stop."""
    for one in tree():
        assert one.__doc__
        if "code" in vars(one):
            assert 400 <= one.status < 600
            assert one.message.endswith(".")
    assert len(tree()) > 16


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        (InvalidToken(Reason.SIGNATURE), {"reason": "signature"}),
        (MissingToken(), {"reason": "missing"}),
        (SessionEnded(Reason.REUSED), {"reason": "reused"}),
        (TooManyAttempts(7, "login account"), {"limit": "login account"}),
    ],
)
def test_log_fields(error: ApiError, logged: dict[str, str]) -> None:
    """The reason or the limit goes to the log, not to the client."""
    assert error.log_fields() == logged
    assert not set(logged) & set(members(error))
    assert not set(logged.values()) & set(map(str, members(error).values()))


def test_weak_new_password() -> None:
    """A weak new password is reported under its own field name too."""
    fields = {"password": "Too short.", "new_password": "Too short."}
    assert members(WeakNewPassword("Too short."))["fields"] == fields


def test_fields() -> None:
    """`fields` is present if a field is at fault, and only then."""
    assert "fields" not in members(InvalidRequest())
    assert members(InvalidRequest(fields={"a": "b"}))["fields"] == {"a": "b"}
    assert members(InvalidRequest("Another text."))["message"] == "Another text."
    assert members(InvalidUsername("Too short."))["fields"] == {"username": "Too short."}
    assert members(WeakPassword("Too short."))["fields"] == {"password": "Too short."}
    assert InvalidRequest().message == InvalidRequest.message


def test_retry_after() -> None:
    """An error that may be retried says when, in both the body and the header."""
    for error in (TooManyAttempts(7, "canary"), Unavailable("canary", 7)):
        assert members(error)["retry_after"] == 7
        assert error.headers() == {"Retry-After": "7"}
        assert "canary" not in str(members(error))
    assert members(Unavailable("x"))["retry_after"] == 2


def test_bearer_challenge() -> None:
    """Every 401 has a challenge (RFC 9110); only an invalid token has an error code (RFC 6750)."""
    invalid = InvalidToken(Reason.EXPIRED)
    assert invalid.headers() == {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    for error in (MissingToken(), InvalidCredentials(), SessionEnded(Reason.REUSED)):
        assert error.headers() == {"WWW-Authenticate": "Bearer"}
    for error_class in tree():
        if getattr(error_class, "status", 0) == 401:
            assert issubclass(error_class, Unauthorized)


def test_allowed_methods() -> None:
    """A 405 lists the allowed methods, always in the same order."""
    assert MethodNotAllowed(["PUT", "GET"]).headers() == {"Allow": "GET, PUT"}


def test_suspension() -> None:
    """A suspension gives its end, or null if permanent, and its reason."""
    until = datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC)
    told = members(AccountSuspended(until, "cheating"))
    assert (told["until"], told["reason"]) == ("2027-01-02T03:04:05Z", "cheating")
    assert members(AccountSuspended(None, ""))["until"] is None
