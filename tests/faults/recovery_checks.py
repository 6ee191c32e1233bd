"""The properties of recoveries: a code works once, and only as long as it is the account's last.

In a module of their own because they follow codes, and the others follow names and sessions.
"""

from collections.abc import Iterable, Iterator

from tests.faults.history import Action, Call, History, grouped
from tests.faults.operator_checks import meets_an_order

GIVES_CODE = (Action.MAKE_CODE, Action.RECOVER)
# What can make a code useless, or a recovery lose a race.
UNDOES = (
    *GIVES_CODE,
    Action.CHANGE_PASSWORD,
    Action.UPGRADE,
    Action.LOG_OUT_EVERYWHERE,
    Action.DELETE,
)


def codes_work_once(history: History) -> Iterator[str]:
    """Yield each recovery by a code that was used, replaced, or made before an upgrade."""
    recoveries = [call for call in history.calls if call.kind == Action.RECOVER and call.done]
    gave = {call.gave_recovery: call for call in history.calls if call.gave_recovery}
    given = grouped(gave.values(), lambda call: call.gave_account or call.account)
    for used in grouped(recoveries, lambda call: call.recovery).values():
        if len(used) > 1:
            yield f"a code was used twice: {used[0]}, and {used[1]}"
    for call in recoveries:
        if call.gave_account != call.account:
            yield f"the code opened another account: {call}"
        source = gave.get(call.recovery)
        if source is None:
            yield f"nobody was given this code: {call}"
        elif source.secret and not call.secret:
            yield f"a guest's code outlived the upgrade: {call}, after {source}"
        else:
            for other in given[call.account]:
                if source.ended < other.began and other.ended < call.began:
                    yield f"the code was replaced: {call}, after {other}"


def good_codes_work(history: History) -> Iterator[str]:
    """Yield each recovery that was refused although nothing can have made its code useless."""
    gave = {call.gave_recovery: call for call in history.calls if call.gave_recovery}
    by_account = grouped(history.calls, lambda call: call.account)
    for call in history.calls:
        source = gave.get(call.recovery)
        if call.kind != Action.RECOVER or call.code != "invalid_credentials" or source is None:
            continue
        if (
            source.ended < call.began
            and not any(_may_undo(other, source, call) for other in by_account[call.account])
            and not meets_an_order(call, history)
        ):
            yield f"a good code was refused: {call}, after {source}"


def is_lost_race(last: Call, history: History) -> bool:
    """Tell whether another recovery with the same code can have won."""
    return last.code == "invalid_credentials" and any(
        other.kind == Action.RECOVER
        and other.recovery == last.recovery
        and other.intent != last.intent
        and other.may_have_happened
        for other in history.calls
    )


def recoveries_not_tried(calls: Iterable[Call]) -> list[str]:
    """Return the kinds of recovery that did not happen: about those, the history proves nothing."""
    done = [call for call in calls if call.kind == Action.RECOVER and call.done]
    tried = {"recovery": any(call.password for call in done), "move": any(c.secret for c in done)}
    return [kind for kind, happened in tried.items() if not happened]


def _may_undo(other: Call, source: Call, refused: Call) -> bool:
    """Tell whether `other` can be the reason that a code, given by `source`, was refused."""
    is_late = other.failed or other.ended > source.began
    return (
        other is not source
        and other is not refused
        and other.kind in UNDOES
        and other.may_have_happened
        and is_late
        and other.began < refused.ended
    )
