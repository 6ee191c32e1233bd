"""What a start-up leaves behind, and what it leaves out: a cold start counts."""

import subprocess
import sys

from local.stack import ROOT

# Run in a process of its own, since this one has loaded everything.
STATE = "import gc, handler; print(gc.isenabled(), gc.get_freeze_count() > 10_000)"


def run(code: str) -> str:
    """Return what code prints in a process that has no settings."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_garbage_collection() -> None:
    """It is off only while the handler loads, and then passes over what was loaded."""
    assert run(STATE) == "True True"
