"""The HTTP API of a rehearsed stage, as players use it."""

from local.terminal import Problem
from operate.http_client import Deployment, HttpAnswer

SECONDS = 30.0  # includes the start of a function
PASSWORD = "correct horse battery staple"  # of rehearsed players


class RehearsedApi(Deployment):
    """Sends each request once, reports the reason of a failure, and keeps all issued tokens."""

    def __init__(self, url: str) -> None:
        super().__init__(url, SECONDS)
        self.tokens: list[str] = []

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> HttpAnswer:
        """Send a request.

        Raises:
            Problem: the answer was 5xx; names the reason that players do not see.
        """
        answer = self.ask_once(method, path, body, **headers)
        if answer.status >= 500:
            why = answer.headers.get("x-rehearsal-error", "")
            raise Problem(f"{method} {path}: {answer} {why}".rstrip())
        names = ("access_token", "refresh_token")
        self.tokens += [answer.body[name] for name in names if name in answer.body]
        return answer
