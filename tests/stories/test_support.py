"""The page for support staff: each command prints on a terminal what the page says."""

import re
import shlex

import pytest

from auth.times import id_text
from local.offline import Offline
from operate.__main__ import main
from tests.conftest import Tables
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
    r"\bglsk_\S+": "SERVER KEY",
}
OLDEST_KEY = "019aab3c-5d2e-7f3a-9c64-0e8b7a51d2f6"  # of a game server, on the page


def normalised(text: str) -> str:
    """Return a text with patterns in place of times, ids and codes."""
    for pattern, name in VARYING.items():
        text = re.sub(pattern, name, text)
    return text


def oldest_key(tables: Tables) -> str:
    """Return the id of the first server key; nothing, as long as there is none."""
    found = tables.run("SELECT id FROM server_keys ORDER BY id LIMIT 1")
    return id_text(found[0]["id"]) if found else ""


@pytest.fixture
def attacked(operated: Offline) -> None:
    """Register the player of the page, whose sign-ins are limited by wrong passwords."""
    token = ask(operated, "POST", "/v1/register", ADA).json["refresh_token"]
    wrong = {**ADA, "password": "wrong", "refresh_token": token}
    tries = (ask(operated, "POST", "/v1/login", wrong).status for _ in range(LIMIT))
    assert 429 in tries


@pytest.mark.usefixtures("attacked")
def test_every_example(terminal: Terminal, tables: Tables) -> None:
    """Every command of the page, one after the other, prints what the page says."""
    assert len(BLOCKS) > 10
    for commands, printed in BLOCKS:
        shown = ""
        for line in commands.splitlines():
            status, text = terminal.run(line.replace(OLDEST_KEY, oldest_key(tables)))
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
        ("servers add ' '", 2, "label: Use 1 to 64 characters"),
        ("servers add Asia --server 'Asia 1'", 2, "server: Use 1 to 64 characters of a-z"),
        ("servers revoke x --yes --reason x", 1, "There is no server key with this id"),
        ("servers revoke x", 2, "no terminal to ask on"),
    ):
        assert main(shlex.split(example)) == status, example
        assert words in capsys.readouterr().err


@pytest.mark.usefixtures("operated")
def test_a_key_that_nobody_saw(tables: Tables, capsys: pytest.CaptureFixture[str]) -> None:
    """After a lost answer, a repetition shows no key, but the command that revokes it."""
    add = "servers add Europe --command-id 019aab3c-5d2e-7f90-8b1d-6a0c3e9f5d24"
    assert main(shlex.split(f"{add} --dry-run")) == 0
    assert "Europe gets a key, for all servers." in capsys.readouterr().out
    assert main(shlex.split(add)) == 0
    assert f"glsk_{oldest_key(tables)}_" in capsys.readouterr().out
    assert main(shlex.split(add)) == 0
    repeated = capsys.readouterr().out
    assert "glsk_" not in repeated
    (command,) = re.findall(r"`(servers revoke \S+)`", repeated)
    assert main([*shlex.split(command), "--yes", "--reason", "lost"]) == 0
    (key,) = tables.run("SELECT revoked_at FROM server_keys")
    assert key["revoked_at"] is not None
