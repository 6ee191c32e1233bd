"""The game server's verifier takes the backend's tickets, and rarely reads the keys.

`test_conformance` tries forged tickets.
"""

import ast
import base64
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Never

import jwt
import player_tokens
import pytest
from hypothesis import given
from hypothesis import strategies as st
from player_tokens import InvalidToken, KeysUnavailable, Player, PlayerTokens

from auth.credentials import access_tokens
from auth.credentials.keys import ALGORITHMS
from auth.credentials.new_keys import new_token_secret
from auth.credentials.tickets import issue, use_of
from auth.credentials.token_keys import TokenKeys
from auth.times import system_clock
from local.stack import ROOT
from tests.game_server.jwks_server import JwksServer
from tests.unit import test_access_tokens
from tests.unit.test_access_tokens import ADA, KEYS, NOW, REALM
from tests.unit.test_keys import ScriptedStore, published, ring_of, rsa_key, token_secret

USE = use_of(REALM.issuer, "eu-1:7777", 60)
TEXT = issue(KEYS.ring(), USE, ADA, NOW)
IAT = int(NOW.timestamp())
HEADER = jwt.get_unverified_header(TEXT)
CLAIMS: dict[str, Any] = jwt.decode(TEXT, options={"verify_signature": False})
JWKS = json.dumps(KEYS.ring().jwks()).encode()


def signed(header: dict[str, Any] | None = None, key: Any = None, **claims: Any) -> str:
    """Return a ticket signed with our key, with some claims and header fields replaced."""
    return test_access_tokens.signed({**HEADER, **(header or {})}, key=key, **{**CLAIMS, **claims})


class Watch:
    """A verifier's wall clock and monotonic clock."""

    def __init__(self) -> None:
        self.now = NOW
        self.ticks = 1000.0

    def time(self) -> float:
        """Return the time of the wall clock."""
        return self.now.timestamp()

    def pass_by(self, seconds: float) -> None:
        """Let time pass."""
        self.ticks += seconds


@pytest.fixture
def backend() -> Iterator[JwksServer]:
    """Return a backend that serves the keys."""
    with JwksServer(JWKS) as backend:
        yield backend


@pytest.fixture
def watch() -> Watch:
    """Return the clocks."""
    return Watch()


@pytest.fixture
def tokens(backend: JwksServer, watch: Watch) -> PlayerTokens:
    """Return a verifier for that backend."""
    return verifier(backend.url, watch)


def verifier(url: str, watch: Watch, *servers: str) -> PlayerTokens:
    """Return a verifier with the test's clocks."""
    names = servers or "eu-1:7777"
    return PlayerTokens(url, REALM.issuer, names, watch.time, lambda: watch.ticks)


@pytest.fixture(scope="module")
def shared_tokens() -> Iterator[PlayerTokens]:
    """Return a verifier for many tokens that has already read its keys."""
    with JwksServer(JWKS) as backend:
        tokens = verifier(backend.url, Watch())
        tokens.verify(TEXT)
        yield tokens


def test_player(tokens: PlayerTokens, backend: JwksServer) -> None:
    """A ticket from the backend identifies the player; the keys are read once."""
    player = tokens.verify(TEXT)
    assert player == Player(
        account_id=CLAIMS["sub"],
        session_id=CLAIMS["sid"],
        name="Ada",
        epoch=7,
        guest=False,
        ticket_id=CLAIMS["jti"],
        issued_at=CLAIMS["iat"],
        expires_at=CLAIMS["iat"] + 60,
    )
    assert tokens.verify(TEXT) == player
    assert backend.asked == ["/.well-known/jwks.json"]


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_kinds_of_keys(tokens: PlayerTokens, backend: JwksServer, kind: str) -> None:
    """Tickets of each kind of key are verified, and one kind is not mistaken for another."""
    ring = TokenKeys(ScriptedStore(new_token_secret(kind)), "tokens").ring()
    text = issue(ring, USE, ADA, NOW)
    backend.body = json.dumps(ring.jwks()).encode()
    assert tokens.verify(text).name == "Ada"
    others = [other for other in ALGORITHMS.values() if other != ALGORITHMS[kind]]
    _, claims, signature = text.split(".")
    for other in others:
        head = json.dumps({"typ": "ticket+jwt", "alg": other, "kid": "signing-1"}).encode()
        head_text = base64.urlsafe_b64encode(head).rstrip(b"=").decode()
        with pytest.raises(InvalidToken):
            tokens.verify(f"{head_text}.{claims}.{signature}")


