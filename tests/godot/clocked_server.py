"""Runs the example game server with a clock that is ahead by the seconds in a file."""

import os
import runpy
import sys
import time
from pathlib import Path

AHEAD = "GAME_LOGIN_TEST_AHEAD"


def main(script: Path) -> None:
    """Run the server's script as if it was started by itself."""
    ahead, true_time = Path(os.environ[AHEAD]), time.time
    time.time = lambda: true_time() + float(ahead.read_text())
    sys.path.insert(0, str(script.parent))
    runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
