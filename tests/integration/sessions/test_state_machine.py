"""Random stories of several players: the API answers as the model does."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as examples
from hypothesis.stateful import run_state_machine_as_test

import handler
from auth.app import create_app
from auth.credentials import signed_tokens
from auth.credentials.passwords import Passwords
from auth.errors import Unavailable
from auth.external.connection import Statement
from auth.flows import admission, sessions
from auth.settings import Settings
from auth.store import sessions as session_table
from auth.store.accounts import AccountTable
from auth.store.records import LASTS, Session
from auth.store.renewals import RenewalTable
from auth.store.sessions import SessionTable
from tests.conftest import Tables
from tests.play.model import Clock, Machine, OurSideFailed

pytestmark = pytest.mark.search

STORIES = examples(
    max_examples=100,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
# The same number of stories; the first failure is enough.
UNTIL_ONE_FAILS = examples(STORIES, phases=[Phase.generate], report_multiple_bugs=False)
# The stories together must reach each of these outcomes a few times: calls that are all refused
# would find no bug.
A_FEW = 3
REACHED = (
    *(f"POST /v1/register {how}" for how in ("201", "403 account_suspended", "422 weak_password")),
    *(f"POST /v1/register 409 {code}" for code in ("username_taken", "idempotency_key_reused")),
    *(f"POST /v1/login {how}" for how in ("200", "401 invalid_credentials")),
    "POST /v1/login 403 account_suspended",
    *(f"POST /v1/refresh {how}" for how in ("200", "401 session_ended")),
    "POST /v1/refresh 409 idempotency_key_reused",
    *(f"POST /v1/logout {how}" for how in ("200", "401 invalid_token")),
    *(f"GET /v1/me {how}" for how in ("200", "401 invalid_token")),
    *(f"GET /v1/sessions {how}" for how in ("200", "401 invalid_token")),
    *(f"DELETE /v1/sessions/<id> {how}" for how in ("200", "401 invalid_token", "404 not_found")),
    *(f"PUT /v1/me/password {how}" for how in ("200", "401 invalid_credentials")),
    *(f"PUT /v1/me/password {how}" for how in ("401 invalid_token", "422 weak_password")),
    *(f"POST /v1/me/delete {how}" for how in ("200", "401 invalid_credentials")),
    "POST /v1/me/delete 401 invalid_token",
    *("a deleted name", "a new password, and others signed in", "a new password once more"),
    *("a session replaced by the next sign-in", "signed out everywhere by refresh token"),
    *("a session that was ended", "a session after 30 days", "a session after 180 days"),
    *("an expired access token", "an ended session's token"),
    *("replaced just now", "replaced earlier, by its key", "stolen"),
    "stolen, from before a new password",
)


@pytest.fixture
def machine(
    tables: Tables, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[type[Machine]]:
    """Return the machine, with an application that hashes cheaply."""
    clock = Clock()
    monkeypatch.setattr(
        logging.getLogger("auth"), "level", logging.CRITICAL
    )  # thousands of unread lines
    application = create_app(
        replace(settings, rate_limit_scale=1e6),
        clock=clock,
        passwords=Passwords(memory_kib=8, iterations=1),
    )
    monkeypatch.setattr(handler, "application", application)
    monkeypatch.setattr(Machine, "tables", tables, raising=False)
    monkeypatch.setattr(Machine, "clock", clock, raising=False)
    monkeypatch.setattr(Machine, "seen", Counter(), raising=False)
    monkeypatch.setattr(Machine, "database", application.database, raising=False)
    yield Machine
    application.close()


def test_the_api_is_the_model(machine: type[Machine]) -> None:
    """In any sequence of calls and waits the API answers as the model does."""
    run_state_machine_as_test(machine, settings=STORIES)
    assert not seldom(machine), machine.seen


def test_too_little_is_noticed(machine: type[Machine]) -> None:
    """If the stories miss some outcomes, the check above names them."""
    run_state_machine_as_test(machine, settings=examples(STORIES, max_examples=3))
    assert seldom(machine)


def seldom(machine: type[Machine]) -> list[str]:
    """Return the outcomes that the stories reached rarely or never."""
    return [what for what in REACHED if machine.seen[what] < A_FEW]


def goes_wrong(machine: type[Machine]) -> bool:
    """Tell whether the API answers differently from the model; server errors do not count."""
    try:
        run_state_machine_as_test(machine, settings=UNTIL_ONE_FAILS)
    except AssertionError:
        return True
    return False


Plant = Callable[[pytest.MonkeyPatch], None]


def _grace_of_ten_minutes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sessions, "GRACE", timedelta(seconds=600))


def _grace_of_59_seconds(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sessions, "GRACE", timedelta(seconds=59))


def _edit_statement(
    table: type[Any], name: str, patch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    """Let a table's method send an edited statement."""
    right: Callable[..., Any] = getattr(table, name)

    class Editing:
        def __init__(self, database: Any) -> None:
            self.database = database

        def execute(self, sql: str, *parameters: Any, **more: Any) -> Any:
            return self.database.execute(self._edited(sql), *parameters, **more)

        def transact(self, first: Statement, *others: Statement) -> Any:
            edited = Statement(self._edited(first.sql), first.parameters)
            return self.database.transact(edited, *others)

        def _edited(self, sql: str) -> str:
            assert old in sql  # the handler turns this into a 500, which does not count as found
            return sql.replace(old, new)

    def wrong(self: Any, *arguments: Any) -> Any:
        return right(table(Editing(self._database)), *arguments)

    patch.setattr(table, name, wrong)


