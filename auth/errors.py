"""Every way a request can fail: one tree, each class one code of the HTTP contract.

The first paragraph of a docstring is for authors of clients: the cause, and the remedy.

A client reads `message`, which the class fixes; the log reads the text that the error is raised
with. The two never mix, so no database message and no secret can reach an answer.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from auth.times import rfc3339


class Reason(StrEnum):
    """Why a token was refused. Only the log reads it; every client gets the same answer."""

    MISSING = "missing"
    GARBLED = "garbled"
    SIGNATURE = "signature"
    UNKNOWN_KEY = "unknown key"
    CLAIMS = "claims"  # signed by us, but of another type, issuer, audience or lifetime
    EXPIRED = "expired"
    REVOKED = "revoked"
    REUSED = "reused"
    AHEAD = "ahead"  # newer than its session: the database was restored from a backup
    SUSPENDED = "suspended"
    GONE = "gone"  # the session or its account has been deleted


class ApiError(Exception):
    """The root. A raised error becomes the JSON error answer of its class."""

    code: ClassVar[str]
    status: ClassVar[int]
    message: str

    def __init__(self, log_text: str = "") -> None:
        super().__init__(log_text or self.message)

    def details(self) -> dict[str, object]:
        """Return the members that this error adds to `error`, beside code and message."""
        return {}

    def headers(self) -> dict[str, str]:
        """Return the headers this error adds to the answer."""
        return {}

    def log_fields(self) -> dict[str, str]:
        """Return the fields that only the log gets, beside the code."""
        return {}


class Unauthorized(ApiError):
    """The root of every 401, which always names a scheme (RFC 9110, section 15.5.2).

    `Bearer` makes no browser ask for a password, and old Android clients lose the body without it.
    """

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"}


class FieldError(ApiError):
    """The caller sent something to correct. `fields` maps a field to the reason."""

    def __init__(self, message: str = "", fields: Mapping[str, str] | None = None) -> None:
        self.message = message or type(self).message
        self.fields = dict(fields or {})
        super().__init__()

    def details(self) -> dict[str, object]:
        return {"fields": self.fields} if self.fields else {}


class InvalidRequest(FieldError):
    """The route does not take this body or header: fix the call."""

    code, status, message = "invalid_request", 400, "The request is not what this route takes."


class InvalidUsername(FieldError):
    """The name has a wrong length or character, or is reserved: show `fields.username`."""

    code, status, message = "invalid_username", 422, "This username cannot be used."

    def __init__(self, reason: str) -> None:
        super().__init__(fields={"username": reason})


class WeakPassword(FieldError):
    """Too short, too long, leaked, easy to guess, or the one in use: show `fields.password`.

    A password change and a recovery have the reason in `fields.new_password`, too.
    """

    code, status, message = "weak_password", 422, "This password cannot be used."

    def __init__(self, reason: str) -> None:
        super().__init__(fields={"password": reason})


class WeakNewPassword(WeakPassword):
    """The same for a password change, which has a field `new_password`, too."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.fields["new_password"] = reason


class WeakGuestSecret(FieldError):
    """The guest secret is not 43 characters of canonical base64url, or not random: fix the client.

    It is 32 random bytes, so never a device's number or a UUID.
    """

    code, status, message = "weak_guest_secret", 422, "This guest secret cannot be used."

    def __init__(self, reason: str) -> None:
        super().__init__(fields={"guest_secret": reason})


class InvalidCredentials(Unauthorized):
    """Wrong name or wrong password, never told apart: ask again, do not refresh."""

    code, status, message = "invalid_credentials", 401, "The username or the password is wrong."


class WrongPassword(InvalidCredentials):
    """The player is signed in, and the password that confirms the call is wrong."""

    message = "The password is wrong."


class WrongGuestSecret(InvalidCredentials):
    """The guest is signed in, and the guest secret that confirms the call is wrong."""

    message = "The guest secret is wrong."


class WrongRecoveryCode(InvalidCredentials):
    """Wrong name or wrong recovery code, never told apart, or a code that was used."""

    message = "The username or the recovery code is wrong."


class WrongCurrentPassword(InvalidCredentials):
    """The current password of a password change is wrong."""

    message = "The current password is wrong."


class RefusedToken(Unauthorized):
    """The root of refused tokens and keys. Only the log reads `reason`."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason

    def log_fields(self) -> dict[str, str]:
        return {"reason": self.reason}


class InvalidToken(RefusedToken):
    """The access token is missing, malformed, expired or revoked: refresh, then repeat.

    RFC 6750, section 3.
    """

    code, status, message = "invalid_token", 401, "The access token is not valid."

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": 'Bearer error="invalid_token"'}


class MissingToken(InvalidToken):
    """No access token came at all: RFC 6750, section 3.1 wants no error code then."""

    message = "This route needs an access token."

    def __init__(self) -> None:
        super().__init__(Reason.MISSING)

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"}


class InvalidServerKey(RefusedToken):
    """A game server's key is missing, unknown or revoked: fix the server."""

    code, status, message = "invalid_server_key", 401, "The server key is not valid."


