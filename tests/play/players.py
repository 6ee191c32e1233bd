"""Players as the tests see them: they register, sign in, refresh and sign out."""

import itertools
import json
from dataclasses import dataclass, field
from typing import Any

import handler
from auth.api.application import Application
from tests.play.events import Answer, http_event

PASSWORD = "correct horse battery staple"

_numbers = itertools.count(1)


def running() -> Application:
    """Return the application behind the handler."""
    assert handler.application, handler.start_error
    return handler.application


def call(
    method: str,
    path: str,
    body: object = None,
    *,
    token: str | None = None,
    key: str | None = None,
    address: str = "203.0.113.7",
    query: str = "",
) -> Answer:
    """Send one request to the handler, with its body as JSON."""
    headers = {}
    if body is not None:
        headers["Content-Type"] = "application/json"
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    if key is not None:
        headers["Idempotency-Key"] = key
    text = None if body is None else json.dumps(body)
    return Answer.of(handler.http(http_event(method, path, text, headers, address, query), None))


@dataclass
class Player:
    """A player with a name, a password, an address, and the tokens of the last answer."""

    username: str = field(default_factory=lambda: f"tester-{next(_numbers)}")
    password: str = PASSWORD
    address: str = "203.0.113.7"
    access_token: str = ""
    refresh_token: str = ""

    def register(self, *, key: str | None = None, **more: object) -> Answer:
        """Register an account."""
        body = {"username": self.username, "password": self.password, **more}
        return self._keep(call("POST", "/v1/register", body, key=key, address=self.address))

    def log_in(self, password: str | None = None, **more: object) -> Answer:
        """Sign in, with another password if given."""
        body = {"username": self.username, "password": password or self.password, **more}
        return self._keep(call("POST", "/v1/login", body, address=self.address))

    def refresh(self, token: str | None = None, *, key: str | None = None) -> Answer:
        """Refresh the session, which needs no password."""
        body = {"refresh_token": token or self.refresh_token}
        return self._keep(call("POST", "/v1/refresh", body, key=key, address=self.address))

    def log_out(self, *, everywhere: bool = False) -> Answer:
        """Sign out."""
        return self.ask("POST", "/v1/logout", {"everywhere": everywhere})

    def change_password(self, new: str, current: str | None = None) -> Answer:
        """Change the password."""
        body = {"current_password": current or self.password, "new_password": new}
        answer = self._keep(self.ask("PUT", "/v1/me/password", body))
        if answer.status == 200:
            self.password = new
        return answer

    def proof(self) -> dict[str, str]:
        """Return the members that confirm a call."""
        return {"password": self.password}

    def make_recovery_code(self, **proof: str) -> Answer:
        """Make a recovery code."""
        return self.ask("POST", "/v1/me/recovery-code", proof or self.proof())

    def saved_code(self) -> str:
        """Make a recovery code and return it."""
        code: str = self.make_recovery_code().json["recovery_code"]
        return code

    def recover(self, code: str, new: str, **more: object) -> Answer:
        """Come back with a recovery code and a new password."""
        body = {"username": self.username, "recovery_code": code, "new_password": new, **more}
        answer = self._keep(call("POST", "/v1/recover", body, address=self.address))
        if answer.status == 200:
            self.password = new
        return answer

    def rename(self, username: str) -> Answer:
        """Take another name."""
        answer = self.ask("PUT", "/v1/me/username", {"username": username, **self.proof()})
        if answer.status == 200:
            self.username = username
        return answer

    def delete(self, password: str | None = None) -> Answer:
        """Delete the account."""
        return self.ask("POST", "/v1/me/delete", {"password": password or self.password})

    def me(self) -> Answer:
        """Fetch the account."""
        return self.ask("GET", "/v1/me")

    def ticket(self, server: str) -> str:
        """Get a ticket for a game server."""
        ticket: str = self.ask("POST", "/v1/tickets", {"server": server}).json["ticket"]
        return ticket

    def sessions(self) -> list[Any]:
        """Return the account's sessions."""
        listed: list[Any] = self.ask("GET", "/v1/sessions").json["sessions"]
        return listed

    def ask(self, method: str, path: str, body: object = None) -> Answer:
        """Send a request with the access token."""
        return call(method, path, body, token=self.access_token, address=self.address)

    def on_another_device(self) -> "Player":
        """Return the same player without tokens."""
        return Player(self.username, self.password, self.address)

    def _keep(self, answer: Answer) -> Answer:
        if answer.status in (200, 201):
            self.access_token = answer.json["access_token"]
            self.refresh_token = answer.json["refresh_token"]
        return answer
