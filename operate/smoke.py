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

from local.terminal import Problem, say
from operate.http_client import Deployment
from operate.player import RemotePlayer, expect

ALL_SECONDS = 90.0
CLEANUP_SECONDS = 30.0
ALGORITHMS = ["RS256", "ES256", "EdDSA"]


class OutOfTime(Exception):
    """The clock for all steps together ran out."""


class Canary:
    """An account that exists for as long as the steps take."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._player = RemotePlayer(
            deployment, f"canary-{secrets.token_hex(8)}", secrets.token_urlsafe(24)
        )
        self.username = self._player.username
        self.may_exist = False

    def health(self) -> None:
        """The database answers."""
        answer = self._deployment.ask("GET", "/v1/health")
        if expect(200, answer).get("status") != "ok":
            raise Problem(f"{answer}, but not healthy")

    def register(self) -> None:
        """An account can be opened."""
        self.may_exist = True
        answer = self._player.register()
        expect(201, answer)
        if not self._player.id:
            raise Problem(f"{answer}, but without an account")

    def log_in(self) -> None:
        """It can sign in."""
        expect(200, self._player.log_in())

    def me(self) -> None:
        """The access token says who it is."""
        answer = self._player.me()
        account = expect(200, answer).get("account")
        if not isinstance(account, dict) or account.get("username") != self.username:
            raise Problem(f"{answer}, but it is another account")

    def refresh(self) -> None:
        """It comes back without a password, and gets a new refresh token."""
        before = self._player.refresh_token
        answer = self._player.refresh()
        expect(200, answer)
        if self._player.refresh_token == before:
            raise Problem(f"{answer}, but with the old refresh token")

    def jwks(self) -> None:
        """A game server would accept the access token."""
        published = expect(200, self._deployment.ask("GET", "/.well-known/jwks.json"))
        token = self._player.access_token
        try:
            keys = jwt.PyJWKSet.from_dict(published)
            header = jwt.get_unverified_header(token)
            claims = jwt.decode(
                token,
                keys[header.get("kid", "")],
                algorithms=ALGORITHMS,
                options={"require": ["exp", "iat", "sub"], "verify_aud": False},
                leeway=30,
            )
        except KeyError:
            raise Problem("the access token was signed with a key that is not published") from None
        except (jwt.PyJWTError, TypeError, AttributeError) as error:
            raise Problem(f"the access token does not verify: {type(error).__name__}") from None
        if header.get("typ") != "at+jwt" or claims["sub"] != self._player.id:
            raise Problem("the access token is of another kind, or somebody else's")

    def delete(self) -> None:
        """The account can be deleted. If an answer was lost, it may be gone already."""
        if not self._player.access_token:
            answer = self._player.log_in()
            if answer.code == "invalid_credentials":
                self.may_exist = False  # it was never opened
                return
            expect(200, answer)
        answer = self._player.delete()
        if answer.code == "invalid_token":
            again = self._player.log_in()
            if again.code != "invalid_credentials":
                raise Problem(f"{answer}, and signing in gives {again}")
        else:
            expect(200, answer)
        self.may_exist = False

    def gone(self) -> None:
        """Its access token is good for nothing now."""
        answer = self._player.me()
        if answer.code != "invalid_token":
            raise Problem(f"{answer}, but the account was deleted")


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


def run(deployment: Deployment, step: Callable[[], None]) -> None:
    """Do a step and print its line."""
    retries, begin = deployment.retries, time.monotonic()
    name = step.__name__
    try:
        step()
    except Problem as problem:
        raise Problem(f"{name}: {problem}") from None
    except OutOfTime:
        raise Problem(f"{name}: the time for all steps is up") from None
    more = deployment.retries - retries
    tried = f"  after {more} more attempts" if more else ""
    say(f"{name:<9} ok {(time.monotonic() - begin) * 1000:7.0f} ms{tried}")


def smoke(url: str, seconds: float) -> int:
    """Run all steps against a deployment and return how the command exits."""
    deployment = Deployment(url)
    canary = Canary(deployment)
    steps = [canary.health, canary.register, canary.log_in, canary.me, canary.refresh, canary.jwks]
    failures = attempt(deployment, [*steps, canary.delete, canary.gone], seconds)
    if canary.may_exist:
        failures += attempt(deployment, [canary.delete], CLEANUP_SECONDS)
    if canary.may_exist:
        failures.append(f"the account {canary.username} may be left over")
    for text in failures:
        say(f"FAILED    {text}")
    return 1 if failures else 0


def attempt(deployment: Deployment, steps: list[Callable[[], None]], seconds: float) -> list[str]:
    """Run steps until one fails, and return why."""
    try:
        with time_limit(seconds):
            for step in steps:
                run(deployment, step)
    except Problem as problem:
        return [str(problem)]
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
    except Problem as problem:
        say(f"FAILED    {problem}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
