"""The game server's verifier refuses the same tokens as the backend, and rarely reads the keys."""

import ast
import base64
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Never

import jwt
import player_tokens
import pytest
from hypothesis import given
from hypothesis import strategies as st
from player_tokens import InvalidToken, KeysUnavailable, Player, PlayerTokens

from auth.credentials.access_tokens import issue
from auth.credentials.keys import ALGORITHMS
from auth.credentials.new_keys import new_token_secret
from auth.credentials.token_keys import TokenKeys
from auth.times import system_clock
from local.stack import ROOT
from tests.unit.test_access_tokens import (
    CLAIMS,
    FORGERIES,
    HEADER,
    KEYS,
    NOW,
    REALM,
    TEXT,
    TOKEN,
    signed,
)
from tests.unit.test_keys import ScriptedStore, published, ring_of, rsa_key, token_secret

# Only the backend knows the form of its ids; to game servers they are opaque.
OPAQUE = {"sub no id", "sub upper case"}
JWKS = json.dumps(KEYS.ring().jwks()).encode()


class Backend(ThreadingHTTPServer):
    """Serves a JWKS, and counts the requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.status, self.body, self.headers = 200, JWKS, dict[str, str]()
        self.asked: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Answer(BaseHTTPRequestHandler):
    server: Backend

    def do_GET(self) -> None:
        """Answer as configured by the test."""
        self.server.asked.append(self.path)
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


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
def backend() -> Iterator[Backend]:
    """Return a backend that serves the keys."""
    backend = Backend()
    yield backend
    backend.shutdown()
    backend.server_close()


@pytest.fixture
def watch() -> Watch:
    """Return the clocks."""
    return Watch()


@pytest.fixture
def tokens(backend: Backend, watch: Watch) -> PlayerTokens:
    """Return a verifier for that backend."""
    return verifier(backend.url, watch)


def verifier(url: str, watch: Watch) -> PlayerTokens:
    """Return a verifier with the test's clocks."""
    return PlayerTokens(url, REALM.issuer, REALM.audience, watch.time, lambda: watch.ticks)


@pytest.fixture(scope="module")
def shared_tokens() -> Iterator[PlayerTokens]:
    """Return a verifier for many tokens that has already read its keys."""
    backend = Backend()
    tokens = verifier(backend.url, Watch())
    tokens.verify(TEXT)
    yield tokens
    backend.shutdown()
    backend.server_close()


def test_player(tokens: PlayerTokens, backend: Backend) -> None:
    """A token from the backend identifies the player; the keys are read once."""
    player = tokens.verify(TEXT)
    assert player == Player(CLAIMS["sub"], CLAIMS["sid"], "Ada", CLAIMS["exp"])
    assert tokens.verify(TEXT) == player
    assert backend.asked == ["/.well-known/jwks.json"]


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_kinds_of_keys(tokens: PlayerTokens, backend: Backend, kind: str) -> None:
    """Tokens of each kind of key are verified, and one kind is not mistaken for another."""
    ring = TokenKeys(ScriptedStore(new_token_secret(kind)), "tokens").ring()
    text = issue(ring, REALM, TOKEN, "Ada", NOW)
    backend.body = json.dumps(ring.jwks()).encode()
    assert tokens.verify(text).name == "Ada"
    others = [other for other in ALGORITHMS.values() if other != ALGORITHMS[kind]]
    _, claims, signature = text.split(".")
    for other in others:
        head = json.dumps({"typ": "at+jwt", "alg": other, "kid": "signing-1"}).encode()
        head_text = base64.urlsafe_b64encode(head).rstrip(b"=").decode()
        with pytest.raises(InvalidToken):
            tokens.verify(f"{head_text}.{claims}.{signature}")


@pytest.mark.parametrize("name", sorted(FORGERIES.keys() - OPAQUE))
def test_forgery(shared_tokens: PlayerTokens, name: str) -> None:
    """Every token that the backend refuses is refused here, and not quoted in the error."""
    text = FORGERIES[name]()
    with pytest.raises(InvalidToken) as caught:
        shared_tokens.verify(text)
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize("claim", ["name", "sub", "sid"])
@pytest.mark.parametrize("value", ["", None, 1, ["Ada"]])
def test_claims(shared_tokens: PlayerTokens, claim: str, value: Any) -> None:
    """A token without a name or an id is refused."""
    with pytest.raises(InvalidToken):
        shared_tokens.verify(signed(None, **{claim: value}))


@given(text=st.text() | st.text("ey.J0-_", max_size=80))
def test_any_text(shared_tokens: PlayerTokens, text: str) -> None:
    """Any other text is refused with InvalidToken, never another error."""
    with pytest.raises(InvalidToken):
        shared_tokens.verify(text)


