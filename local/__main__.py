"""The commands of `make run`, `run-game` and `reset`: `python -m local run | install | reset`."""

import argparse
import fcntl
import os
import re
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from local.game_server import SERVER_KEY, GameServer
from local.install import install_server
from local.offline import Offline
from local.ports import port_of, refuse_busy, refuse_same
from local.processes import end_leftovers
from local.seed import PASSWORD, USERNAME
from local.stack import KEPT, ROOT, Stack, keep_aws_out, keep_proxies_out
from local.terminal import Problem, say, step

FOLDER = ROOT / ".local"
STACK_FOLDER = FOLDER / "stack"
ENVIRONMENT_FILE = FOLDER / "env"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
RATE_LIMIT_SCALE = "20"  # so high that trying things out does not reach the limits

SEED = "from local.seed import add_test_player; add_test_player()"
LOG_LINE = re.compile(r"\d\d:\d\d:\d\d (DEBUG|INFO|WARNING|ERROR|CRITICAL) ")

RUNNING = """
Game Login is running on {url} ({database} on port {port}; logs are in .local/stack).
Try it from another terminal:

  curl {url}/login -H 'Content-Type: application/json' \\
    -d '{{"username": "{username}", "password": "{password}"}}'

{game}Help a player, as support staff do, from the same folder:

  {python} -m operate players show {username}
  {python} -m operate suspend {username} --for 7d --message Cheating
  {python} -m operate lift {username}

Press Ctrl-C to stop. Accounts are kept until you run `make reset`. Requests:
"""

GAME_RUNNING = """The example game server is on {game_url} (clients/game_server/socket_server.py).
Play there, and suspend the player meanwhile, as below: within about 2 s the player is out, and
reads why.

  {python} clients/game_server/socket_client.py {username} '{password}' \\
    --backend {url} --server {game_url}

"""


