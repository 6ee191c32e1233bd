"""The state after start-up, and the modules it must not load: they would slow a cold start."""

import subprocess
import sys

from local.leaked_passwords import FILE
from local.stack import ROOT

# Run in a separate process, since this one has loaded everything.
LOADED = "import sys, handler; print(handler.start_error, *sorted(sys.modules))"
STATE = "import gc, handler; print(gc.isenabled(), gc.get_freeze_count() > 10_000)"

# Modules that the start must not load, each with the reason.
NOT_NEEDED = {
    "asyncio": "nothing waits for two things at once",
    "auth.jobs": "no player's request runs a job",
    "boto3": "botocore's own client is enough",
    "logging.config": "three lines of code set up the log",
    "multiprocessing": "a container answers one request at a time",
    "s3transfer": "only boto3 needs it",
    "unittest": "only tests need it",
    "zxcvbn": "only a new password is judged",
}

SETTINGS = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "DATABASE_CA_FILE": str(ROOT / "deploy" / "certificates" / "rds.pem"),
    "DATABASE_SECRET_ID": "database",
    "LEAKED_PASSWORDS_FILE": str(FILE),
    "TOKEN_AUDIENCE": "game",
    "TOKEN_ISSUER": "game-login",
    "TOKEN_SECRET_ID": "tokens",
}


def run(code: str) -> str:
    """Return the output of code in a process that has only these settings."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=ROOT, env=SETTINGS, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_what_is_loaded() -> None:
    """Secrets Manager's client is loaded; modules that few or no requests need are not."""
    loaded = set(run(LOADED).split())
    assert "botocore.client" in loaded
    assert loaded.isdisjoint(NOT_NEEDED), sorted(loaded & set(NOT_NEEDED))


def test_garbage_collection() -> None:
    """Garbage collection is off only while the handler loads, then skips the loaded objects."""
    assert run(STATE) == "True True"
