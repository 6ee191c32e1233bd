"""The checker finds a violation planted in a small history, and reports no false one."""

from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from tests.faults.checker import PROPERTIES, violations
from tests.faults.guess_limits import limits_not_reached
from tests.faults.history import Action, Call, History, Window
from tests.faults.operator_checks import OF_OPERATORS
from tests.faults.recovery_checks import recoveries_not_tried
from tests.faults.seat_checks import OF_SEATS

ADA: dict[str, Any] = {"account": "a1", "session": "s1"}
GIVEN: dict[str, Any] = {"gave_account": "a1", "gave_session": "s1"}

_intents = count(1)


def call(kind: Action, began: float, status: int = 200, *, took: float = 0.1, **more: Any) -> Call:
    """Return a call at a moment, with an intent of its own by default."""
    code = more.pop("code", "unavailable" if status == 503 else "")
    more = {"intent": next(_intents), "retry_after": 2 if status == 503 else 0, **more}
    ended = began + took
    return Call(
        kind=kind,
        began=began,
        ended=ended,
        clock_began=more.pop("clock_began", began),
        clock_ended=more.pop("clock_ended", ended),
        status=status,
        code=code,
        **more,
    )


def registration(began: float = 0.0, status: int = 201, **more: Any) -> Call:
    """Return Ada's registration, which gave the first refresh token of her session."""
    given = {**GIVEN, "gave_token": "t0"} if status == 201 else {}
    facts = {"name": "ada", "password": "old", "key": "k", **given, **more}
    return call(Action.REGISTER, began, status, **facts)


def refresh(began: float, status: int = 200, **more: Any) -> Call:
    """Return a refresh of Ada's first session."""
    code = "session_ended" if status == 401 else "unavailable" if status == 503 else ""
    return call(Action.REFRESH, began, status, **{**ADA, "token": "t0", "code": code, **more})


def log_in(began: float, password: str, status: int = 200, **more: Any) -> Call:
    """Return a sign-in as Ada."""
    code = "invalid_credentials" if status == 401 else ""
    facts = {"name": "ada", "password": password, "code": code, **more}
    return call(Action.LOG_IN, began, status, **facts)


def change(began: float, status: int = 200, **more: Any) -> Call:
    """Return a change of Ada's password, by her first session."""
    return call(Action.CHANGE_PASSWORD, began, status, **{**ADA, "password": "new", **more})


def make_code(began: float, status: int = 200, **more: Any) -> Call:
    """Return the making of a recovery code, by Ada's first session."""
    given = {"gave_recovery": "c1"} if status == 200 else {}
    return call(Action.MAKE_CODE, began, status, **{**ADA, **given, **more})


def recover(began: float, status: int = 200, **more: Any) -> Call:
    """Return a recovery of Ada's account by the code `c1`, which gives the code `c2`."""
    given = {"gave_account": "a1", "gave_session": f"r{began}", "gave_token": f"q{began}"}
    given = {**given, "gave_recovery": "c2"} if status == 200 else {}
    code = "invalid_credentials" if status == 401 else ""
    facts = {"name": "ada", "password": "new", "account": "a1", "recovery": "c1", "code": code}
    return call(Action.RECOVER, began, status, **{**facts, **given, **more})


MOVED: dict[str, Any] = {"guests": (("gs2", "g1"),)}


def move(began: float, status: int = 200, **more: Any) -> Call:
    """Return the move of Grace's guest to the secret `gs2`, by the code `c1`."""
    given = {"gave_account": "g1"} if status == 200 else {}
    facts = {"name": "player-1", "password": "", "account": "g1", "secret": "gs2", **given}
    return recover(began, status, **{**facts, **more})


def visit(began: float, kind: Action = Action.CREATE_GUEST, status: int = 200, **more: Any) -> Call:
    """Return a sign-in by Grace's guest secret; `CREATE_GUEST` may create the guest."""
    given = {"gave_account": "g1", "gave_session": f"v{began}", "gave_token": f"w{began}"}
    code = "unknown_guest" if status == 404 else ""
    facts = {"secret": "gs", "code": code, **(given if status < 400 else {}), **more}
    return call(kind, began, status, **facts)


def enter(began: float, status: int = 200, **more: Any) -> Call:
    """Return a sign-in of Grace as a guest that exists."""
    return visit(began, Action.ENTER, status, **more)


