"""The HTTP API of a rehearsed stage, as its players reach it."""

from local.terminal import Problem
from operate.http_client import Deployment, HttpAnswer

SECONDS = 30.0  # for a function that starts first
PASSWORD = "correct horse battery staple"  # of players who are none


class RehearsedApi(Deployment):
    """It asks once, says why a request failed, and keeps all tokens that were ever given."""

    def __init__(self, url: str) -> None:
        super().__init__(url, SECONDS)
        self.tokens: list[str] = []

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> HttpAnswer:
        """Send a request.

        Raises:
            Problem: the deployment failed; with the reason that no player is told.
        """
        answer = self.ask_once(method, path, body, **headers)
        if answer.status >= 500:
            why = answer.headers.get("x-rehearsal-error", "")
            raise Problem(f"{method} {path}: {answer} {why}".rstrip())
        names = ("access_token", "refresh_token")
        self.tokens += [answer.body[name] for name in names if name in answer.body]
        return answer
