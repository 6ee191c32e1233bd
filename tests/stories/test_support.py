"""The page for support staff: each command prints on a terminal what the page says."""

import re
import shlex

import pytest

from local.offline import Offline
from operate.__main__ import main
from tests.play.sources import ROOT
from tests.play.terminals import Terminal
from tests.stories.test_offline import ask

PAGE = (ROOT / "docs" / "run" / "support.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```(?:\n\n```text\n(.*?)```)?", PAGE, re.DOTALL)
ADA = {"username": "Ada", "password": "correct horse battery staple", "device": "Phone"}
LIMIT = 50  # tries until one is refused
VARYING = {
    r"\d{4}-\d\d-\d\d \d\d:\d\d": "TIME",
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}": "ID",
    r"[0-9A-Z]{4}(-[0-9A-Z]{4}){3}": "CODE",
    r"for \d+ s\b": "for SECONDS s",
}


def normalised(text: str) -> str:
    """Return a text with patterns in place of times, ids and codes."""
    for pattern, name in VARYING.items():
        text = re.sub(pattern, name, text)
    return text


@pytest.fixture
def attacked(operated: Offline) -> None:
    """Register the player of the page, whose sign-ins are limited by wrong passwords."""
    token = ask(operated, "POST", "/v1/register", ADA).json["refresh_token"]
    wrong = {**ADA, "password": "wrong", "refresh_token": token}
    tries = (ask(operated, "POST", "/v1/login", wrong).status for _ in range(LIMIT))
    assert 429 in tries


@pytest.mark.usefixtures("attacked")
def test_every_example(terminal: Terminal) -> None:
    """Every command of the page, one after the other, prints what the page says."""
    assert len(BLOCKS) > 10
    for commands, printed in BLOCKS:
        shown = ""
        for line in commands.splitlines():
            status, text = terminal.run(line)
            assert status == 0, f"{line}: {text}"
            shown += text
        assert normalised(shown) == normalised(printed), shown
        assert max(map(len, shown.splitlines())) <= 100
    assert '"username": "Ada"' in (terminal.folder / "Ada.json").read_text()


@pytest.mark.usefixtures("attacked")
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
