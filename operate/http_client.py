"""An HTTP client for one deployment, with the retries that docs/contract/http-api.md describes.

The routes are in `player`. The client follows no redirect and uses no proxy, and the description of
an answer never quotes its content.
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

REQUEST_SECONDS = 13.0  # a client's time-out in docs/contract/http-api.md
MOST_BYTES = 64 * 1024
ATTEMPTS = 5
RETRY_SECONDS = 2.0  # if an answer has no Retry-After
LATER = {429, 502, 503, 504}  # 502 and 504 are the gateway's: the outcome of the call is unknown
LOCAL = {"localhost", "127.0.0.1", "::1"}


class NoAnswer(Problem):
    """No complete answer arrived, so the outcome of the call is unknown."""


@dataclass(frozen=True)
class HttpAnswer:
    """An HTTP answer; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    text: bytes

    @property
    def is_json(self) -> bool:
        """Tell whether the body is a JSON object, as in all our answers."""
        return self._parsed() is not None

    @property
    def body(self) -> dict[str, Any]:
        """Return the JSON object; {} if the body is not one."""
        return self._parsed() or {}

    def _parsed(self) -> dict[str, Any] | None:
        try:
            body = json.loads(self.text)
        except (ValueError, RecursionError):
            return None
        return body if isinstance(body, dict) else None

    @property
    def code(self) -> str:
        """Return the error's code; "" if the body has none."""
        error = self.body.get("error")
        code = error.get("code") if isinstance(error, dict) else None
        return code if isinstance(code, str) and re.fullmatch(r"[a-z_]{1,40}", code) else ""

    def __str__(self) -> str:
        """Describe the answer without quoting anything that may be a token."""
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
    """The server: one connection per request, no redirects, and answers of limited length."""

    def __init__(self, url: str, seconds: float = REQUEST_SECONDS) -> None:
        """Take the server's address and the time-out of a request.

        Raises:
            Problem: the address is not valid, or a password would be sent over HTTP.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise Problem(
                f"not an address: {url}; it must look like https://game.example.com"
            ) from None
        if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment:
            raise Problem("the address must look like https://game.example.com")
        if parts.scheme == "http" and host not in LOCAL:
            raise Problem("the address must begin with https://, since the test sends a password")
        self._host, self._port, self._base = host, port, parts.path.rstrip("/")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._seconds = seconds
        self.retries = 0

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> HttpAnswer:
        """Send a request, and retry it as docs/contract/http-api.md describes.

        Raises:
            Problem: every attempt failed, or got an answer that asks for a retry.
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
        raise Problem(f"{last}, in each of {ATTEMPTS} attempts")

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
            raise Problem(
                f"the server's certificate is not valid: {error.verify_message}"
            ) from None
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
    """Return the printable part of a header."""
    return re.sub(r"[^\w./;= -]", "?", text)[:80]
