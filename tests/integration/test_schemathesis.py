"""Schemathesis reads docs/openapi.json and sends what it allows and what it forbids."""

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis import settings as examples
from schemathesis import Case, GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.generation.stateful import APIStateMachine

import handler
from auth.app import create_app
from auth.passwords import Passwords
from auth.settings import Settings
from tests.conftest import Tables
from tests.gateway import gateway
from tests.openapi import FILE
from tests.players import Player

DOCUMENT = json.loads(FILE.read_text())
SOME = examples(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
# A name, a key or a password can be refused for what no schema can say: taken, reserved, guessable.
CONFIG = {
    "checks": {
        "positive_data_acceptance": {
            "expected-statuses": ["2xx", "401", "403", "404", "409", "422"],
        }
    }
}


def load(document: dict[str, Any]) -> Any:
    """Return a document as Schemathesis reads it, with the handler behind it."""
    config = schemathesis.Config.from_dict(CONFIG)
    schema = schemathesis.openapi.from_dict(copy.deepcopy(document), config=config)
    schema.app = gateway
    return schema


schema = load(DOCUMENT)


@pytest.fixture(autouse=True)
def _quick(tables: Tables, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the handler hash with next to no effort, and refuse nobody for coming often."""
    application = create_app(
        replace(settings, rate_limit_scale=1e6), passwords=Passwords(memory_kib=8, iterations=1)
    )
    monkeypatch.setattr(handler, "application", application)
    yield
    application.extensions["database"].close()


def send(case: Case) -> None:
    """Send a case as a player who has just registered, and check the answer in every way."""
    player = Player()
    assert player.register().status == 201
    known = {
        "username": player.username,
        "password": player.password,
        "current_password": player.password,
        "refresh_token": player.refresh_token,
    }
    allowed = case.meta is None or case.meta.generation.mode is GenerationMode.POSITIVE
    # Half of what is allowed is also right, or it would never come past the password.
    if allowed and isinstance(case.body, dict) and len(str(case.body)) % 2:
        case.body = {name: known.get(name, value) for name, value in case.body.items()}
    case.call_and_validate(headers={"Authorization": f"Bearer {player.access_token}"})


@schema.parametrize()  # type: ignore[untyped-decorator]
@SOME
def test_every_route(case: Case) -> None:
    """What the file allows is taken, what it forbids refused, and every answer is described."""
    send(case)
