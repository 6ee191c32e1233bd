"""The security log: the attacked account, the attacker's network, the reason for each refusal."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

import handler
from tests.conftest import FakeClock, Tables
from tests.play.events import Answer, http_event
from tests.play.players import PASSWORD, Player, call

WRONG = "not the password"
NEW = "lute-Gr4ph!t"


class Log:
    """The log lines of the requests, as the log collector gets them."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    def last(self) -> dict[str, Any]:
        """Return the fields of the last request's line."""
        return [vars(one) for one in self._caplog.records if "route" in vars(one)][-1]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    """Return the log."""
    return Log(caplog)


def ids_of(player: Player) -> dict[str, str]:
    """Return a player's account and session ids as logged."""
    listed = next(one for one in player.sessions() if one["current"])
    return {"account_id": player.me().json["account"]["id"], "session_id": listed["id"]}


def said(line: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return some fields of a line."""
    return {name: line.get(name) for name in names}


def test_failed_sign_in(player: Player, log: Log) -> None:
    """A failed sign-in names the account, if it exists, and a digest of the network."""
    account_id = player.me().json["account"]["id"]
    networks = []
    for address in ("198.51.100.1", "198.51.100.1", "198.51.100.2"):
        player.address = address
        assert player.log_in(WRONG).status == 401
        line = log.last()
        assert said(line, "event", "code", "account_id") == {
            "event": "sign_in_failed",
            "code": "invalid_credentials",
            "account_id": account_id,
        }
        assert address not in str(line)
        networks.append(line["network"])
    assert networks[0] == networks[1] != networks[2]
    assert len(networks[0]) == 32
    assert Player("nobody-here").log_in().status == 401
    assert log.last()["event"] == "sign_in_failed"
    assert "account_id" not in log.last()
    call("POST", "/login", {"username": player.username, "password": WRONG})
    assert said(log.last(), "event", "account_id") == {
        "event": "sign_in_failed",
        "account_id": account_id,
    }
    assert log.last()["network"]


def test_which_limit(player: Player, log: Log) -> None:
    """A limited attempt names the limit, the account and the network."""
    account_id = player.me().json["account"]["id"]
    for _ in range(6):
        player.log_in(WRONG)
    assert said(log.last(), "code", "limit", "account_id") == {
        "code": "too_many_attempts",
        "limit": "login account address",
        "account_id": account_id,
    }
    assert log.last()["network"]
    for number in range(20):
        player.address = f"198.51.100.{number}"
        player.log_in(WRONG)
    assert log.last()["limit"] == "login account"
    for number in range(21):
        Player(f"name-{number}", address="203.0.113.99").log_in()
    assert log.last()["limit"] == "login address"
    for _ in range(3):
        player.change_password(NEW, WRONG)
    assert said(log.last(), "limit", "account_id") == {
        "limit": "password check",
        "account_id": account_id,
    }


def test_reasons_of_access_tokens(player: Player, log: Log, clock: FakeClock) -> None:
    """The log distinguishes forged, expired and revoked access tokens."""
    assert player.log_in().status == 200
    ids, token = ids_of(player), player.access_token
    head, payload, signature = token.split(".")
    other = "A" if signature[9] != "A" else "B"
    forged = f"{head}.{payload}.{signature[:9]}{other}{signature[10:]}"
    for text, reason in ((None, "missing"), ("x", "garbled"), (forged, "signature")):
        assert call("GET", "/v1/me", token=text).code == "invalid_token"
        assert said(log.last(), "code", "reason") == {"code": "invalid_token", "reason": reason}
        assert log.last()["network"]
        assert "account_id" not in log.last()
    clock.advance(minutes=10)
    assert player.me().code == "invalid_token"
    assert log.last()["reason"] == "expired"
    assert player.refresh().status == 200
    assert player.log_out().status == 200
    assert player.me().code == "invalid_token"
    assert said(log.last(), "reason", *ids) == {"reason": "revoked", **ids}


def test_reasons_of_refresh_tokens(player: Player, log: Log, clock: FakeClock) -> None:
    """The log distinguishes reused, forged and expired refresh tokens."""
    assert player.log_in().status == 200
    ids = ids_of(player)
    first = player.refresh_token
    middle = len(first) // 2
    flipped = first[:middle] + ("A" if first[middle] != "A" else "B") + first[middle + 1 :]
    for text, reason in (("x", "garbled"), (flipped, "signature")):
        assert player.refresh(text).code == "session_ended"
        assert said(log.last(), "code", "reason") == {"code": "session_ended", "reason": reason}
        assert log.last()["network"]
        assert "account_id" not in log.last()
    assert player.refresh().status == 200
    assert said(log.last(), "event", *ids) == {"event": "refreshed", **ids}
    clock.advance(minutes=2)
    assert player.refresh(first).code == "session_ended"
    assert said(log.last(), "event", "reason", *ids) == {
        "event": "refresh_reused",
        "reason": "reused",
        **ids,
    }
    assert player.refresh().code == "session_ended"
    assert said(log.last(), "reason", *ids) == {"reason": "revoked", **ids}
    assert player.log_in().status == 200
    clock.advance(days=31)
    assert player.refresh().code == "session_ended"
    assert log.last()["reason"] == "expired"
    assert player.log_in().status == 200
    assert player.delete().status == 200
    assert player.refresh().code == "session_ended"
    assert log.last()["reason"] == "gone"


def test_sign_outs(player: Player, log: Log) -> None:
    """Signing out, everywhere, and ending another session are events with the affected ids."""
    ids = ids_of(player)
    assert player.log_out().status == 200
    assert said(log.last(), "event", *ids) == {"event": "signed_out", **ids}
    assert player.log_out().status == 200
    assert log.last()["event"] == "request"  # nothing happened
    assert player.log_in().status == 200
    ids = ids_of(player)
    assert player.log_out(everywhere=True).status == 200
    assert said(log.last(), "event", *ids) == {"event": "signed_out_everywhere", **ids}
    assert player.log_in().status == 200
    phone = player.on_another_device()
    assert phone.log_in().status == 200
    ids, ended = ids_of(player), ids_of(phone)["session_id"]
    assert player.ask("DELETE", f"/v1/sessions/{ended}").status == 200
    assert said(log.last(), "event", "revoked_session_id", *ids) == {
        "event": "session_revoked",
        "revoked_session_id": ended,
        **ids,
    }
    ids = ids_of(player)
    assert call("POST", "/v1/logout", {"refresh_token": player.refresh_token}).status == 200
    assert said(log.last(), "event", *ids) == {"event": "signed_out", **ids}


def test_sign_in(player: Player, log: Log, tables: Tables) -> None:
    """Signing in names account and session, and the session that it replaced."""
    before = ids_of(player)["session_id"]
    assert player.log_in(refresh_token=player.refresh_token).status == 200
    line = log.last()
    assert said(line, "event", "replaced_session_id") == {
        "event": "signed_in",
        "replaced_session_id": before,
    }
    assert said(line, "account_id", "session_id") == ids_of(player)
    assert "network" not in line  # only refusals name the network
    tables.run("UPDATE accounts SET suspended_until = %s", datetime(9999, 1, 1, tzinfo=UTC))
    assert player.log_in().code == "account_suspended"
    assert log.last()["event"] == "suspended_sign_in"
    assert log.last()["network"]


def test_account_settings(player: Player, log: Log) -> None:
    """A failed and a successful password change, its repetition, and a deletion are events."""
    ids = ids_of(player)
    assert player.change_password(NEW, WRONG).status == 401
    assert said(log.last(), "event", *ids) == {"event": "password_check_failed", **ids}
    assert log.last()["network"]
    assert player.change_password(NEW).status == 200
    assert said(log.last(), "event", *ids) == {"event": "password_changed", **ids}
    assert player.change_password(NEW, PASSWORD).status == 200
    assert said(log.last(), "event", *ids) == {"event": "password_change_repeated", **ids}
    assert player.delete().status == 200
    assert said(log.last(), "event", *ids) == {"event": "account_deleted", **ids}


def test_recoveries(player: Player, log: Log) -> None:
    """A code that is made, used or guessed at is an event; guesses name the network."""
    account = {"account_id": player.me().json["account"]["id"]}
    ids = ids_of(player)
    code = player.saved_code()
    assert said(log.last(), "event", *ids) == {"event": "recovery_code_made", **ids}
    assert "network" not in log.last()
    lost = player.on_another_device()
    assert lost.recover(code, NEW).status == 200
    assert said(log.last(), "event", *account) == {"event": "recovered", **account}
    assert "network" not in log.last()
    networks = []
    for address in ("198.51.100.1", "198.51.100.1", "198.51.100.2"):
        lost.address = address
        assert lost.recover(code, PASSWORD).status == 401
        line = log.last()
        assert said(line, "event", "code", *account) == {
            "event": "recovery_failed",
            "code": "invalid_credentials",
            **account,
        }
        assert address not in str(line)
        assert code not in str(line)
        networks.append(line["network"])
    assert networks[0] == networks[1] != networks[2]
    assert Player("nobody-here").recover(code, NEW).status == 401
    assert log.last()["event"] == "recovery_failed"
    assert log.last()["network"]
    assert "account_id" not in log.last()


def test_log_without_keys(stack: object, log: Log, clock: FakeClock) -> None:
    """A container that has read no keys yet logs no network, and reads none for the log."""
    event = http_event("GET", "/v1/me")
    assert Answer.of(handler.http(event, None)).code == "invalid_token"
    assert said(log.last(), "reason", "network") == {"reason": "missing", "network": None}
    assert json.dumps(log.last()["duration_ms"])


def test_refused_by_the_handler(stack: object, log: Log, caplog: pytest.LogCaptureFixture) -> None:
    """Requests that the handler refuses by itself are logged with method, status and code, too."""
    for method, path, status, code in (
        ("POST", "/v1/%6cogin", 404, "not_found"),
        ("GET", "//v1/me", 404, "not_found"),
    ):
        caplog.clear()
        assert call(method, path).status == status
        assert said(log.last(), "event", "method", "route", "status", "code") == {
            "event": "request",
            "method": method,
            "route": "(no route)",
            "status": status,
            "code": code,
        }
        assert path not in caplog.text