def upgrade(began: float, status: int = 200, **more: Any) -> Call:
    """Return the upgrade of Grace, by the session that created her."""
    given = {"gave_account": "g1", "gave_session": "v0.0", "gave_token": f"w{began}"}
    grace = {"account": "g1", "session": "v0.0", "secret": "gs"}
    facts = {"name": "grace", "password": "new", **grace, **(given if status == 200 else {})}
    return call(Action.UPGRADE, began, status, **{**facts, **more})


def grace(began: float, status: int = 200, **more: Any) -> Call:
    """Return a sign-in of Grace with the name and the password of her upgrade."""
    given = (
        {"gave_account": "g1", "gave_session": "v9", "gave_token": "w9"} if status == 200 else {}
    )
    return log_in(began, "new", status, **{"name": "grace", **given, **more})


def found_of_guest(*calls: Call, **more: Any) -> set[str]:
    """Return the properties that a history breaks, if Grace is a guest at the end."""
    facts = {"accounts": (("g1", "player-1"),), "guests": (("gs", "g1"),), **more}
    return found(visit(0.0, status=201), *calls, **facts)


def found_of_upgraded(*calls: Call, **more: Any) -> set[str]:
    """Return the properties that a history breaks, if Grace has upgraded at the end."""
    facts = {"accounts": (("g1", "grace"),), "guests": (), **more}
    return found(visit(0.0, status=201), *calls, **facts)


def found(*calls: Call, **more: Any) -> set[str]:
    """Return the properties that a history breaks, if Ada's account exists at the end."""
    history = History(calls, **{"accounts": (("a1", "ada"),), **more})
    return {violation.of for violation in violations(history)}


def guesses(number: int, seconds: float, **more: Any) -> list[Call]:
    """Return so many wrong passwords for one name, from one address."""
    facts = {"address": "192.0.2.1", "took": 0.0, **more}
    return [log_in(10 + n * seconds, f"wrong-{n}", 401, **facts) for n in range(number)]


def guesses_of(kind: Action, number: int) -> list[Call]:
    """Return so many wrong passwords sent with a token of Ada's, one a second."""
    facts = {"code": "invalid_credentials", **ADA}
    return [call(kind, 10 + n, 401, **facts) for n in range(number)]


# Histories without a violation


def test_ordinary_play() -> None:
    """Play without failures breaks no property."""
    assert not found(
        registration(),
        refresh(1, gave_token="t1", **GIVEN),
        log_in(2, "old", gave_account="a1", gave_session="s2", gave_token="u0"),
        change(3, gave_token="t2", **GIVEN),
        refresh(4, 401, session="s2", token="u0"),
        refresh(5, token="t2", gave_token="t3", **GIVEN),
        log_in(6, "old", 401),
        log_in(7, "new", gave_account="a1", gave_session="s3", gave_token="v0"),
        call(Action.LOG_OUT, 8, account="a1", session="s3"),
        refresh(9, 401, session="s3", token="v0"),
        windows=(Window(0, 10),),
    )


def test_both_outcomes_of_an_unknown_call() -> None:
    """A call without an answer may have taken effect or not; both are accepted."""
    unknown = change(3, 503, intent=7)
    done = change(20, intent=7, gave_token="t2", **GIVEN)
    for password, other in (("new", "old"), ("old", "new")):
        logins = (log_in(5, password, gave_account="a1"), log_in(6, other, 401))
        assert not found(registration(), unknown, *logins, done)


def test_both_orders_of_calls_at_once() -> None:
    """Either of two overlapping calls may come first."""
    changing = change(3, took=2.0, gave_token="t2", **GIVEN)
    for password in ("old", "new"):
        for status in (200, 401):
            assert not found(registration(), changing, log_in(4, password, status))


def test_an_old_access_token() -> None:
    """An access token may be refused once it is ten minutes old by the handlers' clock."""
    facts = {"code": "invalid_token", "clock_began": 3608.0, "clock_ended": 3608.1, **ADA}
    assert not found(registration(), call(Action.ME, 8, 401, **facts))


def test_guesses_as_time_passes() -> None:
    """Guesses may continue as buckets refill, and start afresh when the clock is set ahead."""
    slow = guesses(12, 60.0, address="192.0.2.1")
    assert not found(registration(), *slow)
    quick = guesses(5, 0.1)
    later = [
        replace(each, clock_began=each.clock_began + 3600, clock_ended=each.clock_ended + 3600)
        for each in guesses(5, 0.1)
    ]
    assert not found(registration(), *quick, *later)


