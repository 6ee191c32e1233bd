"""The properties that every history must have, under any fault.

A pure function of the history. Each property below is a function that yields the evidence against
it. None of them guesses: if a call had no answer, both outcomes count as possible; if two calls
overlapped, both orders do.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from tests.faults.guess_limits import guesses_are_bounded
from tests.faults.guest_checks import (
    guests_are_not_replaced,
    moves_are_kept,
    one_account_per_secret,
    upgrades_are_kept,
)
from tests.faults.history import BY_OPERATOR, Action, Call, History, grouped
from tests.faults.operator_checks import OF_OPERATORS, may_fail, meets_an_order
from tests.faults.recovery_checks import codes_work_once, good_codes_work, is_lost_race
from tests.faults.seat_checks import OF_SEATS
from tests.faults.session_ends import SETS_PASSWORD, SessionEnds

LONGEST_SECONDS = 12.0
TELLS_OUTCOME = ("username_taken", "account_suspended")
REPEATED = (
    Action.REGISTER,
    Action.CREATE_GUEST,
    Action.REFRESH,
    *SETS_PASSWORD,
    Action.MAKE_CODE,
    Action.RECOVER,
    Action.LOG_OUT,
    Action.LOG_OUT_EVERYWHERE,
    Action.END_SESSION,
    Action.DELETE,
    *BY_OPERATOR,
)


@dataclass(frozen=True)
class Violation:
    """A property that does not hold, and the evidence."""

    of: str
    evidence: str

    def __str__(self) -> str:
        return f"{self.of}: {self.evidence}"


def violations(history: History) -> list[Violation]:
    """Return all violations in a history; none if every property holds."""
    marked = replace(history, calls=tuple(_marked(call, history) for call in history.calls))
    return [
        Violation(name, evidence)
        for name, property_of in PROPERTIES.items()
        for evidence in property_of(marked)
    ]


def _marked(call: Call, history: History) -> Call:
    """Mark a change of an account's proof that may have taken effect although it was refused.

    An operator may have ended the session after the change and before its answer.
    """
    changes = call.kind in (*SETS_PASSWORD, Action.RECOVER)
    refused = call.code in ("invalid_token", "invalid_credentials")
    late = changes and refused and meets_an_order(call, history)
    return replace(call, refused_late=True) if late else call


# Failures of the service


def _only_503(history: History) -> Iterator[str]:
    for call in history.calls:
        if call.failed and not (call.status == 503 and call.retry_after >= 1):
            yield f"no 503 with Retry-After: {call}"


def _in_time(history: History) -> Iterator[str]:
    for call in history.calls:
        if call.ended - call.began > LONGEST_SECONDS:
            yield f"{call.ended - call.began:.1f} s: {call}"


def _serves(history: History) -> Iterator[str]:
    for window in history.windows:
        within = [c for c in history.calls if window.began <= c.began and c.ended <= window.ended]
        if not any(call.done for call in within):
            yield f"nothing was served from {window.began:.2f} to {window.ended:.2f} s"
        for call in within:
            if call.failed and not may_fail(call, history):
                yield f"failed: {call}"


# Accounts


def _one_account_per_name(history: History) -> Iterator[str]:
    rows = grouped(history.accounts, lambda row: row[1])
    yield from (f"{len(same)} rows for {name}" for name, same in rows.items() if len(same) > 1)
    gone = {c.account for c in history.calls if c.kind == Action.DELETE and c.may_have_happened}
    given = [c for c in history.calls if c.name and c.gave_account and c.gave_account not in gone]
    for name, calls in grouped(given, lambda call: call.name).items():
        owners = {call.gave_account for call in calls}
        if len(owners) > 1:
            yield f"{len(owners)} accounts were given the name {name}"


def _registrations_are_kept(history: History) -> Iterator[str]:
    gone = {c.account for c in history.calls if c.kind == Action.DELETE and c.may_have_happened}
    there = set(history.accounts)
    ids = {account for account, _ in there}
    for call in history.calls:
        if call.gave_account in gone or not call.done:
            continue
        is_lost = call.kind == Action.REGISTER and (call.gave_account, call.name) not in there
        if is_lost or (call.kind == Action.CREATE_GUEST and call.gave_account not in ids):
            yield f"not in the database: {call}"


def _deletions_are_kept(history: History) -> Iterator[str]:
    there = {account for account, _ in history.accounts}
    for call in history.calls:
        if call.kind == Action.DELETE and call.done and call.account in there:
            yield f"still in the database: {call}"


def _own_name_is_not_taken(history: History) -> Iterator[str]:
    wishes = [call for call in history.calls if call.kind in (Action.REGISTER, Action.UPGRADE)]
    for calls in grouped(wishes, lambda call: call.name).values():
        for call in calls:
            if call.code == "username_taken" and not any(
                _may_own(other, call) for other in calls if other is not call
            ):
                yield f"no other call wanted the name: {call}"


def _may_own(other: Call, refused: Call) -> bool:
    """Tell whether `other` can be the reason that the name of `refused` was taken.

    By the contract, a repeated registration gets this answer only if it has no key, and a repeated
    upgrade never.
    """
    is_own = other.intent == refused.intent
    is_recognised = refused.key or refused.kind == Action.UPGRADE
    return other.began < refused.ended and not (is_own and is_recognised)


@dataclass(frozen=True)
class _Write:
    """A call that made a password valid for a name, or freed the name if `password` is None."""

    password: str | None
    began: float
    ended: float


def _passwords_are_kept(history: History) -> Iterator[str]:
    others = _names_of(Action.UPGRADE, history) | _names_of(Action.RECOVER, history)
    yield from (text for name, text in _wrong_passwords(history) if name not in others)


def _upgrades_are_kept(history: History) -> Iterator[str]:
    upgraded = _names_of(Action.UPGRADE, history) - _names_of(Action.RECOVER, history)
    yield from (text for name, text in _wrong_passwords(history) if name in upgraded)
    yield from upgrades_are_kept(history)


def _recoveries_are_kept(history: History) -> Iterator[str]:
    recovered = _names_of(Action.RECOVER, history)
    yield from (text for name, text in _wrong_passwords(history) if name in recovered)
    yield from good_codes_work(history)
    yield from moves_are_kept(history)


def _names_of(kind: Action, history: History) -> set[str]:
    return {call.name for call in history.calls if call.kind == kind}


def _wrong_passwords(history: History) -> Iterator[tuple[str, str]]:
    """Yield names and evidence: a sign-in must fit a password of the name at that moment."""
    names = {c.gave_account: c.name for c in history.calls if c.gave_account and c.name}
    writes: dict[str, list[_Write]] = defaultdict(list)
    for call in history.calls:
        writes_one = call.kind in (
            *(Action.REGISTER, *SETS_PASSWORD, Action.RECOVER, Action.DELETE),
        )
        if writes_one and call.may_have_happened:
            name = call.name or names.get(call.account, "")
            password = None if call.kind == Action.DELETE else call.password
            ended = call.ended if call.done else float("inf")
            writes[name].append(_Write(password, call.began, ended))
    for call in history.calls:
        # An owner always sends the account's password, or the one that was to replace it.
        owns = call.kind in (Action.CHANGE_PASSWORD, Action.MAKE_CODE, Action.DELETE)
        if owns and call.code == "invalid_credentials":
            yield names.get(call.account, ""), f"the owner's password was refused: {call}"
        if call.kind != Action.LOG_IN:
            continue
        # A suspended player is told so after the password was found right.
        accepted = call.done or call.code == "account_suspended"
        if accepted and not _may_be(call, writes[call.name]):
            yield call.name, f"accepted an invalid password: {call}"
        elif call.code == "invalid_credentials" and not _may_not_be(call, writes[call.name]):
            yield call.name, f"refused a valid password: {call}"


def _may_be(login: Call, writes: list[_Write]) -> bool:
    """Tell whether the name can have had this password during the call."""
    return any(
        write.password == login.password
        and write.began < login.ended
        and not any(
            later.password != login.password
            and write.ended < later.began
            and later.ended < login.began
            for later in writes
        )
        for write in writes
    )


def _may_not_be(login: Call, writes: list[_Write]) -> bool:
    """Tell whether the name can have had another password, or none, during the call."""
    surely = [w for w in writes if w.password == login.password and w.ended < login.began]
    others = [w for w in writes if w.password != login.password and w.began < login.ended]
    return all(any(other.ended >= write.began for other in others) for write in surely)


# Sessions


def _ended_sessions_stay_ended(history: History) -> Iterator[str]:
    sessions = SessionEnds(history)
    for call in history.calls:
        uses = (Action.REFRESH, Action.ME, Action.MAKE_CODE, Action.TICKET, *SETS_PASSWORD)
        if call.done and call.kind in uses:
            end = sessions.surely_ended(call)
            if end is not None and end.intent != call.intent:
                yield f"{call}, after {end}"


def _no_failure_signs_out(history: History) -> Iterator[str]:
    sessions = SessionEnds(history)
    for call in history.calls:
        # A call that ends another session is recorded with that session, not the caller's.
        refused = call.code == "invalid_token" and call.kind != Action.END_SESSION
        if refused and sessions.may_have_expired(call):
            continue
        if (refused or call.code == "session_ended") and not sessions.may_have_ended(call):
            yield f"no call had ended the session: {call}"


def _one_successor(history: History) -> Iterator[str]:
    refreshed = [call for call in history.calls if call.kind == Action.REFRESH and call.done]
    for calls in grouped(refreshed, lambda call: call.token).values():
        if len({call.gave_token for call in calls}) > 1:
            yield f"a token has several successors: {calls[-1]}"


# Calls without an answer


def _unknown_outcomes_converge(history: History) -> Iterator[str]:
    sessions = SessionEnds(history)
    for calls in grouped(history.calls, lambda call: call.intent).values():
        last = max(calls, key=lambda call: call.ended)
        first = min(calls, key=lambda call: call.began)
        if first.kind not in REPEATED or not any(call.failed for call in calls):
            continue
        if any(call.done or call.code in TELLS_OUTCOME for call in calls):
            continue
        if first.kind in BY_OPERATOR and not last.failed:
            continue
        if not _is_settled(last, history, sessions):
            yield f"{len(calls)} tries, the last one {last}"


def _is_settled(last: Call, history: History, sessions: SessionEnds) -> bool:
    """Tell whether the last try can show the outcome although it was refused."""
    match last.code:
        case "invalid_token":
            # The first try has ended the session or account, and with it the token of the retry.
            is_gone = last.kind == Action.DELETE and last.account not in dict(history.accounts)
            ended = {call.session for call in history.calls if call.code == "session_ended"}
            is_out = last.session in ended and last.kind in (
                Action.LOG_OUT,
                Action.LOG_OUT_EVERYWHERE,
            )
            return is_gone or is_out or sessions.operator_may_have_ended(last)
        case "session_ended":
            return sessions.may_have_ended(last)
        case "not_found":
            return last.kind == Action.END_SESSION
        case "invalid_credentials":
            return last.kind == Action.RECOVER and (
                is_lost_race(last, history) or meets_an_order(last, history)
            )
    return False


PROPERTIES: dict[str, Callable[[History], Iterator[str]]] = {
    "the only 5xx is 503 with Retry-After": _only_503,
    "no answer later than 12 s": _in_time,
    "the service is available": _serves,
    "one account per name": _one_account_per_name,
    "no acknowledged registration is lost": _registrations_are_kept,
    "no acknowledged deletion is lost": _deletions_are_kept,
    "own name is never refused": _own_name_is_not_taken,
    "no acknowledged password change is lost": _passwords_are_kept,
    "no acknowledged upgrade is lost": _upgrades_are_kept,
    "no acknowledged recovery is lost": _recoveries_are_kept,
    "a recovery code works once": codes_work_once,
    "one account per guest secret": one_account_per_secret,
    "no failure replaces a guest by an empty account": guests_are_not_replaced,
    "ended sessions stay ended": _ended_sessions_stay_ended,
    "no failure signs out": _no_failure_signs_out,
    "a token has one successor": _one_successor,
    "unknown outcomes converge": _unknown_outcomes_converge,
    "guesses are bounded": guesses_are_bounded,
    **OF_OPERATORS,
    **OF_SEATS,
}
