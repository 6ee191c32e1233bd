"""The page for support staff: each of its commands works against a running stack."""

import re
import shlex
from pathlib import Path

import pytest

import operate.functions
from local.offline import Offline
from operate.__main__ import main
from tests.play.sources import ROOT
from tests.stories.test_offline import ask

PAGE = (ROOT / "docs" / "run" / "support.md").read_text()
EXAMPLES = [
    line.removeprefix("python -m operate ")
    for block in re.findall(r"<!-- example -->\n```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]


@pytest.fixture
def running(offline: Offline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Offline:
    """Return a running stack that the command line knows, with the player of the page."""
    lines = (f"{name}={value}\n" for name, value in offline.operate_environment().items())
    environment = tmp_path / "env"
    environment.write_text("".join(lines))
    monkeypatch.setattr(operate.functions, "LOCAL_ENVIRONMENT", environment)
    body = {"username": "Ada", "password": "correct horse battery staple"}
    assert ask(offline, "POST", "/v1/register", body).status == 201
    return offline


@pytest.mark.usefixtures("running")
def test_every_example(capsys: pytest.CaptureFixture[str]) -> None:
    """All commands of the page, one after the other, are done."""
    assert len(EXAMPLES) > 10
    for example in EXAMPLES:
        status = main(shlex.split(example))
        said = capsys.readouterr()
        assert status == 0, f"{example}: {said.err}"
        assert said.err == ""


@pytest.mark.usefixtures("running")
def test_refusals(capsys: pytest.CaptureFixture[str]) -> None:
    """A refused command says why in one line, and its exit status tells the kind of refusal."""
    for example, status, words in (
        ("players show nobody", 1, "No account has this name or id.\n"),
        ("suspend Ada --for 0d --message x --yes --reason x", 2, "for: Write a duration as"),
        ("suspend Ada --message x --yes --reason x", 2, "for: Send exactly one of"),
        ("suspend Ada --for 1d --message x --yes", 2, "--yes needs --reason"),
        ("suspend Ada --for 1d --message x", 2, "no terminal to ask on"),
        ("note Ada", 2, "reason: Say why."),
        ("note Ada --reason x --command-id x", 2, "--command-id must be"),
    ):
        assert main(shlex.split(example)) == status, example
        assert words in capsys.readouterr().err
