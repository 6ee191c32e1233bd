"""Hostile bodies, names, passwords and tokens never cause a 5xx."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

import handler
from auth.app import create_app
from auth.credentials.passwords import Passwords
from auth.settings import Settings
from local.stack import Stack
from tests.conftest import Tables
from tests.integration.contract.contract import CODES, ROUTES, WITH_BODY, ContractLine, every
from tests.play.events import Answer, http_event
from tests.play.players import PASSWORD, Player, call

# Texts that `st.text()` generates rarely or never.
NASTY = (
    *("", "\0", "\\", "'", '"', "' OR '1'='1", "admin'--", "%s", "%(x)s", "{}", "${jndi:x}", "0"),
    *(
        "true",
        "null",
        "NaN",
        "1e999",
        "\u202e",
        "\ufeff",
        "\uffff",
        "\u212a",
        "ß",
        "\u017f",
        "İ",
        "ﬃ",
    ),
    *(
        "e\u0301" * 64,
        "\u0301" * 128,
        "🎮" * 128,
        "a" * 129,
        "x" * 2000,
        "\U0010ffff",
        "\r\n",
        "\x7f",
    ),
    *("aaaaaaaaaaaaaaaa", "qwertyuiop", "19991231", "p4ssw0rd!!", "\u0660\u0661\u0662" * 8),
)
words = st.sampled_from(NASTY) | st.text(max_size=40) | st.text("aA0.-_ \0'%é", max_size=30)
names = words | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{1,22}[A-Za-z0-9]", fullmatch=True)
passwords = words | st.text(min_size=8, max_size=40)
tokens = (
    words
    | st.binary(max_size=120).map(lambda raw: "glrt_" + raw.hex())
    | st.text("abcXYZ019-_", min_size=119, max_size=123).map("glrt_".__add__)
)
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
FIELDS = (
    *("username", "password", "device", "refresh_token", "current_password", "new_password"),
    *("everywhere", "guest_secret", "create"),
)
forms = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, words | junk))
few = examples(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
some = examples(few, max_examples=100)


@pytest.fixture(scope="module", autouse=True)
def _quick(stack: Stack) -> Iterator[None]:
    """Let the handler hash cheaply."""
    environment = {**stack.environment(), "RATE_LIMIT_SCALE": "1000"}
    settings = Settings.from_environment(environment)
    application = create_app(settings, passwords=Passwords(memory_kib=8, iterations=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handler, "application", application)
        yield
    application.close()


def check(answer: Answer) -> None:
    """Check that it is a success or an error of the contract, and no 5xx."""
    assert answer.status < 500, answer
    if answer.status >= 400:
        assert CODES[answer.code] == answer.status
        assert set(answer.json) == {"error"}


def send(route: ContractLine, body: str | bytes, token: str) -> Answer:
    """Send a body unchanged, with an access token."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    return Answer.of(handler.http(http_event(route.method, route.path, body, headers), None))


@every(*WITH_BODY)
@few
@given(raw=st.binary(max_size=200))
def test_any_bytes(route: ContractLine, player: Player, raw: bytes) -> None:
    """Any bytes as a body get a success or an error of the contract."""
    check(send(route, raw, player.access_token))


@every(*WITH_BODY)
@few
@given(body=forms | junk)
def test_any_json(route: ContractLine, player: Player, body: object) -> None:
    """Any JSON as a body gets a success or an error of the contract."""
    check(send(route, json.dumps(body), player.access_token))


@every(*WITH_BODY)
@few
@given(body=forms, field=st.sampled_from(FIELDS), at=st.integers(0, 200), raw=st.binary(max_size=4))
def test_damaged_json(
    route: ContractLine, player: Player, body: dict[str, object], field: str, at: int, raw: bytes
) -> None:
    """A body with damaged bytes gets a success or an error of the contract."""
    text = json.dumps({field: "x", **body}, ensure_ascii=False).encode(errors="surrogatepass")
    at %= len(text)
    check(send(route, text[:at] + raw + text[at + 1 :], player.access_token))