def main() -> int:
    """Run one command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m local")
    parser.add_argument("command", choices=("run", "install", "reset"))
    parser.add_argument("--port", default="3000")
    parser.add_argument("--game-port", help="also run the example game server, on this port")
    arguments = parser.parse_args()
    # Ctrl-C (even if a script started us in the background), kill, and a closed terminal.
    for sign in SIGNALS:
        signal.signal(sign, _interrupt)
    keep_proxies_out(os.environ)
    keep_aws_out(os.environ)
    try:
        if arguments.command == "run":
            game_port = arguments.game_port
            run(
                port_of(arguments.port),
                None if game_port is None else port_of(game_port, "GAME_PORT"),
            )
        elif arguments.command == "reset":
            reset()
        else:
            say(f"database server: {install_server()}")
    except Problem as problem:
        say(f"\n{problem}")
        return 1
    except PermissionError as error:
        say(f"\n{_not_permitted(error)}")
        return 1
    except KeyboardInterrupt:
        say("stopped")
    return 0


def run(port: int, game_port: int | None = None) -> None:
    """Run the local stack until Ctrl-C, with the example game server if it has a port.

    Raises:
        Problem: a server does not start, or stops unexpectedly.
    """
    refuse_same(port, game_port)
    with _only_one(), ExitStack() as running:
        _refuse_foreign()
        end_leftovers(STACK_FOLDER)
        ENVIRONMENT_FILE.unlink(missing_ok=True)
        refuse_busy(port)
        if game_port is not None:
            refuse_busy(game_port, "GAME_PORT")
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
        _write_environment({**stack.environment(), **offline.operate_environment()})
        running.callback(ENVIRONMENT_FILE.unlink, missing_ok=True)
        game = None
        if game_port is not None:
            game = _game_server(game_port, stack, offline)
            running.callback(game.stop)
            with step("starting the game server"):
                game.start()
        _say_what_to_try(stack, offline.url, game)
        running.callback(say, "stopping")
        _follow(stack, offline, game)


def _game_server(port: int, stack: Stack, offline: Offline) -> GameServer:
    """Return the example game server, with a key of its own."""
    from local.server_key import KeyMaker  # boto3 loads slowly, and only this command needs it

    with step("making a server key"):
        key = KeyMaker(offline.operate_environment()).renew()
    return GameServer(port, STACK_FOLDER, offline.url, {**stack.environment(), SERVER_KEY: key})


def _say_what_to_try(stack: Stack, url: str, game: GameServer | None) -> None:
    names = {"username": USERNAME, "password": PASSWORD, "python": ".venv/bin/python"}
    tries = ""
    if game is not None:
        tries = GAME_RUNNING.format(game_url=game.url, url=url, **names)
    database = stack.database
    say(RUNNING.format(url=url, database=database.title, port=database.port, game=tries, **names))


def reset() -> None:
    """Delete the local database and the keys.

    Raises:
        Problem: the folder was not created by `make run`, or cannot be deleted.
    """
    with _only_one():
        _refuse_foreign()
        end_leftovers(STACK_FOLDER)
        ENVIRONMENT_FILE.unlink(missing_ok=True)
        try:
            _remove(STACK_FOLDER)
        except OSError as error:
            raise Problem(f"cannot delete {error.filename}: {error.strerror}") from None
    say("deleted the local database and its keys")


def _refuse_foreign() -> None:
    """Refuse a data folder that `make run` did not create, before anything in it changes."""
    if STACK_FOLDER.is_dir() and not STACK_FOLDER.is_symlink():
        if (STACK_FOLDER / KEPT).exists() or not any(STACK_FOLDER.iterdir()):
            return
    elif not os.path.lexists(STACK_FOLDER):
        return
    raise Problem(
        f"`make run` did not create {STACK_FOLDER}, so it does not touch it: move it away, or"
        " delete it yourself"
    )


def _remove(folder: Path) -> None:
    """Delete a folder of ours, its mark last: so a partly deleted folder is still known as ours."""
    if not folder.exists():
        return
    for path in sorted(folder.iterdir(), key=lambda path: path.name == KEPT):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    folder.rmdir()


def _follow(stack: Stack, offline: Offline, game: GameServer | None) -> None:
    """Print the logs of the handler and of the game server until one of the servers stops."""
    with ExitStack() as opened:
        logs = [opened.enter_context(offline.log.open("rb"))]
        logs[0].seek(0, os.SEEK_END)
        if game is not None:
            logs.append(opened.enter_context(game.log.open("rb")))
        while True:
            for log in logs:
                _show(log)
            if not stack.database.is_running():
                raise Problem(
                    f"{stack.database.title} stopped unexpectedly:\n{stack.database.last_lines()}\n"
                    "Run `make run` to start it again; the accounts are kept."
                )
            if not (offline.is_running() and stack.secrets_manager.is_running()):
                ended = "the Secrets Manager stand-in" if offline.is_running() else "serverless"
                raise Problem(
                    f"{ended} stopped unexpectedly: see the logs in {STACK_FOLDER}, and run"
                    " `make run` to start it again"
                )
            if game is not None and not game.is_running():
                raise Problem(
                    f"the game server stopped unexpectedly:\n{game.last_lines()}\n"
                    "Run `make run-game` to start it again."
                )
            time.sleep(0.1)


def _show(log: BinaryIO) -> None:
    """Print our own log lines; serverless offline repeats each in three lines of its own."""
    while True:
        position = log.tell()
        line = log.readline().decode(errors="replace")
        if not line.endswith("\n"):  # nothing or half a line: read it again later
            log.seek(position)
            return
        if LOG_LINE.match(line):
            say(line.rstrip())


def _write_environment(environment: dict[str, str]) -> None:
    """Write the environment of `handler.py` to a file, for running it in a debugger."""
    ENVIRONMENT_FILE.touch(mode=0o600)
    lines = (f"{name}={value}\n" for name, value in environment.items())
    ENVIRONMENT_FILE.write_text("".join(lines))


@contextmanager
def _only_one() -> Iterator[None]:
    """Prevent a second run on the same folder."""
    with ExitStack() as opened:
        try:
            FOLDER.mkdir(exist_ok=True)
            lock = opened.enter_context((FOLDER / "lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Problem(
                "Game Login is running already: stop it first, with Ctrl-C in its terminal"
            ) from None
        except PermissionError as error:
            raise Problem(_not_permitted(error)) from None
        except OSError as error:
            raise Problem(f"cannot lock {FOLDER / 'lock'}: {error.strerror}") from None
        yield


def _not_permitted(error: PermissionError) -> str:
    """Return the remedy for a file of another user, as after `sudo make run`."""
    return (
        f"no permission to use {error.filename or FOLDER}: if `make` was run with sudo before,"
        f' run `sudo chown -R "$(id -un)" {shlex.quote(str(ROOT))}` to own the folder again'
    )


def _interrupt(_signal: int, _frame: object) -> None:
    for sign in SIGNALS:  # stopping everything takes a moment, and must not be interrupted
        signal.signal(sign, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
