"""Backends with a planted mistake: the checker catches each, so a green table means something."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pytest

from tests.faults import table
from tests.faults.beliefs import Beliefs
from tests.faults.broken_builds import BROKEN_BUILDS
from tests.faults.checker import PROPERTIES, violations
from tests.faults.faults import APPLICATION, Fault, cut, nothing, through_line
from tests.faults.history import BY_OPERATOR, Action, grouped
from tests.faults.players import Actor, new_name, new_password
from tests.faults.run import Play, Run
from tests.faults.seat_checks import OF_SEATS
from tests.faults.servers import Servers

SEATS = 12


def kill_once(run: Run) -> None:
    """Close all connections once: acknowledged but uncommitted changes are lost."""
    run.play(3.0)
    with run.down():
        run.database.cut(*run.database.connections_of(APPLICATION))
        run.play(1.0)


def cut_registrations(run: Run) -> None:
    """Cut connections after COMMIT while four players only register, without a key.

    It goes on until one of the cuts, of which few meet a registration, has shown the mistake.
    """

    def register(seed: int) -> None:
        player = Actor(run, Beliefs(), seed)  # the same one, who comes from many addresses
        while not run.stopping.is_set():
            player.register(new_name(), new_password(), keyless=1.0)

    run.begin(*(partial(register, seed) for seed in range(4)))
    refused, end = PROPERTIES["own name is never refused"], time.monotonic() + 45.0
    while not any(refused(run.history())) and time.monotonic() < end:
        cut(run, after=True)


def moderate(run: Run) -> None:
    """Break nothing, until operators have sent enough commands, and several of them twice."""
    end = time.monotonic() + 30.0
    while not _have_moderated(run):
        assert time.monotonic() < end, "too few commands of operators"
        run.play(0.5)


def moderate_until_caught(run: Run, names: Sequence[str]) -> None:
    """Go on until one of these properties does not hold: few commands meet the mistake."""
    moderate(run)
    end = time.monotonic() + 45.0
    while time.monotonic() < end:
        history = run.history()
        if any(any(PROPERTIES[name](history)) for name in names):
            return
        run.play(1.0)


def _have_moderated(run: Run) -> bool:
    sent = grouped((c for c in tuple(run.calls) if c.kind in BY_OPERATOR), lambda c: c.intent)
    lifts = sum(calls[0].kind == Action.LIFT and calls[0].done for calls in sent.values())
    return lifts >= 3 and sum(len(calls) > 1 for calls in sent.values()) >= 4


def connect(run: Run) -> None:
    """Break nothing, until players have connected, and moved between game servers, often enough."""
    end = time.monotonic() + 30.0
    while sum(c.kind == Action.REDEEM and c.done for c in tuple(run.calls)) < SEATS:
        assert time.monotonic() < end, "too few tickets were redeemed"
        run.play(0.5)
    run.play(2.5)  # two polls more


def play_until_caught(run: Run, name: str) -> None:
    """Break nothing, until a property of game servers does not hold."""
    end = time.monotonic() + 45.0
    while not any(OF_SEATS[name](run.history())) and time.monotonic() < end:
        run.play(1.0)


# The fault that reveals each mistake.
FAULTS = {
    "limits in memory": Fault("none", nothing),
    "select then insert": Fault("none", nothing),
    "select guest then insert": Fault("none", nothing),
    "autocommit off": Fault("all connections killed once", kill_once),
    "commit again": Fault("connection cut after COMMIT", cut_registrations, through_line),
    "code not compared": Fault("none", nothing),
    **{
        build: Fault("none", partial(moderate_until_caught, names=BROKEN_BUILDS[build].caught_by))
        for build in ("operations apart", "same epoch", "suspension not asked for")
    },
    **{
        build: Fault("none", partial(play_until_caught, name=BROKEN_BUILDS[build].caught_by[0]))
        for build in (
            "ticket not compared",
            "fence not raised",
            "suspension not told",
            "loss not told",
        )
    },
    "cursor trusts numbers": Fault("none", connect),
}


# The table and the unique key without which the mistake shows, and its columns.
KEYS = {
    "select then insert": ("accounts", "username_key", "username_key"),
    "select guest then insert": ("identities", "identity", "provider, subject"),
}


@pytest.fixture
def _without_a_key(servers: Servers, build: str) -> Iterator[None]:
    """Let the database accept two rows that a unique key would not."""
    if build not in KEYS:
        yield
        return
    table, key, columns = KEYS[build]
    change = f"ALTER TABLE {table} DROP KEY {key}, ADD {{}} KEY {key} ({columns})"
    servers.database.run("DELETE FROM accounts", change.format(""))
    yield
    servers.database.run("DELETE FROM accounts", change.format("UNIQUE"))


@pytest.mark.usefixtures("_without_a_key")
@pytest.mark.parametrize("build", BROKEN_BUILDS)
def test_broken_build(
    play: Play,
    record_property: Callable[[str, object], None],
    build: str,
) -> None:
    """The checker rejects a backend with this mistake, for the right reason."""
    broken, fault = BROKEN_BUILDS[build], FAULTS[build]
    connecting = bool(OF_SEATS.keys() & set(broken.caught_by))
    history = play(fault, build, settling=5.0, looks=30, connecting=connecting)
    found = {violation.of for violation in violations(history)}
    caught = sorted(found & set(broken.caught_by))
    verdict = f"caught: {', '.join(caught)}" if caught else f"NOT CAUGHT ({', '.join(found)})"
    name = f"(planted) {broken.mistake}"
    order = 900 + list(BROKEN_BUILDS).index(build)
    record_property(table.ROW, table.row(order, name, history, verdict))
    assert caught, verdict
