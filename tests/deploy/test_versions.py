"""The queries of a workflow before and after a deployment, with moto instead of AWS."""

import io
import json
import sys
import zipfile
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from operate import versions

REGION = "eu-central-1"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Provide an empty account."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name, value in (
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", "stand-in"),
        ("AWS_SECRET_ACCESS_KEY", "stand-in"),
    ):
        monkeypatch.setenv(name, value)
    with mock_aws():
        yield


def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], what: str) -> str:
    """Run the command."""
    monkeypatch.setattr(sys, "argv", ["versions", what, "--stage", "dev"])
    versions.main()
    return capsys.readouterr().out


def deploy_twice() -> None:
    """Create two versions of the function, with the first live."""
    trust = {"Version": "2012-10-17", "Statement": []}
    role = boto3.client("iam").create_role(
        RoleName="http", AssumeRolePolicyDocument=json.dumps(trust)
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("handler.py", "")
    client = boto3.client("lambda")
    name = "game-login-dev-http"
    client.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Handler="handler.http",
        Role=role["Role"]["Arn"],
        Code={"ZipFile": buffer.getvalue()},
        Publish=True,
    )
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    client.publish_version(FunctionName=name)


@pytest.mark.usefixtures("aws")
def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The live version is printed, not the newest; before the first deployment, none is."""
    assert ask(monkeypatch, capsys, "version") == "version=\n"
    deploy_twice()
    assert ask(monkeypatch, capsys, "version") == "version=1\n"


@pytest.mark.usefixtures("aws")
def test_url(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The address is the stack's output, since a custom domain disables the gateway's own."""
    outputs = {
        "HttpApiUrl": {"Value": "https://abc.execute-api.eu-central-1.amazonaws.com"},
        "BaseUrl": {"Value": "https://login.example.com"},
    }
    template = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}, "Outputs": outputs}
    boto3.client("cloudformation").create_stack(
        StackName="game-login-dev", TemplateBody=json.dumps(template)
    )
    assert ask(monkeypatch, capsys, "url") == "url=https://login.example.com\n"


@pytest.mark.usefixtures("aws")
def test_no_url(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A stack without an output for its address is an error."""
    template = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
    boto3.client("cloudformation").create_stack(
        StackName="game-login-dev", TemplateBody=json.dumps(template)
    )
    with pytest.raises(SystemExit, match="no output BaseUrl"):
        ask(monkeypatch, capsys, "url")
