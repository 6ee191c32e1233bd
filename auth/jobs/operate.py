"""Operators' commands: an event in, an answer out. Named commands only, each for one role.

A command that changes something is an operation: done once by its id, and recorded in the
transaction of the change. A dry run is the real run, rolled back.
"""

import hashlib
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec

from auth.credentials.usernames import username_key
from auth.errors import Unavailable
from auth.external.database import REQUEST_SECONDS, Database
from auth.external.failures import Duplicate
from auth.jobs.operator_events import (
    Arguments,
    Batch,
    Command,
    CommandEvent,
    OfAccount,
    Outcome,
    Progress,
    Role,
    done,
    failed,
    refused,
)
from auth.logs import where
from auth.refusals import (
    AccountDeleted,
    CommandIdReused,
    InvalidCommand,
    NoSuchAccount,
    Refusal,
    UnknownCommand,
    WrongRole,
)
from auth.store.accounts import AccountTable
from auth.store.operations import OperationTable
from auth.store.records import Account, Operation
from auth.times import Clock, id_text, new_id, parse_id

logger = logging.getLogger(__name__)

MAX_REASON = 500
MAX_ARN = 255
MAX_COMMAND = 32
MAX_MESSAGE = 200
DONE = "done"
RUNNING = "running"  # the outcome of a long command until its last batch
BATCHES_SECONDS = 4.0  # of one invocation; the next one goes on
BEGINNING = Progress(b"", 0)


@dataclass(frozen=True)
class Operate:
    """Runs the commands of one role."""

    role: Role
    commands: Mapping[str, Command]
    database: Database
    accounts: AccountTable
    operations: OperationTable
    clock: Clock
    monotonic: Callable[[], float] = time.monotonic

    def answer(self, event: object, request_id: str) -> dict[str, Any]:
        """Run a command and return its answer; it never raises."""
        sent = CommandEvent("")
        try:
            sent = _sent(event)
            with self.database.budget(REQUEST_SECONDS):
                answered = self._run_by_role(sent, request_id)
        except Refusal as refusal:
            answered = refused(refusal)
        except Unavailable as error:
            logger.warning("an operator's command failed: %s", error)
            answered = failed("unavailable", "The database is out of reach or busy; try again.")
        except Exception as error:  # noqa: BLE001  # the last line of defence
            logger.critical("bug: %s", where(error), extra={"event": "bug"})
            answered = failed("internal_error", "A bug; the log has the details.")
        finally:
            self.database.close()
        answer = {"request_id": request_id, **answered}
        self._log(sent, answer)
        return answer

    def _run_by_role(self, sent: CommandEvent, request_id: str) -> dict[str, Any]:
        command = self.commands.get(sent.command)
        if command is None:
            raise UnknownCommand
        if command.is_view and command.role is self.role:
            return done(self._run(command, sent))
        return self._once(command, sent, request_id)

    def _once(self, command: Command, sent: CommandEvent, request_id: str) -> dict[str, Any]:
        """Run a command that changes something, if its id is new; record it in one transaction."""
        operation = self._operation(sent, request_id)
        arguments = self._arguments(command, sent)
        refusal = arguments if isinstance(arguments, Refusal) else None
        prepared = command.prepare(arguments) if command.prepare and not refusal else None
        run = partial(self._run, command, sent, prepared)
        once: dict[str, Any] = {}
        try:
            if sent.dry_run and not isinstance(refusal, WrongRole):
                tried = self.database.transaction(run, roll_back=True)
                answer = done(tried, dry_run=True)
            elif command.batch and not refusal:
                answer = self._in_batches(command.batch, operation)
            else:
                answer = self.database.transaction(partial(self._recorded, run, operation, once))
        except Duplicate as duplicate:
            if duplicate.key != "PRIMARY":
                raise
            answer = self._repeated(operation)
            if not answer["request_id"] or answer["request_id"] != request_id:
                once = {}  # the stored answer is not that of our own first try
        return answer | once | {"operation": id_text(operation.command_id)}

    def _operation(self, sent: CommandEvent, request_id: str) -> Operation:
        """Return the operation to record; a command without a good id is refused with a new one."""
        now = self.clock()
        try:
            command_id = parse_id(sent.command_id)
        except ValueError:
            command_id = new_id(now)
        content = [self.role, sent.command, sent.reason, sent.arguments]
        return Operation(
            command_id=command_id,
            digest=hashlib.sha256(msgspec.json.encode(content, order="sorted")).digest(),
            at=now,
            role=self.role.value,
            arn=sent.operator.arn[:MAX_ARN],
            command=sent.command,
            account_id=None,
            reason=sent.reason[:MAX_REASON],
            outcome=DONE,
            result=b"",
            request_id=request_id,
        )

    def _recorded(
        self, run: Callable[[], Outcome], operation: Operation, once: dict[str, Any]
    ) -> dict[str, Any]:
        """Run a command and record it; put what is stored nowhere into `once`."""
        self.operations.add(operation)  # first, so that a parallel run with this id waits
        try:
            outcome = self.database.attempt(run)
        except Refusal as refusal:
            answer, code, account_id = refused(refusal), refusal.code, refusal.account_id
        else:
            answer, code, account_id = done(outcome), DONE, outcome.account_id
            once.update({"once": outcome.once} if outcome.once else {})
        answer |= {"request_id": operation.request_id}
        result = msgspec.json.encode(answer)
        self.operations.finish(
            replace(operation, account_id=account_id, outcome=code, result=result)
        )
        return answer

    def _in_batches(self, batch: Batch, operation: Operation) -> dict[str, Any]:
        """Do the next batches of a long command, or begin it; each is a transaction of its own."""
        with suppress(Duplicate):  # it has begun
            self.operations.add(replace(operation, outcome=RUNNING, result=_written(BEGINNING)))
        end = self.monotonic() + BATCHES_SECONDS
        while True:
            progress = self.database.transaction(partial(self._next_batch, batch, operation))
            if progress is None:
                return self._repeated(operation)
            if self.monotonic() >= end:
                result = {"accounts": progress.accounts, "finished": False}
                return done(Outcome(result, changed=progress.accounts > 0))

    def _next_batch(self, batch: Batch, operation: Operation) -> Progress | None:
        """Do one batch; None: the operation is over, or is another one."""
        stored = self.operations.locked(operation.command_id)
        if stored is None or stored.digest != operation.digest or stored.outcome != RUNNING:
            return None
        progress = batch(_read(stored.result))
        if not progress.is_over:
            self.operations.finish(replace(stored, result=_written(progress)))
            return progress
        result = {"accounts": progress.accounts, "finished": True}
        answer = done(Outcome(result, changed=progress.accounts > 0))
        finished = msgspec.json.encode(answer | {"request_id": operation.request_id})
        self.operations.finish(replace(stored, outcome=DONE, result=finished))
        return None

    def _repeated(self, operation: Operation) -> dict[str, Any]:
        """Return the answer of the first run with this id."""
        stored = self.operations.find(operation.command_id)
        if stored is None:
            raise Unavailable("the operation was deleted meanwhile")
        if stored.digest != operation.digest:
            raise CommandIdReused
        if not stored.result:
            raise AccountDeleted
        answer: dict[str, Any] = msgspec.json.decode(stored.result)
        return answer

    def _run(self, command: Command, sent: CommandEvent, prepared: object = None) -> Outcome:
        arguments = self._checked(command, sent)
        given = () if command.takes is OfAccount else (arguments,)
        if command.prepare:
            given = (*given, prepared)
        if not isinstance(arguments, OfAccount):
            return command.run(*given)
        account = find_account(self.accounts, arguments.account)
        try:
            outcome = command.run(account, *given)
        except Refusal as refusal:
            refusal.account_id = account.id
            raise
        return replace(outcome, account_id=account.id)

    def _arguments(self, command: Command, sent: CommandEvent) -> Arguments | Refusal:
        try:
            return self._checked(command, sent)
        except Refusal as refusal:
            return refusal

    def _checked(self, command: Command, sent: CommandEvent) -> Arguments:
        if command.role is not self.role:
            raise WrongRole(f"{sent.command} needs the role {command.role}.")
        if not command.is_view:
            _check_id_and_reason(command, sent)
        try:
            return msgspec.convert(sent.arguments, command.takes)
        except msgspec.ValidationError as error:
            raise InvalidCommand(_short(error)) from None

    def _log(self, sent: CommandEvent, answer: dict[str, Any]) -> None:
        fields = {
            "event": "operated",
            "role": self.role,
            "command": sent.command[:MAX_COMMAND],
            "operator": sent.operator.arn[:MAX_ARN],
            "operation": answer.get("operation") or _canonical(sent.command_id),
            "dry_run": sent.dry_run,
            "account_id": answer.get("account_id", ""),
        }
        if "error" in answer:
            fields["code"] = answer["error"]["code"]
        logger.info("operator: %s", fields["command"], extra=fields)


