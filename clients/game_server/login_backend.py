"""Calls to the login backend with the server key, for `redeeming` and `revocations`.

It follows no redirects, so that no one else gets the key. Each call runs in a thread of its own, so
one that gets no answer holds up neither its caller nor the end of the process. Copy it together
with player_tokens.py.
"""

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

from player_tokens import checked_url, in_thread, opener, read_within

CALL_SECONDS = 10.0
MAX_ANSWER_BYTES = 4 * 2**20  # a page of 1 000 events has less than a quarter
SERVER_KEY = re.compile(r"glsk_[\x21-\x7e]{1,200}")
NEW_KEY = "python -m operate servers add LABEL"  # the remedy that log lines name


@dataclass(frozen=True)
class BackendAnswer:
    """An answer of the backend; `retry_after`: the seconds that it asks us to wait."""

    status: int
    content: Mapping[str, Any]
    retry_after: float | None = None

    @property
    def code(self) -> str:
        """Return the error's code, or an empty string."""
        error = self.content.get("error")
        code = error.get("code") if isinstance(error, dict) else None
        return code if isinstance(code, str) else ""

    def __str__(self) -> str:
        return f"{self.status} {self.code}".strip()  # without the content, for logs


class LoginBackend:
    """The backend, as a game server with a key calls it; safe in several threads."""

    def __init__(self, url: str, server_key: str) -> None:
        """Take the backend's URL and the server key.

        Raises:
            ValueError: the URL is neither https nor this machine, or the key cannot be one.
        """
        self.url = checked_url(url)
        if not SERVER_KEY.fullmatch(server_key):
            raise ValueError(f"the server key must begin with glsk_; make one with `{NEW_KEY}`")
        self._opener = opener(self.url)
        self._headers = {"Authorization": f"Bearer {server_key}", "Accept": "application/json"}

    def begin(
        self, path: str, body: Mapping[str, str] | None = None, seconds: float = CALL_SECONDS
    ) -> Future[BackendAnswer]:
        """Send a GET, or a POST if there is a body; the future's `result` waits for the answer."""
        content = None if body is None else json.dumps(body).encode()
        headers = dict(self._headers)
        if content is not None:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self.url + path, content, headers)  # noqa: S310  # checked
        return in_thread(partial(self._answer, request, seconds))

    def _answer(self, request: urllib.request.Request, seconds: float) -> BackendAnswer:
        deadline = time.monotonic() + seconds
        try:
            with self._opener.open(request, timeout=seconds) as answer:
                return _read(answer.status, answer, deadline)
        except urllib.error.HTTPError as error:
            with error:
                return _read(error.code, error, deadline)


def _read(status: int, answer: Any, deadline: float) -> BackendAnswer:
    text = read_within(answer, MAX_ANSWER_BYTES, deadline)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None  # for example a proxy's page
    return BackendAnswer(
        status, content if isinstance(content, dict) else {}, _seconds(answer.headers)
    )


def _seconds(headers: http.client.HTTPMessage) -> float | None:
    text = headers.get("Retry-After") or ""
    return float(text) if re.fullmatch("[0-9]{1,6}", text) else None
