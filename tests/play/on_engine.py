"""Runs tests on a given database server: `python -m tests.play.on_engine mysql ...`.

If that server cannot be installed, it prints a prominent warning and skips the tests;
with GAME_LOGIN_REQUIRE_ENGINES=1 it fails instead.
"""

import os
import subprocess
import sys
from collections.abc import Sequence

from local.install import install_server
from local.terminal import Problem, say

REQUIRE = "GAME_LOGIN_REQUIRE_ENGINES"
WIDTH = 100


def main(name: str, arguments: Sequence[str]) -> int:
    """Run pytest with these arguments on the named server and return the exit status."""
    os.environ["DATABASE"] = name
    try:
        title = install_server()
    except Problem as problem:
        say(warning(name, str(problem)))
        return 1 if os.environ.get(REQUIRE) == "1" else 0
    say(f"the database is {title}")
    status = subprocess.run([sys.executable, "-m", "pytest", *arguments], check=False).returncode
    say(f"that was on {title}")
    return status


def warning(name: str, reason: str) -> str:
    """Return the warning for a missing server."""
    lines = (
        f"NOT TESTED ON {name.upper()}: there is no such server on this machine.",
        *reason.splitlines(),
        f"{REQUIRE}=1 makes this a failure.",
    )
    rule = "!" * WIDTH
    return "\n".join(("", rule, rule, *(f"!!  {line}" for line in lines), rule, rule))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
