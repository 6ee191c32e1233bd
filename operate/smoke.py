"""`make smoke URL=https://...`: tests a deployment as a player would use it.

It registers a canary account, signs in, refreshes the session, and always deletes the account, even
after a failure. It prints no passwords or tokens: each step has a line with its name and its time,
and a failure has a status, a code and a request id.
"""

import argparse
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import jwt

from local.terminal import Problem, say
from operate.http_client import Deployment
from operate.player import RemotePlayer, expect

ALL_SECONDS = 90.0
CLEANUP_SECONDS = 30.0
TIME_IS_UP = "the time for all steps is up (--seconds gives more)"
ALGORITHMS = ["RS256", "ES256", "EdDSA"]


class OutOfTime(Exception):
    """The time limit for all steps together is reached."""


class Canary:
    """An account that exists only during the test."""

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
            raise Problem(f"{answer}, but its `status` is not `ok`")

    def register(self) -> None:
        """An account can be registered."""
        self.may_exist = True
        answer = self._player.register()
        expect(201, answer)
        if not self._player.id:
            raise Problem(f"{answer}, but without an account id")

    def log_in(self) -> None:
        """The account can sign in."""
        expect(200, self._player.log_in())

    def me(self) -> None:
        """The access token identifies the account."""
        answer = self._player.me()
        account = expect(200, answer).get("account")
        if not isinstance(account, dict) or account.get("username") != self.username:
            raise Problem(f"{answer}, but with another account")

    def refresh(self) -> None:
        """The session can be refreshed, with a new refresh token."""
        before = self._player.refresh_token
        answer = self._player.refresh()
        expect(200, answer)
        if self._player.refresh_token == before:
            raise Problem(f"{answer}, but with the old refresh token")

    def jwks(self) -> None:
        """The published keys verify the access token."""
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
            raise Problem("the access token has a wrong type, or belongs to another account")

    def delete(self) -> None:
        """The account can be deleted. If an answer was lost, it may already be deleted."""
        if not self._player.access_token:
            answer = self._player.log_in()
            if answer.code == "invalid_credentials":
                self.may_exist = False  # it was never registered
                return
            expect(200, answer)
        answer = self._player.delete()
        if answer.code == "invalid_token":
            again = self._player.log_in()
            if again.code != "invalid_credentials":
                raise Problem(f"{answer}, but signing in gives {again}")
        else:
            expect(200, answer)
        self.may_exist = False

    def gone(self) -> None:
        """The access token is no longer accepted."""
        answer = self._player.me()
        if answer.code != "invalid_token":
            raise Problem(f"{answer}, but expected invalid_token, since the account was deleted")


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Interrupt the code inside after some seconds, even while it waits."""

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
    """Run a step and print its line."""
    retries, begin = deployment.retries, time.monotonic()
    name = step.__name__
    try:
        step()
    except Problem as problem:
        raise Problem(f"{name}: {problem}") from None
    except OutOfTime:
        raise Problem(f"{name}: {TIME_IS_UP}") from None
    more = deployment.retries - retries
    tried = f"  after {more} {'retry' if more == 1 else 'retries'}" if more else ""
    say(f"{name:<9} ok {(time.monotonic() - begin) * 1000:7.0f} ms{tried}")


def smoke(url: str, seconds: float) -> int:
    """Run all steps against a deployment and return the exit status."""
    deployment = Deployment(url)
    canary = Canary(deployment)
    steps = [canary.health, canary.register, canary.log_in, canary.me, canary.refresh, canary.jwks]
    failures = attempt(deployment, [*steps, canary.delete, canary.gone], seconds)
    if canary.may_exist:
        failures += attempt(deployment, [canary.delete], CLEANUP_SECONDS)
    if canary.may_exist:
        failures.append(
            f"the account {canary.username} may be left over: delete it (docs/run/support.md)"
        )
    for text in failures:
        say(f"FAILED    {text}")
    return 1 if failures else 0


def attempt(deployment: Deployment, steps: list[Callable[[], None]], seconds: float) -> list[str]:
    """Run steps until one fails; return the failure, if any."""
    try:
        with time_limit(seconds):
            for step in steps:
                run(deployment, step)
    except Problem as problem:
        return [str(problem)]
    except OutOfTime:
        return [TIME_IS_UP]
    return []


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="make smoke URL=https://...", description=__doc__)
    parser.add_argument("url", help="the deployment's address, as `serverless info` shows it")
    parser.add_argument(
        "--seconds", type=float, default=ALL_SECONDS, help="time limit for all steps together"
    )
    options = parser.parse_args(arguments)
    try:
        return smoke(options.url, options.seconds)
    except Problem as problem:
        say(f"FAILED    {problem}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
