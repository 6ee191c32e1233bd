"""The composition root: the one place that knows every concrete thing."""

import time

from flask import Flask, Response, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest, HTTPException
from werkzeug.exceptions import MethodNotAllowed as WrongMethod

from auth.api.answers import error_answer
from auth.api.forms import check_size
from auth.api.request_log import RequestLog
from auth.api.routes import Api
from auth.api.trusted_proxy import TrustedProxy
from auth.api.tutorial import Tutorial
from auth.credentials.access_tokens import Realm
from auth.credentials.keys import TokenKeys
from auth.credentials.passwords import Passwords
from auth.errors import (
    ApiError,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
)
from auth.external.database import Database
from auth.external.secret_store import SecretStore
from auth.flows.accounts import Accounts
from auth.flows.rate_limits import RateLimits
from auth.flows.sessions import Sessions
from auth.logs import request_id
from auth.settings import Settings
from auth.store.store import Store
from auth.times import Clock, system_clock

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
    proxy = TrustedProxy(
        secret_store, settings.trusted_proxy_secret_id, settings.trusted_proxy_header
    )
    request_log = RequestLog(limits, proxy)

    app = Application("auth", static_folder=None)
    app.extensions["database"] = database
    app.extensions["secret_store"] = secret_store
    app.extensions["trusted_proxy"] = proxy
    # No answer is ever a redirect: game engines send credentials along or drop the body.
    app.url_map.strict_slashes = True
    app.url_map.merge_slashes = False
    app.register_blueprint(Api(accounts, sessions, keys, store, proxy).blueprint())
    app.register_blueprint(Tutorial(accounts, proxy).blueprint())
    app.before_request(lambda: _begin(database))
    app.after_request(lambda answer: _finish(answer, request_log))
    app.register_error_handler(ApiError, _answer_to)
    app.register_error_handler(HTTPException, _answer_to_http_error)
    app.register_error_handler(Exception, _answer_to_bug)
    return app


def _begin(database: Database) -> None:
    database.start_request()
    check_size()


def _finish(answer: Response, request_log: RequestLog) -> Response:
    for name, value in HEADERS.items():
        answer.headers.setdefault(name, value)
    answer.headers["X-Request-Id"] = request_id.get()
    request_log.write(answer, request.environ[_BEGAN_AT], request.environ.get(_ERROR))
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
