"""One run: handler processes, players and guessers, and the history of their calls.

A fault is something done to a run while it plays.
"""

import itertools
import json
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from auth.external.connection import DatabaseSecret
from tests.faults.answers import read, read_by_operator
from tests.faults.history import Action, Call, History, Window
from tests.faults.line import Line
from tests.faults.rows import rows_at_the_end
from tests.faults.secrets_line import SecretsLine
from tests.faults.servers import Servers
from tests.faults.steps import Steps
from tests.faults.workers import PATIENCE_SECONDS, Answer, Event, Worker, Workers
from tests.play.events import http_event
from tests.play.sources import created_tables

WORKERS = 8
BACK_SECONDS = 5.0  # from the recovery of the database to that of the service
REFILL_SECONDS = 300.0

Play = Callable[..., History]
"""The fixture that plays while a fault is injected, and returns the history."""

_numbers = itertools.count(1)


class Run:
    """A running game and its record."""

    def __init__(
        self, servers: Servers, secrets_line: SecretsLine, folder: Path, build: str = ""
    ) -> None:
        self.servers = servers
        self.database = servers.database
        self.secrets = servers.secrets_client
        self.secrets_line = secrets_line
        self.secret = servers.database.application
        self.secret_id = f"faults/database-{next(_numbers)}"
        self.calls: list[Call] = []
        self.observed: Callable[[], dict[str, Any]] = dict  # by game servers, for the history
        self.stopping = threading.Event()
        self.together = ThreadPoolExecutor(16)
        self._clock = RunClock()
        self._windows: list[Window] = []
        self._window_began = 0.0
        self._no_operators: list[Window] = []
        self._give_up_at = 0.0
        self._intents = itertools.count(1)
        self._under_way: dict[Worker, float] = {}
        self.steps = Steps(self._clock.now, lambda: list(self._under_way.values()))
        self._threads: list[threading.Thread] = []
        self._errors: list[BaseException] = []
        self._line: Line | None = None
        self.folder = folder
        folder.mkdir(parents=True)
        environment = {
            **servers.environment(),
            "AWS_ENDPOINT_URL": secrets_line.endpoint,
            "DATABASE_SECRET_ID": self.secret_id,
            "OPERATOR_ROLE": "support",
            "POLL_AFTER_SECONDS": "1",
        }
        self.workers = Workers(environment, self._clock.ahead, folder, build)

    # Used by faults

    def start(self, secret: DatabaseSecret | None = None) -> None:
        """Start the handlers, with this database secret if one is given."""
        self.database.run(*(f"DELETE FROM {table}" for table in created_tables()))
        self.secret = secret or self.secret
        self.secrets.create_secret(Name=self.secret_id, SecretString=_text(self.secret))
        self.workers.start(WORKERS)
        self.workers.warm_up()
        self._clock.start()

    @property
    def line(self) -> Line:
        """Return a proxy to the database that can be cut; the secret must name its port."""
        if self._line is None:
            self._line = Line(self.database.port, self.database.ca_file.parent)
        return self._line

    def begin(self, *parts: Callable[[], None]) -> None:
        """Start players and guessers."""
        for part in parts:
            thread = threading.Thread(target=self._live, args=(part,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def play(self, seconds: float) -> None:
        """Let the game go on for a while."""
        time.sleep(seconds)
        if self._errors:
            raise self._errors[0]

    def let_calls_end(self) -> None:
        """Wait until every call now in progress has ended."""
        now = self._clock.now()
        while any(began <= now for began in list(self._under_way.values())):
            self.play(0.02)

    @contextmanager
    def down(self) -> Iterator[None]:
        """Allow failures meanwhile; `BACK_SECONDS` later everything must work again."""
        if self._clock.now() > self._window_began:
            self._windows.append(Window(self._window_began, self._clock.now()))
        yield
        self._window_began = self._clock.now() + BACK_SECONDS

    @contextmanager
    def no_operators(self) -> Iterator[None]:
        """Allow operators' commands to fail meanwhile, and `BACK_SECONDS` longer."""
        began = self._clock.now()
        yield
        self._no_operators.append(Window(began, self._clock.now() + BACK_SECONDS))

    def logged(self, text: str) -> int:
        """Return the number of lines in the handlers' logs that contain a text."""
        return len(self.workers.log_lines(text))

    def put_secret(self, secret: DatabaseSecret, stage: str = "AWSCURRENT") -> str:
        """Store another version of the database's secret and return its id."""
        with self.secrets_line.alone:
            answer = self.secrets.put_secret_value(
                SecretId=self.secret_id, SecretString=_text(secret), VersionStages=[stage]
            )
        return str(answer["VersionId"])

    def promote(self, version: str) -> None:
        """Make the pending version the current one, as the end of a rotation does."""
        current = self.secrets.get_secret_value(SecretId=self.secret_id, VersionStage="AWSCURRENT")
        move = partial(self.secrets.update_secret_version_stage, SecretId=self.secret_id)
        with self.secrets_line.alone:
            move(
                VersionStage="AWSCURRENT",
                MoveToVersionId=version,
                RemoveFromVersionId=current["VersionId"],
            )
            move(VersionStage="AWSPENDING", RemoveFromVersionId=version)

    def step_clock(self, seconds: float) -> None:
        """Set the clock of all handlers."""
        with self.steps.step():
            self._clock.step(seconds)

    # Used by players

    def now(self) -> float:
        """Return the seconds since the run began."""
        return self._clock.now()

    def new_intent(self) -> int:
        """Return the number of a new intent."""
        return next(self._intents)

    def call(
        self,
        kind: Action,
        method: str,
        path: str,
        body: object = None,
        *,
        intent: int,
        bearer: str = "",
        key: str = "",
        address: str,
        query: str = "",
        **facts: str,
    ) -> Call:
        """Send one request, and record its outcome together with `facts`.

        Waits for an idle handler first; this wait does not count as time of the answer.
        """
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if bearer:
            headers["Authorization"] = f"Bearer {bearer}"
        if key:
            headers["Idempotency-Key"] = key
        text = None if body is None else json.dumps(body)
        event = http_event(method, path, text, headers, address, query)
        return self._record(
            event, read, kind=kind, intent=intent, key=key, address=address, **facts
        )

    def operate(self, kind: Action, event: Event, *, intent: int, account: str) -> Call:
        """Send an operator's command, and record its outcome as that of a call."""
        key = event["command_id"]
        return self._record(
            event, read_by_operator, kind=kind, intent=intent, key=key, account=account
        )

    def _record(
        self, event: Event, read: Callable[[Answer | None], dict[str, Any]], **facts: Any
    ) -> Call:
        worker = self.workers.take()
        began, clock_began = self._clock.now(), self._clock.forward()
        self._under_way[worker] = began
        try:
            answer = worker.send(event)
        finally:
            del self._under_way[worker]
            self.workers.give_back(worker)
        call = Call(
            began=began,
            ended=self._clock.now(),
            clock_began=clock_began,
            clock_ended=self._clock.forward(),
            **facts,
            **read(answer),
        )
        self.calls.append(call)
        return call

    def wait_after(self, call: Call) -> bool:
        """Wait as long as an answer says; return False if it is time to give up.

        At the end of a run no player waits for a bucket to refill: the clock is set ahead instead.
        """
        if not self.stopping.wait(call.retry_after):
            return True
        if call.status == 429:
            self.step_clock(float(call.retry_after))
        else:
            time.sleep(min(call.retry_after, 1))
        return self._clock.now() < self._give_up_at

    # The end

    def settle(self, seconds: float) -> None:
        """Have all players learn the outcome of their calls within `seconds`, and stop."""
        self._give_up_at = self._clock.now() + seconds
        self.step_clock(REFILL_SECONDS)
        self.stopping.set()
        for thread in self._threads:
            thread.join(seconds + PATIENCE_SECONDS)
            assert not thread.is_alive(), "a player does not finish"
        if self._errors:
            raise self._errors[0]

    def history(self) -> History:
        """Return the history so far, with what is in the database now."""
        return History(
            calls=tuple(self.calls),
            **self.observed(),
            **rows_at_the_end(self.database),
            windows=(*self._windows, Window(self._window_began, self._clock.now())),
            no_operators=tuple(self._no_operators),
            steps_back=self._clock.steps_back,
        )

    def stop(self) -> None:
        """End the handlers."""
        self.stopping.set()
        self.together.shutdown(cancel_futures=True)
        self.workers.stop()
        if self._line is not None:
            self._line.stop()

    def _live(self, part: Callable[[], None]) -> None:
        try:
            part()
        except BaseException as error:  # noqa: BLE001  # raised again in the test's thread
            self._errors.append(error)


class RunClock:
    """The clock of a run, and that of its handlers."""

    def __init__(self) -> None:
        self.ahead = multiprocessing.get_context("forkserver").Value("d", 0.0)
        self.steps_back = 0
        self._began = time.monotonic()
        self._stepped = 0.0
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start counting."""
        self._began = time.monotonic()

    def now(self) -> float:
        """Return the seconds since the run began."""
        return time.monotonic() - self._began

    def forward(self) -> float:
        """Return the seconds that the handlers' clock has advanced."""
        return self.now() + self._stepped

    def step(self, seconds: float) -> None:
        """Set the handlers' clock forward or back."""
        with self._lock:
            if seconds > 0:
                self._stepped += seconds
            else:
                self.steps_back += 1
            self.ahead.value += seconds


def _text(secret: DatabaseSecret) -> str:
    return json.dumps(msgspec.to_builtins(secret))