def test_names_of_the_server(backend: JwksServer, watch: Watch) -> None:
    """A server with several names takes the tickets for each of them, and no others."""
    tokens = verifier(backend.url, watch, "eu-1:7777", "game")
    for name in ("eu-1:7777", "game"):
        assert tokens.verify(issue(KEYS.ring(), use_of(REALM.issuer, name, 60), ADA, NOW))
    for name in ("eu-2:7777", "server:game", ""):
        with pytest.raises(InvalidToken, match="for another server"):
            tokens.verify(issue(KEYS.ring(), use_of(REALM.issuer, name, 60), ADA, NOW))


@pytest.mark.parametrize("server", ["", [], "EU-1", "eu 1", "x" * 65, ["eu-1", "é"], "eu-1\n"])
def test_names_that_no_ticket_has(server: str | list[str]) -> None:
    """A name for which the backend issues no ticket is refused at the start."""
    with pytest.raises(ValueError, match="must be 1 to 64 characters"):
        PlayerTokens("https://login.example.com", "issuer", server)


def test_an_access_token(tokens: PlayerTokens) -> None:
    """An access token is refused, whatever its audience: it would open the player's account."""
    for audience in (REALM.audience, USE.audience):
        realm = access_tokens.Realm(REALM.issuer, audience)
        with pytest.raises(InvalidToken, match="not a ticket"):
            tokens.verify(access_tokens.issue(KEYS.ring(), realm, ADA, NOW))


@given(text=st.text() | st.text("ey.J0-_", max_size=80))
def test_any_text(shared_tokens: PlayerTokens, text: str) -> None:
    """Any other text is refused with InvalidToken, never another error."""
    with pytest.raises(InvalidToken):
        shared_tokens.verify(text)


def test_lifetime(tokens: PlayerTokens, watch: Watch) -> None:
    """A ticket is valid for a minute, to the second."""
    watch.now = NOW + timedelta(seconds=59)
    tokens.verify(TEXT)
    watch.now = NOW + timedelta(seconds=60)
    with pytest.raises(InvalidToken, match="expired"):
        tokens.verify(TEXT)


@pytest.mark.parametrize("behind", [3, 30, 3600])
def test_a_clock_that_is_behind(tokens: PlayerTokens, watch: Watch, behind: int) -> None:
    """A fresh ticket is valid on a game server with a clock behind the backend's."""
    watch.now = NOW - timedelta(seconds=behind)
    assert tokens.verify(TEXT).name == "Ada"


def test_a_clock_that_is_ahead(tokens: PlayerTokens, watch: Watch) -> None:
    """A clock that is ahead shortens a ticket's life by that much, but accepts fresh ones."""
    watch.now = NOW + timedelta(seconds=30)
    tokens.verify(TEXT)
    watch.now = NOW + timedelta(seconds=30 + 30)
    with pytest.raises(InvalidToken, match="expired"):
        tokens.verify(TEXT)


def test_the_documents_leeway() -> None:
    """Plain PyJWT with the documented leeway accepts tickets despite small clock differences."""
    text = (ROOT / "docs" / "contract" / "game-servers.md").read_text()
    found = re.search(r"`leeway=(\d+), options=({[^}]*})`", text)
    assert found
    leeway, options = int(found[1]), ast.literal_eval(found[2])

    def decode(seconds: int, **settings: Any) -> Any:
        ticket = issue(KEYS.ring(), USE, ADA, system_clock() + timedelta(seconds=seconds))
        key = jwt.PyJWK(published(KEYS.ring())[0])
        settings.update(issuer=USE.issuer, audience=USE.audience)
        return jwt.decode(ticket, key, algorithms=[key.algorithm_name], **settings)

    with pytest.raises(jwt.ImmatureSignatureError):
        decode(20)
    with pytest.raises(jwt.ExpiredSignatureError):
        decode(-80)
    for seconds in (20, -80):
        assert decode(seconds, leeway=leeway, options=options)["name"] == "Ada"
    with pytest.raises(jwt.ExpiredSignatureError):
        decode(-100, leeway=leeway, options=options)


