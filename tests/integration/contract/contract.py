"""The routes and codes of docs/contract/http-api.md, and requests with one fault each."""

import re
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

import handler
from auth.api import routes, tutorial
from auth.api.forms import Confirmed
from auth.api.recovery_views import RecoveryByCode
from auth.api.routing import Route
from tests.play.events import REQUEST_ID, Answer, http_event
from tests.play.game_servers import new_key
from tests.play.guests import Guest, new_secret
from tests.play.players import Player

SOME_ID = "0190a0a0-0000-7000-8000-000000000000"
JSON = {"Content-Type": "application/json"}
LIMIT = 8192
SERVER = "eu-1:7777"
RECOVERY_CODE = "7QF2-MXD9-K4TB-W8H3"  # well formed, and of no account


@dataclass(frozen=True)
class ContractLine:
    """One line of the contract, from the route table."""

    method: str
    path: str
    fields: tuple[str, ...] = ()  # that a player must send, all of them strings
    bearer: bool = False
    server_key: bool = False
    takes_body: bool = False

    @classmethod
    def of(cls, route: Route) -> "ContractLine":
        """Return the line of a route."""
        fields = msgspec.structs.fields(route.body) if route.body else ()
        is_confirmed = route.body is not None and issubclass(route.body, Confirmed)
        # Of two optional fields, exactly one of which must be there.
        one = ("password",) if is_confirmed else ("new_password",) if recovers(route) else ()
        required = {field.name for field in fields if field.required}
        return cls(
            route.method,
            re.sub(r"<\w+>", SOME_ID, route.path),
            (*sorted(required), *one),
            bearer=route.has_bearer,
            server_key=route.has_server_key,
            takes_body=route.body is not None,
        )

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def recovers(route: Route) -> bool:
    """Tell whether a player comes back by this route."""
    return route.body is RecoveryByCode


ROUTES = tuple(ContractLine.of(route) for route in routes.ROUTES)
TUTORIAL = tuple(ContractLine.of(route) for route in tutorial.TUTORIAL)


def line(path: str) -> ContractLine:
    """Return the only line of a path."""
    (found,) = (one for one in (*ROUTES, *TUTORIAL) if one.path == path)
    return found


REGISTER, LOGIN, REFRESH, LOGOUT = map(
    line, ("/v1/register", "/v1/login", "/v1/refresh", "/v1/logout")
)
TUTORIAL_INDEX, TUTORIAL_LOGIN = map(line, ("/", "/login"))
NAMING = ("/v1/register", "/v1/me/username", "/v1/me/upgrade")  # a name that is not taken
WITH_BODY = tuple(route for route in ROUTES if route.takes_body)
WITH_FIELDS = tuple(route for route in ROUTES if route.fields)
BEARER = tuple(route for route in ROUTES if route.bearer)

# The table of docs/contract/http-api.md.
CODES = {
    "invalid_request": 400,
    "invalid_credentials": 401,
    "invalid_token": 401,
    "invalid_server_key": 401,
    "invalid_ticket": 401,
    "session_ended": 401,
    "account_suspended": 403,
    "guests_disabled": 403,
    "wrong_server": 403,
    "unknown_guest": 404,
    "not_found": 404,
    "method_not_allowed": 405,
    "username_taken": 409,
    "idempotency_key_reused": 409,
    "not_a_guest": 409,
    "no_password": 409,
    "guest_secret_in_use": 409,
    "renamed_recently": 409,
    "ticket_used": 409,
    "ticket_expired": 410,
    "payload_too_large": 413,
    "unsupported_media_type": 415,
    "invalid_username": 422,
    "weak_password": 422,
    "weak_guest_secret": 422,
    "too_many_attempts": 429,
    "internal_error": 500,
    "unavailable": 503,
}


def every(*routes: ContractLine) -> pytest.MarkDecorator:
    """Run a test for each of these routes."""
    return pytest.mark.parametrize("route", routes, ids=str)


def send(
    route: ContractLine,
    body: str | bytes | None = None,
    headers: dict[str, str] | None = None,
    token: str | None = None,
) -> Answer:
    """Send a body as it is."""
    sent = {**({} if body is None else JSON), **(headers or {})}
    if token is not None:
        sent["Authorization"] = f"Bearer {token}"
    return Answer.of(handler.http(http_event(route.method, route.path, body, sent), None))


def token_for(route: ContractLine, player: Player) -> str | None:
    """Return the access token or the server key, where the route wants one."""
    if route.server_key:
        return new_key()
    return player.access_token if route.bearer else None


def form(route: ContractLine, player: Player, **more: object) -> dict[str, object]:
    """Return a body that the route takes."""
    known = {
        "username": "somebody-new" if route.path in NAMING else player.username,
        "guest_secret": player.secret if isinstance(player, Guest) else new_secret(),
        "password": player.password,
        "refresh_token": player.refresh_token,
        "current_password": player.password,
        "new_password": "another long enough password",
        "recovery_code": RECOVERY_CODE,
        "server": SERVER,
    }
    if "ticket" in route.fields:
        known["ticket"] = player.ticket(SERVER)
    return {**{name: known.get(name, "text") for name in route.fields}, **more}


def check_headers(answer: Answer, cache: str = "no-store") -> None:
    """Check what every JSON answer carries."""
    assert answer.headers["content-type"].partition(";")[0] == "application/json"
    assert answer.headers["cache-control"] == cache
    assert answer.headers["x-request-id"] == REQUEST_ID
    assert isinstance(answer.json, dict)


def check_error(answer: Answer, code: str) -> dict[str, Any]:
    """Check that it is this error in the contract's form, and return its `error`."""
    assert (answer.code, answer.status) == (code, CODES[code])
    check_headers(answer)
    error: dict[str, Any] = answer.json["error"]
    assert set(answer.json) == {"error"}
    assert isinstance(error["message"], str)
    assert error["message"]
    assert error["request_id"] == REQUEST_ID
    known = {"code", "message", "request_id", "fields", "retry_after", "until", "reason"}
    assert set(error) <= known
    if CODES[code] == 401:  # RFC 9110, section 15.5.2
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert ("error=" in answer.headers["www-authenticate"]) <= (code == "invalid_token")
    else:
        assert "www-authenticate" not in answer.headers
    return error