def test_another_session_that_was_ended_before() -> None:
    """A retry of ending another session may get 404: the first try has ended it."""
    of_second: dict[str, Any] = {"account": "a1", "session": "s2"}
    second = log_in(1, "old", gave_account="a1", gave_session="s2", gave_token="u0")
    unknown = call(Action.END_SESSION, 2, 503, intent=7, **of_second)
    again = call(Action.END_SESSION, 4, 404, intent=7, code="not_found", **of_second)
    use = refresh(6, 401, token="u0", **of_second)
    assert not found(registration(), second, unknown, again, use)


def test_guest() -> None:
    """Copies of one game give one account, also after a failure; an upgrade ends the secret."""
    copies = (visit(0.05, status=503, intent=7), visit(1, intent=7), enter(2))
    assert not found_of_guest(*copies)
    other = refresh(6, 401, account="g1", session="v2", token="w2")
    same = refresh(7, account="g1", session="v0.0", token="w5")
    assert not found_of_upgraded(*copies, upgrade(5), other, same, enter(8, 404), grace(9))


def test_both_outcomes_of_an_upgrade() -> None:
    """An upgrade without an answer may have taken effect or not; both are accepted."""
    unknown = upgrade(3, 503, intent=7)
    assert not found_of_upgraded(unknown, enter(5, 404), grace(6), upgrade(7, intent=7))
    rival = registration(6.5, name="grace", gave_account="r1", gave_session="r", gave_token="r0")
    refused = upgrade(7, 409, code="username_taken", intent=7)
    both = (("g1", "player-1"), ("r1", "grace"))
    assert not found_of_guest(unknown, enter(5), grace(6, 401), rival, refused, accounts=both)


def test_recovery() -> None:
    """A code works once, of two calls with it one succeeds, and every older session is dead."""
    assert not found(
        registration(),
        make_code(1),
        recover(3, took=2.0),
        recover(3.5, 401, password="other"),
        refresh(6, 401),
        refresh(7, account="a1", session="r3", token="q3"),
        log_in(8, "old", 401),
        log_in(9, "new", gave_account="a1"),
        recover(10, 401, password="third"),
        recover(11, recovery="c2", gave_recovery="c3", password="third"),
        refresh(12, 401, account="a1", session="r3", token="q3"),
    )


def test_move() -> None:
    """A guest who has moved enters with the new secret, and with the former one no more."""
    code = make_code(1, account="g1", session="v0.0", secret="gs")
    assert not found_of_guest(code, move(3), enter(5, 404), enter(6, secret="gs2"), **MOVED)
    unknown = move(3, 503, intent=7)
    assert not found_of_guest(code, unknown, enter(5, intent=7, secret="gs2"), **MOVED)


def test_both_outcomes_of_a_recovery() -> None:
    """A recovery without an answer may have taken effect or not; both are accepted."""
    start = (registration(), make_code(1), recover(3, 503, intent=7))
    took_effect = log_in(5, "new", gave_account="a1", gave_session="s5", intent=7)
    assert not found(*start, took_effect, recover(6, 401, password="x"), refresh(7, 401))
    refused = log_in(5, "new", 401, intent=7)
    assert not found(*start, refused, recover(6, intent=7), log_in(8, "new", gave_account="a1"))
    rival = recover(5.5, password="other")
    assert not found(*start, refused, rival, recover(6, 401, intent=7))


# Violations


