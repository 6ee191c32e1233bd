"""Sessions in a history: which call opened each, and which calls ended it, or may have.

Operators end sessions too; the properties that follow from it are the checker's.
"""

from collections import defaultdict

from tests.faults.history import BY_OPERATOR, Action, Call, History
from tests.faults.operator_checks import orders_of

ACCESS_SECONDS = 600.0
ENDS_ONE = (Action.LOG_OUT, Action.END_SESSION)
SETS_PASSWORD = (Action.CHANGE_PASSWORD, Action.UPGRADE)  # the session goes on with a new token
ENDS_SESSIONS = (
    *ENDS_ONE,
    Action.LOG_OUT_EVERYWHERE,
    *SETS_PASSWORD,
    Action.RECOVER,
    Action.DELETE,
    Action.SUSPEND,
    Action.SIGN_OUT,
)


class SessionEnds:
    """For each session or token, the call that created it and the calls that ended it."""

    def __init__(self, history: History) -> None:
        self.opened: dict[str, Call] = {}
        self.gave: dict[str, Call] = {}
        self.first_try: dict[int, float] = {}
        self.ends: dict[str, list[Call]] = defaultdict(list)
        calls = [call for call in history.calls if call.kind not in BY_OPERATOR]
        for call in sorted([*calls, *orders_of(history)], key=lambda call: call.began):
            self.first_try.setdefault(call.intent, call.began)
            if call.gave_session:
                self.opened.setdefault(call.gave_session, call)
                self.gave.setdefault(call.gave_token, call)
            if call.kind in ENDS_SESSIONS and call.may_have_happened:
                self.ends[call.account].append(call)

    def surely_ended(self, use: Call) -> Call | None:
        """Return an acknowledged call that had ended the session in use, if there is one."""
        return next(
            (
                end
                for end in self.ends[use.account]
                if end.done and end.ended < use.began and self._surely_ends(end, use)
            ),
            None,
        )

    def may_have_ended(self, use: Call) -> bool:
        """Tell whether any call can have ended the session, or made its token useless."""
        return any(
            end.began < use.ended and self._may_end(end, use) for end in self.ends[use.account]
        )

    def operator_may_have_ended(self, use: Call) -> bool:
        """Tell whether an operator can have ended the session of the caller.

        A call that ends another session is recorded with that one, so any session counts there.
        """
        return any(
            end.kind in BY_OPERATOR
            and end.began < use.ended
            and (use.kind == Action.END_SESSION or self._may_end(end, use))
            for end in self.ends[use.account]
        )

    def may_have_expired(self, use: Call) -> bool:
        """Tell whether the access token in use can have expired: none is older than its session."""
        return use.clock_ended - self.opened[use.session].clock_began >= ACCESS_SECONDS

    def _surely_ends(self, end: Call, use: Call) -> bool:
        if end.kind == Action.DELETE:
            return True
        if end.kind in ENDS_ONE:
            return end.session == use.session
        if end.kind == Action.LOG_OUT_EVERYWHERE and self._had_ended(end):
            return False  # by the contract, it has no effect then
        if end.session != use.session:
            return self.opened[use.session].ended < self.first_try[end.intent]
        if end.kind == Action.LOG_OUT_EVERYWHERE:
            return True
        # The session that set the password lives on; its old refresh token does not.
        given = self.gave.get(use.token)
        return given is not None and given.ended < self.first_try[end.intent]

    def _may_end(self, end: Call, use: Call) -> bool:
        if end.kind == Action.DELETE:
            return True
        if end.session == use.session:
            given = self.gave.get(use.token)
            is_new = given is end or (given is not None and given.began >= end.ended)
            return not (end.kind in SETS_PASSWORD and is_new)
        if self.opened[use.session] is end:
            return False  # a recovery opens a session
        return end.kind not in ENDS_ONE and self.opened[use.session].began < end.ended

    def _had_ended(self, end: Call) -> bool:
        """Tell whether the session that sent `end` may have ended before."""
        return any(
            other.intent != end.intent and other.began < end.ended and self._may_end(other, end)
            for other in self.ends[end.account]
        )
