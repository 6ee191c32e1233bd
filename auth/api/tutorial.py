"""The tutorial's two routes, kept to the letter, so that its game client works unchanged.

They go through the same use case as the v1 routes; only the answers differ.
"""

from collections.abc import Callable

from flask import Blueprint, Response

from auth.api.answers import json_answer
from auth.api.forms import Credentials, client_address, read
from auth.api.trusted_proxy import TrustedProxy
from auth.errors import (
    AccountSuspended,
    ApiError,
    InvalidCredentials,
    InvalidRequest,
    PayloadTooLarge,
    TooManyAttempts,
    Unavailable,
    UnsupportedMediaType,
)
from auth.flows.accounts import Accounts, Login


class Tutorial:
    """The views, with the use case they call."""

    def __init__(self, accounts: Accounts, proxy: TrustedProxy) -> None:
        self._accounts = accounts
        self._proxy = proxy

    def index(self) -> Response:
        return Response("OK", mimetype="text/plain")

    def login(self) -> Response:
        form = read(Credentials)
        login = Login(form.username, form.password, client_address(self._proxy))
        self._accounts.check_credentials(login)
        return json_answer({"status": True})

    def blueprint(self) -> Blueprint:
        """Return the routes, with the tutorial's own answers to what goes wrong."""
        routes = Blueprint("tutorial", __name__)
        routes.add_url_rule("/", view_func=self.index, provide_automatic_options=False)
        routes.add_url_rule(
            "/login", view_func=self.login, methods=["POST"], provide_automatic_options=False
        )
        answers: dict[type[ApiError], Callable[[ApiError], Response]] = {
            InvalidRequest: _invalid,
            UnsupportedMediaType: _invalid,
            PayloadTooLarge: _invalid,
            InvalidCredentials: _refused,
            AccountSuspended: _refused,
            TooManyAttempts: _later,
            Unavailable: _later,
        }
        for error, answer in answers.items():
            routes.register_error_handler(error, answer)
        return routes


def _invalid(_: ApiError) -> Response:
    return Response("Input data not valid", 400, mimetype="text/plain")


def _refused(_: ApiError) -> Response:
    return json_answer({"status": False})


def _later(error: ApiError) -> Response:
    answer = json_answer({"status": False}, error.status)
    answer.headers.update(error.headers())
    return answer