@some
@given(username=names, password=passwords, device=st.none() | words)
def test_any_registration(tables: Tables, username: str, password: str, device: str | None) -> None:
    """Any name and password either register an account that then works, or are refused."""
    tables.empty()
    body = {"username": username, "password": password, "device": device}
    answer = call("POST", "/v1/register", body)
    check(answer)
    assert (answer.status == 201) == (tables.count("accounts") == 1)
    if answer.status == 201:
        assert answer.json["account"]["username"] == username
        assert call("POST", "/v1/login", body).status == 200
    else:
        assert answer.status in (400, 422)


@some
@given(password=passwords)
def test_any_new_password(tables: Tables, player: Player, password: str) -> None:
    """An accepted password signs in afterwards; a refused one changes nothing."""
    answer = player.change_password(password)
    check(answer)
    assert answer.status in (200, 422)
    if answer.status == 422:
        assert answer.code == "weak_password"
        assert all(answer.json["error"]["fields"].values())
    assert player.log_in().status == 200


@some
@given(username=names, password=passwords, proof=st.none() | tokens)
def test_any_login(player: Player, username: str, password: str, proof: str | None) -> None:
    """A guess never signs in, whatever its characters."""
    body: dict[str, object] = {"username": username, "password": password}
    for name in (username, player.username):
        answer = call("POST", "/v1/login", {**body, "username": name, "refresh_token": proof})
        assert (answer.status, answer.code) == (401, "invalid_credentials")
        tutorial = call("POST", "/login", {**body, "username": name})
        assert (tutorial.status, tutorial.json) == (200, {"status": False})


@pytest.mark.parametrize(
    "end", [" ", "\0", "\u0301", "\u200b", "\t", "/", "%", "\ufe0f"], ids=ascii
)
def test_names_that_look_alike(end: str, player: Player) -> None:
    """A name with an added character is another name and cannot be registered."""
    for name in (player.username + end, end + player.username):
        body = {"username": name, "password": PASSWORD}
        assert call("POST", "/v1/login", body).code == "invalid_credentials"
        assert call("POST", "/v1/register", body).code == "invalid_username"


@some
@given(token=tokens)
def test_any_refresh_token(player: Player, token: str) -> None:
    """A refresh token that we did not issue is refused and ends no session."""
    assert call("POST", "/v1/refresh", {"refresh_token": token}).code == "session_ended"
    assert player.me().status == 200


@some
@given(at=st.integers(0, 10_000), character=st.sampled_from("AZaz09-_=+/. é"))
def test_damaged_refresh_token(player: Player, at: int, character: str) -> None:
    """A refresh token with one character changed is refused, and its session goes on.

    One that names another key may give 503, because the key could be too new for this container.
    """
    right = player.refresh_token
    at %= len(right)
    wrong = right[:at] + character + right[at + 1 :]
    if wrong != right:
        names_another_key = at - len("glrt_") in range(1, 7)
        codes = {"session_ended", "unavailable"} if names_another_key else {"session_ended"}
        assert call("POST", "/v1/refresh", {"refresh_token": wrong}).code in codes
    assert player.me().status == 200


@some
@given(at=st.integers(0, 10_000), character=st.sampled_from("AZaz09-_=+/.é"))
def test_damaged_access_token(player: Player, at: int, character: str) -> None:
    """An access token with one character changed is refused."""
    right = player.access_token
    at %= len(right) - 1  # the last character has unused bits
    if right[at] != character:
        wrong = right[:at] + character + right[at + 1 :]
        assert call("GET", "/v1/me", token=wrong).code == "invalid_token"


@some
@given(token=words | tokens | st.text("ey.J0-_ ", max_size=60))
def test_any_access_token(tables: Tables, token: str) -> None:
    """Any text as an access token is refused on every bearer route."""
    for route in ROUTES:
        if route.bearer:
            answer = send(route, "", token)
            check(answer)
            assert answer.status in (400, 401)
