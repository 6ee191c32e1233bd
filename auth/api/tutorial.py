"""The tutorial's two routes, kept to the letter, so that its game client works unchanged.

They go through the same flow as the v1 routes; only the answers differ.
"""

from collections.abc import Callable

from flask import Blueprint, Response

from auth.api.answers import TutorialStatus, json_answer
from auth.api.forms import Form
from auth.api.reading import client_address
from auth.api.routing import Callers, Route, blueprint
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
from auth.flows.accounts import Accounts, Attempt
from auth.flows.rate_limits import (
    LOGIN_BY_ACCOUNT,
    LOGIN_BY_ACCOUNT_AND_ADDRESS,
    LOGIN_BY_ADDRESS,
)


class Credentials(Form):
    """A name and a password, as the tutorial's client sends them."""

    username: str
    password: str


class TutorialViews:
    """The views, with the flow that they call."""

    def __init__(self, accounts: Accounts, proxy: TrustedProxy) -> None:
        self._accounts = accounts
        self._proxy = proxy

    def tutorial_index(self) -> str:
        """Answer the tutorial's root."""
        return "OK"

    def tutorial_login(self, form: Credentials) -> TutorialStatus:
        """Answer the tutorial's login: true or false, and no session."""
        attempt = Attempt(form.username, form.password, client_address(self._proxy))
        self._accounts.check_credentials(attempt)
        return TutorialStatus(status=True)


TUTORIAL = (
    Route(
        *("GET", "/", TutorialViews.tutorial_index, str),
        success="The text OK.",
    ),
    Route(
        *("POST", "/login", TutorialViews.tutorial_login, TutorialStatus),
        success="Whether name and password are right.",
        body=Credentials,
        errors=(InvalidCredentials, AccountSuspended),
        limits=(LOGIN_BY_ADDRESS, LOGIN_BY_ACCOUNT_AND_ADDRESS, LOGIN_BY_ACCOUNT),
    ),
)


def tutorial(accounts: Accounts, callers: Callers, proxy: TrustedProxy) -> Blueprint:
    """Return the routes, with the tutorial's own answers to errors."""
    rules = blueprint("tutorial", TUTORIAL, callers, TutorialViews(accounts, proxy))
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
        rules.register_error_handler(error, answer)
    return rules


def _invalid(_: ApiError) -> Response:
    return Response("Input data not valid", 400, mimetype="text/plain")


def _refused(_: ApiError) -> Response:
    return json_answer({"status": False})


def _later(error: ApiError) -> Response:
    answer = json_answer({"status": False}, error.status)
    answer.headers.update(error.headers())
    return answer
