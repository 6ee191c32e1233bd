"""The handler gives every error that docs/contract/openapi.json describes.

All tests of this folder check the converse, that every answer is described: see `conftest`.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import handler
from auth.app import create_app
from auth.credentials.passwords import Passwords
from auth.settings import Settings
from tests.conftest import FakeClock, Tables
from tests.integration.contract.contract import RECOVERY_CODE, SERVER, SOME_ID
from tests.play.events import Answer, http_event
from tests.play.game_servers import new_key
from tests.play.guests import Guest, new_secret
from tests.play.judge import NotDescribed, description
from tests.play.players import PASSWORD, Player, call

OPERATIONS = {
    operation["operationId"]: (method, path.replace("{id}", SOME_ID), operation)
    for method, path, operation in description().operations()
}
# The tutorial answers these in its own words, which its own tests check.
PAIRS = sorted(
    (name, code)
    for name, (_, _, operation) in OPERATIONS.items()
    for response in operation["responses"].values()
    for code in description().codes(response)
)
KEY = "0123456789abcdef"


class Caller:
    """A caller of one operation, correct except for the fault that a test adds."""

    def __init__(self, operation: str, player: Player, tables: Tables, settings: Settings) -> None:
        self.method, self.path, self.description = OPERATIONS[operation]
        self.player, self.tables, self.settings = player, tables, settings
        bodies: dict[str, dict[str, Any]] = {
            "register": {"username": "somebody-new", "password": PASSWORD},
            "logIn": {"username": player.username, "password": PASSWORD},
            "tutorialLogin": {"username": player.username, "password": PASSWORD},
            "refresh": {"refresh_token": player.refresh_token},
            "changePassword": {"current_password": PASSWORD, "new_password": "quite another one"},
            "deleteAccount": {"password": PASSWORD},
            "export": {"password": PASSWORD},
            "rename": {"username": "somebody-new", "password": PASSWORD},
            "enter": {"guest_secret": new_secret(), "create": True},
            "makeRecoveryCode": {"password": PASSWORD},
            "getTicket": {"server": SERVER},
            "redeem": {"server": SERVER},
            "recover": {"username": player.username, "new_password": "quite another one"},
        }
        self.body = bodies.get(operation)
        self.token = player.access_token
        if self.description.get("security") == [{"serverKey": []}]:
            self.token = new_key()
        if operation == "redeem":
            self.take(ticket=player.ticket(SERVER))
        if operation == "recover":
            self.take(recovery_code=player.saved_code())
        if operation == "upgrade":
            self.player = guest = Guest()
            assert guest.enter(create=True).status == 201
            names = {"username": "somebody-new", "password": PASSWORD}
            self.body = {**names, "guest_secret": guest.secret}
            self.token = guest.access_token

    def send(self, raw: str | None = None, *, token: str | None = None, **headers: str) -> Answer:
        """Send the request."""
        text = raw if raw is not None else self.body and json.dumps(self.body)
        bearer = f"Bearer {self.token if token is None else token}"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"Content-Type": "application/json", "Authorization": bearer, **named}
        return Answer.of(handler.http(http_event(self.method, self.path, text or None, sent), None))

    def take(self, **fields: object) -> None:
        """Replace some fields."""
        self.body = {**(self.body or {}), **fields}


def wrong_password(caller: Caller, patch: pytest.MonkeyPatch) -> Answer:
    """Send a wrong password; for registering, delete the account meanwhile and send it again."""
    if caller.path == "/v1/register":
        caller.send(idempotency_key=KEY)
        verify = Passwords.verify

        def deleting(passwords: Passwords, password_hash: str | None, password: str) -> bool:
            caller.tables.run("DELETE FROM accounts")
            return verify(passwords, password_hash, password)

        patch.setattr(Passwords, "verify", deleting)
        return caller.send(idempotency_key=KEY)
    caller.take(password="not the password", current_password="not the password")
    caller.take(recovery_code=RECOVERY_CODE)
    if "guest_secret" in (caller.body or {}):
        caller.take(guest_secret=new_secret())
    return caller.send()


def suspended(caller: Caller, patch: pytest.MonkeyPatch) -> Answer:
    """Suspend the account, then send the right password, secret or code."""
    if caller.path != "/v1/recover":  # whose code works only once
        caller.send(idempotency_key=KEY)
    caller.tables.run("UPDATE accounts SET suspended_until = '9999-12-31', suspension_reason = ''")
    return caller.send(idempotency_key=KEY)


def reused(caller: Caller, patch: pytest.MonkeyPatch) -> Answer:
    """Send the same key with another body."""
    answer = caller.send(idempotency_key=KEY)
    caller.take(username="somebody-else", refresh_token=answer.json["refresh_token"])
    return caller.send(idempotency_key=KEY)


def often(caller: Caller, patch: pytest.MonkeyPatch) -> Answer:
    """Repeat the request until it is limited."""
    caller.take(password="correct horse battery", current_password="not the password")
    caller.take(recovery_code=RECOVERY_CODE)
    if "new_password" in (caller.body or {}):
        caller.take(new_password="neither the password")
    if caller.path == "/v1/me/upgrade":
        caller.take(guest_secret=new_secret())
    answer = caller.send()
    for number in range(70):
        if answer.status == 429:
            break
        if caller.path == "/v1/register":
            caller.take(username=f"somebody-{number}")
        answer = caller.send()
    return answer


def taken(caller: Caller, patch: pytest.MonkeyPatch) -> Answer:
    """Ask for a name that another account has."""
    assert Player("somebody-new").register().status == 201
    return caller.send()


def guests_off(caller: Caller, patch: pytest.MonkeyPatch) -> Answer:
    """Ask a stage without guests for a new one."""
    patch.setattr(handler, "application", create_app(replace(caller.settings, guests=False)))
    return caller.send()


def by_a_guest(caller: Caller, patch: pytest.MonkeyPatch) -> Answer:
    """Send the request as a guest."""
    guest = Guest()
    assert guest.enter(create=True).status == 201
    if caller.path == "/v1/recover":
        caller.take(username=guest.name(), recovery_code=guest.saved_code())
    return caller.send(token=guest.access_token)


def for_a_player(caller: Caller, patch: pytest.MonkeyPatch) -> Answer:
    """Upgrade twice, the second time to another name, or move a player as if it were a guest."""
    if caller.path == "/v1/recover":
        caller.take(new_password=None, guest_secret=new_secret())
        return caller.send()
    return with_another_name(caller, patch)


def with_a_secret_in_use(caller: Caller, patch: pytest.MonkeyPatch) -> Answer:
    """Move a guest to a device that has a guest."""
    guest, other = Guest(), Guest()
    assert guest.enter(create=True).status == other.enter(create=True).status == 201
    caller.take(new_password=None, guest_secret=other.secret)
    caller.take(username=guest.name(), recovery_code=guest.saved_code())
    return caller.send()


def with_another_name(caller: Caller, patch: pytest.MonkeyPatch) -> Answer:
    """Send the request twice, the second time with another name."""
    assert caller.send().status == 200
    caller.take(username="somebody-else")
    return caller.send()


def for_another_server(caller: Caller, patch: pytest.MonkeyPatch) -> Answer:
    """Redeem a ticket for another server, or read the feed with a key that only redeems."""
    if caller.path == "/v1/server/redeem":
        caller.take(server="eu-2:7777")
        return caller.send()
    return caller.send(token=new_key(redeem_only=True))


def used(caller: Caller, patch: pytest.MonkeyPatch) -> Answer:
    """Redeem a ticket that another key has redeemed."""
    assert caller.send(token=new_key()).status == 200
    return caller.send()


def late(caller: Caller, patch: pytest.MonkeyPatch) -> Answer:
    """Redeem a ticket that has expired."""
    clock = FakeClock()
    clock.advance(seconds=60)
    patch.setattr(handler, "application", create_app(caller.settings, clock=clock))
    return caller.send()


def broken(caller: Caller, patch: pytest.MonkeyPatch) -> Answer:
    """Plant a bug."""
    patch.setattr("serverless_wsgi.handle_request", lambda *_: 1 / 0)
    return caller.send()


def out_of_reach(caller: Caller, patch: pytest.MonkeyPatch) -> Answer:
    """Make every secret unreadable."""
    settings = replace(caller.settings, database_secret_id="none", token_secret_id="none")
    patch.setattr(handler, "application", create_app(settings))
    return caller.send()


def with_fields(**fields: object) -> Callable[[Caller, pytest.MonkeyPatch], Answer]:
    """Send these fields."""

    def send(caller: Caller, patch: pytest.MonkeyPatch) -> Answer:
        caller.take(**fields)
        return caller.send()

    return send


WAYS: dict[str, Callable[[Caller, pytest.MonkeyPatch], Answer]] = {
    "invalid_request": lambda caller, _: caller.send(idempotency_key="\x7f"),
    "invalid_credentials": wrong_password,
    "invalid_token": lambda caller, _: caller.send(token="x"),
    "invalid_server_key": lambda caller, _: caller.send(token="x"),
    "invalid_ticket": with_fields(ticket="x"),
    "wrong_server": for_another_server,
    "ticket_used": used,
    "ticket_expired": late,
    "session_ended": with_fields(refresh_token="x"),
    "account_suspended": suspended,
    "not_found": lambda caller, _: caller.send(),
    "username_taken": taken,
    "guests_disabled": guests_off,
    "unknown_guest": with_fields(create=False),
    "weak_guest_secret": with_fields(guest_secret="x", new_password=None),
    "guest_secret_in_use": with_a_secret_in_use,
    "no_password": by_a_guest,
    "not_a_guest": for_a_player,
    "renamed_recently": with_another_name,
    "idempotency_key_reused": reused,
    "payload_too_large": lambda caller, _: caller.send("x" * 8193),
    "unsupported_media_type": lambda caller, _: caller.send("{}", content_type="text/plain"),
    "invalid_username": with_fields(username="x"),
    "weak_password": with_fields(password="x", new_password="x"),
    "too_many_attempts": often,
    "internal_error": broken,
    "unavailable": out_of_reach,
}


@pytest.mark.parametrize(("operation", "code"), PAIRS)
def test_described_error(
    operation: str,
    code: str,
    player: Player,
    tables: Tables,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each error that the file describes for an operation occurs."""
    caller = Caller(operation, player, tables, settings)
    assert WAYS[code](caller, monkeypatch).code == code


def test_this_can_fail(player: Player, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer with an undescribed member fails the test that receives it."""
    faulty = {"id": "x", "epoch": 0}
    monkeypatch.setattr("auth.api.account_views.own_account_body", lambda *_: faulty)
    with pytest.raises(NotDescribed, match="/v1/me"):
        call("GET", "/v1/me", token=player.access_token)
