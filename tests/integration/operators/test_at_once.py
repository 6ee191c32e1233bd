"""A suspension takes effect at once, also on requests that are under way."""

import os
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from auth.app import create_operate
from auth.settings import Settings
from tests.conftest import Tables
from tests.play.crowd import PASSWORD, WORKERS, Crowd, Request, address
from tests.play.events import Answer
from tests.play.operators import Operator
from tests.play.players import Player, call

REFUSED = {(403, "account_suspended"), (401, "session_ended"), (401, "invalid_token")}


@pytest.fixture
def ada(tables: Tables) -> Player:
    """Return a registered player."""
    ada = Player("Ada", PASSWORD)
    assert ada.register().status == 201
    return ada


def sign_ins(ada: Player) -> list[Request]:
    """Return sign-ins from many addresses."""
    body = {"username": ada.username, "password": PASSWORD}
    return [Request("POST", "/v1/login", body, {"address": address(n)}) for n in range(WORKERS)]


def refreshes(ada: Player) -> list[Request]:
    """Return refreshes with one token, each on its own."""
    body = {"refresh_token": ada.refresh_token}
    return [Request("POST", "/v1/refresh", body) for _ in range(WORKERS)]


@pytest.mark.parametrize("requests_of", [sign_ins, refreshes])
@pytest.mark.parametrize("round_", range(3))
def test_requests_under_way(
    crowd: Crowd,
    tables: Tables,
    ada: Player,
    requests_of: Callable[[Player], list[Request]],
    round_: int,
) -> None:
    """Whatever a request under way was answered, its session is dead as soon as it is suspended."""
    with ThreadPoolExecutor(1) as thread:
        operation = thread.submit(
            Operator().must, "suspend", account="Ada", for_good=True, player_reason="Cheating"
        )
        answers = crowd.send(requests_of(ada))
        operation.result()
    assert {answer.status for answer in answers} <= {200, 401, 403, 429}  # of one name
    assert all(is_dead(answer) for answer in answers if answer.status == 200)
    tables.run("DELETE FROM rate_limits")
    for again in (ada.me(), ada.refresh(), ada.on_another_device().log_in()):
        assert (again.status, again.code) in REFUSED
    Operator().must("lift", account="Ada")
    assert all(is_dead(answer) for answer in answers if answer.status == 200)
    assert ada.refresh().code == "session_ended"
    assert ada.on_another_device().log_in().status == 200


def is_dead(answer: Answer) -> bool:
    """Tell whether the session that a sign-in or a refresh gave is of no use."""
    me = call("GET", "/v1/me", token=answer.json["access_token"])
    refresh = call("POST", "/v1/refresh", {"refresh_token": answer.json["refresh_token"]})
    return {(me.status, me.code), (refresh.status, refresh.code)} <= REFUSED


def test_suspended_by_many(ada: Player, tables: Tables) -> None:
    """Of operators who suspend one player at the same time, one does, and the others are told."""
    settings = Settings.from_environment(os.environ)
    containers = [create_operate(settings, "support") for _ in range(8)]
    arguments = {"account": "Ada", "for": "7d", "player_reason": "Cheating"}
    with ThreadPoolExecutor(8) as threads:
        answers = list(
            threads.map(
                lambda one: one.answer(
                    {
                        "command": "suspend",
                        "command_id": str(uuid.uuid4()),
                        "arguments": arguments,
                    },
                    "",
                ),
                containers,
            )
        )
    refused = [one["error"]["code"] for one in answers if not one["ok"]]
    assert len(refused) == 7
    assert set(refused) <= {"already_suspended", "account_changed"}
    assert tables.count("operations") == 8
    assert [row["epoch"] for row in tables.run("SELECT epoch FROM accounts")] == [1]
