"""Limits on recoveries: no one at another address hinders the owner, and no guess is free."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import pytest

import handler
from auth.api.application import Application
from auth.app import create_app
from auth.credentials.passwords import Passwords
from auth.flows.rate_limits import (
    LOGIN_BY_ACCOUNT,
    LOGIN_BY_ACCOUNT_AND_ADDRESS,
    RECOVERY_BY_ACCOUNT_AND_ADDRESS,
    RECOVERY_BY_ADDRESS,
    SESSIONS_BY_ACCOUNT,
)
from auth.settings import Settings
from local.stack import Stack
from tests.conftest import FakeClock, Tables
from tests.integration.database.test_lost_answers import Wire, wire  # noqa: F401  # a fixture
from tests.integration.recovery.wrong_codes import attempt
from tests.integration.sign_in.test_enumeration import Work
from tests.play.crowd import NEW_PASSWORD, PASSWORD
from tests.play.events import Answer, is_unavailable
from tests.play.guests import new_secret
from tests.play.players import Player, call

OWNERS = "203.0.113.7"
_hosts = count(1)


@pytest.fixture
def clock(
    tables: Tables, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeClock]:
    """Return the clock of a container that hashes cheaply."""
    clock = FakeClock()
    application = create_app(settings, clock=clock, passwords=Passwords(8, 1))
    monkeypatch.setattr(handler, "application", application)
    yield clock
    application.close()


@pytest.fixture
def ada(clock: FakeClock) -> Player:
    """Return a registered player, whose password is quick to judge."""
    ada = Player("Ada", PASSWORD, OWNERS)
    assert ada.register().status == 201
    return ada


def other_address() -> str:
    """Return an address that nobody has used, and that is not the owner's."""
    number = next(_hosts)
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def guess(name: str = "Ada", address: str = OWNERS) -> Answer:
    """Guess at a recovery code."""
    return attempt(name, address, guest_secret=new_secret())


def statuses(answers: list[Answer]) -> list[int]:
    """Return the status of each answer."""
    return [answer.status for answer in answers]


def refused_after(burst: int) -> list[int]:
    """Return the statuses of one guess more than a bucket holds."""
    return [401] * burst + [429]


def drain_recovery() -> None:
    """Guess at the owner's code from everywhere else, until each address is refused."""
    for _ in range(10):
        address, burst = other_address(), RECOVERY_BY_ACCOUNT_AND_ADDRESS.burst
        assert statuses([guess("ADA", address) for _ in range(burst + 1)]) == refused_after(burst)
    address, burst = other_address(), RECOVERY_BY_ADDRESS.burst
    many = [guess(f"name-{number}", address) for number in range(burst + 1)]
    assert statuses(many) == refused_after(burst)


def drain_login() -> None:
    """Guess at the owner's password from everywhere else, until all are refused."""
    left = LOGIN_BY_ACCOUNT.burst
    while left:
        address = other_address()
        for _ in range(LOGIN_BY_ACCOUNT_AND_ADDRESS.burst):
            assert Player("Ada", "wrong", address).log_in().status == 401
            left -= 1
    assert Player("Ada", PASSWORD, other_address()).log_in().status == 429


def test_guessing_at_codes_elsewhere(ada: Player) -> None:
    """However many guess at the code, its owner recovers and signs in at the first try."""
    code = ada.saved_code()
    drain_recovery()
    assert ada.on_another_device().log_in().status == 200
    assert ada.on_another_device().recover(code, NEW_PASSWORD).status == 200
    drain_recovery()
    assert Player("Ada", NEW_PASSWORD, OWNERS).log_in().status == 200


def test_guessing_at_passwords_elsewhere(ada: Player) -> None:
    """However many guess at the password, the owner of the code is back at the first try."""
    code = ada.saved_code()
    drain_login()
    lost = Player("Ada", address=OWNERS)
    assert lost.log_in("forgotten").status == 429
    assert lost.recover(code, NEW_PASSWORD).status == 200
    assert lost.me().status == 200
    assert lost.refresh().status == 200


def test_guesses_at_codes_are_no_guesses_at_passwords(ada: Player) -> None:
    """At one and the same address neither uses up the other's buckets."""
    code = ada.saved_code()
    for number in range(RECOVERY_BY_ADDRESS.burst):
        assert guess(f"name-{number % 5}").status == 401
    assert guess("another-name").status == 429
    assert ada.on_another_device().log_in().status == 200
    lost = Player("Ada", address=other_address())
    for _ in range(LOGIN_BY_ACCOUNT_AND_ADDRESS.burst):
        assert lost.log_in("wrong").status == 401
    assert lost.log_in("wrong").status == 429
    assert lost.recover(code, NEW_PASSWORD).status == 200


def test_a_stolen_password(ada: Player, clock: FakeClock) -> None:
    """A thief who opens as many sessions as the limit allows does not hinder a recovery."""
    code = ada.saved_code()
    thieves = [Player("Ada", PASSWORD, other_address()) for _ in range(SESSIONS_BY_ACCOUNT.burst)]
    opened = statuses([thief.log_in() for thief in thieves])
    assert opened == [200] * SESSIONS_BY_ACCOUNT.burst
    assert ada.on_another_device().log_in().status == 429
    lost = Player("Ada", address=OWNERS)
    assert lost.recover(code, NEW_PASSWORD).status == 200
    assert lost.me().status == 200
    (session,) = lost.sessions()
    assert session["current"] is True
    assert {thief.refresh().code for thief in thieves} == {"session_ended"}