def _epoch_not_raised(patch: pytest.MonkeyPatch) -> None:
    _edit_statement(SessionTable, "end_all", patch, "a.epoch = a.epoch + 1", "a.epoch = a.epoch")


def _epoch_not_raised_by_a_password(patch: pytest.MonkeyPatch) -> None:
    old = "a.epoch = %(new_epoch)s, s.epoch = %(new_epoch)s"
    new = "a.epoch = %(new_epoch)s - 1, s.epoch = %(new_epoch)s - 1"
    _edit_statement(RenewalTable, "change_password", patch, old, new)


def _old_tail_good_after_a_password(patch: pytest.MonkeyPatch) -> None:
    right = sessions.Sessions._check_replay  # noqa: SLF001

    def wrong(self: sessions.Sessions, session: Session, *tokens: Any) -> None:
        _, successor, _, now = tokens
        if session.counter != successor.counter or now - session.rotated_at > sessions.GRACE:
            right(self, session, *tokens)

    patch.setattr(sessions.Sessions, "_check_replay", wrong)


def _logout_forgotten(patch: pytest.MonkeyPatch) -> None:
    old, new = "s.ended_at IS NULL", "s.ended_at < '2000-01-01'"
    _edit_statement(SessionTable, "end", patch, old, new)


def _key_forgotten(patch: pytest.MonkeyPatch) -> None:
    old, new = "s.rotation_key = %(rotation_key)s,", "s.rotation_key = LEFT(%(rotation_key)s, 0),"
    _edit_statement(SessionTable, "rotate", patch, old, new)


def _idle_expiry_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sessions, "IDLE_LIFETIME", timedelta(days=300))


def _lifetime_of_181_days(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(admission, "LIFETIME", timedelta(days=181))


def _name_not_free_after_a_deletion(patch: pytest.MonkeyPatch) -> None:
    old, new = "DELETE FROM accounts", "UPDATE accounts SET epoch = epoch + 1"
    _edit_statement(AccountTable, "delete", patch, old, new)


def _theft_forgiven(patch: pytest.MonkeyPatch) -> None:
    right = sessions.Sessions._check_replay  # noqa: SLF001

    def wrong(self: sessions.Sessions, *arguments: Any) -> None:
        with pytest.MonkeyPatch.context() as forgiving:
            forgiving.setattr(SessionTable, "end", lambda *_: None)
            right(self, *arguments)

    patch.setattr(sessions.Sessions, "_check_replay", wrong)


def _expiry_ignored(patch: pytest.MonkeyPatch) -> None:
    unexpired = "s.ended_at IS NULL AND s.epoch = a.epoch"
    for condition in ("LASTS", "USABLE"):
        right = getattr(session_table, condition)
        patch.setattr(session_table, condition, right.replace(LASTS, unexpired))
    patch.setattr(
        Session,
        "lasts",
        lambda self, account, _: self.ended_at is None and self.epoch == account.epoch,
    )


def _suspension_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("auth.store.records.Account.is_suspended", lambda *_: False)


def _access_token_for_good(patch: pytest.MonkeyPatch) -> None:
    check = signed_tokens._check_claims  # noqa: SLF001
    patch.setattr(
        signed_tokens,
        "_check_claims",
        lambda claims, use, now: check(claims, use, now - timedelta(seconds=1)),
    )


@pytest.mark.parametrize(
    "plant",
    [
        _grace_of_ten_minutes,
        _grace_of_59_seconds,
        _epoch_not_raised,
        _epoch_not_raised_by_a_password,
        _old_tail_good_after_a_password,
        _logout_forgotten,
        _key_forgotten,
        _idle_expiry_ignored,
        _lifetime_of_181_days,
        _name_not_free_after_a_deletion,
        _theft_forgiven,
        _expiry_ignored,
        _suspension_ignored,
        _access_token_for_good,
    ],
)
def test_a_planted_bug_is_found(
    plant: Plant, machine: type[Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine finds each of these bugs by a wrong answer, even one that is a second off."""
    plant(monkeypatch)
    assert goes_wrong(machine)


def _wrong_plant(patch: pytest.MonkeyPatch) -> None:
    _edit_statement(SessionTable, "rotate", patch, "no such words", "")


def _database_away(patch: pytest.MonkeyPatch) -> None:
    def wrong(*_: object) -> None:
        raise Unavailable("planted")

    patch.setattr(SessionTable, "rotate", wrong)


@pytest.mark.parametrize("plant", [_wrong_plant, _database_away])
def test_an_error_on_our_side_is_no_find(
    plant: Plant, machine: type[Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plant that only breaks the server does not count as found."""
    plant(monkeypatch)
    with pytest.raises(OurSideFailed):
        goes_wrong(machine)
