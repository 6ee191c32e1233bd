"""Rotates the token keys of a deployment: `make rotate-token-keys STAGE=prod`.

In three steps, so that nobody notices: publish the next keys, wait until everybody knows them, use
them. It may be stopped anywhere; the next run goes on where this one was. Nothing is written over
what somebody else wrote meanwhile.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from auth.credentials.keys import ALGORITHMS
from local.terminal import Problem, say
from operate.key_schedule import (
    KEPT,
    PUBLISHED,
    Value,
    publish,
    replace_all,
    ring_of,
    schedule_of,
    switch,
    tidy,
)

DEFAULT_REGION = "us-east-1"  # as in serverless.yml
CLAIM = "GAMELOGIN_NEXT"  # the label of a value that is about to become the current one
TALK_SECONDS = 60.0
SOON_SECONDS = 10.0


class Secret:
    """The token secret, read and replaced as a whole."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name

    def read(self) -> tuple[Value, str, datetime]:
        """Return the value, its version, and what time it is by the clock of AWS.

        Raises:
            Problem: it cannot be read.
        """
        answer = self._ask("get_secret_value", VersionStage="AWSCURRENT")
        try:
            value = json.loads(answer["SecretString"])
            schedule_of(value)
        except (ValueError, KeyError, msgspec.MsgspecError) as error:  # they quote no values
            raise Problem(f"{self._name} is not what it should be: {error}") from None
        date = answer["ResponseMetadata"]["HTTPHeaders"]["date"]
        return value, answer["VersionId"], parsedate_to_datetime(date).astimezone(UTC)

    def replace(self, value: Value, instead_of: str) -> None:
        """Make this the current value, if the current version still is the one given.

        Raises:
            Problem: it is not, or it cannot be done.
        """
        put = self._ask("put_secret_value", SecretString=json.dumps(value), VersionStages=[CLAIM])
        try:
            self._ask(
                "update_secret_version_stage",
                VersionStage="AWSCURRENT",
                MoveToVersionId=put["VersionId"],
                RemoveFromVersionId=instead_of,
            )
        except Problem:
            # The answer to a first try may have been lost: then it is there.
            if self.read()[1] != put["VersionId"]:
                raise

    def _ask(self, operation: str, **parameters: object) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer: dict[str, Any] = getattr(self._client, operation)(
                SecretId=self._name, **parameters
            )
        except ClientError as error:
            cause = error.response.get("Error", {}).get("Code", "unknown")
            raise Problem(self._explained(operation, cause)) from None
        except BotoCoreError as error:
            raise Problem(f"AWS cannot be asked: {error}") from None
        return answer

    def _explained(self, operation: str, cause: str) -> str:
        if cause == "ResourceNotFoundException":
            region = self._client.meta.region_name
            return (
                f"there are no keys in {self._name} in {region}: is that the stage and the region"
                " (REGION=...), and has it been deployed and migrated?"
            )
        if operation == "update_secret_version_stage" and cause.startswith("Invalid"):
            return "somebody else changed the token keys meanwhile: nothing was done; run it again"
        return f"{self._name}: {cause}"


def rotate(
    secret: Secret,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
    kind: str | None = None,
) -> None:
    """Rotate the keys, going on where an earlier run was stopped.

    The next signing key is of the kind named, or else of the current one's.

    Raises:
        Problem: it cannot be done; the keys that are there stay good.
    """
    value, version, now = secret.read()
    if schedule_of(value).next is None:
        value = publish(_tidied(value, now), now, kind)
        secret.replace(value, version)
        say("published the next keys; the current ones go on making tokens")
        value, version, now = secret.read()
    else:
        _refuse_other_kind(value, kind)
        say("the next keys are published already: going on from there")
    published = schedule_of(value).next
    assert published, "just seen"
    _wait((published.at + PUBLISHED - now).total_seconds(), sleep, monotonic)
    value, version, now = secret.read()
    if schedule_of(value).next != published or now < published.at + PUBLISHED:
        raise Problem("somebody else changed the token keys meanwhile: nothing was done")
    secret.replace(switch(value, now), version)
    algorithm = ring_of(value).signing_keys[published.signing].algorithm
    say(f"now in use: {published.mac} and {published.signing} ({algorithm})")
    say(
        f"the previous keys stay good for what they made, {KEPT['mac'].days} days at most; a later"
        " run drops them (TIDY=yes does only that)"
    )


