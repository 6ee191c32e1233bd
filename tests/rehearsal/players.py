"""Players of a deployed stage: they know its HTTP API and nothing else."""

import json
import urllib.error
import urllib.request
from typing import Any

from local.terminal import Problem

SECONDS = 30.0
PASSWORD = "correct horse battery staple"  # of players who are none


class Player:
    """Somebody with a name."""

    def __init__(self, name: str, api: str) -> None:
        self.name = name
        self._api = api
        self.tokens: list[str] = []  # all that were ever given
        self._refresh_token = ""
        self._access_token = ""

    def register(self) -> None:
        """Take the name."""
        self._take(self._ask(201, "POST", "/v1/register", self._credentials()))

    def log_in(self) -> None:
        """Sign in."""
        self._take(self._ask(200, "POST", "/v1/login", self._credentials()))

    def refresh(self) -> None:
        """Stay signed in."""
        self._take(self._ask(200, "POST", "/v1/refresh", {"refresh_token": self._refresh_token}))

    def see_me(self) -> None:
        """Ask who is signed in."""
        me = self._ask(200, "GET", "/v1/me", None)
        if self.name not in json.dumps(me):
            raise Problem(f"GET /v1/me does not know {self.name}: {me}")

    def fail_to_log_in(self) -> None:
        """Sign in with a wrong password."""
        self._ask(401, "POST", "/v1/login", {**self._credentials(), "password": PASSWORD * 2})

    def _credentials(self) -> dict[str, str]:
        return {"username": self.name, "password": PASSWORD}

    def _take(self, answer: Any) -> None:
        self._access_token, self._refresh_token = answer["access_token"], answer["refresh_token"]
        self.tokens += [self._access_token, self._refresh_token]

    def _ask(self, wanted: int, method: str, path: str, body: object) -> Any:
        request = urllib.request.Request(  # the stand-in
            self._api + path,
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        if self._access_token:
            request.add_header("Authorization", f"Bearer {self._access_token}")
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                status, text, why = answer.status, answer.read(), ""
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
            why = error.headers.get("X-Rehearsal-Error", "")
        if status != wanted:
            raise Problem(f"{method} {path}: {status}, not {wanted}: {text.decode()} {why}")
        return json.loads(text)
