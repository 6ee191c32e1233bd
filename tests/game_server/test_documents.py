"""What the documents tell developers of game servers is what the code does."""

import re
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import socket_messages
from player_tokens import Player

from local.stack import ROOT
from tests.game_server.feed_pages import event, page
from tests.game_server.scripted_backend import KEY, Scripted, ScriptedBackend, wait_for
from tests.game_server.test_seats import PLAYER
from tests.game_server.ticket_vectors import CLAIMS

CONTRACT = ROOT / "docs" / "contract" / "game-servers.md"
EXAMPLE = ROOT / "clients" / "game_server"
README = EXAMPLE / "README.md"
TOO_LONG = 1009  # sent by the library
QUICK = 0.1


@dataclass
class ExampleSeat:
    """What the README's example keeps for each player."""

    connection: object
    player: Player
    name: str
    fence: int


@pytest.mark.parametrize("document", [CONTRACT, README], ids=lambda path: path.name)
def test_close_codes(document: Path) -> None:
    """Both lists of close codes have those of the example server, and no others."""
    listed = re.findall(r"^\| (\d{4}) \|", document.read_text(), re.MULTILINE)
    codes = {value for value in vars(socket_messages).values() if type(value) is int}
    assert sorted(map(int, listed)) == sorted(codes | {TOO_LONG})


def test_claims() -> None:
    """The table of claims has those of a ticket, and no others."""
    section = CONTRACT.read_text().partition("| claim |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (`[^|]*)\|", section, re.MULTILINE)
    listed = [claim for row in rows for claim in re.findall(r"`(\w+)`", row)]
    assert sorted(listed) == sorted([*CLAIMS, "guest"])


def test_settings() -> None:
    """The table of settings has those that the example server reads, and no others."""
    read = re.findall(r'setting\("(\w+)"', (EXAMPLE / "socket_server.py").read_text())
    rows = re.findall(r"^\| (`[A-Z][^|]*)\|", README.read_text(), re.MULTILINE)
    assert sorted(name for row in rows for name in re.findall(r"`(\w+)`", row)) == sorted(read)


def test_the_example_with_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's example lets a player in, and closes the seats of those whose account ended."""
    section = README.read_text().partition("## With a server key")[2]
    code = section.partition("```python\n")[2].partition("```")[0]
    closed: list[tuple[Any, str]] = []
    monkeypatch.setenv("GAME_LOGIN_SERVER_KEY", KEY)
    purged = event("account-purged", PLAYER.account_id)
    with ScriptedBackend(Scripted(200, page(poll_after=QUICK))) as backend:
        code = code.replace("https://login.example.com", backend.url)
        example: dict[str, Any] = {
            "Seat": ExampleSeat,
            "close": lambda seat, event: closed.append((seat, event.type)),
        }
        exec(code, example)
        try:
            example["tokens"].verify = lambda _: PLAYER
            example["redeemer"].redeem = lambda _: SimpleNamespace(username="Ada", fence=7)
            example["enter"]("connection", "ticket")
            (seat,) = example["seats"]
            assert seat.name == "Ada"
            backend.answers = [Scripted(200, page(purged, poll_after=QUICK))]
            wait_for(lambda: closed)
            example["enter"]("connection", "ticket")
        finally:
            example["revocations"].stop()
    assert [kind for _, kind in closed] == ["account-purged"] * 2
    assert closed[0][0] is seat
    assert example["seats"] == []
