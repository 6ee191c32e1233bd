"""Invokes the functions that run operators' commands: in AWS, or those of `make run`.

A call is sent once: whether a repetition is safe is for the command's id to say.
"""

import getpass
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.terminal import Problem

LOCAL = "local"
LOCAL_ENVIRONMENT = Path(__file__).parent.parent / ".local" / "env"
ENDPOINT, SUFFIX = "OPERATE_ENDPOINT", "OPERATE_SUFFIX"  # written by `make run`
SECONDS = 60.0
# Nothing was sent, so nothing was done.
_NOT_SENT = {"EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError"}
_NO_ANSWER = {"ReadTimeoutError", "ConnectionClosedError", "ConnectionError", "HTTPClientError"}
_NOT_SIGNED_IN = {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"}
_NOT_SIGNED_IN |= {"SSOTokenLoadError", "UnauthorizedSSOTokenError", "TokenRetrievalError"}
_NOT_SIGNED_IN |= {"LoginRefreshRequired", "LoginTokenLoadError"}
_BUSY = {"TooManyRequestsException", "ThrottlingException"}
# Lambda puts a function to sleep that nobody has called for weeks; a call wakes it up.
_ASLEEP = {"CodeArtifactUserPendingException", "ResourceConflictException"}
_ASLEEP |= {"ResourceNotReadyException"}
_DENIED = {"AccessDeniedException", "AccessDenied", "ExpiredTokenException", "ExpiredToken"}
_DENIED |= {"UnrecognizedClientException", "InvalidSignatureException", "InvalidClientTokenId"}


class NotPermitted(Problem):
    """AWS does not let this operator run the command."""


class TryAgain(Problem):
    """Nothing was done: the call did not arrive."""


class Unknown(Problem):
    """The call may have arrived, and its answer did not."""


@dataclass(frozen=True)
class Functions:
    """The functions of one stage, and who invokes them."""

    client: Any
    arn: str
    prefix: str
    suffix: str = ""

    def invoke(self, role: str, event: dict[str, Any]) -> dict[str, Any]:
        """Run a command by the function of a role, and return its answer.

        Raises:
            NotPermitted, TryAgain, Unknown, Problem: there is no answer.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        name = f"{self.prefix}operate_{role}{self.suffix}"
        try:
            done = self.client.invoke(FunctionName=name, Payload=json.dumps(event).encode())
            text = done["Payload"].read()
        except ClientError as error:
            raise _problem_of(error.response["Error"]["Code"], name) from None
        except BotoCoreError as error:
            kind = type(error).__name__
            if kind in _NOT_SENT:
                raise TryAgain(f"the function {name} cannot be reached ({kind})") from None
            raise Unknown(f"no answer from the function {name} ({kind})") from None
        if done.get("FunctionError"):
            raise Unknown(f"the function {name} failed: its log group has the reason")
        return _answer_in(text, name)


def functions_of(stage: str, region: str | None, profile: str | None) -> Functions:
    """Return the functions of a stage; `local` means those of `make run`.

    Raises:
        NotPermitted, Problem: AWS cannot be called, or `make run` is not running.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    once = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=SECONDS)
    if stage == LOCAL:
        return _local_functions(once)
    try:
        session = boto3.Session(profile_name=profile, region_name=region)
        arn = session.client("sts").get_caller_identity()["Arn"]
        client = session.client("lambda", config=once)
    except ClientError as error:
        raise NotPermitted(f"AWS refuses the credentials: {error}") from None
    except BotoCoreError as error:
        raise _before_calling(error) from None
    except ValueError as error:
        raise Problem(f"cannot call AWS: {error}") from None
    return Functions(client, arn, f"game-login-{stage}-")


def _before_calling(error: Exception) -> Problem:
    """Return why AWS did not say who calls; no command was sent."""
    kind = type(error).__name__
    if kind in _NOT_SIGNED_IN:
        return NotPermitted(f"sign in to AWS first: {error}")
    if kind in _NOT_SENT | _NO_ANSWER:
        return TryAgain(f"AWS cannot be reached: {error}")
    return Problem(f"cannot call AWS: {error}")


def _local_functions(config: Any) -> Functions:
    import boto3

    try:
        lines = LOCAL_ENVIRONMENT.read_text().splitlines()
    except OSError:
        raise Problem("the local stack is not running: start it with `make run`") from None
    found = dict(line.partition("=")[::2] for line in lines)
    if ENDPOINT not in found or SUFFIX not in found:
        raise Problem("the local stack is of another version: start it again with `make run`")
    client = boto3.client(
        "lambda",
        endpoint_url=found[ENDPOINT],
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106  # serverless offline checks none
        config=config,
    )
    return Functions(client, f"local:{_user()}", "", found[SUFFIX])


def _answer_in(text: bytes, name: str) -> dict[str, Any]:
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    part = "result" if isinstance(answer, dict) and answer.get("ok") else "error"
    if not isinstance(answer, dict) or not isinstance(answer.get(part), dict):
        raise Unknown(f"the function {name} gave no answer that this version understands")
    return answer


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return os.environ.get("USER", "unknown")


def _problem_of(code: str, name: str) -> Problem:
    if code in _DENIED:
        return NotPermitted(
            f"AWS does not let you invoke {name} ({code}): ask for the policy of that role, or sign"
            " in again"
        )
    if code in _BUSY:
        return TryAgain(f"the function {name} is busy ({code})")
    if code in _ASLEEP:
        return TryAgain(f"the function {name} was asleep and is waking up: try again in a minute")
    if code == "ResourceNotFoundException":
        return Problem(f"there is no function {name}: check the stage and the region, or deploy")
    return Unknown(f"the call of {name} failed ({code})")
