"""The checker finds violations of game servers' properties, and reports no false one."""

from dataclasses import replace
from typing import Any

import pytest

from tests.faults.history import Action, Call, Window
from tests.faults.seat_checks import OF_SEATS, seats_not_tried
from tests.faults.seats import NEVER, RESET, Fed, GameStore, Polled, Seat, Told, Wrote
from tests.faults.test_checker import ADA, call, change, found, refresh, registration

TOLD_IN_TIME = "game servers are told in time"
EU, US = "eu-1:7777", "us-1:7777"
OUT = call(Action.LOG_OUT, 5, **ADA)
REVOKED = Told("e1", "session-revoked", "a1", "s1")
FED = Fed("e1", "session-revoked", "a1")
LOST = Told("e2", "connection-superseded", "a1", fence=200)
FED_LOST = Fed("e2", "connection-superseded", "a1", EU)


def ticket(began: float, server: str = EU, **more: Any) -> Call:
    """Return a ticket for Ada's first session."""
    facts = {"server": server, "gave_ticket": f"ticket-{began}", **ADA, **more}
    return call(Action.TICKET, began, 201, **facts)


def redeem(began: float, of: Call, status: int = 200, **more: Any) -> Call:
    """Return a redemption, by the server that the ticket is for."""
    fence = int(began * 100) if status == 200 else 0
    facts = {"server": of.server, "redeemer": of.server, "ticket": of.gave_ticket}
    return call(Action.REDEEM, began, status, **{"gave_fence": fence, **facts, **more})


def seat(opened: float, closed: float = NEVER, cause: Any = None, **more: Any) -> Seat:
    """Return a seat of Ada's first session, with the fence of a redemption just before."""
    fence = int(opened * 100) - 10
    facts = {"server": EU, "account": "a1", "session": "s1", "epoch": 0, "fence": fence, **more}
    return Seat(**facts, opened=opened, closed=closed, cause=cause)


def polls(*moments: float, told: dict[float, Told] | None = None, server: str = EU) -> Any:
    """Return polls at these moments, each punctual."""
    at = told or {}
    return tuple(
        Polled(
            server, server, moment, moment + 0.1, 1.0, 100.0, (at[moment],) if moment in at else ()
        )
        for moment in moments
    )


def wrote(server: str, fence: int, *, accepted: bool = True) -> Wrote:
    """Return a write of Ada's."""
    return Wrote("a1", server, fence, accepted)


T1 = ticket(1)
R1 = redeem(1.2, T1)
S1 = seat(1.3, 6.2, REVOKED)
T2 = ticket(2, US)
R2 = redeem(2, T2)


def played(*calls: Call, **more: Any) -> set[str]:
    """Return the properties that a history breaks in which Ada signs out while she has a seat."""
    facts = {"seats": (S1,), "polls": polls(4, 6, 7, told={6: REVOKED}), "fed": (FED,), **more}
    return found(registration(), T1, R1, OUT, *calls, **facts)


def moved(**more: Any) -> set[str]:
    """Return the properties that a history breaks in which Ada moves to another server."""
    facts = {
        "seats": (seat(1.3, 3.2, LOST, fence=120), seat(2.1, server=US, fence=200)),
        "polls": (*polls(1, 3, 4, told={3: LOST}), *polls(1, 3, 4, server=US)),
        "fed": (FED_LOST,),
        **more,
    }
    return found(registration(), T1, R1, T2, R2, **facts)


# Histories without a violation


def test_a_seat_that_ends() -> None:
    """A seat ends at the first poll after the sign-out, or may end at one during it."""
    assert not played()
    assert not played(seats=(seat(1.3, 5.05, REVOKED),), polls=polls(5.02, 7, told={5.02: REVOKED}))


def test_a_move() -> None:
    """The former server loses its seat, and its late write is refused."""
    writes = (wrote(EU, 120), wrote(US, 200), wrote(EU, 120, accepted=False))
    assert not moved(writes=writes)


def test_a_server_that_cannot_poll() -> None:
    """A seat stays open while no poll succeeds, and while one is under way."""
    assert not played(seats=(seat(1.3, 40.2, REVOKED),), polls=polls(4, 40, told={40: REVOKED}))
    late = (*polls(4), Polled(EU, EU, 4.9, 9.0, 1.0, 0.0, (REVOKED,)), *polls(10))
    assert not played(seats=(seat(1.3, 9.1, REVOKED),), polls=late)


def test_a_slow_hour() -> None:
    """A poll may be as slow as other calls at its time, and half a second slower."""
    slow = (Polled(EU, EU, 4.0, 4.1, 1.0, 0.0), Polled(EU, EU, 5.1, 6.0, 1.0, 0.0, (REVOKED,)))
    assert played(polls=(*slow, *polls(7)), windows=(Window(3, 9),)) == {TOLD_IN_TIME}
    health = call(Action.HEALTH, 5, took=0.8)
    assert not played(health, polls=(*slow, *polls(7)), windows=(Window(3, 9),))


def test_a_lost_answer() -> None:
    """A ticket is redeemed again by the same server, with the same fence."""
    unknown = redeem(1.1, T1, 503, intent=9)
    assert not played(unknown)
    assert not played(redeem(8, T1, gave_fence=120), redeem(9, T1, 409, redeemer="rival"))


