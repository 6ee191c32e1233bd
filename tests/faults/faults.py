"""The faults, each with its timing.

Each is a function that injects itself into a run while it plays. Inside `run.down()` calls may
fail; five seconds after it everything must work again. A fault without `run.down()` may make no
call fail at all.
"""

import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import cycle

import msgspec

from local.certificates import make_certificates
from tests.faults.guess_limits import limits_not_reached
from tests.faults.line import Cut
from tests.faults.operator_checks import operations_not_tried
from tests.faults.recovery_checks import recoveries_not_tried
from tests.faults.run import BACK_SECONDS, WORKERS, Run
from tests.faults.seat_checks import seats_not_tried
from tests.faults.secrets_line import Trouble
from tests.faults.workers import KEYS_SECONDS

WARM_SECONDS = 1.0
AFTER_SECONDS = BACK_SECONDS + 1.0
APPLICATION = "game_login"
ROTATIONS = 20
LOST, LOCK_WAIT = "connection lost", "lock wait"  # as auth.external.connection calls them


@dataclass(frozen=True)
class Fault:
    """A fault with its name in the table; `prepare` starts the run, `inject` breaks it.

    The handlers must log `logged` at least `times` times: that proves that the fault reached them.
    """

    name: str
    inject: Callable[[Run], None]
    prepare: Callable[[Run], None] = Run.start
    logged: str = ""
    times: int = 1


def nothing(run: Run, *, seats: bool = False) -> None:
    """Break nothing: the load alone, which must reach all that the properties are about."""
    run.play(5.0)
    end = time.monotonic() + 30.0
    while untried := [
        *limits_not_reached(run.calls),
        *recoveries_not_tried(run.calls),
        *operations_not_tried(run.calls),
        *(seats_not_tried(run.observed()["seats"]) if seats else ()),
    ]:
        assert time.monotonic() < end, f"too few of these: {', '.join(untried)}"
        run.play(0.5)


# The database


def kill(run: Run) -> None:
    """Kill the database, as a power failure would, and start it again."""
    for _ in range(3):
        run.play(WARM_SECONDS)
        with run.down():
            run.database.kill()
            run.play(0.5)
            run.database.start()
        run.play(AFTER_SECONDS)


def freeze(run: Run) -> None:
    """Stop the database process while its connections stay open."""
    run.play(WARM_SECONDS)
    with run.down(), run.database.frozen():
        run.play(5.0)
    run.play(AFTER_SECONDS)


def read_only(run: Run) -> None:
    """Have the database refuse writes, as the replica does during a failover."""
    run.play(WARM_SECONDS)
    with run.down(), run.database.set_to("read_only", 1):
        run.play(2.0)
    run.play(AFTER_SECONDS)


def exhaust(run: Run) -> None:
    """Use up the database's connections."""
    run.play(WARM_SECONDS)
    with run.down(), run.database.exhausted():
        run.play(3.0)
    run.play(AFTER_SECONDS)


def lock_rows(run: Run) -> None:
    """Lock all rows of one table after another, for longer than any lock wait."""
    for table in ("sessions", "accounts", "rate_limits", "recovery_codes", "operations"):
        run.play(WARM_SECONDS)
        before = run.logged(LOCK_WAIT)
        with run.down(), run.database.locked(table):
            run.play(4.2)
            end = time.monotonic() + 30.0  # recoveries are rare
            while run.logged(LOCK_WAIT) == before:
                assert time.monotonic() < end, f"no call waited for the rows of {table}"
                run.play(0.5)
    run.play(AFTER_SECONDS)


# Connections


def kill_connections(run: Run) -> None:
    """Close connections while they are in use."""
    run.play(WARM_SECONDS)
    with run.down():
        for _ in range(40):
            run.play(0.1)
            connections = run.database.connections_of(APPLICATION)
            run.database.cut(*random.sample(connections, min(2, len(connections))))
    run.play(AFTER_SECONDS)


def kill_idle(run: Run) -> None:
    """Close all connections while they are idle."""
    for _ in range(10):
        run.play(0.5)
        with run.workers.all_idle():
            run.database.cut_all_of(APPLICATION)


def time_out(run: Run) -> None:
    """Have the database close connections that have been idle for a second."""
    with run.database.set_to("wait_timeout", 1):
        with run.workers.all_idle():
            run.database.cut_all_of(APPLICATION)  # a connection keeps its initial value
        for _ in range(3):
            run.play(1.0)
            with run.workers.all_idle():
                _wait_until_timed_out(run)
        run.play(WARM_SECONDS)


def _wait_until_timed_out(run: Run) -> None:
    end = time.monotonic() + 10.0
    while run.database.connections_of(APPLICATION):
        assert time.monotonic() < end, "idle connections do not time out"
        run.play(0.2)


def through_line(run: Run) -> None:
    """Start a run whose handlers reach the database through a proxy that can be cut."""
    secret = run.database.application
    run.start(msgspec.structs.replace(secret, port=run.line.port))


def cut(run: Run, *, after: bool) -> None:
    """Cut connections at writing statements, as a broken network does."""
    run.play(WARM_SECONDS)
    with run.down(), run.line.cutting(Cut(after, share=0.25)):
        run.play(6.0)
    assert run.line.cuts > 10, "too few connections were cut"
    run.play(AFTER_SECONDS)


