"""The properties of operators' commands: each takes effect at once, once, and as it was answered.

In a module of their own because they follow commands, and the others follow players' calls.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from auth.store.records import EventKind
from tests.faults.history import BY_OPERATOR, Action, Call, Happened, History, grouped

NEVER = float("inf")
DELETED = "account_deleted"
EVENT_OF = {
    Action.SUSPEND: EventKind.SUSPENDED,
    Action.LIFT: EventKind.SUSPENSION_LIFTED,
    Action.SIGN_OUT: EventKind.SIGNED_OUT_EVERYWHERE,
}
RAISES_EPOCH = (
    EventKind.UPGRADED,
    EventKind.PASSWORD_CHANGED,
    EventKind.RECOVERED,
    EventKind.SIGNED_OUT_EVERYWHERE,
    EventKind.SUSPENDED,
)
# A session that has ended may be signed out again, without effect.
HARMLESS = (Action.LOG_OUT, Action.LOG_OUT_EVERYWHERE, *BY_OPERATOR)
# They answer 503 if the account changes under them.
GIVES_WAY = (Action.MAKE_CODE, Action.DELETE)


def orders_of(history: History) -> list[Call]:
    """Return each operator's command as one call, from its first try to its first answer.

    A command without any answer may still take effect, so it has no end. That its account has been
    deleted is no answer to it.
    """
    tries = [call for call in history.calls if call.kind in BY_OPERATOR]
    return [_order(each) for each in grouped(tries, lambda call: call.intent).values()]


def _order(tries: Iterable[Call]) -> Call:
    began = min(call.began for call in tries)
    known = [call for call in tries if not call.failed and call.code != DELETED]
    if not known:
        unknown = min(tries, key=lambda call: not call.failed)
        return replace(unknown, began=began, ended=NEVER)
    return replace(min(known, key=lambda call: call.ended), began=began)


def suspensions_shut_out(history: History) -> Iterator[str]:
    """Yield each success of an account between its suspension and the next lift."""
    orders = grouped(orders_of(history), lambda order: order.account)
    for call in history.calls:
        account = call.account or call.gave_account
        if not call.done or call.kind in HARMLESS or account not in orders:
            continue
        yield from (
            f"{call}, after {order}"
            for order in orders[account]
            if order.kind == Action.SUSPEND
            and order.done
            and order.ended < call.began
            and not _may_be_lifted(order, call, orders[account])
        )


def _may_be_lifted(suspension: Call, call: Call, orders: Iterable[Call]) -> bool:
    return any(
        order.kind == Action.LIFT
        and order.may_have_happened
        and order.began < call.ended
        and order.ended > suspension.began
        for order in orders
    )


def lifts_let_in(history: History) -> Iterator[str]:
    """Yield each call that was told of a suspension that cannot have been there."""
    orders = grouped(every := orders_of(history), lambda order: order.account)
    owners = _owners(history)
    by_players = [call for call in history.calls if call.kind not in BY_OPERATOR]
    for call in (*by_players, *every):
        if call.code not in ("account_suspended", "already_suspended"):
            continue
        account = call.account or owners.get(call.name or call.secret)
        if account and not _may_be_suspended(call, orders.get(account, [])):
            yield f"not suspended: {call}"


def _owners(history: History) -> dict[str, str]:
    """Return the account of each name and of each guest secret."""
    given = [call for call in history.calls if call.gave_account]
    return {
        **{name: account for account, name in history.accounts},
        **dict(history.guests),
        **{call.name: call.gave_account for call in given if call.name},
        **{call.secret: call.gave_account for call in given if call.secret},
    }


def _may_be_suspended(call: Call, orders: Iterable[Call]) -> bool:
    return any(
        order.kind == Action.SUSPEND
        and order.may_have_happened
        and order.intent != call.intent
        and order.began < call.ended
        and not any(
            lift.kind == Action.LIFT
            and lift.done
            and order.ended < lift.began
            and lift.ended < call.began
            for lift in orders
        )
        for order in orders
    )


def operations_are_recorded(history: History) -> Iterator[str]:
    """Yield each answered command that the table does not have, once and with that answer."""
    rows = grouped(history.operations, lambda row: row.command_id)
    exists = {account for account, _ in history.accounts}
    orders = orders_of(history)
    for order in orders:
        found = rows[order.key]
        if order.failed or order.code == DELETED:
            continue
        if len(found) != 1:
            yield f"{len(found)} rows: {order}"
            continue
        outcome = "done" if order.done else order.code
        account = "" if order.code == "not_found" else order.account
        answers = {order.answer} if account in exists else {order.answer, ""}
        if (found[0].outcome, found[0].account) != (
            outcome,
            account,
        ) or found[0].answer not in answers:
            yield f"recorded as {found[0]}: {order}, {order.answer}"
    sent = {order.key for order in orders}
    yield from (f"nobody sent this: {rows[key]}" for key in rows if key not in sent)


def operations_happen_once(history: History) -> Iterator[str]:
    """Yield each account whose events or epoch are not those of the commands on it."""
    orders = grouped(orders_of(history), lambda order: order.account)
    events = grouped(history.events, lambda event: event.account)
    for account, epoch in history.epochs:
        raised = sum(event.kind in RAISES_EPOCH for event in events[account])
        if epoch != raised:
            yield f"the epoch of {account} is {epoch}, and {raised} events raise it"
        for kind in EVENT_OF:
            of_kind = [order for order in orders[account] if order.kind == kind]
            yield from _wrong_number(account, kind, of_kind, events[account])


def _wrong_number(
    account: str, kind: Action, orders: Iterable[Call], events: Iterable[Happened]
) -> Iterator[str]:
    count = sum(event.kind == EVENT_OF[kind] and not event.session for event in events)
    least = sum(order.done and json.loads(order.answer)["changed"] for order in orders)
    most = least + sum(order.failed for order in orders)
    if not least <= count <= most:
        yield f"{kind} of {account} happened {count} times, not {least} to {most} times"


def answers_are_equal(history: History) -> Iterator[str]:
    """Yield each command that got different answers."""
    known = [
        call
        for call in history.calls
        if call.kind in BY_OPERATOR and not call.failed and call.code != DELETED
    ]
    for calls in grouped(known, lambda call: call.key).values():
        if len(answers := {call.answer for call in calls}) > 1:
            yield f"{len(answers)} answers: {calls[0]}, {sorted(answers)}"


def meets_an_order(call: Call, history: History) -> bool:
    """Tell whether an operator's command may have changed the account during a call."""
    return any(
        order.account == call.account
        and order.may_have_happened
        and order.began < call.ended
        and call.began < order.ended
        for order in orders_of(history)
    )


