"""A player of a deployment: one account and its requests (docs/contract/http-api.md)."""

import secrets
from typing import Any

from local.terminal import Problem
from operate.http_client import Deployment, HttpAnswer


class RemotePlayer:
    """One account, and the tokens of its latest session."""

    def __init__(self, deployment: Deployment, username: str, password: str) -> None:
        self._deployment = deployment
        self.username = username
        self._password = password
        self.id = ""
        self.access_token = ""
        self.refresh_token = ""

    def register(self) -> HttpAnswer:
        """Register the account; the key makes it safe to repeat if an answer is lost."""
        key = secrets.token_hex(16)
        body = self._credentials(self._password)
        return self._keep(self._deployment.ask("POST", "/v1/register", body, Idempotency_Key=key))

    def enter(self, secret: str, *, create: bool) -> HttpAnswer:
        """Sign in as a guest, or create one."""
        body = {"guest_secret": secret, "create": create, "device": "smoke test"}
        return self._keep(self._deployment.ask("POST", "/v1/guest", body))

    def log_in(self, password: str | None = None) -> HttpAnswer:
        """Sign in, with the account's password or the one given."""
        body = self._credentials(self._password if password is None else password)
        return self._keep(self._deployment.ask("POST", "/v1/login", body))

    def refresh(self) -> HttpAnswer:
        """Renew the session with its refresh token."""
        key, body = secrets.token_hex(16), {"refresh_token": self.refresh_token}
        return self._keep(self._deployment.ask("POST", "/v1/refresh", body, Idempotency_Key=key))

    def me(self) -> HttpAnswer:
        """Fetch the account."""
        return self._deployment.ask("GET", "/v1/me", **self._bearer())

    def ticket(self, server: str) -> HttpAnswer:
        """Get a ticket for a game server."""
        return self._deployment.ask("POST", "/v1/tickets", {"server": server}, **self._bearer())

    def delete(self) -> HttpAnswer:
        """Delete the account."""
        body = {"password": self._password}
        return self._deployment.ask("POST", "/v1/me/delete", body, **self._bearer())

    def _credentials(self, password: str) -> dict[str, str]:
        return {"username": self.username, "password": password, "device": "smoke test"}

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access_token}"}

    def _keep(self, answer: HttpAnswer) -> HttpAnswer:
        """Store the tokens of an answer that opened or renewed a session."""
        if answer.status not in (200, 201):
            return answer
        match answer.body:
            case {
                "access_token": str(access),
                "refresh_token": str(refresh),
                "account": dict(account),
            }:
                self.access_token, self.refresh_token = access, refresh
                self.id = str(account.get("id", ""))
            case _:
                raise Problem(f"{answer}, but without a session")
        return answer


def expect(status: int, answer: HttpAnswer) -> dict[str, Any]:
    """Return the body of an answer that must have this status and a JSON object.

    Raises:
        Problem: the answer has another status or no JSON object.
    """
    if answer.status != status or not answer.is_json:
        raise Problem(f"{answer}, but expected {status} with a JSON object")
    return answer.body