def test_a_session_that_goes_on() -> None:
    """A password change leaves the seat of the session that made it, and ends the others."""
    changed = Told("e3", "credential-change", "a1", "s1", epoch=1)
    fed = Fed("e3", "credential-change", "a1")
    start = (registration(), T1, R1, change(5, gave_token="t2", gave_session="s1"))
    assert not found(
        *start, seats=(seat(1.3),), polls=polls(4, 6, 7, told={6: changed}), fed=(fed,)
    )


def test_theft() -> None:
    """A seat ends if a token from before a password change was used: it counts as stolen."""
    changed = change(3, gave_token="t2", gave_session="s1")
    stolen = refresh(5, 401, token="t0")
    facts = {"seats": (S1,), "polls": polls(4, 6, 7, told={6: REVOKED}), "fed": (FED,)}
    assert not found(registration(), T1, R1, changed, stolen, **facts)


def test_the_end_of_seats() -> None:
    """An event ends the seats that the contract says, and no other."""
    one = seat(1.3, fence=120)
    everywhere = Told("e", "all-sessions-revoked", "a1", epoch=1)
    for ends in (
        REVOKED,
        LOST,
        everywhere,
        replace(everywhere, type="account-disabled"),
        replace(everywhere, type="account-enabled"),
        Told("e", "account-purged", "a1"),
        Told("e", "credential-change", "a1", "s2", epoch=1),
    ):
        assert one.is_ended_by(ends)
    for leaves in (
        replace(REVOKED, session="s2"),
        replace(LOST, fence=120),
        replace(everywhere, epoch=0),
        replace(everywhere, account="a2"),
        Told("e", "account-purged", "a2"),
        Told("e", "credential-change", "a1", "s1", epoch=1),
        Told("e", "identifier-changed", "a1"),
    ):
        assert not one.is_ended_by(leaves)


def test_the_store() -> None:
    """A game's store takes no write with a smaller fence than the last one's."""
    store = GameStore()
    for fence in (5, 5, 7, 5):
        store.write(seat(1, fence=fence))
    assert [write.accepted for write in store.writes] == [True, True, True, False]


# Violations


def planted() -> dict[str, list[set[str]]]:
    """Return the checker's findings in histories with one violation, by the property broken."""
    again, at = ticket(3), {3.0: LOST}
    punctual = (Polled(EU, EU, 1.0, 1.1, 1.0, 0.0), Polled(EU, EU, 2.1, 3.0, 1.0, 0.0))
    up: dict[str, Any] = {"windows": (Window(0, 5),)}
    return {
        "a ticket has one winner": [
            played(redeem(8, T1, gave_fence=120, redeemer="rival")),
            played(redeem(8, T1, gave_fence=130)),
            found(registration(), T1, replace(R1, server=US)),
        ],
        "fences rise": [
            played(again, redeem(3.2, again, gave_fence=120)),
            played(again, redeem(3.2, again, gave_fence=119)),
        ],
        "one server holds a player": [
            moved(writes=(wrote(US, 200), wrote(EU, 120))),
            moved(writes=(wrote(EU, 200),)),
        ],
        "an ended session gets no seat": [
            found(registration(), T1, OUT, redeem(6.6, T1)),
            found(registration(), T1, OUT, redeem(6.6, T1, 503, intent=9), redeem(7, T1, intent=9)),
        ],
        "ended players lose their seats": [
            played(seats=(seat(1.3),)),
            played(seats=(seat(1.3, 7.2, REVOKED),), polls=polls(4, 6, 7, 8, told={7: REVOKED})),
            played(seats=(S1, seat(6.3)), polls=polls(4, 6, 7, told={6: REVOKED})),
            moved(seats=(seat(1.3, fence=120), seat(2.1, server=US, fence=200))),
        ],
        TOLD_IN_TIME: [played(**up, polls=(*punctual, *polls(6, told={6: REVOKED})))],
        "no seat ends without a cause": [
            found(
                registration(), T1, R1, seats=(S1,), polls=polls(6, told={6: REVOKED}), fed=(FED,)
            ),
            played(seats=(seat(1.3, 4.9, REVOKED),)),
            played(seats=(seat(1.3, 6.2, RESET),)),
            found(registration(), T1, R1, seats=(seat(1.3, 3.2, LOST, fence=120),)),
        ],
        "every event is delivered": [
            played(fed=(FED, Fed("e9", "session-revoked", "a2"))),
            played(polls=(*polls(4, 6, told={6: REVOKED}), *polls(4, 6, server=US))),
            moved(fed=(FED_LOST, replace(FED_LOST, id="e7", server=US))),
        ],
        "no event is invented": [
            played(fed=()),
            played(fed=(replace(FED, account="a2"),)),
            moved(
                fed=(replace(FED_LOST, server=US),),
                polls=tuple(
                    one for name in (EU, US) for one in polls(1, 3, 4, told=at, server=name)
                ),
            ),
        ],
    }


@pytest.mark.parametrize("name", OF_SEATS)
def test_planted_violation(name: str) -> None:
    """Each form of each violation is found, and breaks no other property."""
    forms = planted()[name]
    assert forms
    for broken in forms:
        assert broken == {name}


def test_too_few_seats() -> None:
    """Ends of seats that did not happen are named."""
    assert seats_not_tried([S1]) == [
        "all-sessions-revoked",
        "credential-change",
        "connection-superseded",
    ]