def test_lifetime(tokens: PlayerTokens, watch: Watch) -> None:
    """A token is valid for ten minutes, to the second."""
    watch.now = NOW + timedelta(seconds=599)
    tokens.verify(TEXT)
    watch.now = NOW + timedelta(seconds=600)
    with pytest.raises(InvalidToken, match="expired"):
        tokens.verify(TEXT)


@pytest.mark.parametrize("behind", [3, 30, 3600])
def test_a_clock_that_is_behind(tokens: PlayerTokens, watch: Watch, behind: int) -> None:
    """A fresh token is valid on a game server with a clock behind the backend's."""
    watch.now = NOW - timedelta(seconds=behind)
    assert tokens.verify(TEXT).name == "Ada"


def test_a_clock_that_is_ahead(tokens: PlayerTokens, watch: Watch) -> None:
    """A clock that is ahead shortens a token's life by that much, but accepts fresh tokens."""
    watch.now = NOW + timedelta(seconds=30)
    tokens.verify(TEXT)
    watch.now = NOW + timedelta(seconds=30 + 570)
    with pytest.raises(InvalidToken, match="expired"):
        tokens.verify(TEXT)


def test_the_documents_leeway() -> None:
    """Plain PyJWT with the documented leeway accepts tokens despite small clock differences."""
    text = (ROOT / "docs" / "contract" / "http-api.md").read_text()
    found = re.search(r"`leeway=(\d+), options=({[^}]*})`", text)
    assert found
    leeway, options = int(found[1]), ast.literal_eval(found[2])

    def decode(seconds: int, **settings: Any) -> Any:
        token = issue(KEYS.ring(), REALM, TOKEN, "Ada", system_clock() + timedelta(seconds=seconds))
        key = jwt.PyJWK(published(KEYS.ring())[0])
        settings.update(issuer=REALM.issuer, audience=REALM.audience)
        return jwt.decode(token, key, algorithms=[key.algorithm_name], **settings)

    with pytest.raises(jwt.ImmatureSignatureError):
        decode(20)
    with pytest.raises(jwt.ExpiredSignatureError):
        decode(-620)
    for seconds in (20, -620):
        assert decode(seconds, leeway=leeway, options=options)["name"] == "Ada"
    with pytest.raises(jwt.ExpiredSignatureError):
        decode(-640, leeway=leeway, options=options)


def test_unknown_keys(tokens: PlayerTokens, backend: Backend, watch: Watch) -> None:
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


def test_withdrawn_key(tokens: PlayerTokens, backend: Backend, watch: Watch) -> None:
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
    tokens: PlayerTokens, backend: Backend, watch: Watch, name: str
) -> None:
    """Players are still verified with the cached keys, whatever the backend answers."""
    tokens.verify(TEXT)
    backend.status, backend.body = BAD_ANSWERS[name]
    watch.pass_by(10_000)
    for _ in range(3):
        tokens.verify(TEXT)
    assert len(backend.asked) == 2


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_no_keys_yet(tokens: PlayerTokens, backend: Backend, watch: Watch, name: str) -> None:
    """Without any keys a token is neither accepted nor refused; the backend is asked again soon."""
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


def test_redirect(tokens: PlayerTokens, backend: Backend) -> None:
    """Keys behind a redirect are not accepted."""
    other = Backend()
    backend.status, backend.headers = 302, {"Location": other.url}
    with pytest.raises(KeysUnavailable):
        tokens.verify(TEXT)
    assert other.asked == []
    other.shutdown()
    other.server_close()


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
def test_a_proxy_is_for_other_machines(backend: Backend, host: str) -> None:
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
    """A refused connection is no verdict on the token either."""
    with pytest.raises(KeysUnavailable):
        verifier("http://127.0.0.1:9", watch).verify(TEXT)


def test_weak_and_private_keys(tokens: PlayerTokens, backend: Backend) -> None:
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


def test_many_threads(backend: Backend, watch: Watch) -> None:
    """Threads that start together read the keys once."""
    tokens = verifier(backend.url, watch)
    names: list[Any] = []
    threads = [
        threading.Thread(target=lambda: names.append(tokens.verify(TEXT).name)) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (names, len(backend.asked)) == (["Ada"] * 20, 1)


def test_the_backends_own_token(tokens: PlayerTokens) -> None:
    """A token issued by the backend's own code verifies here, claim by claim."""
    text = issue(KEYS.ring(), REALM, TOKEN, "Grace", NOW)
    assert tokens.verify(text).name == "Grace"
