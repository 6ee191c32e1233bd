"""A process that is copied as by SnapStart: `python -m tests.play.snapshot_process [no-hooks]`.

It starts as a function does, pauses for the snapshot, and resumes twice. The state at the snapshot
and the results of each copy go to stdout as JSON lines.
"""

import gc
import json
import random
import sys
from functools import partial
from pathlib import Path

import handler
from auth.external.retries import PAUSE_SECONDS
from tests.play.copies import in_a_copy, run_before_snapshot
from tests.play.events import http_event
from tests.play.players import running

PASSWORD = "correct horse battery staple"


def ask(path: str, name: str) -> dict[str, str]:
    """Send one request to the handler and return the answer's fields."""
    body = json.dumps({"username": name, "password": PASSWORD})
    answer = handler.http(
        http_event("POST", path, body, {"Content-Type": "application/json"}), None
    )
    fields: dict[str, str] = json.loads(answer["body"])
    return fields


def inherited_state() -> dict[str, object]:
    """Return the state that every copy inherits."""
    gc.unfreeze()  # copies inherit frozen objects too, but `gc.get_objects` leaves them out
    links = [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    database = running().database
    return {
        "sockets": [link for link in links if link.startswith("socket:")],
        "credentials": sum("Credentials" in type(it).__name__ for it in gc.get_objects()),
        "secret": database._secret is not None,  # noqa: SLF001  # no public way to ask
        "connection": database._connection is not None,  # noqa: SLF001  # no public way to ask
    }


def report_own_values(name: str) -> None:
    """Report the values that must differ between copies."""
    registered = ask("/v1/register", name)
    signed_in = ask("/v1/login", name)
    values = {
        "pause": random.uniform(*PAUSE_SECONDS),
        "account": registered["account"],
        "access_token": signed_in["access_token"],
        "refresh_token": signed_in["refresh_token"],
    }
    report(values)


def report(fields: dict[str, object]) -> None:
    """Print one line and flush it, so that no copy prints it again."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Start, be copied twice, and report."""
    hooks = "no-hooks" not in sys.argv
    if hooks:
        run_before_snapshot()
    report(inherited_state())
    for name in ("Ada", "Grace"):
        in_a_copy(partial(report_own_values, name), hooks=hooks)


if __name__ == "__main__":
    main()
