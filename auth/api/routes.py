"""The v1 routes: each view is a sentence; fields in, one use case, answer out."""

from flask import Blueprint, Response

from auth.api.answers import account_body, json_answer, listed_session, session_body
from auth.api.forms import (
    Deletion,
    Logout,
    NewAccount,
    PasswordChange,
    Refresh,
    SignIn,
    bearer_token,
    client_address,
    device_label,
    idempotency_key,
    read,
)
from auth.api.trusted_proxy import TrustedProxy
from auth.credentials.keys import TokenKeys
from auth.errors import ApiError, NotFound
from auth.flows.accounts import Accounts, Login
from auth.flows.sessions import Sessions
from auth.store.store import Store
from auth.times import parse_id

JWKS_CACHE = "public, max-age=300"


class Api:
    """The views, with the use cases they call."""

    def __init__(
        self,
        accounts: Accounts,
        sessions: Sessions,
        keys: TokenKeys,
        store: Store,
        proxy: TrustedProxy,
    ) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._keys = keys
        self._store = store
        self._proxy = proxy

    def register(self) -> Response:
        login = self._login(read(NewAccount))
        return json_answer(session_body(self._accounts.register(login, idempotency_key())), 201)

    def log_in(self) -> Response:
        form = read(SignIn)
        return json_answer(
            session_body(self._accounts.log_in(self._login(form), form.refresh_token))
        )

    def refresh(self) -> Response:
        form = read(Refresh)
        return json_answer(
            session_body(self._sessions.refresh(form.refresh_token, idempotency_key()))
        )

    def log_out(self) -> Response:
        try:
            form = read(Logout)
        except ApiError:
            self._sessions.verify(bearer_token())  # a wrong token is refused before a wrong body
            raise
        if form.refresh_token is not None:
            self._sessions.end_by_token(form.refresh_token, everywhere=bool(form.everywhere))
        else:
            claims = self._sessions.verify(bearer_token())
            self._sessions.end(claims, everywhere=bool(form.everywhere))
        return json_answer({})

    def list_sessions(self) -> Response:
        claims, account = self._sessions.authenticate(bearer_token())
        living = self._sessions.living(account, claims.session_id)
        return json_answer({"sessions": [listed_session(one, claims.session_id) for one in living]})

    def end_session(self, session_id: str) -> Response:
        _, account = self._sessions.authenticate(bearer_token())
        try:
            identifier = parse_id(session_id)
        except ValueError:
            raise NotFound from None
        self._sessions.end_one(account, identifier)
        return json_answer({})

    def me(self) -> Response:
        _, account = self._sessions.authenticate(bearer_token())
        return json_answer({"account": account_body(account)})

    def change_password(self) -> Response:
        session, account = self._sessions.session_of(bearer_token())
        form = read(PasswordChange)
        signed_in = self._accounts.change_password(
            session, account, form.current_password, form.new_password
        )
        return json_answer(session_body(signed_in))

    def delete_account(self) -> Response:
        _, account = self._sessions.authenticate(bearer_token())
        self._accounts.delete(account, read(Deletion).password)
        return json_answer({})

    def jwks(self) -> Response:
        answer = json_answer(self._keys.ring().jwks())
        answer.headers["Cache-Control"] = JWKS_CACHE
        return answer

    def health(self) -> Response:
        self._store.ping()
        return json_answer({"status": "ok"})

    def _login(self, form: NewAccount) -> Login:
        device = device_label(form.device)
        return Login(form.username, form.password, client_address(self._proxy), device)

    def blueprint(self) -> Blueprint:
        """Return the routes."""
        routes = Blueprint("api", __name__)
        for method, path, view in (
            ("POST", "/v1/register", self.register),
            ("POST", "/v1/login", self.log_in),
            ("POST", "/v1/refresh", self.refresh),
            ("POST", "/v1/logout", self.log_out),
            ("GET", "/v1/sessions", self.list_sessions),
            ("DELETE", "/v1/sessions/<session_id>", self.end_session),
            ("GET", "/v1/me", self.me),
            ("PUT", "/v1/me/password", self.change_password),
            ("POST", "/v1/me/delete", self.delete_account),
            ("GET", "/.well-known/jwks.json", self.jwks),
            ("GET", "/v1/health", self.health),
        ):
            routes.add_url_rule(
                path, view_func=view, methods=[method], provide_automatic_options=False
            )
        return routes