class InvalidTicket(RefusedToken):
    """Not a ticket of ours, or its session or account is no longer good: ask for another."""

    code, status, message = "invalid_ticket", 401, "The ticket is not valid."


class WrongServer(ApiError):
    """The ticket is for another server, or the key may not do this for this server."""

    code, status = "wrong_server", 403
    message = "The ticket or the server key is for another server."


class TicketUsed(ApiError):
    """This ticket, or a later one of the player, has been redeemed: the player gets another."""

    code, status, message = "ticket_used", 409, "This ticket, or a later one, has been redeemed."


class TicketExpired(ApiError):
    """The ticket has expired: the player gets another."""

    code, status, message = "ticket_expired", 410, "The ticket has expired."


class SessionEnded(RefusedToken):
    """The refresh token is not usable any more: sign in again."""

    code, status, message = "session_ended", 401, "The session has ended. Sign in again."


class AccountSuspended(ApiError):
    """The password was right, and the account is suspended: show it.

    `until` None means for good.
    """

    code, status, message = "account_suspended", 403, "This account is suspended."

    def __init__(self, until: datetime | None, reason: str) -> None:
        super().__init__()
        self.until = until
        self.reason = reason

    def details(self) -> dict[str, object]:
        return {"until": rfc3339(self.until) if self.until else None, "reason": self.reason}


class GuestsDisabled(ApiError):
    """This server takes no new guests: offer registration."""

    code, status, message = "guests_disabled", 403, "This server takes no new guests."


class UnknownGuest(ApiError):
    """No account has this guest secret, and `create` is not true.

    Ask the player before creating a new guest.
    """

    code, status, message = "unknown_guest", 404, "No account has this guest secret."


class NotFound(ApiError):
    """No such route, or no such object of the caller's."""

    code, status, message = "not_found", 404, "There is nothing here."


class MethodNotAllowed(ApiError):
    """The path takes other methods."""

    code, status, message = "method_not_allowed", 405, "This route does not take that method."

    def __init__(self, allowed: list[str]) -> None:
        super().__init__()
        self.allowed = allowed

    def headers(self) -> dict[str, str]:
        return {"Allow": ", ".join(sorted(self.allowed))}


class UsernameTaken(ApiError):
    """Another account has this name: choose another."""

    code, status, message = "username_taken", 409, "This username is taken."


class IdempotencyKeyReused(ApiError):
    """The Idempotency-Key belongs to another registration or refresh: take a new one."""

    code, status = "idempotency_key_reused", 409
    message = "This Idempotency-Key was used for another request."


class NotAGuest(ApiError):
    """The account has a password: nothing to upgrade, and no guest secret to recover by."""

    code, status, message = "not_a_guest", 409, "This account already has a password."


class NoPassword(ApiError):
    """A guest has no password to change or to recover: upgrade instead."""

    code, status, message = "no_password", 409, "A guest has no password."


class GuestSecretInUse(ApiError):
    """An account has this guest secret: make another."""

    code, status = "guest_secret_in_use", 409
    message = "This guest secret belongs to an account already."


class RenamedRecently(ApiError):
    """The account was renamed less than 30 days ago: show `until`."""

    code, status = "renamed_recently", 409
    message = "This account was renamed less than 30 days ago."

    def __init__(self, until: datetime) -> None:
        super().__init__()
        self.until = until

    def details(self) -> dict[str, object]:
        return {"until": rfc3339(self.until)}


class PayloadTooLarge(ApiError):
    """The body has more than 8192 bytes."""

    code, status, message = "payload_too_large", 413, "The body may have at most 8192 bytes."


class UnsupportedMediaType(ApiError):
    """The body does not say that it is JSON in UTF-8."""

    code, status = "unsupported_media_type", 415
    message = "Send the body as Content-Type: application/json, in UTF-8."


class TooManyAttempts(ApiError):
    """A rate limit: wait `retry_after` seconds.

    Only the log reads `limit`, the name of the limit.
    """

    code, status, message = "too_many_attempts", 429, "Too many attempts. Wait and try again."

    def __init__(self, retry_after: int, limit: str) -> None:
        super().__init__()
        self.retry_after = retry_after
        self.limit = limit

    def log_fields(self) -> dict[str, str]:
        return {"limit": self.limit}

    def details(self) -> dict[str, object]:
        return {"retry_after": self.retry_after}

    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after)}


class InternalError(ApiError):
    """A bug of ours; nothing about it reaches the client."""

    code, status, message = "internal_error", 500, "Something went wrong on our side."


class Unavailable(ApiError):
    """Database or secrets out of reach, or too busy: wait `retry_after` seconds; never sign out."""

    code, status = "unavailable", 503
    message = "The service is busy or out of reach. Try again."

    def __init__(self, log_text: str, retry_after: int = 2) -> None:
        super().__init__(log_text)
        self.retry_after = retry_after

    def details(self) -> dict[str, object]:
        return {"retry_after": self.retry_after}

    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after)}


class RowsBusy(Unavailable):
    """Other work holds the rows for too long; the database itself can be reached."""
