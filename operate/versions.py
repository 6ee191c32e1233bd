"""Prints the live version or the URL of a stage in AWS, as a workflow's output: `version=7`."""

import argparse
import sys
from typing import Any

import boto3

ALIAS = "live"  # points to the version that players reach


def live_version(client: Any, stage: str) -> str:
    """Return the version that players reach; "" before the first deployment."""
    try:
        alias = client.get_alias(FunctionName=f"game-login-{stage}-http", Name=ALIAS)
    except client.exceptions.ResourceNotFoundException:
        return ""
    return str(alias["FunctionVersion"])


def url(client: Any, stage: str) -> str:
    """Return the address for players: the gateway's own, or the custom domain."""
    (stack,) = client.describe_stacks(StackName=f"game-login-{stage}")["Stacks"]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])}
    if "BaseUrl" not in outputs:
        raise SystemExit(f"the stack game-login-{stage} has no output BaseUrl: deploy it again")
    return str(outputs["BaseUrl"])


def main() -> None:
    """Print the version or the URL, as the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["version", "url"])
    parser.add_argument("--stage", required=True)
    arguments = parser.parse_args()
    if arguments.what == "version":
        answer = live_version(boto3.client("lambda"), arguments.stage)
    else:
        answer = url(boto3.client("cloudformation"), arguments.stage)
    sys.stdout.write(f"{arguments.what}={answer}\n")


if __name__ == "__main__":
    main()