def another_ca(run: Run) -> None:
    """Have a server without the database's certificate answer in its place."""
    other = run.folder / "other-ca"
    make_certificates(other)
    run.play(WARM_SECONDS)
    with run.down(), run.line.with_certificates(other):
        run.play(0.5)
        before = run.line.statements
        run.play(2.5)
        assert run.line.statements == before, "a statement was sent to a server of another CA"
    run.play(AFTER_SECONDS)


# The database's password


def rotating_user(run: Run) -> None:
    """Start a run whose handlers sign in as a user whose password is rotated."""
    run.start(run.database.new_user("rotating"))


def rotate_one_user(run: Run) -> None:
    """Rotate as AWS does for a single user: for a second AWSCURRENT is wrong and AWSPENDING right.

    No call spans two rotations, even on a slow machine.
    """
    secret = run.secret
    for _ in range(ROTATIONS):
        run.play(0.2)
        run.let_calls_end()
        secret = msgspec.structs.replace(secret, password=secrets.token_urlsafe(16))
        version = run.put_secret(secret, "AWSPENDING")
        run.database.set_password(secret)
        run.database.cut_all_of(secret.username)
        run.play(1.0)
        run.promote(version)


def rotate_two_users(run: Run) -> None:
    """Rotate as AWS does for alternating users: AWSCURRENT is always right."""
    users = (run.database.new_user("rotating_b"), run.secret)
    for _, user in zip(range(ROTATIONS), cycle(users), strict=False):
        run.play(0.2)
        run.let_calls_end()
        secret = msgspec.structs.replace(user, password=secrets.token_urlsafe(16))
        version = run.put_secret(secret, "AWSPENDING")
        run.database.set_password(secret)
        run.promote(version)
        run.database.cut_all_of("rotating", "rotating_b")


# Secrets Manager


def trouble_with_secrets(run: Run, trouble: Trouble) -> None:
    """Warm handlers keep serving, even on new connections; cold ones serve after the fault.

    Operators' commands read the secrets each time, so they may fail meanwhile.
    """
    run.play(WARM_SECONDS)
    with run.no_operators(), run.secrets_line.in_trouble(trouble):
        run.database.cut_all_of(APPLICATION)
        run.play(KEYS_SECONDS + 1.0)
        run.let_calls_end()
        assert run.logged("token keys could not be read again") >= WORKERS // 2, (
            "too few handlers tried to read the keys"
        )
        with run.down():
            run.workers.start(3)
            run.play(4.0)
    run.play(AFTER_SECONDS)


# The clock


def step_clock(run: Run, seconds: float) -> None:
    """Set the clock of all handlers."""
    run.play(2.0)
    run.step_clock(seconds)
    run.play(3.0)
    span = "TIMESTAMPDIFF(SECOND, MIN(created_at), MAX(created_at))"
    (row,) = run.database.run(f"SELECT {span} AS seconds FROM accounts")
    assert row["seconds"] > abs(seconds) / 2, "the handlers do not use the clock that was set"


FAULTS = (
    Fault("none", partial(nothing, seats=True)),
    Fault("database killed (-9), three times", kill, logged="unreachable", times=3),
    Fault("database stopped for 5 s (SIGSTOP)", freeze, logged=LOST),
    Fault("database read-only", read_only, logged="read-only"),
    Fault("no connections left", exhaust, logged="connections exhausted"),
    Fault("rows locked", lock_rows, logged=LOCK_WAIT, times=5),
    Fault("single connections killed under load", kill_connections, logged=LOST, times=20),
    Fault("idle connections killed", kill_idle, logged=LOST, times=20),
    Fault("idle connections timed out", time_out, logged=LOST, times=6),
    Fault("connection cut before COMMIT", partial(cut, after=False), through_line, LOST, 10),
    Fault("connection cut after COMMIT", partial(cut, after=True), through_line, LOST, 10),
    Fault("certificate of another CA", another_ca, through_line, "TLS failed"),
    Fault(
        f"password rotated {ROTATIONS} times, one user",
        rotate_one_user,
        rotating_user,
        "credentials refused",
        ROTATIONS,
    ),
    Fault(
        f"password rotated {ROTATIONS} times, two users",
        rotate_two_users,
        rotating_user,
        "credentials refused",
        ROTATIONS // 2,  # every other time, the handlers' cached password still works
    ),
    *(
        Fault(name, partial(trouble_with_secrets, trouble=trouble), logged=logged)
        for name, trouble, logged in (
            ("Secrets Manager slow", Trouble.SLOW, "ReadTimeoutError"),
            ("Secrets Manager throttled", Trouble.THROTTLED, "ThrottlingException"),
            ("Secrets Manager denied", Trouble.DENIED, "AccessDeniedException"),
            ("secret malformed", Trouble.MALFORMED, "is not JSON"),
        )
    ),
    Fault("clock set an hour ahead", partial(step_clock, seconds=3600.0)),
    Fault("clock set an hour back", partial(step_clock, seconds=-3600.0)),
)
