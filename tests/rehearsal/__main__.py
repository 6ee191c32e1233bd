"""Rehearses a deployment: prints one line per step, with its result; exits with 1 on failure."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from deploy.package import ROOT
from local.install import install_server
from local.processes import end_leftovers
from local.stack import keep_proxies_out
from local.terminal import Problem, say
from tests.rehearsal.steps import STAGES, Rehearsal

FOLDER = ROOT / ".local" / "rehearsal"

Step = tuple[str, Callable[[Rehearsal], str]]

BEFORE: Sequence[Step] = (
    ("build the package", Rehearsal.package),
    ("lint the templates", Rehearsal.lint),
    ("check the templates", Rehearsal.assertions),
    ("start the stand-in", Rehearsal.start),
)
DEPLOYED: Sequence[Step] = (
    ("deploy dev", Rehearsal.deploy),
    ("check the routes", Rehearsal.routes),
    ("fetch the package", Rehearsal.fetch_package),
    ("play", Rehearsal.play),
    ("help a player", Rehearsal.support),
    ("read the logs", Rehearsal.logs),
)
AGAIN: Sequence[Step] = (
    ("deploy a month later", Rehearsal.deploy_unchanged),
    ("change the database", Rehearsal.change_database),
    ("deploy a change", Rehearsal.deploy_changed),
    ("fail to migrate", Rehearsal.deploy_failing),
    ("fix and deploy", Rehearsal.deploy_mended),
    ("roll back", Rehearsal.roll_back),
    ("prune old versions", Rehearsal.prune),
    ("try bypass commands", Rehearsal.shortcuts),
    ("show the info", Rehearsal.info),
    ("remove dev", Rehearsal.remove),
    ("fail to deploy prod", Rehearsal.fail_production),
    ("fix and deploy prod", Rehearsal.deploy_production),
)


def rehearse(folder: Path, steps: Sequence[Step], stages: Sequence[str] = STAGES) -> int:
    """Run the steps; return the exit status."""
    end_leftovers(folder)
    shutil.rmtree(folder, ignore_errors=True)
    began = time.monotonic()
    rehearsal = Rehearsal(folder, stages)
    try:
        for number, (name, step) in enumerate(steps, 1):
            if not _take(f"{number:2}/{len(steps)} {name}", rehearsal, step):
                return 1
    finally:
        rehearsal.stop()
    seconds = time.monotonic() - began
    say(f"rehearsed in {seconds:.0f} s; docs/promises/rehearsal.md lists its limits")
    return 0


def _take(title: str, rehearsal: Rehearsal, step: Callable[[Rehearsal], str]) -> bool:
    """Run a step and print its result; tell whether it succeeded."""
    began = time.monotonic()
    sys.stdout.write(f"{title:<26} ")
    sys.stdout.flush()
    try:
        shown = step(rehearsal)
    except Problem as problem:
        say(f"FAILED after {time.monotonic() - began:.1f} s: {problem}")
        say(f"The uploads and all logs are in {rehearsal.folder}")
        return False
    say(f"{time.monotonic() - began:5.1f} s  {shown}")
    return True


def main() -> int:
    """Rehearse everything."""
    keep_proxies_out(os.environ)
    try:
        install_server()
    except Problem as problem:
        say(f"rehearse: {problem}")
        return 1
    return rehearse(FOLDER, [*BEFORE, *DEPLOYED, *AGAIN])


if __name__ == "__main__":
    sys.exit(main())
