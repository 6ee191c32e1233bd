"""The composition root: the one place that knows every concrete thing."""

import logging
import time

from flask import Flask, Response, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest, HTTPException
from werkzeug.exceptions import MethodNotAllowed as WrongMethod

from auth.access_tokens import Realm
from auth.accounts import Accounts
from auth.answers import error_answer
from auth.api import Api
from auth.database import Database
from auth.errors import (
    ApiError,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    Unavailable,
)
from auth.keys import TokenKeys
from auth.logs import notes, request_id, where
from auth.passwords import Passwords
from auth.rate_limits import RateLimits
from auth.requests import check_size
from auth.secret_store import SecretStore
from auth.sessions import Sessions
from auth.settings import Settings
from auth.store import Store
from auth.times import Clock, system_clock
from auth.tutorial import Tutorial

logger = logging.getLogger(__name__)

# What a log line says of a method; any other is whatever the caller made up.
METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"}

# What every answer says unless its route says otherwise.
HEADERS = {
    "Cache-Control": "no-store",
    "Strict-Transport-Security": "max-age=31536000",  # RFC 6797; plain HTTP ignores it
    "X-Content-Type-Options": "nosniff",
}


_BEGAN_AT = "auth.began_at"
_ERROR = "auth.error"


class Application(Flask):
    """Flask, with a note of when each request began and what went wrong with it, for the log."""

    def preprocess_request(self) -> ResponseReturnValue | None:
        request.environ[_BEGAN_AT] = time.perf_counter()
        return super().preprocess_request()

    def handle_user_exception(self, e: Exception) -> HTTPException | ResponseReturnValue:
        request.environ[_ERROR] = e
        return super().handle_user_exception(e)


def create_app(
    settings: Settings, clock: Clock = system_clock, passwords: Passwords | None = None
) -> Flask:
    """Return the application.

    Connects to nothing yet: the database and the secrets are asked for by the first request. All
    that can be got ready before is.

    Raises:
        SettingError: the CA file cannot be used.
    """
    secret_store = SecretStore()
    secret_store.prepare()
    database = Database(
        secret_store,
        settings.database_secret_id,
        settings.database_ca_file,
        proxy_host=settings.database_proxy_host,
    )
    store = Store(database)
    keys = TokenKeys(secret_store, settings.token_secret_id)
    realm = Realm(settings.token_issuer, settings.token_audience)
    sessions = Sessions(store, keys, realm, clock)
    limits = RateLimits(store, keys, settings.rate_limit_scale)
    accounts = Accounts(store, sessions, limits, passwords or Passwords(), clock)

    app = Application("auth", static_folder=None)
    app.extensions["database"] = database
    app.extensions["secret_store"] = secret_store
    # No answer is ever a redirect: game engines send credentials along or drop the body.
    app.url_map.strict_slashes = True
    app.url_map.merge_slashes = False
    app.register_blueprint(Api(accounts, sessions, keys, store).blueprint())
    app.register_blueprint(Tutorial(accounts).blueprint())
    app.before_request(lambda: _begin(database))
    app.after_request(_finish)
    app.register_error_handler(ApiError, _answer_to)
    app.register_error_handler(HTTPException, _answer_to_http_error)
    app.register_error_handler(Exception, _answer_to_bug)
    return app


def _begin(database: Database) -> None:
    database.start_request()
    check_size()


def _finish(answer: Response) -> Response:
    for name, value in HEADERS.items():
        answer.headers.setdefault(name, value)
    answer.headers["X-Request-Id"] = request_id.get()
    _log_request(answer)
    return answer


def _answer_to(error: ApiError) -> Response:
    return error_answer(error, request_id.get())


def _answer_to_http_error(error: HTTPException) -> Response:
    """Answer what the framework itself refuses in the contract's form."""
    if isinstance(error, WrongMethod):
        return _answer_to(MethodNotAllowed(list(error.valid_methods or ())))
    return _answer_to(InvalidRequest() if isinstance(error, BadRequest) else NotFound())


def _answer_to_bug(_: Exception) -> Response:
    return _answer_to(InternalError())


def _log_request(answer: Response) -> None:
    """Write one line: the route, never the path, since a path holds what the caller likes."""
    error = request.environ.get(_ERROR)
    route = request.url_rule.rule if request.url_rule else "(no route)"
    milliseconds = (time.perf_counter() - request.environ[_BEGAN_AT]) * 1000
    code = error.code if isinstance(error, ApiError) else ""
    fields = {"event": "request", "code": code, **notes()}
    outcome = code or (fields["event"] if notes() else "")
    method = request.method if request.method in METHODS else "(other)"
    text = f"{method} {route} {answer.status_code} {milliseconds:.0f} ms {outcome}".rstrip()
    level = logging.INFO
    if isinstance(error, Unavailable):
        level, text = logging.WARNING, f"{text}: {error}"
    elif error is not None and not isinstance(error, ApiError | HTTPException):
        level, text = logging.ERROR, f"{text}: {where(error)}"
    logger.log(
        level,
        text,
        extra={
            **fields,
            "method": method,
            "route": route,
            "status": answer.status_code,
            "duration_ms": round(milliseconds, 1),
        },
    )
