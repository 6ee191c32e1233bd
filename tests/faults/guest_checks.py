"""The properties of guests: a secret leads to one account for ever, or to none after an upgrade.

Three properties of the checker, in a module of their own because they follow secrets, and the
others follow names and sessions.
"""

from collections.abc import Iterator

from tests.faults.history import Action, Call, History, grouped

OPENS = (Action.CREATE_GUEST, Action.ENTER)
ENDS_SECRET = (Action.UPGRADE, Action.RECOVER, Action.DELETE)
GIVES_SECRET = (Action.CREATE_GUEST, Action.RECOVER)


def one_account_per_secret(history: History) -> Iterator[str]:
    """Yield each secret of several accounts: in the database, or by calls at the same time."""
    for same in grouped(history.guests, lambda row: row[0]).values():
        if len(same) > 1:
            yield f"{len(same)} rows of one secret, of {sorted(account for _, account in same)}"
    for first, call in _opened(history):
        if call.began <= first.ended and call.gave_account != first.gave_account:
            yield f"one secret opened two accounts at once: {first}, and {call}"


def guests_are_not_replaced(history: History) -> Iterator[str]:
    """Yield each call that gave a guest another account, or found none."""
    for first, call in _opened(history):
        if call.began > first.ended and call.gave_account != first.gave_account:
            yield f"the secret opens another account: {call}, after {first}"
    firsts = {first.secret: first for first, _ in _opened(history)}
    for call in history.calls:
        if call.kind == Action.ENTER:
            yield from _wrong_entry(history, call, firsts.get(call.secret))
    kept = set(history.guests)
    for secret, first in firsts.items():
        is_kept = (secret, first.gave_account) in kept
        if not is_kept and not _secret_may_be_dead(history, first.gave_account, float("inf")):
            yield f"the database has no such secret: {first}"


def _wrong_entry(history: History, entry: Call, first: Call | None) -> Iterator[str]:
    if entry.status == 201:
        yield f"created by a call that must not create: {entry}"
    elif entry.done and not any(
        call.kind in GIVES_SECRET
        and call.secret == entry.secret
        and call.may_have_happened
        and call.began < entry.ended
        for call in history.calls
    ):
        yield f"nobody had created the guest: {entry}"
    elif (
        entry.code == "unknown_guest"
        and first is not None
        and first.ended < entry.began
        and not _secret_may_be_dead(history, first.gave_account, entry.ended)
    ):
        yield f"the guest was not found: {entry}, after {first}"


def upgrades_are_kept(history: History) -> Iterator[str]:
    """Yield each upgrade that the account, or the secret, does not show afterwards."""
    gone = {c.account for c in history.calls if c.kind == Action.DELETE and c.may_have_happened}
    there, secrets = set(history.accounts), {secret for secret, _ in history.guests}
    for call in history.calls:
        if call.kind != Action.UPGRADE:
            continue
        if call.code in ("invalid_credentials", "not_a_guest"):
            yield f"the owner's upgrade was refused: {call}"
        if not call.done:
            continue
        if call.gave_account != call.account:
            yield f"the account is another one: {call}"
        if call.account not in gone and (call.account, call.name) not in there:
            yield f"not in the database: {call}"
        if call.secret in secrets:
            yield f"the secret is still in the database: {call}"
        for entry in history.calls:
            same = entry.kind in OPENS and entry.secret == call.secret
            if same and entry.done and entry.began > call.ended:
                yield f"the secret still opens an account: {entry}, after {call}"


def moves_are_kept(history: History) -> Iterator[str]:
    """Yield each secret that a recovery has replaced, and that opens the account afterwards."""
    opened = [call for call in history.calls if call.kind in (*OPENS, Action.RECOVER) and call.done]
    secrets = {secret for secret, _ in history.guests}
    for of_account in grouped(opened, lambda call: call.gave_account).values():
        for move in of_account:
            if move.kind != Action.RECOVER or not move.secret:
                continue
            dead = {c.secret for c in of_account if c.ended < move.began} - {move.secret, ""}
            yield from (f"the former secret is still there: {move}" for _ in dead & secrets)
            for call in of_account:
                if call.kind in OPENS and call.secret in dead and call.began > move.ended:
                    yield f"the former secret still opens the account: {call}, after {move}"


def _opened(history: History) -> Iterator[tuple[Call, Call]]:
    """Yield each call that opened an account by a secret, after the first one with that secret."""
    opened = (call for call in history.calls if call.kind in OPENS and call.done)
    for calls in grouped(opened, lambda call: call.secret).values():
        first = min(calls, key=lambda call: call.ended)
        yield from ((first, call) for call in calls)


def _secret_may_be_dead(history: History, account: str, until: float) -> bool:
    """Tell whether an upgrade or a deletion may have ended the secret of an account by then."""
    return any(
        call.kind in ENDS_SECRET
        and call.account == account
        and call.may_have_happened
        and call.began < until
        for call in history.calls
    )
