"""The container's one connection to the database: opened late, reused, replaced when lost.

Callers hand over statements, never cursors, so that each can be tried again as a whole. A
`Database` serves one request at a time, as a Lambda container does. What is done about which
failure is in docs/promises/security.md.
"""

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from auth.errors import Unavailable
from auth.external.connection import (
    CONNECT_SECONDS,
    READ_SECONDS,
    Connection,
    DatabaseSecret,
    Result,
    Statement,
    Value,
    connect,
    tls_context,
)
from auth.external.failures import (
    DatabaseFailure,
    Duplicate,
    FailureKind,
    MissingParent,
    WrongStatement,
)
from auth.external.retries import (
    CONNECTION_IS_GOOD,
    PAUSE_SECONDS,
    deadlock_pause,
    tries_of,
)
from auth.external.secret_store import START_SECONDS, SecretStore

logger = logging.getLogger(__name__)

T = TypeVar("T")

# The budget: client 13 s > gateway 12 s > Lambda 10 s > request 8 s > read 4 s > statement 3 s.
REQUEST_SECONDS = 8.0
LEAST_SECONDS = 0.2  # less than this is not worth a statement
CONNECTION_ATTEMPTS = 3  # in one budget, whatever the reasons


@dataclass
class _Budget:
    """What is left for one piece of work."""

    deadline: float
    attempts_left: int = CONNECTION_ATTEMPTS