def test_devices_from_before(ada: Player) -> None:
    """A recovery makes every older refresh token worthless as the proof of a known device."""
    older = ada.refresh_token
    assert ada.refresh().status == 200
    code = ada.saved_code()
    drain_login()
    for token in (older, ada.refresh_token):
        assert ada.on_another_device().log_in(refresh_token=token).status == 200
    lost = ada.on_another_device()
    assert lost.recover(code, NEW_PASSWORD).status == 200
    for token in (older, ada.refresh_token):
        assert lost.on_another_device().log_in(refresh_token=token).status == 429
    assert lost.on_another_device().log_in(refresh_token=lost.refresh_token).status == 200


def test_right_codes_are_charged(ada: Player, clock: FakeClock) -> None:
    """A recovery is not refunded: the sixth from one address has to wait a minute."""
    codes = [ada.saved_code()]
    for number in range(RECOVERY_BY_ACCOUNT_AND_ADDRESS.burst):
        answer = ada.recover(codes[-1], f"{NEW_PASSWORD}-{number}")
        assert answer.status == 200
        codes.append(answer.json["recovery_code"])
    refused = ada.recover(codes[-1], NEW_PASSWORD)
    assert (refused.status, refused.code) == (429, "too_many_attempts")
    assert 1 <= int(refused.headers["retry-after"]) <= RECOVERY_BY_ACCOUNT_AND_ADDRESS.seconds
    clock.advance(seconds=RECOVERY_BY_ACCOUNT_AND_ADDRESS.seconds)
    assert ada.recover(codes[-1], NEW_PASSWORD).status == 200


def test_refused_before_hashing(ada: Player, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guess beyond the limit costs no Argon2, even with the right code, which stays good."""
    code = ada.saved_code()
    for _ in range(RECOVERY_BY_ACCOUNT_AND_ADDRESS.burst):
        assert guess().status == 401
    work = Work(monkeypatch)
    answer, _, verified, hashed = work.of(lambda: ada.recover(code, NEW_PASSWORD))
    assert (answer.status, verified, hashed) == (429, 0, 0)
    monkeypatch.undo()
    other = Player("Ada", address=other_address())
    assert other.recover(code, NEW_PASSWORD).status == 200


def test_an_ipv6_network_is_one_address(ada: Player) -> None:
    """All addresses of one /64 share their guesses."""
    burst = RECOVERY_BY_ACCOUNT_AND_ADDRESS.burst
    network = [guess(address=f"2001:db8::{number}") for number in range(1, burst + 2)]
    assert statuses(network) == refused_after(burst)
    assert guess(address="2001:db8:0:1::1").status == 401


@pytest.mark.parametrize("code", ["7QF2-MXD9-K4TB-W8H4", "7QF2-MXD9-K4TB", "UUUU-UUUU-UUUU-UUUU"])
def test_typing_errors_are_free(ada: Player, tables: Tables, code: str) -> None:
    """A code with a typing error touches no bucket, and does not even reach the database."""
    good = ada.saved_code()
    tables.run("DELETE FROM rate_limits")
    for _ in range(RECOVERY_BY_ADDRESS.burst + 1):
        for proof in ({"new_password": NEW_PASSWORD}, {"guest_secret": new_secret()}):
            body = {"username": "Ada", "recovery_code": code, **proof}
            answer = call("POST", "/v1/recover", body)
            assert (answer.status, answer.code) == (400, "invalid_request")
            assert set(answer.json["error"]["fields"]) == {"recovery_code"}
    assert tables.count("rate_limits") == 0
    assert ada.recover(good, NEW_PASSWORD).status == 200


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO rate_limits",
        "SELECT r.account_id",
        "SELECT a.id",
        "UPDATE accounts a JOIN recovery_codes",
    ],
)
def test_failures_of_ours_are_refunded(
    ada: Player,
    wire: Wire,  # noqa: F811
    statement: str,
) -> None:
    """A player whose recovery failed five times for our fault is not told to wait."""
    code, burst = ada.saved_code(), RECOVERY_BY_ACCOUNT_AND_ADDRESS.burst
    wire.cut_at(statement, answered=False, times=2 * burst)
    for _ in range(burst):
        assert is_unavailable(ada.recover(code, NEW_PASSWORD))
    assert wire.cuts == 2 * burst
    for _ in range(burst - 1):
        assert guess().status == 401
    assert ada.recover(code, NEW_PASSWORD).status == 200


@pytest.fixture
def scaled(stack: Stack, tables: Tables, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a container answer that has RATE_LIMIT_SCALE=2."""
    settings = replace(Settings.from_environment(stack.environment()), rate_limit_scale=2.0)
    application: Application = create_app(settings, passwords=Passwords(8, 1))
    monkeypatch.setattr(handler, "application", application)
    yield
    application.close()


@pytest.mark.usefixtures("scaled")
def test_scale() -> None:
    """RATE_LIMIT_SCALE multiplies the bursts of both limits."""
    one, all_ = 2 * RECOVERY_BY_ACCOUNT_AND_ADDRESS.burst, 2 * RECOVERY_BY_ADDRESS.burst
    assert statuses([guess("Ada") for _ in range(one + 1)]) == refused_after(one)
    elsewhere = other_address()
    many = [guess(f"name-{number}", elsewhere) for number in range(all_ + 1)]
    assert statuses(many) == refused_after(all_)
