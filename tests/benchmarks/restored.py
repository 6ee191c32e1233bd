"""Runs in a new process for each sample: the first login of a copy, as SnapStart makes copies.

The process starts as the function does, pauses for the snapshot and is copied. One copy registers a
player. In the other the CPU time is counted from its beginning: the hooks of the restore, then the
first login, with all that the copy reads and opens again, and the pages of memory that it copies
because it writes to them. Lambda copies those pages too, but reads them from its storage first,
which no process here does.
"""

import json
import os
import time
from pathlib import Path
from statistics import median

import handler
from tests.play.copies import in_a_copy, run_before_snapshot
from tests.play.events import http_event
from tests.play.players import Player

WARM_UP = 2
WARM = 5


def log_in(event: object) -> float:
    """Sign in and return the seconds of CPU time it took."""
    began = time.process_time()
    answer = handler.http(event, None)
    seconds = time.process_time() - began
    if answer["statusCode"] != 200:
        raise RuntimeError(f"no login: {answer}")
    return seconds


def main(file: str) -> None:
    """Register a player in one copy, and measure the logins of another, into a file."""
    number = os.urandom(3)
    player = Player(f"restored-{os.urandom(6).hex()}", address="10." + ".".join(map(str, number)))
    body = json.dumps({"username": player.username, "password": player.password})
    event = http_event(
        "POST", "/v1/login", body, {"Content-Type": "application/json"}, player.address
    )

    def register() -> None:
        if player.register().status != 201:
            raise RuntimeError("no registration")

    def measure() -> None:
        hooks = time.process_time()  # a new process counts from zero
        first = hooks + log_in(event)
        warm = [log_in(event) for _ in range(WARM_UP + WARM)][WARM_UP:]
        sample = {"hooks": hooks, "first": first, "warm": median(warm)}
        Path(file).write_text(json.dumps(sample))

    run_before_snapshot()
    in_a_copy(register)
    in_a_copy(measure)
