"""A container's first request: the modules that it must not load, as they would slow it."""

import json
import os
import subprocess
import sys

from local.stack import ROOT, Stack, without_aws
from tests.play.events import http_event
from tests.play.players import Player
from tests.unit.test_start import NOT_NEEDED

LOG_IN = """
import json, sys, handler
answer = handler.http(json.load(sys.stdin), None)
assert answer["statusCode"] == 200, answer
print(*sorted(sys.modules))
"""


def test_what_a_first_login_loads(stack: Stack, player: Player) -> None:
    """The first login of a new process loads no module that only other requests need."""
    body = json.dumps({"username": player.username, "password": player.password})
    event = http_event("POST", "/v1/login", body, {"Content-Type": "application/json"})
    done = subprocess.run(
        [sys.executable, "-c", LOG_IN],
        cwd=ROOT,
        env={**without_aws(os.environ), **stack.environment()},
        input=json.dumps(event),
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert "cryptography.hazmat.primitives.asymmetric.ec" in loaded
    assert loaded.isdisjoint(NOT_NEEDED), sorted(loaded & set(NOT_NEEDED))
