"""The command that rotates the token keys, as typed, and its one-line messages."""

import re

import pytest

from auth.credentials.keys import ALGORITHMS
from local.stack import Stack
from local.terminal import Problem
from operate.key_schedule import ring_of
from operate.token_keys import main
from tests.integration.secrets.studio import NAME, STAGE, Studio


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["--stage", "nowhere"], 1, "game-login/nowhere/tokens in us-east-1 does not exist"),
        (["--stage", "nowhere", "--region", "no region"], 1, "cannot call AWS"),
        (["--stage", "nowhere", "--emergency"], 1, "not confirmed"),
        (["--stage", STAGE, "--kind", "dsa"], 1, "KIND=dsa: .* one of es256, rsa, ed25519"),
        (["--stage", STAGE, "--kind", "rsa", "--tidy"], 1, "KIND= is for new keys"),
    ],
)
def test_problems_are_one_line(
    stack: Stack,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    status: int,
    text: str,
) -> None:
    """A problem is reported in one line."""
    monkeypatch.setattr("builtins.input", lambda _: "")
    assert main(arguments) == status
    said = capsys.readouterr().err
    assert re.search(text, said)
    assert said.count("\n") == 1


@pytest.mark.parametrize("stop", [KeyboardInterrupt, EOFError])
def test_ctrl_c_is_answered(
    stack: Stack,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    stop: type[BaseException],
) -> None:
    """Ctrl-C says that nothing is broken, and how to go on."""

    def stopped(_: str) -> str:
        raise stop

    monkeypatch.setattr("builtins.input", stopped)
    assert main(["--stage", "local", "--emergency"]) == 130
    assert "Run it again to continue" in capsys.readouterr().err


def test_tidy_by_command(studio: Studio, capsys: pytest.CaptureFixture[str]) -> None:
    """`TIDY=yes` drops no key that is still needed, by the clock of AWS."""
    before = studio.value()
    assert main(["--stage", STAGE, "--tidy"]) == 0
    assert "no previous key is left" in capsys.readouterr().out
    after = studio.value()
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize("kind", [*ALGORITHMS, "ED25519"])
def test_kind_by_command(studio: Studio, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """`KIND=` names the kind of the new key, in any letter case."""
    monkeypatch.setattr("builtins.input", lambda _: STAGE)
    assert main(["--stage", STAGE, "--kind", kind, "--emergency"]) == 0
    assert ring_of(studio.value()).current_signing.kind == kind.lower()


@pytest.mark.parametrize("text", ["x", "[]", '{"mac_keys": {}}', '{"canary": "4711"}'])
def test_malformed_secret(studio: Studio, text: str) -> None:
    """A malformed secret is reported by name and left unchanged."""
    studio.client.put_secret_value(SecretId=NAME, SecretString=text)
    with pytest.raises(Problem, match=f"{NAME} is malformed") as problem:
        studio.rotate()
    assert "4711" not in str(problem.value)


def test_which_stage() -> None:
    """Without a stage the command says how to name one."""
    with pytest.raises(SystemExit):
        main(["--stage", ""])
