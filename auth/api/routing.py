"""A route, declared once, and the Flask rule that is made of it.

The rule follows the declaration alone, so the two cannot differ.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from flask import Blueprint, Response

from auth.api.answers import Created, json_answer
from auth.api.forms import Form
from auth.api.reading import bearer_token, idempotency_key, read, read_query
from auth.errors import (
    ApiError,
    InternalError,
    InvalidRequest,
    InvalidServerKey,
    InvalidToken,
    MissingToken,
    PayloadTooLarge,
    Reason,
    TooManyAttempts,
    Unavailable,
    UnsupportedMediaType,
)
from auth.flows.rate_limits import Limit
from auth.flows.server_keys import ServerKeys
from auth.flows.sessions import Sessions
from auth.logs import note
from auth.store.records import ServerKey
from auth.times import id_text


@dataclass(frozen=True)
class Callers:
    """Finds the caller of a request: a player's session, or a game server's key."""

    sessions: Sessions
    server_keys: ServerKeys

    def server_key(self) -> ServerKey:
        """Return the key of the game server that calls.

        Raises:
            InvalidServerKey, Unavailable: as `ServerKeys.check`.
        """
        try:
            text = bearer_token()
        except MissingToken:
            raise InvalidServerKey(Reason.MISSING) from None
        key = self.server_keys.check(text)
        note("", server_key_id=id_text(key.id))
        return key


@dataclass(frozen=True)
class Route:
    """One route of the contract.

    Its view is a method, called with the declared parts, in this order: the caller or the server
    key, the query, the body, the Idempotency-Key, the parts of the path.
    """

    method: str
    path: str  # as Flask writes it: /v1/sessions/<session_id>
    view: Callable[..., object]
    answer: type
    success: str  # describes the answer
    created: str = ""  # describes the answer with 201, if the route has both
    body: type[Form] | None = None
    caller: Callable[[Sessions, str], object] | None = None  # finds the caller by the access token
    may_have_bearer: bool = False  # the view itself reads the access token, if it wants one
    has_server_key: bool = False  # for game servers
    query: type[Form] | None = None
    has_idempotency_key: bool = False
    errors: tuple[type[ApiError], ...] = ()  # beside those that follow from the rest
    limits: tuple[Limit, ...] = ()
    status: int = 200
    cache: str = "no-store"

    @property
    def has_bearer(self) -> bool:
        """Tell whether the route reads an access token."""
        return self.caller is not None or self.may_have_bearer

    @property
    def parameters(self) -> list[str]:
        """Return the names of the variable parts of the path."""
        return re.findall(r"<(\w+)>", self.path)

    @property
    def template(self) -> str:
        """Return the path as OpenAPI writes it: /v1/sessions/{session_id}."""
        return re.sub(r"<(\w+)>", r"{\1}", self.path)

    def all_errors(self) -> tuple[type[ApiError], ...]:
        """Return every error of the route."""
        return (
            InvalidRequest,
            *((InvalidToken,) if self.has_bearer else ()),
            *((InvalidServerKey,) if self.has_server_key else ()),
            *self.errors,
            PayloadTooLarge,
            *((UnsupportedMediaType,) if self.body else ()),
            *((TooManyAttempts,) if self.limits else ()),
            InternalError,
            Unavailable,
        )


def blueprint(name: str, routes: Iterable[Route], callers: Callers, *views: object) -> Blueprint:
    """Return Flask's rules for these routes, whose views are methods of `views`."""
    rules = Blueprint(name, __name__)
    for route in routes:
        rules.add_url_rule(
            route.path,
            endpoint=route.view.__name__,
            view_func=partial(_answer, route, _bound(route, views), callers),
            methods=[route.method],
            provide_automatic_options=False,
        )
    return rules


def _bound(route: Route, views: Iterable[object]) -> Callable[..., object]:
    """Return the view as a method of the object that has it."""
    name = route.view.__name__
    (owner,) = (one for one in views if getattr(type(one), name, None) is route.view)
    bound: Callable[..., object] = getattr(owner, name)
    return bound


def _answer(route: Route, view: Callable[..., object], callers: Callers, **path: str) -> Response:
    declared: list[object] = []
    if route.caller:
        declared.append(route.caller(callers.sessions, bearer_token()))
    if route.has_server_key:
        declared.append(callers.server_key())
    if route.query:
        declared.append(read_query(route.query))
    if route.body:
        declared.append(_form(route, route.body, callers.sessions))
    if route.has_idempotency_key:
        declared.append(idempotency_key())
    body = view(*declared, **path)
    status = route.status
    if isinstance(body, Created):
        body, status = body.body, 201
    if isinstance(body, str):
        return Response(body, status, mimetype="text/plain")
    answer = json_answer(body, status)
    answer.headers["Cache-Control"] = route.cache
    return answer


def _form(route: Route, body: type[Form], sessions: Sessions) -> Form:
    try:
        return read(body)
    except ApiError:
        if route.may_have_bearer:
            sessions.claims(bearer_token())  # a wrong token is refused before a wrong body
        raise
