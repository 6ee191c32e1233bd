"""Players do whatever comes to their minds, and the API answers as the model does."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as examples
from hypothesis.stateful import run_state_machine_as_test

import handler
from auth import access_tokens, sessions, store
from auth.app import create_app
from auth.passwords import Passwords
from auth.records import Session
from auth.settings import Settings
from auth.store import Store
from tests.conftest import Tables
from tests.openapi import NotDescribed
from tests.state_machine import Clock, Machine

STORIES = examples(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
# As many stories, and the first that goes wrong is enough.
UNTIL_ONE_FAILS = examples(STORIES, phases=[Phase.generate], report_multiple_bugs=False)


@pytest.fixture
def machine(
    tables: Tables, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[type[Machine]]:
    """Return the machine, with an application that hashes with next to no effort."""
    clock = Clock()
    monkeypatch.setattr(
        logging.getLogger("auth"), "level", logging.CRITICAL
    )  # thousands of lines that nobody reads
    application = create_app(
        replace(settings, rate_limit_scale=1e6),
        clock=clock,
        passwords=Passwords(memory_kib=8, iterations=1),
    )
    monkeypatch.setattr(handler, "application", application)
    monkeypatch.setattr(Machine, "tables", tables, raising=False)
    monkeypatch.setattr(Machine, "clock", clock, raising=False)
    monkeypatch.setattr(Machine, "database", application.extensions["database"], raising=False)
    yield Machine
    application.extensions["database"].close()


def test_the_api_is_the_model(machine: type[Machine]) -> None:
    """Whatever players do and however much time passes, the API answers as the model does."""
    run_state_machine_as_test(machine, settings=STORIES)


Plant = Callable[[pytest.MonkeyPatch], None]


def _grace_of_ten_minutes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sessions, "GRACE", timedelta(seconds=600))


def _grace_of_59_seconds(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sessions, "GRACE", timedelta(seconds=59))


def _without_statement(name: str, patch: pytest.MonkeyPatch, old: str, new: str) -> None:
    """Let a method of the store send another statement than it should."""
    right: Callable[..., Any] = getattr(Store, name)

    class Editing:
        def __init__(self, database: Any) -> None:
            self.database = database

        def execute(self, sql: str, *parameters: Any, **more: Any) -> Any:
            assert old in sql
            return self.database.execute(sql.replace(old, new), *parameters, **more)

    def wrong(self: Store, *arguments: Any) -> Any:
        return right(Store(Editing(self._database)), *arguments)  # type: ignore[arg-type]

    patch.setattr(Store, name, wrong)


def _epoch_not_raised(patch: pytest.MonkeyPatch) -> None:
    _without_statement("end_sessions_of", patch, "a.epoch = a.epoch + 1", "a.epoch = a.epoch")


def _logout_forgotten(patch: pytest.MonkeyPatch) -> None:
    _without_statement("end_session", patch, "AND ended_at IS NULL", "AND ended_at < '2000-01-01'")


def _key_forgotten(patch: pytest.MonkeyPatch) -> None:
    _without_statement("rotate", patch, "s.rotation_key = %s,", "s.rotation_key = LEFT(%s, 0),")


def _idle_expiry_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sessions, "IDLE_LIFETIME", timedelta(days=300))


def _expiry_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        store, "_ALIVE", "%s < %s + INTERVAL 1 DAY AND s.ended_at IS NULL AND s.epoch = a.epoch"
    )
    patch.setattr(
        Session,
        "is_alive",
        lambda self, account, now: (
            self.ended_at is None and self.epoch == account.epoch and not account.is_suspended(now)
        ),
    )


def _suspension_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("auth.records.Account.is_suspended", lambda *_: False)


def _access_token_for_good(patch: pytest.MonkeyPatch) -> None:
    check = access_tokens._check_claims  # noqa: SLF001
    patch.setattr(
        access_tokens,
        "_check_claims",
        lambda claims, realm, now: check(claims, realm, now - timedelta(seconds=1)),
    )


@pytest.mark.parametrize(
    "plant",
    [
        _grace_of_ten_minutes,
        _grace_of_59_seconds,
        _epoch_not_raised,
        _logout_forgotten,
        _key_forgotten,
        _idle_expiry_ignored,
        _expiry_ignored,
        _suspension_ignored,
        _access_token_for_good,
    ],
)
def test_a_planted_bug_is_found(
    plant: Plant, machine: type[Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine finds each of these bugs, some of them a second long."""
    plant(monkeypatch)
    with pytest.raises((AssertionError, NotDescribed)):
        run_state_machine_as_test(machine, settings=UNTIL_ONE_FAILS)
