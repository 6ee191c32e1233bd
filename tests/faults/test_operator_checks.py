"""The checker finds what an operator's commands must not do, and reports nothing else."""

import json
from typing import Any

import pytest

from auth.store.records import EventKind
from tests.faults.history import BY_OPERATOR, Action, Call, Happened, Operated, Window
from tests.faults.operator_checks import OF_OPERATORS, operations_not_tried
from tests.faults.test_checker import (
    ADA,
    GIVEN,
    call,
    change,
    enter,
    found,
    found_of_guest,
    log_in,
    make_code,
    recover,
    refresh,
    registration,
)

AFTER: dict[str, Any] = {"gave_account": "a1", "gave_session": "s2", "gave_token": "u0"}
SECOND: dict[str, Any] = {"account": "a1", "session": "s2", "token": "u0"}


def order(kind: Action, began: float, status: int = 200, **more: Any) -> Call:
    """Return an operator's command on Ada's account, with an id of its own."""
    changed = more.pop("changed", True)
    answer = "" if status == 503 else json.dumps({"changed": changed})
    key = f"k{more['intent']}" if "intent" in more else f"k{began}"
    facts = {"account": "a1", "key": key, "answer": answer, "retry_after": int(status == 503)}
    return call(kind, began, status, **{**facts, **more})


def suspend(began: float, status: int = 200, **more: Any) -> Call:
    """Return the suspension of Ada's account."""
    return order(Action.SUSPEND, began, status, **more)


def lift(began: float, status: int = 200, **more: Any) -> Call:
    """Return the lift of a suspension."""
    return order(Action.LIFT, began, status, **more)


def sign_out(began: float, status: int = 200, **more: Any) -> Call:
    """Return the end of all sessions of Ada's account."""
    return order(Action.SIGN_OUT, began, status, **more)


def refused(began: float, password: str = "old", **more: Any) -> Call:
    """Return a sign-in as Ada, refused since she is suspended."""
    return log_in(began, password, 403, **{"code": "account_suspended", **more})


def row(of: Call) -> Operated:
    """Return the operation of an answered command."""
    return Operated(of.key, of.account, "done" if of.done else of.code, of.answer)


def operated(*calls: Call, **more: Any) -> set[str]:
    """Return the properties that a history breaks, if each answered command was recorded."""
    answered = {c.key: row(c) for c in calls if c.kind in BY_OPERATOR and not c.failed}
    facts = {"operations": tuple(answered.values()), **more}
    return found(registration(), *calls, **facts)


def events(*kinds: EventKind) -> tuple[Happened, ...]:
    """Return events of Ada's account that no session caused."""
    return tuple(Happened("a1", kind) for kind in kinds)


# Histories without a violation


def test_a_suspension() -> None:
    """A suspended player is refused everything, and signs in after the lift; old sessions end."""
    assert not operated(
        make_code(1),
        suspend(2),
        refused(3),
        recover(3, 403, code="account_suspended"),
        call(Action.ME, 4, 401, code="invalid_token", **ADA),
        call(Action.LOG_OUT, 4, **ADA),
        suspend(5, 409, code="already_suspended"),
        lift(6),
        refresh(7, 401),
        log_in(8, "old", **AFTER),
        sign_out(9),
        refresh(10, 401, **SECOND),
        epochs=(("a1", 2),),
        events=events(
            EventKind.SUSPENDED, EventKind.SUSPENSION_LIFTED, EventKind.SIGNED_OUT_EVERYWHERE
        ),
        windows=(Window(0, 11),),
    )


@pytest.mark.parametrize("happened", [0, 1])
def test_both_outcomes_of_an_unknown_command(happened: int) -> None:
    """A command without any answer may have taken effect or not; both are accepted."""
    first = suspend(2, 503, intent=7)
    facts: dict[str, Any] = {
        "epochs": (("a1", happened),),
        "events": events(*[EventKind.SUSPENDED] * happened),
    }
    for outcome in (refused(9), log_in(9, "old", **AFTER)):
        assert operated(first, outcome, **facts) == {"unknown outcomes converge"}
    assert not operated(first, refused(3), suspend(4, intent=7), refused(9))
    assert not operated(first, log_in(3, "old", **AFTER), suspend(4, intent=7), refused(9))


def test_a_player_who_never_learns_the_outcome() -> None:
    """Whoever is suspended or signed out before the retry may not learn what the first try did."""
    unknown = change(3, 503, intent=7)
    again = change(7, 401, intent=7, code="invalid_token")
    for end in (suspend(5), sign_out(5)):
        assert not operated(unknown, end, again)
    lost = recover(3, 503, intent=7)
    assert not operated(make_code(1), lost, suspend(4), refused(5, "new", intent=7))


def test_calls_that_meet_a_command() -> None:
    """A deletion and a new code may give way to a command, and a good code be refused."""
    windows = (Window(0, 10),)
    for kind in (Action.DELETE, Action.MAKE_CODE):
        tries = (
            call(kind, 3, 503, **ADA, intent=7),
            call(kind, 4, 401, **ADA, intent=7, code="invalid_token"),
        )
        assert not operated(sign_out(3.05), *tries, windows=windows)
        assert operated(sign_out(2), *tries, windows=windows) == {"the service is available"}
    assert not operated(make_code(1), sign_out(3), recover(3.05, 401))


