"""The tutorial's two routes, kept to the letter, so that its game client works unchanged.

They go through the same flow as the v1 routes; only the answers differ.
"""

from collections.abc import Callable

from flask import Blueprint, Response

from auth.api.answers import TutorialStatus, json_answer
from auth.api.forms import Credentials
from auth.api.reading import client_address
from auth.api.routing import Flows, Route, blueprint
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
from auth.flows.accounts import Attempt
from auth.flows.rate_limits import (
    LOGIN_BY_ACCOUNT,
    LOGIN_BY_ACCOUNT_AND_ADDRESS,
    LOGIN_BY_ADDRESS,
)


def tutorial_index(_: Flows) -> str:
    """Answer the tutorial's root."""
    return "OK"


def tutorial_login(flows: Flows, form: Credentials) -> TutorialStatus:
    """Answer the tutorial's login: true or false, and no session."""
    attempt = Attempt(form.username, form.password, client_address(flows.proxy))
    flows.accounts.check_credentials(attempt)
    return TutorialStatus(status=True)


TUTORIAL = (
    Route(
        *("GET", "/", tutorial_index, str),
        success="The text OK.",
    ),
    Route(
        *("POST", "/login", tutorial_login, TutorialStatus),
        success="Whether name and password are right.",
        body=Credentials,
        errors=(InvalidCredentials, AccountSuspended),
        limits=(LOGIN_BY_ADDRESS, LOGIN_BY_ACCOUNT_AND_ADDRESS, LOGIN_BY_ACCOUNT),
    ),
)


def tutorial(flows: Flows) -> Blueprint:
    """Return the routes, with the tutorial's own answers to errors."""
    rules = blueprint("tutorial", TUTORIAL, flows)
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
