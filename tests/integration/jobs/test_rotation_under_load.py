"""The rotation of the database user while players play."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

import handler
from auth.app import create_app
from auth.credentials.passwords import Passwords
from auth.settings import Settings
from tests.conftest import Tables
from tests.integration.jobs.rotating import FIRST, SECRET, SecretsManagerSide
from tests.play.players import Player

CONTAINERS = 3
ROTATIONS = 20
PAUSE_SECONDS = 0.35  # longer than a container needs from reading the secret to signing in


@pytest.fixture
def containers(
    aws: SecretsManagerSide, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], None]]:
    """Return a function that lets the next of several containers answer, without a connection."""
    quick = replace(settings, database_secret_id=SECRET, rate_limit_scale=10_000.0)
    applications = [create_app(quick, passwords=Passwords(8, 1)) for _ in range(CONTAINERS)]
    turns = itertools.cycle(applications)

    def next_container() -> None:
        application = next(turns)
        monkeypatch.setattr(handler, "application", application)
        application.close()

    next_container()
    yield next_container
    for application in applications:
        application.close()


def test_twenty_rotations_under_load(
    aws: SecretsManagerSide, containers: Callable[[], None]
) -> None:
    """Twenty rotations while players sign in and refresh: not one request fails.

    Every few requests another container answers and has to sign in to the database again, with the
    secret that it has cached.
    """
    player = Player()
    assert player.register().status == 201
    answers: list[tuple[str, int]] = []
    over = threading.Event()

    def play() -> None:
        for number in itertools.count():
            if over.is_set():
                return
            if number % 4 == 0:
                containers()
            act = (player.log_in, player.refresh, player.me, player.refresh)[number % 4]
            answers.append((act.__name__, act().status))

    thread = threading.Thread(target=play)
    thread.start()
    try:
        for _ in range(ROTATIONS):
            aws.rotate()
            time.sleep(PAUSE_SECONDS)
    finally:
        over.set()
        thread.join()
    failed = [answer for answer in answers if answer[1] != 200]
    assert failed == []
    assert len(answers) > 10 * ROTATIONS
    assert aws.read().username == FIRST


def test_containers_notice_a_password_set_by_force(
    aws: SecretsManagerSide, containers: Callable[[], None], tables: Tables
) -> None:
    """The load test can fail: a password changed without its secret costs requests."""
    player = Player()
    assert player.register().status == 201
    tables.run(f"ALTER USER {FIRST} IDENTIFIED BY 'somebody-else'")
    containers()
    assert player.refresh().status == 503
    handler.migrate({}, None)
    assert player.refresh().status == 200
