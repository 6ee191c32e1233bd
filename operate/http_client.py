"""One deployment over HTTP, asked as docs/contract/http-api.md has a client ask it.

It knows no route: `player` does. No redirect is followed, no proxy is used, and what describes an
answer never quotes it.
"""

import http.client
import json
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from local.terminal import Problem

REQUEST_SECONDS = 13.0  # what docs/contract/http-api.md has a client wait for an answer
MOST_BYTES = 64 * 1024
ATTEMPTS = 5
RETRY_SECONDS = 2.0  # where an answer does not say how long to wait
LATER = {429, 502, 503, 504}  # 502 and 504 are the gateway's: nobody knows what became of the call
LOCAL = {"localhost", "127.0.0.1", "::1"}


class NoAnswer(Problem):
    """The connection gave nothing, or nothing whole: what became of the call is unknown."""


@dataclass(frozen=True)
class HttpAnswer:
    """What came back over HTTP; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    text: bytes

    @property
    def is_json(self) -> bool:
        """Tell whether the body is a JSON object, as every answer of ours is."""
        return self._parsed() is not None

    @property
    def body(self) -> dict[str, Any]:
        """Return the JSON object, or an empty one where there is none."""
        return self._parsed() or {}

    def _parsed(self) -> dict[str, Any] | None:
        try:
            body = json.loads(self.text)
        except (ValueError, RecursionError):
            return None
        return body if isinstance(body, dict) else None

    @property
    def code(self) -> str:
        """Return the error's code, if it is one of ours."""
        error = self.body.get("error")
        code = error.get("code") if isinstance(error, dict) else None
        return code if isinstance(code, str) and re.fullmatch(r"[a-z_]{1,40}", code) else ""

    def __str__(self) -> str:
        """Describe it without quoting anything that might be a token."""
        words = [str(self.status)]
        if self.code:
            words.append(self.code)
        elif not self.is_json:
            kind = _plain(self.headers.get("content-type", "none"))
            words.append(f"without a JSON object (Content-Type: {kind})")
        if request_id := _plain(self.headers.get("x-request-id", "")):
            words.append(f"(request {request_id})")
        return " ".join(words)


class Deployment:
    """The server: one connection a request, no redirect followed, no answer without end."""

    def __init__(self, url: str, seconds: float = REQUEST_SECONDS) -> None:
        """Take its address, and how long to wait for an answer.

        Raises:
            Problem: the address cannot be right.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise Problem(f"not an address: {url}") from None
        if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment:
            raise Problem("the address must look like https://game.example.com")
        if parts.scheme == "http" and host not in LOCAL:
            raise Problem("a password travels: the address must begin with https://")
        self._host, self._port, self._base = host, port, parts.path.rstrip("/")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._seconds = seconds
        self.retries = 0

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> HttpAnswer:
        """Send a request, and again as docs/contract/http-api.md has a client do it.

        Raises:
            Problem: no attempt got an answer that settles it.
        """
        last = ""
        for attempt in range(1, ATTEMPTS + 1):
            wait = RETRY_SECONDS
            try:
                answer = self.ask_once(method, path, body, **headers)
            except NoAnswer as nothing:
                last = str(nothing)
            else:
                if answer.status not in LATER:
                    return answer
                last = str(answer)
                retry_after = answer.headers.get("retry-after", "")
                if re.fullmatch(r"\d{1,4}", retry_after):
                    wait = float(retry_after)
            if attempt < ATTEMPTS:
                self.retries += 1
                time.sleep(wait)
        raise Problem(f"{last}, {ATTEMPTS} times")

    def ask_once(self, method: str, path: str, body: object = None, **headers: str) -> HttpAnswer:
        """Send one request.

        Raises:
            NoAnswer: the outcome is unknown.
            Problem: the server is not trusted.
        """
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        connection = self._connect()
        try:
            connection.request(method, self._base + path, data, sent)
            response = connection.getresponse()
            text = response.read(MOST_BYTES)
        except TimeoutError:
            raise NoAnswer(f"no answer within {self._seconds:g} s") from None
        except ssl.SSLCertVerificationError as error:
            raise Problem(f"the certificate is not good: {error.verify_message}") from None
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(f"no answer ({type(error).__name__})") from None
        finally:
            connection.close()
        received = {name.lower(): value for name, value in response.getheaders()}
        return HttpAnswer(response.status, received, text)

    def _connect(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._seconds)
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=self._seconds, context=self._tls
        )


def _plain(text: str) -> str:
    """Return what of a header may be printed."""
    return re.sub(r"[^\w./;= -]", "?", text)[:80]
