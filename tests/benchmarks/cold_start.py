"""Starts: from the start of a process, or of a copy of one, to its first answer, in CPU time."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from deploy.package import ROOT
from local.terminal import Problem
from tests.benchmarks.runtimes import START, Runtime
from tests.benchmarks.targets import Row
from tests.play.credentials_server import credentials_server
from tests.play.events import http_event
from tests.play.players import PASSWORD

FLASK = "import flask"
CLIENT = """
import gc
gc.disable()
import flask, botocore.session
botocore.session.Session().create_client("secretsmanager", "us-east-1")
"""
COMPILE = "import compileall; compileall.compile_file('tutorial.py', quiet=2)"

# Argon2's lowest parameters leave out the hash; everything else is as in Lambda.
FIRST_LOGIN = """
import json, os, time
from auth.credentials.passwords import Passwords
Passwords.__init__.__defaults__ = (8, 1)
import handler
with open("start_up", "w") as file:
    file.write(str(time.process_time()))
answer = handler.http(json.loads(os.environ["EVENT"]), None)
assert answer["statusCode"] == 200, answer
"""
TUTORIAL = """
import json, os, tutorial
answer = tutorial.http(json.loads(os.environ["EVENT"]), None)
assert json.loads(answer["body"]) == {"status": True}, answer
"""
SAMPLE = "restored"  # the file with the seconds of a copy
RESTORED = f"from tests.benchmarks import restored; restored.main({SAMPLE!r})"


def event(path: str, username: str, password: str) -> str:
    """Return the event of a login, as JSON."""
    body = json.dumps({"username": username, "password": password})
    headers = {"Content-Type": "application/json"}
    return json.dumps(http_event("POST", path, body, headers))


def measure(
    runtime: Runtime, settings: Mapping[str, str], player: str, times: int, folder: Path
) -> dict[str, Row]:
    """Return the rows of the cold starts; the folder holds the processes' files."""
    (folder / "tutorial.py").write_bytes((ROOT / "tests/benchmarks/tutorial.py").read_bytes())
    environment = runtime.environment(settings, folder)
    _seconds(runtime, COMPILE, environment, folder)
    ours = environment | {"EVENT": event("/v1/login", player, PASSWORD)}
    theirs = environment | {"EVENT": event("/login", "Test", "Test")}
    codes = {
        "flask": (FLASK, ours),
        "client": (CLIENT, ours),
        "ours": (FIRST_LOGIN, ours),
        "tutorial": (TUTORIAL, theirs),
    }
    samples: dict[str, list[float]] = {name: [] for name in codes}
    start_up: list[float] = []
    restored: list[dict[str, float]] = []
    with credentials_server() as server:
        of_function = server.environment(runtime.environment(settings, runtime.deployed))
        of_function["PYTHONPATH"] += os.pathsep + str(ROOT)
        for _ in range(times):
            for name, (code, variables) in codes.items():
                samples[name].append(_seconds(runtime, code, variables, folder))
            start_up.append(float((folder / "start_up").read_text()))
            _seconds(runtime, RESTORED, of_function, folder)
            restored.append(json.loads((folder / SAMPLE).read_text()))
    flask, client, first, tutorial = (median(samples[name]) * 1000 for name in codes)
    with_all = (
        f"secrets read, TLS verified; botocore and its client: {client - flask:.0f} ms;"
        f" before the first request: {median(start_up) * 1000:.0f} ms"
    )
    return {
        "restored": _restored(restored, flask),
        "cold_start": Row(first / flask, f"{first:.0f} ms : {flask:.0f} ms; {with_all}"),
        "tutorial_cold_start": Row(
            first / tutorial,
            f"{first:.0f} ms : {tutorial:.0f} ms; the tutorial's password is in its settings",
        ),
    }


def _restored(samples: list[dict[str, float]], flask: float) -> Row:
    """Return the row of the restored copies; the difference is taken in each."""
    more = median(sample["first"] - sample["warm"] for sample in samples) * 1000
    first, warm, hooks = (
        median(sample[name] for sample in samples) * 1000 for name in ("first", "warm", "hooks")
    )
    note = (
        f"{more:.1f} ms : {flask:.0f} ms; first {first:.1f} ms, of which the hooks {hooks:.1f} ms;"
        f" warm {warm:.1f} ms; {len(samples)} copies"
    )
    return Row(more / flask, note)


def _seconds(runtime: Runtime, code: str, environment: Mapping[str, str], folder: Path) -> float:
    """Run code in a new process and return its CPU time, user and system.

    Raises:
        Problem: it failed.
    """
    log = folder / "cold_start.log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(  # our own code
            [str(runtime.python), *START, "-c", code],
            stdout=stderr,
            stderr=stderr,
            env=dict(environment),
            cwd=folder,
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Problem(f"a cold start failed: {(log.read_text().splitlines() or ['?'])[-1]}")
    return usage.ru_utime + usage.ru_stime
