"""The properties of game servers: seats, fences and the feed, under any fault.

In a module of their own because they follow tickets and polls, and the others follow sessions.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tests.faults.history import Action, Call, History, grouped
from tests.faults.seats import NEVER, REPLACED, Polled, Seat, Told
from tests.faults.session_ends import SessionEnds

ANSWER_SECONDS = 0.5
SUPERSEDED = "connection-superseded"
ENDS = ("session-revoked", "all-sessions-revoked", "credential-change", SUPERSEDED)


@dataclass(frozen=True)
class Redeemed:
    """A ticket's redemption: from its first try to its first answer; the server that won."""

    ticket: Call  # the call that gave it
    server: str
    fence: int
    began: float
    ended: float

    @property
    def account(self) -> str:
        """Return the account of the ticket."""
        return self.ticket.account


def redemptions_of(history: History) -> list[Redeemed]:
    """Return the redemptions that were acknowledged."""
    tickets = {call.gave_ticket: call for call in history.calls if call.gave_ticket}
    tries = [call for call in history.calls if call.kind == Action.REDEEM]
    found = []
    for ticket, calls in grouped(tries, lambda call: call.ticket).items():
        done = [call for call in calls if call.done]
        if done:
            first = min(done, key=lambda call: call.ended)
            began = min(call.began for call in calls if call.redeemer == first.redeemer)
            facts = (first.server, first.gave_fence, began, first.ended)
            found.append(Redeemed(tickets[ticket], *facts))
    return found


def tickets_have_one_winner(history: History) -> Iterator[str]:
    """Yield each ticket that two servers redeemed, or one with two fences, or the wrong one."""
    tickets = {call.gave_ticket: call for call in history.calls if call.gave_ticket}
    done = [call for call in history.calls if call.kind == Action.REDEEM and call.done]
    for ticket, calls in grouped(done, lambda call: call.ticket).items():
        if len({call.redeemer for call in calls}) > 1:
            yield f"two servers redeemed a ticket: {calls[0]}, and {calls[-1]}"
        if len({call.gave_fence for call in calls}) > 1:
            yield f"one ticket gave two fences: {calls[0]}, and {calls[-1]}"
        yield from (
            f"redeemed by another server than {tickets[ticket].server}: {call}"
            for call in calls
            if call.server != tickets[ticket].server
        )


def fences_rise(history: History) -> Iterator[str]:
    """Yield each redemption whose fence is not greater than that of an earlier one."""
    for of_account in grouped(redemptions_of(history), lambda one: one.account).values():
        for fence, same in grouped(of_account, lambda one: one.fence).items():
            if len(same) > 1:
                yield f"{len(same)} redemptions of {same[0].account} gave the fence {fence}"
        for later in of_account:
            yield from (
                f"the fence {later.fence} came after {earlier.fence}: {later.ticket}"
                for earlier in of_account
                if earlier.ended < later.began and earlier.fence > later.fence
            )


def one_server_holds_a_player(history: History) -> Iterator[str]:
    """Yield each fence of a player that two servers held, or wrote with.

    A game's store takes the writes with the greatest fence so far, so a late one is refused.
    """
    held = [(seat.account, seat.fence, seat.server) for seat in history.seats]
    wrote = [(one.account, one.fence, one.server) for one in history.writes if one.accepted]
    for (account, fence), same in grouped([*held, *wrote], lambda one: one[:2]).items():
        if len(servers := {server for *_, server in same}) > 1:
            yield f"{' and '.join(sorted(servers))} held {account} with the fence {fence}"
    greatest: dict[str, int] = {}
    for one in history.writes:
        before = greatest.setdefault(one.account, one.fence)
        if one.accepted and one.fence < before:
            yield f"the store took a write after one with the fence {before}: {one}"
        greatest[one.account] = max(before, one.fence)


def ended_sessions_get_no_seat(history: History) -> Iterator[str]:
    """Yield each redemption that began after the ticket's session had surely ended."""
    sessions = SessionEnds(history)
    for one in redemptions_of(history):
        use = _use(one.account, one.ticket.session, began=one.began)
        if end := sessions.surely_ended(use):
            yield f"redeemed at {one.began:.2f} s: {one.ticket}, after {end}"


def seats_end(history: History) -> Iterator[str]:
    """Yield each seat that outlived a whole poll that must have told of its end.

    A poll closes its seats before the next one begins. So the backend is to blame, not a server
    that could not reach it.
    """
    sessions, polls = SessionEnds(history), _polls_of(history)
    redeemed = grouped(redemptions_of(history), lambda one: one.account)
    for seat in history.seats:
        of_server = polls[seat.server]
        last = max((p.began for p in of_server if seat.opened <= p.began < seat.closed), default=0)
        told = max((p.began for p in of_server if p.ended < last), default=0)
        end = sessions.surely_ended(_use(seat.account, seat.session, began=told))
        taken = _taken(seat, redeemed[seat.account], told)
        if end or taken:
            yield f"{seat} was still open at {last:.2f} s, after {end or taken}"


