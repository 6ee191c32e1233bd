"""A process that is copied as SnapStart does: `python -m tests.play.snapshot_process [no-hooks]`.

It starts as a function does, holds still, and goes on twice from there. What each copy makes, and
what was in the process when it held still, goes to stdout as JSON lines.
"""

import ctypes
import gc
import json
import os
import random
import sys
from pathlib import Path

from awslambdaric.lambda_runtime_hooks_runner import run_after_restore, run_before_snapshot

import handler
from auth.external.retries import PAUSE_SECONDS
from tests.play.events import http_event
from tests.play.players import running

PASSWORD = "correct horse battery staple"


def ask(path: str, name: str) -> dict[str, str]:
    """Send one request to the handler and return what it answers."""
    body = json.dumps({"username": name, "password": PASSWORD})
    answer = handler.http(
        http_event("POST", path, body, {"Content-Type": "application/json"}), None
    )
    fields: dict[str, str] = json.loads(answer["body"])
    return fields


def picture() -> dict[str, object]:
    """Return what is in this process that is in every copy."""
    gc.unfreeze()  # what is frozen is in the picture too, and `gc.get_objects` leaves it out
    links = [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    database = running().database
    return {
        "sockets": [link for link in links if link.startswith("socket:")],
        "credentials": sum("Credentials" in type(it).__name__ for it in gc.get_objects()),
        "secret": database._secret is not None,  # noqa: SLF001  # what else tells
        "connection": database._connection is not None,  # noqa: SLF001  # what else tells
    }


def life(name: str) -> dict[str, object]:
    """Return what a copy makes that no other may make."""
    registered = ask("/v1/register", name)
    signed_in = ask("/v1/login", name)
    return {
        "pause": random.uniform(*PAUSE_SECONDS),
        "account": registered["account"],
        "access_token": signed_in["access_token"],
        "refresh_token": signed_in["refresh_token"],
    }


def say(what: dict[str, object]) -> None:
    """Write one line, at once: a copy must not write it again."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Start, be copied twice, and report."""
    hooks = "no-hooks" not in sys.argv
    # The C library's fork: Python's own would itself make the copies differ.
    fork = ctypes.PyDLL(None).fork
    if hooks:
        run_before_snapshot()
    say(picture())
    for name in ("Ada", "Grace"):
        child = fork()
        if child == 0:
            if hooks:
                run_after_restore()
            say(life(name))
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