def planted() -> dict[str, list[set[str]]]:
    """Return the checker's findings in histories with one violation, by the property broken."""
    gone = call(Action.DELETE, 5, **ADA)
    everywhere = call(Action.LOG_OUT_EVERYWHERE, 5, **ADA)
    second: dict[str, Any] = {"gave_account": "a1", "gave_session": "s2", "gave_token": "u0"}
    of_second: dict[str, Any] = {"account": "a1", "session": "s2", "token": "u0"}
    of_another = call(Action.END_SESSION, 5, account="a1", session="s2")
    me = call(Action.ME, 8, **ADA)
    start = registration()
    guest_deleted = call(Action.DELETE, 5, account="g1", session="v0.0")
    of_guest = make_code(1, account="g1", session="v0.0", secret="gs")
    return {
        "the only 5xx is 503 with Retry-After": [
            found(start, call(Action.HEALTH, 2, 500)),
            found(start, call(Action.HEALTH, 2, 503, retry_after=0)),
            found(start, call(Action.HEALTH, 2, 0)),
        ],
        "no answer later than 12 s": [found(start, call(Action.HEALTH, 2, took=12.1))],
        "the service is available": [
            found(start, call(Action.HEALTH, 2, 503), windows=(Window(0, 10),)),
            found(start, windows=(Window(5, 10),)),
        ],
        "one account per name": [
            found(start, log_in(1, "old", gave_account="a2", gave_session="s9")),
            found(start, accounts=(("a1", "ada"), ("a2", "ada"))),
        ],
        "no acknowledged registration is lost": [
            found(start, accounts=()),
            found_of_guest(accounts=()),
        ],
        "no acknowledged deletion is lost": [found(start, gone), found_of_guest(guest_deleted)],
        "own name is never refused": [
            found_of_guest(upgrade(3, 409, code="username_taken")),
            found_of_upgraded(
                upgrade(3, 503, intent=7), upgrade(5, 409, code="username_taken", intent=7)
            ),
            found(registration(status=409, code="username_taken")),
            found(
                registration(status=503, intent=7),
                registration(2, status=409, code="username_taken", intent=7),
            ),
        ],
        "no acknowledged password change is lost": [
            found(start, change(3, gave_token="t2", **GIVEN), log_in(5, "old")),
            found(start, change(3, gave_token="t2", **GIVEN), log_in(5, "new", 401)),
            found(start, log_in(5, "old", 401)),
            found(start, log_in(5, "never")),
            found(start, change(3, 401, code="invalid_credentials")),
            found(start, gone, log_in(9, "old"), accounts=()),
        ],
        "no acknowledged upgrade is lost": [
            found_of_guest(upgrade(3), guests=()),
            found_of_upgraded(upgrade(3), guests=(("gs", "g1"),)),
            found_of_upgraded(upgrade(3), enter(5)),
            found_of_upgraded(upgrade(3), grace(5, 401)),
            found_of_upgraded(upgrade(3), grace(5), log_in(6, "never", name="grace")),
            found_of_upgraded(upgrade(3), upgrade(4, 401, code="invalid_credentials")),
            found_of_upgraded(upgrade(3), upgrade(4, 409, code="not_a_guest")),
            found_of_upgraded(
                upgrade(3, gave_account="g2"), accounts=(("g1", "grace"), ("g2", "player-2"))
            ),
        ],
        "no acknowledged recovery is lost": [
            found(start, make_code(1), recover(3), log_in(5, "old")),
            found(start, make_code(1), recover(3), log_in(5, "new", 401)),
            found(start, make_code(1), recover(3, 401)),
            found(start, make_code(1), recover(3), recover(5, 401, recovery="c2")),
            found_of_guest(of_guest, move(3), enter(5), **MOVED),
            found_of_guest(of_guest, move(3), guests=(("gs2", "g1"), ("gs", "g1"))),
        ],
        "a recovery code works once": [
            found(start, make_code(1), recover(3), recover(5, gave_recovery="c3")),
            found(start, make_code(1), recover(3), recover(3.05, gave_recovery="c3")),
            found(start, make_code(1), make_code(2, gave_recovery="c0"), recover(3)),
            found(start, recover(3)),
            found(
                start,
                make_code(1),
                recover(3, gave_account="a2", name="bob"),
                accounts=(("a1", "ada"), ("a2", "bob")),
            ),
            found_of_upgraded(
                make_code(1, account="g1", session="v0.0", secret="gs"),
                upgrade(3),
                recover(5, name="grace", account="g1", gave_account="g1"),
            ),
        ],
        "one account per guest secret": [
            found_of_guest(
                visit(0.05, status=201, gave_account="g2"),
                accounts=(("g1", "player-1"), ("g2", "player-2")),
            ),
            found_of_guest(guests=(("gs", "g1"), ("gs", "g2"))),
        ],
        "no failure replaces a guest by an empty account": [
            found_of_guest(enter(3, gave_account="g2")),
            found_of_guest(enter(3, 201)),
            found_of_guest(enter(3, 404)),
            found_of_guest(enter(3, secret="other", gave_account="g2")),
            found_of_guest(
                visit(3, status=201, gave_account="g2"),
                accounts=(("g1", "player-1"), ("g2", "player-2")),
            ),
            found_of_guest(guests=()),
        ],
        "ended sessions stay ended": [
            found(start, make_code(1), recover(3), refresh(5, gave_token="t1", **GIVEN)),
            found(start, make_code(1), recover(3), me),
            found(start, make_code(1), recover(3), make_code(5, gave_recovery="c3")),
            found_of_upgraded(
                enter(1), upgrade(3), refresh(5, account="g1", session="v1", token="w1")
            ),
            found_of_upgraded(upgrade(3), refresh(5, account="g1", session="v0.0", token="w0.0")),
            found(start, call(Action.LOG_OUT, 5, **ADA), refresh(8, gave_token="t1", **GIVEN)),
            found(start, call(Action.LOG_OUT, 5, **ADA), me),
            found(start, log_in(2, "old", **second), everywhere, refresh(8, **of_second)),
            found(start, log_in(2, "old", **second), of_another, refresh(8, **of_second)),
            found(start, log_in(2, "old", **second), change(5), refresh(8, **of_second)),
            found(start, change(5, gave_token="t2", **GIVEN), refresh(8)),
            found(start, gone, me, accounts=()),
        ],
        "no failure signs out": [
            found(
                start,
                make_code(1),
                recover(3),
                refresh(5, 401, account="a1", session="r3", token="q3"),
            ),
            found(start, refresh(3, 401)),
            found(
                start,
                log_in(2, "old", **second),
                call(Action.LOG_OUT, 4, **ADA),
                refresh(8, 401, **of_second),
            ),
            found(start, change(3, gave_token="t2", **GIVEN), refresh(8, 401, token="t2")),
            found(start, log_in(2, "old", **second), of_another, refresh(8, 401)),
            found(start, call(Action.ME, 8, 401, code="invalid_token", **ADA)),
            found_of_upgraded(
                upgrade(3), refresh(5, 401, account="g1", session="v0.0", token="w3")
            ),
        ],
        "a token has one successor": [
            found(start, refresh(3, gave_token="t1", **GIVEN), refresh(4, gave_token="x", **GIVEN))
        ],
        "unknown outcomes converge": [
            found(start, make_code(1, 503)),
            found(start, make_code(1), recover(3, 503)),
            found(registration(status=503)),
            found(start, refresh(3, 503, intent=7), refresh(5, 503, intent=7)),
            found(start, change(3, 503, intent=7), change(5, 401, intent=7, code="invalid_token")),
            found(
                registration(status=503, intent=7),
                registration(2, status=409, code="idempotency_key_reused", intent=7),
            ),
            found_of_guest(visit(3, status=503)),
            found_of_guest(
                upgrade(3, 503, intent=7), upgrade(5, 401, intent=7, code="invalid_token")
            ),
        ],
        "guesses are bounded": [
            found(start, *guesses(6, 0.1)),
            found(start, *guesses(30, 40.0)),
            found(start, *guesses_of(Action.GUESS_TO_DELETE, 6)),
            found(start, *guesses_of(Action.GUESS_FROM_DEVICE, 31)),
        ],
    }


