"""A trusted proxy in front of the API: the address that counts for rate limits."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

import handler
from auth.api import trusted_proxy
from auth.settings import Settings
from tests.conftest import Tables
from tests.play.containers import Secrets, Serve
from tests.play.events import Answer, http_event, is_unavailable
from tests.play.players import Player

EDGE = "192.0.2.1"
NAME = "test/proxy"
OURS, NEXT = "a" * 32, "b" * 32
Ask = Callable[..., Answer]


@pytest.fixture
def ask(tables: Tables, settings: Settings, secrets: Secrets, serve: Serve) -> Ask:
    """Return a function that guesses at a name through a proxy, with these headers."""
    secrets.create(NAME, {"value": OURS})
    serve(replace(settings, trusted_proxy_secret_id=NAME))

    def ask(viewer: str | None, secret: str | None = OURS, name: str = "nobody-here") -> Answer:
        headers = {"Content-Type": "application/json"}
        if viewer is not None:
            headers["CloudFront-Viewer-Address"] = viewer
        if secret is not None:
            headers["X-Origin-Verify"] = secret
        body = json.dumps({"username": name, "password": "not the password"})
        return Answer.of(handler.http(http_event("POST", "/v1/login", body, headers, EDGE), None))

    return ask


def test_players_behind_the_proxy_are_apart(ask: Ask) -> None:
    """Each viewer has its own limits, although all requests come from the proxy's address."""
    assert [ask("198.51.100.1:4000").status for _ in range(6)] == [401] * 5 + [429]
    assert ask("198.51.100.2:4000").status == 401
    assert ask("198.51.100.1:9999").status == 429  # the port is not part of the address
    assert ask("2001:db8:1:2::5:443", name="another").status == 401


@pytest.mark.parametrize("secret", [None, "", "x", OURS[:-1], OURS + "a", NEXT, "\u00e9" * 32])
def test_without_the_secret(ask: Ask, secret: str | None) -> None:
    """Without the proxy's secret its header is ignored: the connection's address counts."""
    statuses = [ask(f"198.51.100.{number}:1", secret).status for number in range(6)]
    assert statuses == [401] * 5 + [429]


@pytest.mark.parametrize("viewer", [None, "", "unknown", "198.51.100.1", "1.2.3:80", ":"])
def test_without_an_address(ask: Ask, viewer: str | None, caplog: pytest.LogCaptureFixture) -> None:
    """If the proxy names no address, its own counts, and the log names the setting to change."""
    assert [ask(viewer).status for _ in range(6)] == [401] * 5 + [429]
    events = {vars(record).get("event") for record in caplog.records}
    assert "proxy_address_missing" in events


def test_no_proxy_is_trusted_by_default(tables: Tables) -> None:
    """Without the setting the proxy's headers do not even reach the application."""
    headers = {"Content-Type": "application/json", "X-Origin-Verify": OURS}
    body = json.dumps({"username": "nobody-here", "password": "x"})
    for number in range(6):
        headers["CloudFront-Viewer-Address"] = f"198.51.100.{number}:1"
        event = http_event("POST", "/v1/login", body, headers, EDGE)
        answer = Answer.of(handler.http(event, None))
        assert answer.status == (401 if number < 5 else 429)


def test_another_header(tables: Tables, settings: Settings, secrets: Secrets, serve: Serve) -> None:
    """Another proxy's header may contain the address without a port."""
    secrets.create(NAME, {"value": OURS})
    serve(replace(settings, trusted_proxy_secret_id=NAME, trusted_proxy_header="cf-connecting-ip"))
    body = json.dumps({"username": "nobody-here", "password": "x"})
    for number in range(6):
        headers = {
            "Content-Type": "application/json",
            "X-Origin-Verify": OURS,
            "CF-Connecting-IP": f"2001:db8::{number}",
        }
        event = http_event("POST", "/v1/login", body, headers, EDGE)
        assert Answer.of(handler.http(event, None)).status == (401 if number < 5 else 429)


def test_changing_the_secret(ask: Ask, secrets: Secrets, monkeypatch: pytest.MonkeyPatch) -> None:
    """During a change of the secret its previous value is accepted as well."""
    monkeypatch.setattr(trusted_proxy, "CACHE_SECONDS", 0.0)
    secrets.put(NAME, {"value": NEXT, "previous": OURS})
    assert ask("198.51.100.1:1", OURS).status == 401
    assert ask("198.51.100.2:1", NEXT).status == 401
    secrets.put(NAME, {"value": NEXT})
    for number in range(4):
        assert ask(f"198.51.100.1{number}:1", OURS).status == 401
    assert ask("198.51.100.15:1", OURS, "other").status == 401
    assert ask("198.51.100.16:1", OURS).status == 401
    assert ask("198.51.100.17:1", OURS).status == 429
    assert ask("198.51.100.17:1", NEXT).status == 401


def test_the_secret_cannot_be_read(
    ask: Ask, secrets: Secrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret that was read once stays in use if a later read fails."""
    assert ask("198.51.100.1:1").status == 401
    monkeypatch.setattr(trusted_proxy, "CACHE_SECONDS", 0.0)
    secrets.put(NAME, {"value": "too short"})
    assert [ask("198.51.100.1:1").status for _ in range(5)] == [401] * 4 + [429]
    assert ask("198.51.100.2:1").status == 401


def test_the_secret_was_never_read(
    tables: Tables, settings: Settings, serve: Serve, player: Player
) -> None:
    """Without the proxy's secret no address is known, so requests with a rate limit get 503."""
    serve(replace(settings, trusted_proxy_secret_id="no/such/secret"))
    body = json.dumps({"username": player.username, "password": player.password})
    headers = {"Content-Type": "application/json", "X-Origin-Verify": OURS}
    event = http_event("POST", "/v1/login", body, headers, EDGE)
    assert is_unavailable(Answer.of(handler.http(event, None)))
    assert player.me().status == 200
    assert player.log_in().status == 200  # from an address that API Gateway saw itself
