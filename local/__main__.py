"""The commands behind `make run` and `make reset`: `python -m local run | install | reset`."""

import argparse
import fcntl
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from local.mariadb import install_server
from local.offline import Offline, refuse_busy
from local.processes import end_leftovers
from local.seed import PASSWORD, USERNAME
from local.stack import ROOT, Stack, keep_proxies_out
from local.terminal import Problem, say, step

FOLDER = ROOT / ".local"
STACK_FOLDER = FOLDER / "stack"
ENVIRONMENT_FILE = FOLDER / "env"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
RATE_LIMIT_SCALE = "20"  # playing with it does not run into limits

SEED = "from local.seed import add_test_player; add_test_player()"
HANDLER_LINE = re.compile(r"\d\d:\d\d:\d\d (DEBUG|INFO|WARNING|ERROR|CRITICAL) ")

RUNNING = """
Game Login is running on {url} ({database} on port {port}; the log is in .local/stack).
Try it, from another terminal:

  curl {url}/login -H 'Content-Type: application/json' \\
    -d '{{"username": "{username}", "password": "{password}"}}'

Ctrl-C stops it. What is registered stays until `make reset`. Requests:
"""


def main() -> int:
    """Run one command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m local")
    parser.add_argument("command", choices=("run", "install", "reset"))
    parser.add_argument("--port", type=int, default=3000)
    arguments = parser.parse_args()
    # Ctrl-C also where a script started us in the background, killed, the terminal closed.
    for sign in SIGNALS:
        signal.signal(sign, _interrupt)
    keep_proxies_out(os.environ)
    try:
        if arguments.command == "run":
            run(arguments.port)
        elif arguments.command == "reset":
            reset()
        else:
            say(f"the database is {install_server()}")
    except Problem as problem:
        say(f"\n{problem}")
        return 1
    except KeyboardInterrupt:
        say("stopped")
    return 0


def run(port: int) -> None:
    """Run the local stack until Ctrl-C.

    Raises:
        Problem: something does not start, or ends by itself.
    """
    with _only_one(), ExitStack() as running:
        end_leftovers(STACK_FOLDER)
        ENVIRONMENT_FILE.unlink(missing_ok=True)
        refuse_busy(port)
        install_server()
        stack = Stack(STACK_FOLDER, RATE_LIMIT_SCALE)
        running.callback(stack.stop)
        stack.start()
        with step("adding the test player"):
            stack.run_python(SEED)
        offline = Offline(port, STACK_FOLDER, stack.environment())
        running.callback(offline.stop)
        with step("starting serverless offline"):
            offline.start()
        _write_environment(stack.environment())
        running.callback(ENVIRONMENT_FILE.unlink, missing_ok=True)
        say(
            RUNNING.format(
                url=offline.url,
                database=stack.mariadb.title,
                port=stack.mariadb.port,
                username=USERNAME,
                password=PASSWORD,
            )
        )
        running.callback(say, "stopping")
        _follow(stack, offline)


def reset() -> None:
    """Forget the local database and the keys."""
    with _only_one():
        end_leftovers(STACK_FOLDER)
        ENVIRONMENT_FILE.unlink(missing_ok=True)
        try:
            shutil.rmtree(STACK_FOLDER)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise Problem(f"cannot remove {STACK_FOLDER}: {error.strerror}") from None
    say("the local database and its keys are forgotten")


def _follow(stack: Stack, offline: Offline) -> None:
    """Show the handler's log until something ends."""
    with offline.log.open("rb") as log:
        log.seek(0, os.SEEK_END)
        while True:
            _show(log)
            if not stack.mariadb.is_running():
                raise Problem(
                    f"{stack.mariadb.title} ended by itself:\n{stack.mariadb.last_lines()}\n"
                    "`make run` starts it again, on the same data."
                )
            if not (offline.is_running() and stack.secrets_manager.is_running()):
                ended = "the Secrets Manager stand-in" if offline.is_running() else "serverless"
                raise Problem(
                    f"{ended} ended by itself, see {STACK_FOLDER}: `make run` starts it again"
                )
            time.sleep(0.1)


def _show(log: BinaryIO) -> None:
    """Show the lines of the handler; serverless offline says the same again in three of its own."""
    while True:
        position = log.tell()
        line = log.readline().decode(errors="replace")
        if not line.endswith("\n"):  # nothing, or half a line: the rest comes with the next look
            log.seek(position)
            return
        if HANDLER_LINE.match(line):
            say(line.rstrip())


def _write_environment(environment: dict[str, str]) -> None:
    """Write what `handler.py` needs, for whoever wants to call it in a process of their own."""
    ENVIRONMENT_FILE.touch(mode=0o600)
    lines = (f"{name}={value}\n" for name, value in environment.items())
    ENVIRONMENT_FILE.write_text("".join(lines))


@contextmanager
def _only_one() -> Iterator[None]:
    """Keep a second run off the same folder."""
    FOLDER.mkdir(exist_ok=True)
    with Path(FOLDER / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Problem("Game Login is running already: stop it first (Ctrl-C)") from None
        yield


def _interrupt(_signal: int, _frame: object) -> None:
    for sign in SIGNALS:  # stopping everything takes a moment, and is not to be interrupted
        signal.signal(sign, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
