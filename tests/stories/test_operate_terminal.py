"""What operators see and type on a real terminal, hostile texts included."""

import json
import unicodedata

import pytest

from local.offline import Offline
from operate.__main__ import main
from tests.conftest import Tables
from tests.play.terminals import END_OF_INPUT, Terminal
from tests.stories.test_offline import ask

ADA = {"username": "Ada", "password": "correct horse battery staple", "device": "Phone"}
SUSPEND = "python -m operate suspend Ada --for 7d --message Cheating"
KEY = "019aab3c-5d2e-7f90-8b1d-6a0c3e9f5d24"  # the id of a game server's key
HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07",
    "\u202egnp.exe\u2066",
    "a\x01\x7f\x9b31mb",
    "a\r\nAda  is the owner",
    "a\u2028b\u200b\ufeffc",
    '=HYPERLINK("http://evil.example")',
    "🕹👩‍🚀",
    "x" * 64,
)


@pytest.fixture
def ada(operated: Offline) -> None:
    """Register a player."""
    assert ask(operated, "POST", "/v1/register", ADA).status == 201


def is_suspended(tables: Tables) -> bool:
    """Tell whether the only player is suspended, and an operation is recorded."""
    (row,) = tables.run("SELECT suspended_until FROM accounts")
    assert (row["suspended_until"] is not None) == (tables.count("operations") == 1)
    return row["suspended_until"] is not None


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize(
    ("more", "typed", "status", "words"),
    [
        ("", "Ada", 0, "Ada is suspended until"),
        ("", " Ada ", 0, "Ada is suspended until"),
        ("", "ada", 2, "That is another name. Nothing was done."),
        ("", "yes", 2, "That is another name. Nothing was done."),
        ("", "", 2, "That is another name. Nothing was done."),
        ("", END_OF_INPUT, 2, "Nothing was typed. Nothing was done."),
        ("--yes --reason x", None, 0, "Ada is suspended until"),
        ("--yes", None, 2, "--yes needs --reason"),
        ("--dry-run", None, 0, "A dry run: nothing was changed."),
        ("< /dev/null", None, 2, "no terminal to ask on"),
    ],
)
def test_confirmation(
    terminal: Terminal, tables: Tables, more: str, typed: str | None, status: int, words: str
) -> None:
    """Only the name of the player lets the command go on; nothing is done without it."""
    ended, shown = terminal.run(f"{SUSPEND} {more}", typed)
    assert ended == status, shown
    assert words in shown
    assert ("type Ada to go on" in shown) == (typed is not None)
    assert is_suspended(tables) == (status == 0 and "--dry-run" not in more)


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        (f"{SUSPEND} --stage prod", "prod: type Ada to go on: "),
        ("python -m operate sign-out --everybody --stage prod", "prod: type prod to go on: "),
        (f"python -m operate servers revoke {KEY} --stage prod", f"prod: type {KEY} to go on: "),
    ],
)
def test_the_stage_is_named(terminal: Terminal, line: str, asked: str) -> None:
    """The question names the stage; whoever gives up there has called nothing in AWS."""
    status, shown = terminal.run(line, typed="no")
    assert status == 2
    assert shown.startswith("On the stage prod, ")
    assert asked in shown


def harmless(text: str) -> bool:
    """Tell whether a terminal shows a text as it is, apart from the ends of lines."""
    kinds = {unicodedata.category(one) for one in text.replace("\n", "")}
    return kinds.isdisjoint({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_hostile_texts(
    operated: Offline, tables: Tables, capsys: pytest.CaptureFixture[str], hostile: str
) -> None:
    """Whatever stands in the tables is printed harmless, and escaped in JSON."""
    tables.run("UPDATE sessions SET device = %s", hostile)
    tables.run(
        "UPDATE accounts SET suspended_until = '2999-01-01', suspension_reason = %s", hostile
    )
    assert main(["note", "Ada", "--reason", hostile]) == 0
    capsys.readouterr()
    for command in ("players sessions Ada", "players show Ada", "players list", "log"):
        assert main(command.split()) == 0
        shown = capsys.readouterr().out
        assert harmless(shown)
        rows = [line for line in shown.splitlines() if not line.startswith(" ")]
        assert len(rows) == (10 if "show" in command else 2)
        assert all(len(line) <= 100 for line in shown.splitlines() if "show" not in command)
        assert main([*command.split(), "--json"]) == 0
        document = capsys.readouterr().out
        assert document.isascii()
        assert harmless(document)
        assert hostile in _texts(json.loads(document))


def _texts(value: object) -> list[str]:
    """Return all texts of a document."""
    if isinstance(value, dict):
        return [text for one in value.values() for text in _texts(one)]
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    return [value] if isinstance(value, str) else []


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize(
    "name",
    ["x" * 300, "é" * 150, "🕹", "\x1b[1mAda", "a\u202eb", "\udcff", "A\nda", "' OR 1=1"],
    ids=ascii,
)
def test_hostile_names(tables: Tables, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """A name that no player can have is refused in one line, and nothing but this is recorded."""
    for line in (["players", "show", name], ["lift", name], ["rename", "Ada", name]):
        assert main(line) in {1, 2}
        said = capsys.readouterr()
        assert said.out == ""
        assert harmless(said.err)
        assert len(said.err.splitlines()) <= 2
    status = main(["players", "find", name])
    assert (status, capsys.readouterr().out) in {(0, "No players.\n"), (2, "")}
    assert [row["username"] for row in tables.run("SELECT username FROM accounts")] == ["Ada"]
    assert tables.count("operations") <= 2
