"""What a start-up leaves behind, and what it leaves out: a cold start counts."""

import subprocess
import sys

from local.stack import ROOT

# Run in a process of its own, since this one has loaded everything.
LOADED = "import sys, handler; print(handler.start_error, *sorted(sys.modules))"
STATE = "import gc, handler; print(gc.isenabled(), gc.get_freeze_count() > 10_000)"


SETTINGS = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "DATABASE_CA_FILE": str(ROOT / "deploy" / "certificates" / "rds.pem"),
    "DATABASE_SECRET_ID": "database",
    "TOKEN_AUDIENCE": "game",
    "TOKEN_ISSUER": "game-login",
    "TOKEN_SECRET_ID": "tokens",
}


def run(code: str) -> str:
    """Return what code prints in a process that has only these settings."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=ROOT, env=SETTINGS, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_what_is_loaded() -> None:
    """The client of Secrets Manager is loaded; what only some requests or nobody needs is not."""
    loaded = set(run(LOADED).split())
    assert "botocore.client" in loaded
    assert loaded.isdisjoint({"boto3", "s3transfer", "zxcvbn"})


def test_garbage_collection() -> None:
    """It is off only while the handler loads, and then passes over what was loaded."""
    assert run(STATE) == "True True"