def test_unknown_keys(tokens: PlayerTokens, backend: JwksServer, watch: Watch) -> None:
    """A new key is found; made-up key ids cost one read a minute."""
    tokens.verify(TEXT)
    backend.body = json.dumps(ring_of(token_secret("s1", "s2")).jwks()).encode()
    watch.pass_by(61)
    text = signed({"kid": "s2"}, key=rsa_key(1))
    assert tokens.verify(text).name == "Ada"
    for number in range(50):
        with pytest.raises(InvalidToken, match="unknown key"):
            tokens.verify(signed({"kid": f"x{number}"}))
    assert len(backend.asked) == 2


def test_withdrawn_key(tokens: PlayerTokens, backend: JwksServer, watch: Watch) -> None:
    """A key that the backend no longer publishes is accepted for five more minutes."""
    tokens.verify(TEXT)
    backend.body = json.dumps(ring_of(token_secret("s2")).jwks()).encode()
    watch.pass_by(299)
    tokens.verify(TEXT)
    watch.pass_by(2)
    with pytest.raises(InvalidToken, match="unknown key"):
        tokens.verify(TEXT)


BAD_ANSWERS: dict[str, tuple[int, bytes]] = {
    "error": (503, JWKS),
    "HTML": (200, b"<html>"),
    "a list": (200, b"[]"),
    "no keys": (200, b'{"keys": []}'),
    "keys are a text": (200, b'{"keys": "s1"}'),
    "symmetric": (200, b'{"keys": [{"kty": "oct", "k": "AAAA", "kid": "s1"}]}'),
    "long": (200, JWKS[:-1] + b" " * 70_000 + b"}"),
    "deep": (200, b"[" * 60_000),
    "not UTF-8": (200, b"\xff\xfe\xff"),
    "entries of all kinds": (200, b'{"keys": [1, null, [], {}, {"kty": "RSA", "kid": "s1"}]}'),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_backend_in_trouble(
    tokens: PlayerTokens, backend: JwksServer, watch: Watch, name: str
) -> None:
    """Players are still verified with the cached keys, whatever the backend answers."""
    tokens.verify(TEXT)
    backend.status, backend.body = BAD_ANSWERS[name]
    watch.pass_by(10_000)
    for _ in range(3):
        tokens.verify(TEXT)
    assert len(backend.asked) == 2


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_no_keys_yet(tokens: PlayerTokens, backend: JwksServer, watch: Watch, name: str) -> None:
    """Without any keys a ticket is neither accepted nor refused; the backend is asked again."""
    backend.status, backend.body = BAD_ANSWERS[name]
    for _ in range(2):
        with pytest.raises(KeysUnavailable):
            tokens.verify(TEXT)
    assert len(backend.asked) == 1
    backend.status, backend.body = 200, JWKS
    watch.pass_by(6)
    tokens.verify(TEXT)


def test_hanging_backend(
    tokens: PlayerTokens, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls that waited for a failed read are answered at once, and do not read again."""
    reads: list[str] = []

    def hang(url: str) -> Never:
        reads.append(url)
        watch.pass_by(player_tokens.READ_SECONDS)
        raise TimeoutError

    monkeypatch.setattr(player_tokens, "read_jwks", hang)
    for _ in range(5):
        with pytest.raises(KeysUnavailable):
            tokens.verify(signed())
    assert len(reads) == 1


def test_redirect(tokens: PlayerTokens, backend: JwksServer) -> None:
    """Keys behind a redirect are not accepted."""
    with JwksServer(JWKS) as other:
        backend.status, backend.headers = 302, {"Location": other.url}
        with pytest.raises(KeysUnavailable):
            tokens.verify(TEXT)
    assert other.asked == []


PROXIES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


READ = "import sys, player_tokens; print(player_tokens.read_jwks(sys.argv[1])['keys'][0]['kid'])"


def read_in_a_process(url: str, proxy: str) -> "subprocess.CompletedProcess[str]":
    """Read a JWKS in a process with a proxy in its environment from the start."""
    return subprocess.run(
        [sys.executable, "-c", READ, url],
        cwd=ROOT / "clients" / "game_server",
        env={"PATH": os.environ["PATH"], **dict.fromkeys(PROXIES, proxy)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST"])
def test_a_proxy_is_for_other_machines(backend: JwksServer, host: str) -> None:
    """A backend on this machine is asked directly, even if the environment names a proxy."""
    url = f"http://{host}:{backend.server_port}/.well-known/jwks.json"
    done = read_in_a_process(url, "http://127.0.0.1:9")  # nothing listens there
    assert done.stdout == f"{HEADER['kid']}\n", done.stderr


def test_a_proxy_is_used_for_a_real_host() -> None:
    """A backend on another machine is asked through the proxy of the environment."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        asked: list[bytes] = []

        def answer() -> None:
            connection, _ = proxy.accept()
            with connection:
                asked.append(connection.recv(4096))
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        url = "https://login.example.com/.well-known/jwks.json"
        done = read_in_a_process(url, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        thread.join(10)
    assert "403 Forbidden" in done.stderr
    assert asked[0].startswith(b"CONNECT login.example.com:443 ")


@pytest.mark.parametrize("url", ["HTTP://LOCALHOST:3000", "http://127.0.0.2", "http://[::1]:3000"])
def test_a_backend_on_this_machine(url: str) -> None:
    """This machine may be asked without TLS, by any of its names, in upper or lower case."""
    PlayerTokens(url, "issuer", "game")


def test_backend_down(watch: Watch) -> None:
    """A refused connection is no verdict on the ticket either."""
    with pytest.raises(KeysUnavailable):
        verifier("http://127.0.0.1:9", watch).verify(TEXT)


def test_weak_and_private_keys(tokens: PlayerTokens, backend: JwksServer) -> None:
    """Keys for encryption and private or symmetric keys are left out."""
    key = published(KEYS.ring())[0]
    backend.body = json.dumps({"keys": [{**key, "use": "enc"}, {**key, "d": "AQAB"}]}).encode()
    with pytest.raises(KeysUnavailable):
        tokens.verify(TEXT)


@pytest.mark.parametrize(
    "url",
    [
        "http://login.example.com",
        "http://10.0.0.1",
        "http://localhost.example.com",
        "ftp://localhost",
        "login.example.com",
        "",
        "https://",
    ],
)
def test_insecure_backend(url: str) -> None:
    """Keys must come over https, or from this machine."""
    with pytest.raises(ValueError, match="must be https"):
        PlayerTokens(url, "issuer", "game")


def test_many_threads(backend: JwksServer, watch: Watch) -> None:
    """Threads that start together read the keys once."""
    tokens = verifier(backend.url, watch)
    names: list[Any] = []
    threads = [
        threading.Thread(target=lambda: names.append(tokens.verify(TEXT).name), daemon=True)
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (names, len(backend.asked)) == (["Ada"] * 20, 1)


def test_nobody_with_a_key_waits(tokens: PlayerTokens, backend: JwksServer, watch: Watch) -> None:
    """While one thread reads, a ticket of a known key is verified at once; others wait."""
    tokens.verify(TEXT)
    backend.body = json.dumps(ring_of(token_secret("s1", "s2")).jwks()).encode()
    backend.may_answer.clear()
    watch.pass_by(301)
    names: list[str] = []
    new = signed({"kid": "s2"}, key=rsa_key(1))
    threads = [
        threading.Thread(
            target=lambda text=text: names.append(tokens.verify(text).name), daemon=True
        )
        for text in (TEXT, new)
    ]
    threads[0].start()
    while len(backend.asked) < 2:
        time.sleep(0.01)
    threads[1].start()
    started = time.monotonic()
    assert tokens.verify(TEXT).name == "Ada"
    assert time.monotonic() - started < 2
    assert names == []
    backend.may_answer.set()
    for thread in threads:
        thread.join()
    assert (names, len(backend.asked)) == (["Ada"] * 2, 2)


def test_slow_backend(backend: JwksServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend that sends byte after byte holds nobody up for longer than the deadline."""
    monkeypatch.setattr(player_tokens, "READ_SECONDS", 0.5)
    backend.pause = 0.1
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        player_tokens.read_jwks(f"{backend.url}/.well-known/jwks.json")
    assert time.monotonic() - started < 3