class Database:
    """Runs statements, and decides what a failure calls for."""

    def __init__(
        self,
        secret_store: SecretStore,
        secret_id: str,
        ca_file: str,
        *,
        proxy_host: str = "",
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._secret_store = secret_store
        self._secret_id = secret_id
        self._tls = tls_context(ca_file)
        self._proxy_host = proxy_host
        self._monotonic = monotonic
        self._sleep = sleep
        self._secret: DatabaseSecret | None = None
        self._connection: Connection | None = None
        self._budget: _Budget | None = None

    @contextmanager
    def budget(self, seconds: float) -> Iterator[None]:
        """Give the statements inside so much time together, and a few connection attempts.

        The secret is read in its first seconds only. Inside another budget, this one counts alone.
        """
        before, self._budget = self._budget, _Budget(self._monotonic() + seconds)
        try:
            with self._secret_store.budget(min(seconds, START_SECONDS)):
                yield
        finally:
            self._budget = before

    def execute(self, sql: str, /, *parameters: Value, **named: Value) -> Result:
        """Run one statement in a transaction of its own, with parameters of one kind or the other.

        It must be safe to repeat: it is sent again if the connection was lost, when no one knows
        whether it took effect.

        Raises:
            Duplicate, MissingParent: a constraint refuses.
            Unavailable: the database cannot be reached, is too busy, or gave no answer.
        """
        return self._execute(Statement(sql, parameters or named), repeatable=True)

    def execute_once(self, sql: str, /, *parameters: Value, **named: Value) -> Result:
        """Run one statement that must not take effect twice.

        Raises:
            Duplicate, MissingParent, Unavailable: as for `execute`.
        """
        return self._execute(Statement(sql, parameters or named), repeatable=False)

    def _execute(self, statement: Statement, *, repeatable: bool) -> Result:
        return self._persist(
            lambda connection: connection.run(statement, self._patience()), repeatable=repeatable
        )

    def ping(self) -> None:
        """Make one round trip."""
        self.execute("SELECT 1")

    def transact(self, *statements: Statement) -> None:
        """Run statements that take effect together or not at all.

        They must be safe to repeat: if the answer to COMMIT is lost, all of them are sent again,
        and their keys refuse the rows that are already there.

        Raises:
            Duplicate, MissingParent, Unavailable: as for `execute`.
        """
        whole = (Statement("BEGIN"), *statements, Statement("COMMIT"))

        def work(connection: Connection) -> None:
            for statement in whole:
                connection.run(statement, self._patience())

        self._persist(work, repeatable=True)

    def close(self) -> None:
        """Drop the connection, if there is one."""
        if self._connection is not None:
            self._connection.drop()
            self._connection = None

    def _persist(self, work: Callable[[Connection], T], *, repeatable: bool) -> T:
        """Do the work, and again if the failure allows it and asks for it."""
        failures: Counter[FailureKind] = Counter()
        while True:
            connection = self._connection or self._open()
            try:
                return work(connection)
            except (Duplicate, MissingParent, WrongStatement):
                self._roll_back(connection)
                raise
            except DatabaseFailure as failure:
                kind = failure.kind
                failures[kind] += 1
                self._clear(connection, kind)
                if failures[kind] >= tries_of(kind, repeatable=repeatable):
                    raise Unavailable(f"database: {failure}") from None
                _log_retry(failure)
                if kind == FailureKind.DEADLOCK:
                    self._pause(deadlock_pause(failures[kind]))
            except BaseException:
                self.close()  # a transaction may be open
                raise

    def _patience(self) -> float:
        """Return how many seconds the next statement may take."""
        left = self._current_budget().deadline - self._monotonic()
        if left < LEAST_SECONDS:
            raise Unavailable("database: the request's time is up")
        return min(READ_SECONDS, left)

    def _current_budget(self) -> _Budget:
        if self._budget is None:
            raise RuntimeError("no budget: run statements inside `with database.budget(seconds):`")
        return self._budget

    def _clear(self, connection: Connection, kind: FailureKind) -> None:
        """Leave nothing of a failed piece of work behind."""
        if kind in CONNECTION_IS_GOOD:
            self._roll_back(connection)
        else:
            self.close()

    def _roll_back(self, connection: Connection) -> None:
        """Roll the whole transaction back: on a lock wait, MySQL undoes only the statement."""
        try:
            connection.run(Statement("ROLLBACK"), self._patience())
        except (DatabaseFailure, Unavailable):
            self.close()

    def _open(self) -> Connection:
        """Return a new connection, with today's credentials."""
        secret = self._secret or self._read_secret("AWSCURRENT")
        others = self._other_secrets(secret)
        tried_again = False
        while True:
            try:
                self._connection = self._dial(secret)
            except DatabaseFailure as failure:
                if failure.kind == FailureKind.REFUSED:
                    secret = self._next_secret(others, failure)
                elif tried_again:
                    self._secret = None  # the database may have moved; look it up next time
                    raise Unavailable(f"database: {failure}") from None
                else:
                    tried_again = True
                    _log_retry(failure)
                    self._pause()
            else:
                self._secret = secret
                return self._connection

    def _next_secret(
        self, others: Iterator[DatabaseSecret], failure: DatabaseFailure
    ) -> DatabaseSecret:
        for secret in others:
            _log_retry(failure)
            self._pause()
            return secret
        self._secret = None
        raise Unavailable(f"database: {failure}")

    def _other_secrets(self, tried: DatabaseSecret) -> Iterator[DatabaseSecret]:
        """Yield what else the secret may be by now: re-read, then the one being rotated in."""
        current = self._read_secret("AWSCURRENT")
        if current != tried:
            yield current
        try:
            pending = self._read_secret("AWSPENDING")
        except Unavailable:  # no rotation is under way, or it has just ended: what was pending is
            pending = self._read_secret("AWSCURRENT")
        if pending not in (tried, current):
            yield pending

    def _read_secret(self, stage: str) -> DatabaseSecret:
        return self._secret_store.read(self._secret_id, DatabaseSecret, stage)

    def _dial(self, secret: DatabaseSecret) -> Connection:
        budget = self._current_budget()
        if budget.attempts_left == 0:
            raise Unavailable("database: no connection attempts left for this request")
        budget.attempts_left -= 1
        patience = self._patience()
        return connect(
            secret,
            self._tls,
            min(CONNECT_SECONDS, patience),
            patience,
            proxy_host=self._proxy_host,
        )

    def _pause(self, seconds: tuple[float, float] = PAUSE_SECONDS) -> None:
        """Wait a little, and not for as long as the other containers."""
        self._sleep(random.uniform(*seconds))  # noqa: S311  # nothing secret


def _log_retry(failure: DatabaseFailure) -> None:
    logger.warning("database: %s, trying again", failure, extra={"event": "database_retry"})
