"""Every verifier gives the same verdict on the tickets of clients/conformance/tickets.json."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
import player_tokens
import pytest
from player_tokens import InvalidToken, PlayerTokens

from auth.credentials import tickets
from auth.errors import InvalidToken as RefusedByTheApi
from auth.errors import Reason
from auth.settings import LONGEST_TICKET, SHORTEST_TICKET
from auth.times import id_text
from local.stack import ROOT
from tests.game_server.javascript import SOURCE, JavaScriptTokens
from tests.game_server.jwks_server import JwksServer
from tests.game_server.ticket_vectors import FILE, KEYS, content

VECTORS: dict[str, Any] = json.loads(FILE.read_text())
JAVASCRIPT_NAMES = {
    "account_id": "accountId",
    "session_id": "sessionId",
    "ticket_id": "ticketId",
    "issued_at": "issuedAt",
    "expires_at": "expiresAt",
}


@pytest.fixture(scope="module")
def server() -> Iterator[JwksServer]:
    """Return a server of the file's keys."""
    with JwksServer(json.dumps(VECTORS["jwks"]).encode()) as server:
        yield server


@pytest.fixture(scope="module")
def python(server: JwksServer) -> PlayerTokens:
    """Return the verifier of Python game servers."""
    now = float(VECTORS["now"])
    tokens = PlayerTokens(server.url, VECTORS["issuer"], VECTORS["server"], lambda: now)
    tokens.verify(VECTORS["good"][0]["ticket"])  # reads the keys
    return tokens


def by_the_api(text: str) -> tickets.Ticket:
    """Verify a ticket as the API does when it is redeemed."""
    now = datetime.fromtimestamp(VECTORS["now"], UTC)
    ticket = tickets.read(text, KEYS, VECTORS["issuer"], now)
    if ticket.server != VECTORS["server"] or ticket.is_expired(now):
        raise RefusedByTheApi(Reason.CLAIMS)
    return ticket


def test_written() -> None:
    """The file is what the script makes: python -m tests.game_server.ticket_vectors."""
    assert FILE.read_text() == content()


def test_names() -> None:
    """Each ticket has a name of its own."""
    names = [vector["name"] for vector in (*VECTORS["good"], *VECTORS["bad"])]
    assert len(names) == len(set(names)) >= 40


def test_longest() -> None:
    """The verifiers and the deployment know the same limits as the backend."""
    assert player_tokens.LIFETIME_SECONDS == LONGEST_TICKET
    javascript = (SOURCE / "player_tokens.js").read_text()
    assert re.findall(r"LIFETIME_SECONDS = (\d+)", javascript) == [str(LONGEST_TICKET)]
    deployment = (ROOT / "deploy" / "parameters.js").read_text()
    limits = [str(SHORTEST_TICKET), str(LONGEST_TICKET)]
    assert re.findall(r"ticketSeconds: \[(\d+), (\d+)\]", deployment) == [tuple(limits)]


def test_leeway() -> None:
    """A verifier that allows 30 s of leeway, as the documents let it, gives the same verdicts."""
    (text,) = (vector["ticket"] for vector in VECTORS["bad"] if vector["name"] == "expired")
    assert jwt.decode(text, options={"verify_signature": False})["exp"] < VECTORS["now"] - 30


@pytest.mark.parametrize("vector", VECTORS["good"], ids=lambda vector: vector["name"])
def test_good(python: PlayerTokens, vector: dict[str, Any]) -> None:
    """The verifiers in Python accept a good ticket, and read the same in it."""
    assert vars(python.verify(vector["ticket"])) == vector["player"]
    ticket, player = by_the_api(vector["ticket"]), vector["player"]
    assert id_text(ticket.id) == player["ticket_id"]
    assert id_text(ticket.subject.account_id) == player["account_id"]
    assert id_text(ticket.subject.session_id) == player["session_id"]
    assert ticket.subject.username == player["name"]
    assert (ticket.subject.epoch, ticket.subject.guest) == (player["epoch"], player["guest"])


@pytest.mark.parametrize("vector", VECTORS["bad"], ids=lambda vector: vector["name"])
def test_bad(python: PlayerTokens, vector: dict[str, Any]) -> None:
    """The verifiers in Python refuse a forged ticket, and do not quote it."""
    text = vector["ticket"]
    with pytest.raises(InvalidToken) as caught:
        python.verify(text)
    assert not text or text not in str(caught.value)
    with pytest.raises(RefusedByTheApi):
        by_the_api(text)


def test_javascript(server: JwksServer, tmp_path: Path) -> None:
    """The verifier in JavaScript gives the same verdicts, reads the same, and quotes no ticket."""
    good, bad = ([vector["ticket"] for vector in VECTORS[name]] for name in ("good", "bad"))
    with JavaScriptTokens(tmp_path, server.url, VECTORS["issuer"], VECTORS["server"]) as javascript:
        javascript.now = VECTORS["now"]
        accepted, refused = javascript.verify(*good), javascript.verify(*bad)
    assert accepted == [
        {"player": {JAVASCRIPT_NAMES.get(name, name): value for name, value in player.items()}}
        for player in (vector["player"] for vector in VECTORS["good"])
    ]
    wrong = [
        vector["name"]
        for vector, answer in zip(VECTORS["bad"], refused, strict=True)
        if answer.get("error") != "InvalidToken"
    ]
    assert wrong == []
    for text, answer in zip(bad, refused, strict=True):
        assert not text or text not in answer["message"]
