"""Handler processes: each acts as a Lambda container and gets API Gateway events through a pipe.

Operators' commands come through it too, for the handler's other entry point.

Four things differ from production: the clock can be set for all processes at once; Argon2 has
cheap parameters, so that two cores serve many requests; the token keys are read again every two
seconds, not every five minutes, so that warm processes need Secrets Manager too; and a process has
one client of Secrets Manager, not another one for each operator's command. A test ensures that
`auth` reads the time from no other clock.
"""

import multiprocessing
import os
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from multiprocessing.connection import Connection as Pipe
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from tests.play.events import http_event

PATIENCE_SECONDS = 30.0
MEMORY_KIB, ITERATIONS = 8, 1
KEYS_SECONDS = 2.0
# Loaded once, before the processes are forked; each of them imports the application for itself.
PRELOADED = ["boto3", "botocore.session", "flask", "jwt", "pymysql", "serverless_wsgi", "zxcvbn"]

Event = dict[str, Any]
Answer = dict[str, Any]


class Worker:
    """One process; it answers one request at a time."""

    def __init__(
        self,
        environment: Mapping[str, str],
        ahead: "Synchronized[float]",
        log: Path,
        build: str = "",
    ) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self._pipe, theirs = context.Pipe()
        arguments = (theirs, dict(environment), ahead, str(log), build)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()

    def wait_until_ready(self) -> None:
        """Wait until the process has imported the handler."""
        assert self._pipe.poll(PATIENCE_SECONDS), "a handler process did not start"
        assert self._pipe.recv() == "ready"

    def send(self, event: Event) -> Answer | None:
        """Send an event and return the answer; None if the process gives none."""
        try:
            self._pipe.send(event)
            if self._pipe.poll(PATIENCE_SECONDS):
                answer: Answer = self._pipe.recv()
                return answer
        except (EOFError, OSError):
            pass
        return None

    def stop(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(2.0)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        self._process.close()


class Workers:
    """The processes that serve a run, each taken by one call at a time, the longest idle first."""

    def __init__(
        self,
        environment: Mapping[str, str],
        ahead: "Synchronized[float]",
        folder: Path,
        build: str = "",
    ) -> None:
        self._arguments = (environment, ahead)
        self._build = build
        self._folder = folder
        self._all: list[Worker] = []
        self._idle: SimpleQueue[Worker] = SimpleQueue()
        self._open = threading.Event()
        self._open.set()

    def start(self, number: int) -> None:
        """Start more processes, which are cold: they have neither connection nor secrets yet."""
        started = [
            Worker(*self._arguments, self._folder / f"worker-{len(self._all) + n}.log", self._build)
            for n in range(number)
        ]
        self._all += started
        for worker in started:
            worker.wait_until_ready()
            self._idle.put(worker)

    def log_lines(self, text: str) -> list[str]:
        """Return the lines of all logs that contain a text."""
        lines = [
            line for log in self._folder.glob("*.log") for line in log.read_text().splitlines()
        ]
        return [line for line in lines if text in line]

    def warm_up(self) -> None:
        """Send a request through each process, so that it has its secrets and a connection."""
        with self.all_idle():
            for worker in self._all:
                for path in ("/v1/health", "/.well-known/jwks.json"):
                    answer = worker.send(http_event("GET", path))
                    assert answer is not None, "a handler process gave no answer"
                    assert answer["statusCode"] == 200, answer

    def take(self) -> Worker:
        """Wait for an idle process and return it."""
        self._open.wait()
        return self._idle.get(timeout=2 * PATIENCE_SECONDS)

    def give_back(self, worker: Worker) -> None:
        """Return a process to the idle ones."""
        self._idle.put(worker)

    @contextmanager
    def all_idle(self) -> Iterator[None]:
        """Wait until all are idle, and keep them idle meanwhile."""
        self._open.clear()
        try:
            taken = [self._idle.get(timeout=2 * PATIENCE_SECONDS) for _ in self._all]
            yield
            for worker in taken:
                self._idle.put(worker)
        finally:
            self._open.set()

    def stop(self) -> None:
        """End all of them."""
        for worker in self._all:
            worker.stop()


class _Context:
    """The context of an operator's invocation: each has an id of its own."""

    def __init__(self) -> None:
        self.aws_request_id = str(uuid.uuid4())


def _serve(
    pipe: "Pipe[Any, Any]",
    environment: dict[str, str],
    ahead: "Synchronized[float]",
    log: str,
    build: str,
) -> None:
    """Run one handler process."""
    with Path(log).open("ab") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
    os.environ.update(environment)

    import handler
    from auth import app
    from auth.credentials import token_keys
    from auth.credentials.passwords import Passwords
    from auth.external import secrets_client
    from auth.settings import Settings
    from auth.times import system_clock
    from tests.faults.broken_builds import BROKEN_BUILDS

    def clock() -> datetime:
        return system_clock() + timedelta(seconds=ahead.value)

    if build:
        BROKEN_BUILDS[build].plant()
    token_keys.CACHE_SECONDS = KEYS_SECONDS
    settings = Settings.from_environment(os.environ)
    passwords = Passwords(MEMORY_KIB, ITERATIONS)
    client = secrets_client.new_client(secrets_client.OneService())
    secrets_client.new_client = lambda loader: client  # noqa: ARG005  # the name is its own
    handler.application = app.create_app(settings, clock, passwords)
    # The handler makes these two itself, at each command.
    app.create_operate = partial(app.create_operate, clock=clock)
    setattr(app, "Passwords", lambda: passwords)  # noqa: B010  # a plain assignment has no type
    pipe.send("ready")
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            event = pipe.recv()
            pipe.send(
                handler.operate(event, _Context())
                if "command" in event
                else handler.http(event, None)
            )
