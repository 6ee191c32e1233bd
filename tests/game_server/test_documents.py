"""What the documents tell developers of game servers is what the code does."""

import re
from pathlib import Path

import pytest
import socket_messages

from local.stack import ROOT
from tests.game_server.ticket_vectors import CLAIMS

CONTRACT = ROOT / "docs" / "contract" / "game-servers.md"
EXAMPLE = ROOT / "clients" / "game_server"
README = EXAMPLE / "README.md"
TOO_LONG = 1009  # sent by the library


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