def may_fail(call: Call, history: History) -> bool:
    """Tell whether a call may fail though the service is available.

    An operator's function reads its secrets at each run, so it needs Secrets Manager.
    """
    if call.kind in BY_OPERATOR:
        spans = history.no_operators
        return any(span.began < call.ended and call.began < span.ended for span in spans)
    return call.kind in GIVES_WAY and meets_an_order(call, history)


def operations_not_tried(calls: Iterable[Call]) -> list[str]:
    """Return what operators did not do and players did not meet: about that, it proves nothing."""
    seen = tuple(calls)
    done = {call.kind for call in seen if call.done}
    refused = {call.kind for call in seen if call.code == "account_suspended"}
    met: dict[str, bool] = {
        **{kind: kind in done for kind in BY_OPERATOR},
        f"{Action.LOG_IN}, suspended": Action.LOG_IN in refused,
    }
    return [str(name) for name, happened in met.items() if not happened]


OF_OPERATORS: dict[str, Callable[[History], Iterator[str]]] = {
    "a suspension shuts the account out": suspensions_shut_out,
    "nothing else shuts an account out": lifts_let_in,
    "every operation is recorded": operations_are_recorded,
    "each operation takes effect once": operations_happen_once,
    "an operation has one answer": answers_are_equal,
}
