"""Rotates the token keys of a deployment: `make rotate-token-keys STAGE=prod`.

Players notice nothing, since it takes three steps: publish the next keys, wait until all functions
and game servers have them, then use them. It may be stopped at any time; the next run continues.
It never overwrites a change that was made to the secret meanwhile.
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
CLAIM = "GAMELOGIN_NEXT"  # the label of a value that is about to become current
TALK_SECONDS = 60.0
SOON_SECONDS = 10.0
CHANGED = "the token keys were changed by another run meanwhile: nothing was done; run it again"


class Secret:
    """The token secret, read and replaced as a whole."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name

    def read(self) -> tuple[Value, str, datetime]:
        """Return the value, its version, and the time by AWS's clock.

        Raises:
            Problem: the secret cannot be read.
        """
        answer = self._ask("get_secret_value", VersionStage="AWSCURRENT")
        try:
            value = json.loads(answer["SecretString"])
            schedule_of(value)
        except (ValueError, KeyError, msgspec.MsgspecError) as error:  # they quote no values
            raise Problem(f"the secret {self._name} is malformed: {error}") from None
        date = answer["ResponseMetadata"]["HTTPHeaders"]["date"]
        return value, answer["VersionId"], parsedate_to_datetime(date).astimezone(UTC)

    def replace(self, value: Value, instead_of: str) -> None:
        """Make this the current value, if the version `instead_of` still is current.

        Raises:
            Problem: another version is current by now, or the call failed.
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
            # The first attempt may have succeeded with its answer lost: then the value is current.
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
            raise Problem(f"cannot call AWS: {error}") from None
        return answer

    def _explained(self, operation: str, cause: str) -> str:
        if cause == "ResourceNotFoundException":
            region = self._client.meta.region_name
            return (
                f"the secret {self._name} in {region} does not exist or has no keys: check STAGE="
                " and REGION=, and that the stage is deployed and migrated"
            )
        if operation == "update_secret_version_stage" and cause.startswith("Invalid"):
            return CHANGED
        return f"AWS refused {operation} on {self._name}: {cause}"


def rotate(
    secret: Secret,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
    kind: str | None = None,
) -> None:
    """Rotate the keys, or continue an earlier run that was stopped.

    Without `kind`, the next signing key has the kind of the current one.

    Raises:
        Problem: the rotation failed; the existing keys stay valid.
    """
    value, version, now = secret.read()
    if schedule_of(value).next is None:
        value = publish(_tidied(value, now), now, kind)
        secret.replace(value, version)
        say("published the next keys; new tokens still use the current ones")
        value, version, now = secret.read()
    else:
        _refuse_other_kind(value, kind)
        say("the next keys are published already: continuing that rotation")
    published = schedule_of(value).next
    assert published, "just seen"
    _wait((published.at + PUBLISHED - now).total_seconds(), sleep, monotonic)
    value, version, now = secret.read()
    if schedule_of(value).next != published or now < published.at + PUBLISHED:
        raise Problem(CHANGED)
    secret.replace(switch(value, now), version)
    algorithm = ring_of(value).signing_keys[published.signing].algorithm
    say(f"now in use: {published.mac} and {published.signing} ({algorithm})")
    say(
        f"tokens of the previous keys stay valid, for up to {KEPT['mac'].days} days; a later run"
        " deletes these keys (TIDY=yes does nothing else)"
    )


def drop_old(secret: Secret) -> None:
    """Delete the keys with no valid tokens left, and do nothing else.

    Raises:
        Problem: the secret cannot be read or changed.
    """
    value, version, now = secret.read()
    tidied = _tidied(value, now)
    if tidied != value:
        secret.replace(tidied, version)
    left = schedule_of(tidied).retired
    say(
        f"kept, since their tokens may still be valid: {', '.join(sorted(left))}"
        if left
        else "no previous key is left"
    )


def _refuse_other_kind(value: Value, kind: str | None) -> None:
    published = schedule_of(value).next
    assert published, "just seen"
    there = ring_of(value).signing_keys[published.signing].kind
    if kind and kind != there:
        raise Problem(
            f"{published.signing} is published already with the kind {there}: finish that"
            f" rotation without KIND=, then rotate again with KIND={kind}"
        )


def rotate_at_once(
    secret: Secret, stage: str, confirm: Callable[[str], str], kind: str | None = None
) -> None:
    """Replace all keys after one has leaked. Ends every session.

    Raises:
        Problem: it was not confirmed, or the secret cannot be changed.
    """
    say(f"This replaces all token keys of {stage} at once. Do it after a key has leaked.")
    say("Every session ends: each player has to sign in again with the password.")
    say("Functions stop accepting the old keys within five minutes, game servers within ten.")
    if confirm(f"Type {stage} to do it: ").strip() != stage:
        raise Problem("not confirmed: nothing was done")
    value, version, now = secret.read()
    secret.replace(replace_all(value, now, kind), version)
    say("done: all keys are new, and the old ones are deleted")


def _tidied(value: Value, now: datetime) -> Value:
    tidied = tidy(value, now)
    gone = {*value["mac_keys"], *value["signing_keys"]}
    gone -= {*tidied["mac_keys"], *tidied["signing_keys"]}
    if gone:
        say(f"deleted, since all their tokens have expired: {', '.join(sorted(gone))}")
    return tidied


def _wait(seconds: float, sleep: Callable[[float], None], monotonic: Callable[[], float]) -> None:
    """Wait, and print the remaining time now and then."""
    end = monotonic() + seconds
    if seconds > 0:
        say("waiting until all functions and game servers have the next keys (Ctrl-C is safe)")
    while (left := end - monotonic()) > 0:
        say(f"  {timedelta(seconds=round(left))} to go")
        sleep(min(left, TALK_SECONDS if left > TALK_SECONDS else SOON_SECONDS))
    if seconds > 0:
        sleep(1.0)  # AWS gives its time in whole seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="operate.token_keys", description=__doc__)
    parser.add_argument("--stage", required=True)
    parser.add_argument("--region")
    parser.add_argument("--kind", help=f"the kind of the next signing key: {', '.join(ALGORITHMS)}")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--tidy", action="store_true", help="only delete keys no longer needed")
    how.add_argument(
        "--emergency", action="store_true", help="replace all keys; ends every session"
    )
    options = parser.parse_args(arguments)
    if not options.stage:
        parser.error("STAGE is missing: make rotate-token-keys STAGE=prod")
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
        sys.stderr.write("\nstopped; all keys in use stay valid. Run it again to continue.\n")
        return 130
    return 0


def _kind(named: str | None, *, tidy: bool) -> str | None:
    """Return the kind from the command line, checked."""
    if named is None:
        return None
    if tidy:
        raise Problem("KIND= is for new keys, but TIDY=yes makes none: leave one of them out")
    if named.lower() not in ALGORITHMS:
        raise Problem(f"KIND={named}: no such kind of key; use one of {', '.join(ALGORITHMS)}")
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
        raise Problem(f"cannot call AWS: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
