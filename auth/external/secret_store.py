"""AWS Secrets Manager: reads a secret, checks its form, and names the fault if it has one.

It writes in two cases only: the first value of an empty secret, and the versions of a rotation.

The users of a secret cache it, since each knows when its own copy is out of date.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from auth.errors import Unavailable

T = TypeVar("T")

START_SECONDS = 3.0  # of a request; a read started later might exceed Lambda's 10 s
FIRST_VERSION = "00000000-0000-4000-8000-000000000001"  # the id of a value put by `fill`
DOWN_SECONDS = 2.0  # after a failed call, for so long no other call is made


@dataclass(frozen=True)
class Versions:
    """The description of a secret: its versions and labels, without values."""

    arn: str
    rotates: bool
    stages: Mapping[str, list[str]]

    def with_stage(self, stage: str) -> str | None:
        """Return the version that has this label."""
        return next((version for version, found in self.stages.items() if stage in found), None)


class SecretStore:
    """Reads secrets; one per process, since its client keeps connections open."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._client: Any = None
        self._loader: Any = None
        self._down_until = 0.0
        self._latest = math.inf

    def prepare(self) -> None:
        """Load botocore and create its client while Lambda runs the start-up at full speed.

        Mistakes in AWS's own settings show at the first read.
        """
        from botocore.exceptions import BotoCoreError

        with suppress(BotoCoreError):
            self._connected()

    def forget(self) -> None:
        """Drop the client, its connections and AWS credentials; the next use creates another."""
        self._client = None

    @contextmanager
    def budget(self, seconds: float) -> Iterator[None]:
        """Start no read later than `seconds` from now; without a budget there is no limit."""
        before, self._latest = self._latest, self._monotonic() + seconds
        try:
            yield
        finally:
            self._latest = before

    def read(self, secret_id: str, form: type[T], stage: str = "AWSCURRENT") -> T:
        """Return the secret's current value (or that of another `stage`) as a `form`.

        Raises:
            Unavailable: the secret cannot be read, or has another form; the log text names the
                secret and the field, never a value.
        """
        text = self._text(secret_id, stage)
        try:
            return msgspec.json.decode(text, type=form, strict=False)
        except msgspec.ValidationError as error:
            raise Unavailable(f"secret {secret_id} ({stage}): {error}") from None
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise Unavailable(f"secret {secret_id} ({stage}) is not JSON") from None

    def fill(self, secret_id: str, make_value: Callable[[], Mapping[str, object]]) -> bool:
        """Put the first value into an empty secret; return whether this call did it.

        Needs no permission to read the secret. Of several simultaneous calls the first one wins:
        all use the same version id, and Secrets Manager never changes an existing version.

        Raises:
            Unavailable: Secrets Manager cannot be reached, or refuses.
        """
        if self.versions(secret_id).with_stage("AWSCURRENT"):
            return False
        return self._put(secret_id, make_value(), FIRST_VERSION, "AWSCURRENT")

    def versions(self, secret_id: str) -> Versions:
        """Return the secret's versions, and whether its rotation is turned on.

        Raises:
            Unavailable: Secrets Manager cannot be reached, or refuses.
        """
        found = self._ask(secret_id, "describe_secret")
        # The field is missing while a rotation is being set up, so missing does not mean "off".
        rotates = found.get("RotationEnabled", True)
        return Versions(found["ARN"], rotates, found.get("VersionIdsToStages", {}))

    def created_at(self, secret_id: str) -> datetime:
        """Return the creation time of the current value.

        Raises:
            Unavailable: Secrets Manager cannot be reached, or refuses.
        """
        found = self._ask(secret_id, "get_secret_value", VersionStage="AWSCURRENT")
        moment: datetime = found["CreatedDate"]
        return moment

    def has_value(self, secret_id: str, version: str) -> bool:
        """Tell whether a version has a value yet; a rotation begins with an empty version.

        Raises:
            Unavailable: Secrets Manager cannot be reached, or refuses.
        """
        answer = self._ask(
            secret_id, "get_secret_value", allowed="ResourceNotFoundException", VersionId=version
        )
        return "SecretString" in answer

    def put_pending(self, secret_id: str, version: str, value: Mapping[str, object]) -> bool:
        """Give the version its value and the label AWSPENDING; False: it has a value already.

        Raises:
            Unavailable: Secrets Manager cannot be reached, or refuses.
        """
        return self._put(secret_id, value, version, "AWSPENDING")

    def promote(self, secret_id: str, version: str, instead_of: str) -> None:
        """Move AWSCURRENT to a version, if the version `instead_of` still has it.

        Raises:
            Unavailable: another version has it by now, or the call failed.
        """
        self._ask(
            secret_id,
            "update_secret_version_stage",
            VersionStage="AWSCURRENT",
            MoveToVersionId=version,
            RemoveFromVersionId=instead_of,
        )

    def _put(self, secret_id: str, value: Mapping[str, object], version: str, stage: str) -> bool:
        """Add a version; False: it exists already, and versions cannot be changed."""
        answer = self._ask(
            secret_id,
            "put_secret_value",
            allowed="ResourceExistsException",
            SecretString=json.dumps(value),
            ClientRequestToken=version,
            VersionStages=[stage],
        )
        return bool(answer)

    def _ask(
        self, secret_id: str, operation: str, *, allowed: str = "", **parameters: object
    ) -> dict[str, Any]:
        """Return Secrets Manager's answer, or {} if it gives the allowed error."""
        from botocore.exceptions import BotoCoreError, ClientError

        call = getattr(self._connected(), operation)
        try:
            answer: dict[str, Any] = call(SecretId=secret_id, **parameters)
        except ClientError as error:
            cause = error.response.get("Error", {}).get("Code", "unknown")
            if cause == allowed:
                return {}
            raise Unavailable(f"secret {secret_id}: {cause}") from None
        except BotoCoreError as error:
            raise Unavailable(f"secret {secret_id}: {type(error).__name__}") from None
        return answer

    def _text(self, secret_id: str, stage: str) -> str:
        from botocore.exceptions import BotoCoreError, ClientError

        if self._monotonic() > self._latest:
            raise Unavailable(f"secret {secret_id} ({stage}): no time left to read it")
        if self._monotonic() < self._down_until:
            raise Unavailable(f"secret {secret_id} ({stage}): AWS was just out of reach")
        try:
            answer = self._connected().get_secret_value(SecretId=secret_id, VersionStage=stage)
        except ClientError as error:
            cause = error.response.get("Error", {}).get("Code", "unknown")
            raise Unavailable(f"secret {secret_id} ({stage}): {cause}") from None
        except BotoCoreError as error:
            cause = type(error).__name__
            self._down_until = self._monotonic() + DOWN_SECONDS
            raise Unavailable(f"secret {secret_id} ({stage}): {cause}") from None
        if "SecretString" not in answer:
            raise Unavailable(f"secret {secret_id} ({stage}) is binary, not text")
        return str(answer["SecretString"])

    def _connected(self) -> Any:
        """Return the client, created once."""
        if self._client is None:
            from auth.external.secrets_client import OneService, new_client

            # The loader keeps botocore's parsed files: most of the work of creating a client.
            self._loader = self._loader or OneService()
            self._client = new_client(self._loader)
        return self._client