def polls_are_answered(history: History) -> Iterator[str]:
    """Yield each poll that told later than it should, while the backend served.

    The time counts from the last poll that succeeded, beside what the server itself was late. If
    other calls are slow at that time, a poll may be too.
    """
    for polls in _polls_of(history).values():
        for before, poll in itertools.pairwise(polls):
            most = before.pause + poll.late + ANSWER_SECONDS
            served = any(
                window.began <= before.began and poll.ended <= window.ended
                for window in history.windows
            )
            if served and poll.ended - before.ended > most + _slowest_during(poll, history):
                yield f"{poll.redeemer} polled from {poll.began:.2f} to {poll.ended:.2f} s"


def _slowest_during(poll: Polled, history: History) -> float:
    """Return the time of the slowest answer to another call at the time of a poll."""
    return max(
        (
            call.ended - call.began
            for call in history.calls
            if call.kind != Action.POLL and call.began < poll.ended and poll.began < call.ended
        ),
        default=0.0,
    )


def _taken(seat: Seat, redeemed: Iterable[Redeemed], before: float) -> Redeemed | None:
    """Return the redemption by which another server took the player."""
    return next(
        (
            one
            for one in redeemed
            if one.fence > seat.fence and one.server != seat.server and one.ended < before
        ),
        None,
    )


def seats_last(history: History) -> Iterator[str]:
    """Yield each seat that was closed although nothing in the history can have ended it."""
    sessions = SessionEnds(history)
    calls = grouped(history.calls, lambda call: call.kind)
    takes = [call for call in calls[Action.REDEEM] if call.may_have_happened]
    accounts = {call.gave_ticket: call.account for call in calls[Action.TICKET]}
    for seat in history.seats:
        if seat.closed == NEVER or seat.cause == REPLACED:
            continue
        if not isinstance(seat.cause, Told):  # no run restores a backup
            yield f"a reset closed {seat}"
        elif seat.cause.type == SUPERSEDED:
            if not any(
                call.server != seat.server
                and accounts[call.ticket] == seat.account
                and call.began < seat.closed
                and (call.failed or call.gave_fence > seat.fence)
                for call in takes
            ):
                yield f"no other server took the player: {seat}"
        elif not sessions.may_have_ended(_use(seat.account, seat.session, ended=seat.closed)):
            yield f"no call had ended the session: {seat}"


def events_are_delivered(history: History) -> Iterator[str]:
    """Yield each event in the database that a poller was not told."""
    names = {poll.redeemer: poll.server for poll in history.polls}
    for poller, name in names.items():
        told = {one.id for poll in history.polls if poll.redeemer == poller for one in poll.told}
        for fed in history.fed:
            if fed.id not in told and fed.server in ("", name):
                yield f"{poller} was not told: {fed}"


def events_are_not_invented(history: History) -> Iterator[str]:
    """Yield each event that a poller was told and that the database does not have like that.

    A deletion takes the account's events away, except the one that tells of it.
    """
    purged = {fed.account for fed in history.fed if fed.type == "account-purged"}
    there = {(fed.id, fed.type, fed.account) for fed in history.fed}
    only = {fed.id: fed.server for fed in history.fed if fed.server}
    for poll in history.polls:
        for told in poll.told:
            if (told.id, told.type, told.account) not in there and told.account not in purged:
                yield f"{poll.redeemer} was told of {told}, which is not in the database"
            if only.get(told.id, poll.server) != poll.server:
                yield f"{poll.redeemer} was told of another server's loss: {told}"


def _polls_of(history: History) -> dict[str, list[Polled]]:
    """Return the polls of each server that has seats."""
    return grouped(history.polls, lambda poll: poll.redeemer)


def _use(account: str, session: str, *, began: float = 0.0, ended: float = 0.0) -> Call:
    """Return a use of a session as the properties of sessions know them."""
    return Call(
        kind=Action.REDEEM,
        intent=0,
        began=began,
        ended=ended,
        clock_began=began,
        clock_ended=ended,
        status=200,
        account=account,
        session=session,
    )


def seats_not_tried(seats: Iterable[Seat]) -> list[str]:
    """Return the events that ended no seat: about those, so few seats prove nothing."""
    causes = {seat.cause.type for seat in seats if isinstance(seat.cause, Told)}
    return [name for name in ENDS if name not in causes]


OF_SEATS: dict[str, Callable[[History], Iterator[str]]] = {
    "a ticket has one winner": tickets_have_one_winner,
    "fences rise": fences_rise,
    "one server holds a player": one_server_holds_a_player,
    "an ended session gets no seat": ended_sessions_get_no_seat,
    "ended players lose their seats": seats_end,
    "game servers are told in time": polls_are_answered,
    "no seat ends without a cause": seats_last,
    "every event is delivered": events_are_delivered,
    "no event is invented": events_are_not_invented,
}
