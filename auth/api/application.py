"""Flask for this API: the steps of every request, and the answers to errors."""

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from flask import Blueprint, Flask, Response, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest, HTTPException
from werkzeug.exceptions import MethodNotAllowed as WrongMethod

from auth.api.answers import HEADERS, error_answer
from auth.api.reading import check_size
from auth.api.request_log import RequestLog
from auth.api.trusted_proxy import TrustedProxy
from auth.errors import ApiError, InternalError, InvalidRequest, MethodNotAllowed, NotFound
from auth.external.database import REQUEST_SECONDS, Database
from auth.external.secret_store import SecretStore
from auth.logs import request_id

if TYPE_CHECKING:  # typing alone knows these names
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_BEGAN_AT = "auth.began_at"
_ERROR = "auth.error"


class Application(Flask):
    """The WSGI application, with the connections that outlive a request."""

    def __init__(
        self,
        database: Database,
        secret_store: SecretStore,
        proxy: TrustedProxy,
        request_log: RequestLog,
        rules: Iterable[Blueprint],
    ) -> None:
        super().__init__("auth", static_folder=None)
        self.database = database
        self.secret_store = secret_store
        self._proxy = proxy
        self._request_log = request_log
        # No answer is ever a redirect: game engines send credentials along or drop the body.
        self.url_map.strict_slashes = True
        self.url_map.merge_slashes = False
        for blueprint in rules:
            self.register_blueprint(blueprint)
        self.before_request(check_size)
        self.after_request(self._finish)
        self.register_error_handler(ApiError, _answer_to)
        self.register_error_handler(HTTPException, _answer_to_http_error)
        self.register_error_handler(Exception, _answer_to_bug)

    def proxy_headers(self) -> Sequence[str]:
        """Return the names of the headers that the trusted proxy sends, in lower case."""
        return self._proxy.headers()

    def close(self) -> None:
        """Close the connection to the database; the next request opens another."""
        self.database.close()

    def wsgi_app(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        with self.database.budget(REQUEST_SECONDS):
            return super().wsgi_app(environ, start_response)

    def preprocess_request(self) -> ResponseReturnValue | None:
        request.environ[_BEGAN_AT] = time.perf_counter()
        return super().preprocess_request()

    def handle_user_exception(self, e: Exception) -> HTTPException | ResponseReturnValue:
        request.environ[_ERROR] = e
        return super().handle_user_exception(e)

    def _finish(self, answer: Response) -> Response:
        for name, value in HEADERS.items():
            answer.headers.setdefault(name, value)
        answer.headers["X-Request-Id"] = request_id.get()
        began_at, error = request.environ[_BEGAN_AT], request.environ.get(_ERROR)
        self._request_log.write(answer, began_at, error)
        return answer


def _answer_to(error: ApiError) -> Response:
    return error_answer(error, request_id.get())


def _answer_to_http_error(error: HTTPException) -> Response:
    """Answer in the contract's form if the framework itself refuses."""
    if isinstance(error, WrongMethod):
        return _answer_to(MethodNotAllowed(list(error.valid_methods or ())))
    return _answer_to(InvalidRequest() if isinstance(error, BadRequest) else NotFound())


def _answer_to_bug(_: Exception) -> Response:
    return _answer_to(InternalError())
