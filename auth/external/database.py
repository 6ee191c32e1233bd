"""The container's one connection to the database: opened on demand, reused, replaced when lost.

Callers pass statements, never cursors, so that each can be retried as a whole. A `Database` serves
one request at a time, as a Lambda container does. docs/promises/security.md lists how each failure
is handled.
"""

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from auth.errors import RowsBusy, Unavailable
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
    OutOfRange,
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
LEAST_SECONDS = 0.2  # with less time left, no statement is started
CONNECTION_ATTEMPTS = 3  # per budget, for any reason


@dataclass
class _Budget:
    """The time and the connection attempts left for one piece of work."""

    deadline: float
    attempts_left: int = CONNECTION_ATTEMPTS


class Database:
    """Runs statements, and retries, reconnects or gives up after a failure."""

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
        self._open_transaction: Connection | None = None

    @contextmanager
    def budget(self, seconds: float) -> Iterator[None]:
        """Limit the time of all statements inside together, and the connection attempts.

        The secret is read only in the first seconds. A nested budget replaces the outer one.
        """
        before, self._budget = self._budget, _Budget(self._monotonic() + seconds)
        try:
            with self._secret_store.budget(min(seconds, START_SECONDS)):
                yield
        finally:
            self._budget = before

    def execute(self, sql: str, /, *parameters: Value, **named: Value) -> Result:
        """Run one statement in its own transaction, with positional or named parameters.

        It must be safe to repeat: after a lost connection it is sent again, since it may or may not
        have taken effect.

        Raises:
            Duplicate, MissingParent: a constraint was violated.
            OutOfRange: a number became too large.
            Unavailable: the database cannot be reached, is too busy, or did not answer.
        """
        return self.run(Statement(sql, parameters or named))

    def run(self, statement: Statement) -> Result:
        """Run one statement in its own transaction, as `execute` does."""
        return self._execute(statement, repeatable=True)

    def execute_once(self, sql: str, /, *parameters: Value, **named: Value) -> Result:
        """Run one statement that must not take effect twice.

        Raises:
            Duplicate, MissingParent, OutOfRange, Unavailable: as for `execute`.
        """
        return self._execute(Statement(sql, parameters or named), repeatable=False)

    def _execute(self, statement: Statement, *, repeatable: bool) -> Result:
        if self._open_transaction:
            return self._open_transaction.run(statement, self._patience())
        return self._persist(
            lambda connection: connection.run(statement, self._patience()), repeatable=repeatable
        )

    def ping(self) -> None:
        """Make one round trip."""
        self.execute("SELECT 1")

    def transact(self, first: Statement, *others: Statement) -> int:
        """Run statements in one transaction: all take effect, or none.

        The first one decides: if it changes no row, none of the others is run. Returns the number
        of rows that it changed.

        They must be safe to repeat: if the answer to COMMIT is lost, all are sent again. Then the
        first one changes nothing more, or a unique key rejects its row.

        Raises:
            Duplicate, MissingParent, OutOfRange, Unavailable: as for `execute`.
        """

        def work() -> int:
            changed = self.run(first).changed
            for statement in others if changed else ():
                self.run(statement)
            return changed

        return work() if self._open_transaction else self.transaction(work)

    def transaction(self, work: Callable[[], T], *, roll_back: bool = False) -> T:
        """Do the work in one transaction, which every statement inside joins; return its value.

        It is rolled back if the work raises, or at the end for `roll_back`. The work must be safe
        to repeat, as in `transact`: it begins again after a lost connection or a deadlock.

        Raises:
            Duplicate, MissingParent, OutOfRange, Unavailable: as for `execute`.
        """
        if self._open_transaction:
            raise RuntimeError("a transaction is open: it would be committed")

        def whole(connection: Connection) -> T:
            connection.run(Statement("BEGIN"), self._patience())
            self._open_transaction = connection
            try:
                value = work()
            finally:
                self._open_transaction = None
            connection.run(Statement("ROLLBACK" if roll_back else "COMMIT"), self._patience())
            return value

        return self._persist(whole, repeatable=True)

    def attempt(self, work: Callable[[], T]) -> T:
        """Do the work within the open transaction; if it raises, undo what it did, and no more.

        Errors of the database itself end the whole transaction.
        """
        if self._open_transaction is None:
            raise RuntimeError("no transaction is open")
        self.run(Statement("SAVEPOINT attempt"))
        try:
            return work()
        except (DatabaseFailure, Unavailable):
            raise
        except Exception:
            self.run(Statement("ROLLBACK TO SAVEPOINT attempt"))
            raise

    def close(self) -> None:
        """Drop the connection, if there is one."""
        if self._connection is not None:
            self._connection.drop()
            self._connection = None

    def _persist(self, work: Callable[[Connection], T], *, repeatable: bool) -> T:
        """Do the work, and retry it after failures that make a retry safe and useful."""
        failures: Counter[FailureKind] = Counter()
        while True:
            connection = self._connection or self._open()
            try:
                return work(connection)
            except (Duplicate, MissingParent, OutOfRange, WrongStatement):
                if connection.is_in_transaction():
                    self._roll_back(connection)
                raise
            except DatabaseFailure as failure:
                kind = failure.kind
                failures[kind] += 1
                self._clear(connection, kind)
                if failures[kind] >= tries_of(kind, repeatable=repeatable):
                    raise _unavailable(failure) from None
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
        """Roll back failed work if the connection still works; otherwise close the connection."""
        if kind in CONNECTION_IS_GOOD:
            self._roll_back(connection)
        else:
            self.close()

    def _roll_back(self, connection: Connection) -> None:
        """Roll back the whole transaction: after a lock wait, MySQL undoes only the statement."""
        try:
            connection.run(Statement("ROLLBACK"), self._patience())
        except (DatabaseFailure, Unavailable):
            self.close()

    def _open(self) -> Connection:
        """Return a new connection, with the credentials that are valid now."""
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
                    self._secret = None  # the database may have moved: re-read the secret next time
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
        """Yield other values of the secret: the current one, re-read, then the pending one."""
        current = self._read_secret("AWSCURRENT")
        if current != tried:
            yield current
        try:
            pending = self._read_secret("AWSPENDING")
        except Unavailable:  # no rotation is under way, or it just made the pending one current
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
        """Wait for a short random time, so that containers do not retry together."""
        self._sleep(random.uniform(*seconds))  # noqa: S311  # nothing secret


def _unavailable(failure: DatabaseFailure) -> Unavailable:
    error = RowsBusy if failure.kind in CONNECTION_IS_GOOD else Unavailable
    return error(f"database: {failure}")


def _log_retry(failure: DatabaseFailure) -> None:
    logger.warning("database: %s, retrying", failure, extra={"event": "database_retry"})