def _sent(event: object) -> CommandEvent:
    try:
        msgspec.json.encode(event)  # refuses lone surrogates, which no one could log or store
        return msgspec.convert(event, CommandEvent)
    except msgspec.ValidationError as error:
        raise InvalidCommand(_short(error)) from None
    except (UnicodeEncodeError, RecursionError):
        raise InvalidCommand("The event is not JSON that can be stored.") from None


def _canonical(text: str) -> str:
    """Return the id of a command for the log; nothing if it is none."""
    try:
        return id_text(parse_id(text))
    except ValueError:
        return ""


def _check_id_and_reason(command: Command, sent: CommandEvent) -> None:
    try:
        parse_id(sent.command_id)
    except ValueError:
        raise InvalidCommand(fields={"command_id": "Send a UUID, in lower case."}) from None
    if len(sent.reason) > MAX_REASON:
        raise InvalidCommand(fields={"reason": f"Use at most {MAX_REASON} characters."})
    if command.needs_reason and not sent.reason.strip():
        raise InvalidCommand(fields={"reason": "Say why."})


def _short(error: Exception) -> str:
    """Return the text of an error, which may quote a long name."""
    return str(error)[:MAX_MESSAGE]


def find_account(accounts: AccountTable, text: str) -> Account:
    """Return the account with this name or id.

    Raises:
        NoSuchAccount.
    """
    if (account_id := id_in(text)) is not None:
        found = accounts.find(account_id)
    else:
        found = accounts.by_username_key(username_key(text)) if text.isascii() else None
    if found is None:
        raise NoSuchAccount
    return found


def id_in(text: str) -> bytes | None:
    """Return the id that an operator typed, in any spelling; None: a name, which is shorter."""
    try:
        return uuid.UUID(text).bytes
    except ValueError:
        return None


def _written(progress: Progress) -> bytes:
    return msgspec.json.encode([progress.reached.hex(), progress.accounts])


def _read(result: bytes) -> Progress:
    reached, accounts = msgspec.json.decode(result)
    return Progress(bytes.fromhex(reached), accounts)