@pytest.mark.parametrize(
    "name", [name for name in PROPERTIES if name not in (*OF_OPERATORS, *OF_SEATS)]
)
def test_planted_violation(name: str) -> None:
    """Each form of each violation is found, and breaks no other property."""
    forms = planted()[name]
    assert forms
    for broken in forms:
        assert broken == {name}


def test_guesses_from_many_addresses() -> None:
    """Guesses at one name beyond its bucket are found, even from different addresses."""
    many = [replace(each, address=f"10.0.0.{n}") for n, each in enumerate(guesses(21, 0.1))]
    assert found(registration(), *many) == {"guesses are bounded"}
    assert not found(registration(), *many[:20])


def test_guesses_at_many_names() -> None:
    """Guesses from one address beyond its bucket are found, even at different names."""
    many = [replace(each, name=f"player-{n}") for n, each in enumerate(guesses(21, 0.1))]
    assert found(registration(), *many) == {"guesses are bounded"}
    assert not found(registration(), *many[:20])


def test_too_few_guesses() -> None:
    """Limits that were never reached are named: a history proves nothing about them."""
    everywhere = [replace(each, address=f"10.0.0.{n}") for n, each in enumerate(guesses(20, 0.1))]
    some = [*guesses_of(Action.GUESS_TO_DELETE, 5), *guesses_of(Action.GUESS_FROM_DEVICE, 9)]
    assert limits_not_reached([*everywhere, *some]) == [
        "address",
        "account and address",
        "known device",
    ]
    others = [*guesses(20, 0.1), *guesses_of(Action.GUESS_FROM_DEVICE, 1)]
    assert not limits_not_reached([*everywhere, *some, *others])


def test_too_few_recoveries() -> None:
    """Kinds of recovery that did not happen are named."""
    assert recoveries_not_tried([recover(3, 401), move(4, 503)]) == ["recovery", "move"]
    assert recoveries_not_tried([recover(3)]) == ["move"]
    assert not recoveries_not_tried([recover(3), move(4)])