def test_a_change_that_meets_a_command() -> None:
    """A change refused during a command may have taken effect; one refused at other times not."""
    late = change(2.0, 401, took=1.0, code="invalid_token")
    later = log_in(4.0, "new")
    raised = {"events": events(EventKind.SIGNED_OUT_EVERYWHERE)}
    lost = {"no acknowledged password change is lost"}
    assert lost.isdisjoint(operated(late, sign_out(2.5), later, **raised))
    assert lost <= operated(late, sign_out(3.5), later, **raised)


def test_without_secrets_manager() -> None:
    """Operators may fail while Secrets Manager does; players may not."""
    spans: dict[str, Any] = {"windows": (Window(0, 10),), "no_operators": (Window(2, 4),)}
    assert not operated(sign_out(3, 503, intent=7), sign_out(5, intent=7), **spans)
    unknown = refresh(3, 503, intent=7), refresh(5, intent=7)
    assert operated(*unknown, sign_out(6), **spans)


# Violations


def planted() -> dict[str, list[set[str]]]:
    """Return the checker's findings in histories with one violation, by the property broken."""
    of_guest = suspend(2, account="g1")
    one, other = sign_out(2, intent=7), sign_out(3, intent=7, changed=False)
    once = events(EventKind.SIGNED_OUT_EVERYWHERE)
    return {
        "a suspension shuts the account out": [
            operated(suspend(2), log_in(5, "old", **AFTER)),
            operated(make_code(1), suspend(2), recover(5)),
            operated(lift(1), suspend(2), log_in(5, "old", **AFTER), lift(8)),
            operated(suspend(2), registration(5, 200, **AFTER)),
            found_of_guest(of_guest, enter(5), operations=(row(of_guest),)),
        ],
        "nothing else shuts an account out": [
            operated(refused(2)),
            operated(suspend(2), lift(4), refused(6)),
            operated(sign_out(2), refused(6)),
            operated(refused(1), suspend(2)),
            operated(suspend(2, 409, code="already_suspended")),
            found_of_guest(enter(3, 403, code="account_suspended")),
        ],
        "every operation is recorded": [
            operated(sign_out(2), operations=()),
            operated(one, operations=(row(one), row(one))),
            operated(one, operations=(row(other),)),
            operated(one, operations=(Operated(one.key, "a1", "account_changed", one.answer),)),
            operated(one, operations=(Operated(one.key, "a2", "done", one.answer),)),
            operated(operations=(row(one),)),
        ],
        "each operation takes effect once": [
            operated(one, epochs=(("a1", 2),), events=once * 2),
            operated(one, epochs=(("a1", 2),), events=once),
            operated(one, epochs=(("a1", 0),), events=once),
            operated(one, epochs=(("a1", 0),)),
            operated(epochs=(("a1", 1),), events=once),
            operated(sign_out(2, 409, code="account_changed"), epochs=(("a1", 1),), events=once),
            operated(
                lift(2, changed=False),
                epochs=(("a1", 0),),
                events=events(EventKind.SUSPENSION_LIFTED),
            ),
        ],
        "an operation has one answer": [operated(one, other, operations=(row(one),))],
        "ended sessions stay ended": [
            operated(suspend(2), lift(4), call(Action.ME, 8, **ADA)),
            operated(sign_out(2), refresh(8, gave_token="t1", **GIVEN)),
            operated(sign_out(2, 503, intent=7), sign_out(4, intent=7), make_code(8)),
        ],
        "no failure signs out": [
            operated(sign_out(2, 409, code="account_changed"), refresh(8, 401)),
            operated(lift(2), refresh(8, 401)),
            operated(sign_out(2), log_in(4, "old", **AFTER), refresh(8, 401, **SECOND)),
            operated(sign_out(2, account="a2"), refresh(8, 401)),
        ],
        "no acknowledged password change is lost": [operated(suspend(2), refused(4, "never"))],
        "no acknowledged recovery is lost": [
            operated(make_code(1), sign_out(2), recover(4, 401)),
        ],
        "unknown outcomes converge": [
            operated(suspend(2, 503)),
            operated(sign_out(2, 503, intent=7), sign_out(4, 503, intent=7)),
            operated(
                lift(1), change(3, 503, intent=7), change(5, 401, intent=7, code="invalid_token")
            ),
        ],
        "the service is available": [
            operated(sign_out(2, 503, intent=7), sign_out(4, intent=7), windows=(Window(0, 10),)),
        ],
        "the only 5xx is 503 with Retry-After": [
            operated(
                sign_out(2, 500, intent=7),
                sign_out(4, intent=7),
                operations=(row(sign_out(4, intent=7)),),
            ),
        ],
    }


@pytest.mark.parametrize("name", sorted({*planted(), *OF_OPERATORS}))
def test_planted_violation(name: str) -> None:
    """Each form of each violation is found, and breaks no other property."""
    for broken in planted()[name]:
        assert broken == {name}


def test_too_few_commands() -> None:
    """Commands that were not sent, and refusals that nobody met, are named."""
    assert operations_not_tried([suspend(2), sign_out(3, 503)]) == [
        "lift a suspension",
        "sign out a player",
        "log in, suspended",
    ]
    assert not operations_not_tried([suspend(2), refused(3), lift(4), sign_out(5)])
