"""The verifier in JavaScript reads the keys as rarely as the one in Python.

`test_conformance` tries it with forged tickets.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.game_server.javascript import SOURCE, JavaScriptTokens
from tests.game_server.jwks_server import JwksServer
from tests.game_server.test_player_tokens import BAD_ANSWERS, IAT, JWKS, TEXT, USE, signed
from tests.unit.test_keys import ring_of, rsa_key, token_secret


@pytest.fixture
def backend() -> Iterator[JwksServer]:
    """Return a backend that serves the keys."""
    with JwksServer(JWKS) as backend:
        yield backend


@pytest.fixture
def tokens(backend: JwksServer, tmp_path: Path) -> Iterator[JavaScriptTokens]:
    """Return a verifier for that backend."""
    with JavaScriptTokens(tmp_path, backend.url, USE.issuer, "eu-2:7777", "eu-1:7777") as tokens:
        tokens.now = IAT
        yield tokens


def verdicts(tokens: JavaScriptTokens, *tickets: str) -> list[str]:
    """Return the player's name or the error for each ticket."""
    answers = tokens.verify(*tickets)
    return [one["player"]["name"] if "player" in one else one["error"] for one in answers]


def test_many_at_once(tokens: JavaScriptTokens, backend: JwksServer) -> None:
    """Tickets that are verified at the same time read the keys once."""
    assert verdicts(tokens, *[TEXT] * 20) == ["Ada"] * 20
    assert backend.asked == ["/.well-known/jwks.json"]


def test_unknown_keys(tokens: JavaScriptTokens, backend: JwksServer) -> None:
    """A new key is found; made-up key ids cost one read a minute."""
    assert verdicts(tokens, TEXT) == ["Ada"]
    backend.body = json.dumps(ring_of(token_secret("s1", "s2")).jwks()).encode()
    new = signed({"kid": "s2"}, key=rsa_key(1))
    assert verdicts(tokens, new) == ["InvalidToken"]
    tokens.ticks += 61
    assert verdicts(tokens, new) == ["Ada"]
    made_up = [signed({"kid": f"x{number}"}) for number in range(20)]
    assert verdicts(tokens, *made_up) == ["InvalidToken"] * 20
    assert len(backend.asked) == 2


def test_withdrawn_key(tokens: JavaScriptTokens, backend: JwksServer) -> None:
    """A key that the backend no longer publishes is accepted for five more minutes."""
    assert verdicts(tokens, TEXT) == ["Ada"]
    backend.body = json.dumps(ring_of(token_secret("s2")).jwks()).encode()
    tokens.ticks += 299
    assert verdicts(tokens, TEXT) == ["Ada"]
    tokens.ticks += 2
    assert verdicts(tokens, TEXT) == ["InvalidToken"]


def test_backend_in_trouble(tokens: JavaScriptTokens, backend: JwksServer) -> None:
    """Players are still verified with the cached keys, whatever the backend answers."""
    assert verdicts(tokens, TEXT) == ["Ada"]
    for count, (status, body) in enumerate(BAD_ANSWERS.values(), 2):
        backend.status, backend.body = status, body
        tokens.ticks += 10_000
        assert verdicts(tokens, TEXT, TEXT) == ["Ada", "Ada"]
        assert verdicts(tokens, TEXT) == ["Ada"]
        assert len(backend.asked) == count


def test_no_keys_yet(tokens: JavaScriptTokens, backend: JwksServer) -> None:
    """Without any keys a ticket is neither accepted nor refused; the backend is asked again."""
    for count, (status, body) in enumerate(BAD_ANSWERS.values(), 1):
        backend.status, backend.body = status, body
        assert verdicts(tokens, TEXT, TEXT) == ["KeysUnavailable"] * 2
        assert verdicts(tokens, TEXT) == ["KeysUnavailable"]
        assert len(backend.asked) == count
        tokens.ticks += 6
    backend.status, backend.body = 200, JWKS
    assert verdicts(tokens, TEXT) == ["Ada"]


def test_nobody_with_a_key_waits(tokens: JavaScriptTokens, backend: JwksServer) -> None:
    """While one call reads the keys, a ticket of a known key is verified at once."""
    assert verdicts(tokens, TEXT) == ["Ada"]
    backend.may_answer.clear()
    tokens.ticks += 301
    started = time.monotonic()
    (answer,) = tokens.verify(TEXT, TEXT, first=True)
    assert (answer["player"]["name"], time.monotonic() - started < 3) == ("Ada", True)
    backend.may_answer.set()
    assert verdicts(tokens, signed({"kid": "s2"})) == ["InvalidToken"]
    assert len(backend.asked) == 2


def test_redirect(tokens: JavaScriptTokens, backend: JwksServer) -> None:
    """Keys behind a redirect are not accepted."""
    with JwksServer(JWKS) as other:
        backend.status, backend.headers = 302, {"Location": other.url}
        assert verdicts(tokens, TEXT) == ["KeysUnavailable"]
    assert other.asked == []


@pytest.mark.parametrize(
    ("url", "name", "reason"),
    [
        ("http://login.example.com", "eu-1", "must be https"),
        ("http://10.0.0.1", "eu-1", "must be https"),
        ("http://localhost.example.com", "eu-1", "must be https"),
        ("ftp://localhost", "eu-1", "must be https"),
        ("login.example.com", "eu-1", "must be https"),
        ("https://login.example.com", "EU-1", "must be 1 to 64 characters"),
    ],
)
def test_bad_settings(tmp_path: Path, url: str, name: str, reason: str) -> None:
    """An insecure backend, or a name that no ticket has, is refused at the start."""
    tokens = JavaScriptTokens(tmp_path, url, "issuer", name)
    with pytest.raises(AssertionError, match=reason):
        tokens.verify("x")


def test_one_file_to_copy() -> None:
    """A game server copies one file, which needs jose and nothing else."""
    lines = (SOURCE / "player_tokens.js").read_text().splitlines()
    assert [line for line in lines if line.startswith("import ")] == [
        'import { compactVerify, importJWK } from "jose"'
    ]
    assert list(json.loads((SOURCE / "package.json").read_text())["dependencies"]) == ["jose"]