def drop_old(secret: Secret) -> None:
    """Drop the keys whose tokens have run out, and do nothing else.

    Raises:
        Problem: it cannot be done.
    """
    value, version, now = secret.read()
    tidied = _tidied(value, now)
    if tidied != value:
        secret.replace(tidied, version)
    left = schedule_of(tidied).retired
    say(f"kept for now: {', '.join(sorted(left))}" if left else "no previous key is left")


def _refuse_other_kind(value: Value, kind: str | None) -> None:
    published = schedule_of(value).next
    assert published, "just seen"
    there = ring_of(value).signing_keys[published.signing].kind
    if kind and kind != there:
        raise Problem(
            f"{published.signing} is published already and is of the kind {there}: finish that"
            f" rotation without KIND=, then rotate again with KIND={kind}"
        )


def rotate_at_once(
    secret: Secret, stage: str, confirm: Callable[[str], str], kind: str | None = None
) -> None:
    """Replace all keys: for a key that has leaked. Ends every session.

    Raises:
        Problem: it was not confirmed, or cannot be done.
    """
    say(f"This replaces all token keys of {stage} at once, for a key that has leaked.")
    say("Every session ends: each player has to sign in again, with the password.")
    say("Functions forget the old keys within five minutes, game servers within ten.")
    if confirm(f"Type {stage} to do it: ").strip() != stage:
        raise Problem("not confirmed: nothing was done")
    value, version, now = secret.read()
    secret.replace(replace_all(value, now, kind), version)
    say("done: no key of before is left.")


def _tidied(value: Value, now: datetime) -> Value:
    tidied = tidy(value, now)
    gone = {*value["mac_keys"], *value["signing_keys"]}
    gone -= {*tidied["mac_keys"], *tidied["signing_keys"]}
    if gone:
        say(f"dropped, since all they made has run out: {', '.join(sorted(gone))}")
    return tidied


def _wait(seconds: float, sleep: Callable[[float], None], monotonic: Callable[[], float]) -> None:
    """Wait, saying from time to time how long still."""
    end = monotonic() + seconds
    if seconds > 0:
        say("waiting until all functions and game servers know them; Ctrl-C is safe")
    while (left := end - monotonic()) > 0:
        say(f"  {timedelta(seconds=round(left))} to go")
        sleep(min(left, TALK_SECONDS if left > TALK_SECONDS else SOON_SECONDS))
    if seconds > 0:
        sleep(1.0)  # the clock of AWS is told in whole seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="operate.token_keys", description=__doc__)
    parser.add_argument("--stage", required=True)
    parser.add_argument("--region")
    parser.add_argument("--kind", help=f"of the next signing key: {', '.join(ALGORITHMS)}")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--tidy", action="store_true", help="only drop keys that are no longer needed")
    how.add_argument("--emergency", action="store_true", help="replace all: ends every session")
    options = parser.parse_args(arguments)
    if not options.stage:
        parser.error("which stage? make rotate-token-keys STAGE=prod")
    try:
        kind = _kind(options.kind, tidy=options.tidy)
        secret = Secret(_client(options.region), f"game-login/{options.stage}/tokens")
        if options.emergency:
            rotate_at_once(secret, options.stage, input, kind)
        elif options.tidy:
            drop_old(secret)
        else:
            rotate(secret, kind=kind)
    except Problem as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    except (KeyboardInterrupt, EOFError):
        sys.stderr.write("\nstopped; all keys in use stay good. Run it again to go on.\n")
        return 130
    return 0


def _kind(named: str | None, *, tidy: bool) -> str | None:
    """Return the kind that was asked for, if one was."""
    if named is None:
        return None
    if tidy:
        raise Problem("KIND= is for new keys, and TIDY=yes makes none: leave one of them out")
    if named.lower() not in ALGORITHMS:
        raise Problem(f"KIND={named}: there is no such kind; take one of {', '.join(ALGORITHMS)}")
    return named.lower()


def _client(region: str | None) -> Any:
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        session = boto3.Session()
        return session.client(
            "secretsmanager",
            region_name=region
            or os.environ.get("AWS_REGION")
            or session.region_name
            or DEFAULT_REGION,
        )
    except (BotoCoreError, ValueError) as error:
        raise Problem(f"AWS cannot be asked: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
