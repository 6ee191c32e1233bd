"""`make smoke URL=https://...`: does a deployment work, as a player would see it?

A canary account is registered, signs in, comes back by its refresh token, and is deleted, whatever
happened in between. Nothing that could sign anybody in is printed: a step's line has its name and
its time, a failure has a status, a code and a request id.
"""

import argparse
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import jwt

from deploy.http_client import Answer, Failure, Server

ALL_SECONDS = 90.0
CLEANUP_SECONDS = 30.0
ALGORITHMS = ["RS256", "ES256", "EdDSA"]


class OutOfTime(Exception):
    """The clock for all steps together ran out."""


class Canary:
    """An account that exists for as long as the steps take."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.username = f"canary-{secrets.token_hex(8)}"
        self._password = secrets.token_urlsafe(24)
        self._id = ""
        self._access_token = ""
        self._refresh_token = ""
        self.may_exist = False

    def health(self) -> None:
        """The database answers."""
        answer = self._expect(200, self._server.ask("GET", "/v1/health"))
        if answer.body.get("status") != "ok":
            raise Failure(f"{answer}, but not healthy")

    def register(self) -> None:
        """An account can be opened; a lost answer does not make its name taken."""
        key = secrets.token_hex(16)
        self.may_exist = True
        answer = self._server.ask("POST", "/v1/register", self._credentials(), Idempotency_Key=key)
        self._keep(self._expect(201, answer))
        if not self._id:
            raise Failure(f"{answer}, but without an account")

    def log_in(self) -> None:
        """It can sign in."""
        answer = self._server.ask("POST", "/v1/login", self._credentials())
        self._keep(self._expect(200, answer))

    def me(self) -> None:
        """The access token says who it is."""
        answer = self._expect(200, self._server.ask("GET", "/v1/me", **self._bearer()))
        account = answer.body.get("account")
        if not isinstance(account, dict) or account.get("username") != self.username:
            raise Failure(f"{answer}, but it is another account")

    def refresh(self) -> None:
        """It comes back without a password, and gets a new refresh token."""
        before = self._refresh_token
        answer = self._server.ask(
            "POST",
            "/v1/refresh",
            {"refresh_token": before},
            Idempotency_Key=secrets.token_hex(16),
        )
        self._keep(self._expect(200, answer))
        if self._refresh_token == before:
            raise Failure(f"{answer}, but with the old refresh token")

    def jwks(self) -> None:
        """A game server would accept the access token."""
        answer = self._expect(200, self._server.ask("GET", "/.well-known/jwks.json"))
        try:
            keys = jwt.PyJWKSet.from_dict(answer.body)
            header = jwt.get_unverified_header(self._access_token)
            claims = jwt.decode(
                self._access_token,
                keys[header.get("kid", "")],
                algorithms=ALGORITHMS,
                options={"require": ["exp", "iat", "sub"], "verify_aud": False},
                leeway=30,
            )
        except KeyError:
            raise Failure("the access token was signed with a key that is not published") from None
        except (jwt.PyJWTError, TypeError, AttributeError) as error:
            raise Failure(f"the access token does not verify: {type(error).__name__}") from None
        if header.get("typ") != "at+jwt" or claims["sub"] != self._id:
            raise Failure("the access token is of another kind, or somebody else's")

    def delete(self) -> None:
        """The account can be deleted. Where an answer was lost, it may be gone already."""
        if not self._access_token:
            answer = self._server.ask("POST", "/v1/login", self._credentials())
            if answer.code == "invalid_credentials":
                self.may_exist = False  # it was never opened
                return
            self._keep(self._expect(200, answer))
        body = {"password": self._password}
        answer = self._server.ask("POST", "/v1/me/delete", body, **self._bearer())
        if answer.code == "invalid_token":
            again = self._server.ask("POST", "/v1/login", self._credentials())
            if again.code != "invalid_credentials":
                raise Failure(f"{answer}, and signing in gives {again}")
        else:
            self._expect(200, answer)
        self.may_exist = False

    def gone(self) -> None:
        """Its access token is good for nothing now."""
        answer = self._server.ask("GET", "/v1/me", **self._bearer())
        if answer.code != "invalid_token":
            raise Failure(f"{answer}, but the account was deleted")

    def _credentials(self) -> dict[str, str]:
        return {"username": self.username, "password": self._password, "device": "smoke test"}

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._access_token}"}

    @staticmethod
    def _expect(status: int, answer: Answer) -> Answer:
        if answer.status != status or not answer.is_json:
            raise Failure(f"{answer}, where {status} with a JSON object was expected")
        return answer

    def _keep(self, answer: Answer) -> None:
        body = answer.body
        access, refresh = body.get("access_token"), body.get("refresh_token")
        account = body.get("account")
        if not (isinstance(access, str) and isinstance(refresh, str) and isinstance(account, dict)):
            raise Failure(f"{answer}, but without a session")
        self._access_token, self._refresh_token = access, refresh
        self._id = str(account.get("id", ""))


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """End what runs inside after some seconds, whatever it waits for."""

    def end(*_: object) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def say(line: str) -> None:
    """Print a line now: a job's log is read while it runs."""
    print(line, flush=True)  # noqa: T201


def run(server: Server, step: Callable[[], None]) -> None:
    """Do a step and print its line."""
    retries, begin = server.retries, time.monotonic()
    name = step.__name__
    try:
        step()
    except Failure as failure:
        raise Failure(f"{name}: {failure}") from None
    except OutOfTime:
        raise Failure(f"{name}: the time for all steps is up") from None
    more = server.retries - retries
    tried = f"  after {more} more attempts" if more else ""
    say(f"{name:<9} ok {(time.monotonic() - begin) * 1000:7.0f} ms{tried}")


def smoke(url: str, seconds: float) -> int:
    """Run all steps against a deployment and return how the command exits."""
    server = Server(url)
    canary = Canary(server)
    steps = [canary.health, canary.register, canary.log_in, canary.me, canary.refresh, canary.jwks]
    failures = attempt(server, [*steps, canary.delete, canary.gone], seconds)
    if canary.may_exist:
        failures += attempt(server, [canary.delete], CLEANUP_SECONDS)
    if canary.may_exist:
        failures.append(f"the account {canary.username} may be left over")
    for text in failures:
        say(f"FAILED    {text}")
    return 1 if failures else 0


def attempt(server: Server, steps: list[Callable[[], None]], seconds: float) -> list[str]:
    """Run steps until one fails, and return why."""
    try:
        with time_limit(seconds):
            for step in steps:
                run(server, step)
    except Failure as failure:
        return [str(failure)]
    except OutOfTime:
        return ["the time for all steps is up"]
    return []


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make smoke URL=https://...", description=__doc__)
    parser.add_argument("url", help="where the deployment answers; `serverless info` shows it")
    parser.add_argument("--seconds", type=float, default=ALL_SECONDS, help="for all steps together")
    arguments = parser.parse_args()
    try:
        return smoke(arguments.url, arguments.seconds)
    except Failure as failure:
        say(f"FAILED    {failure}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
