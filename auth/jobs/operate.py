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
    LAST_KEY,
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
from auth.times import Clock, id_text, parse_id

logger = logging.getLogger(__name__)

MAX_REASON = 500
MAX_ARN = 255
DONE = "done"
RUNNING = "running"  # the outcome of a long command until its last batch
BATCHES_SECONDS = 4.0  # of one invocation; the next one goes on


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
        try:
            sent = msgspec.convert(event, CommandEvent)
        except msgspec.ValidationError as error:
            sent = CommandEvent("")
            answered = refused(InvalidCommand(str(error)))
        else:
            answered = self._answered(sent, request_id)
        answer = {"request_id": request_id, **answered}
        self._log(sent, answer)
        return answer

    def _answered(self, sent: CommandEvent, request_id: str) -> dict[str, Any]:
        try:
            with self.database.budget(REQUEST_SECONDS):
                return self._run_by_role(sent, request_id)
        except Refusal as refusal:
            return refused(refusal)
        except Unavailable as error:
            logger.warning("an operator's command failed: %s", error)
            return failed("unavailable", "The database is out of reach or busy; try again.")
        except Exception as error:  # noqa: BLE001  # the last line of defence
            logger.critical("bug: %s", where(error), extra={"event": "bug"})
            return failed("internal_error", "A bug; the log has the details.")
        finally:
            self.database.close()

    def _run_by_role(self, sent: CommandEvent, request_id: str) -> dict[str, Any]:
        command = self.commands.get(sent.command)
        if command is None:
            raise UnknownCommand
        if command.role is Role.VIEW and self.role is Role.VIEW:
            return done(self._run(command, sent))
        return self._once(command, sent, request_id)

    def _once(self, command: Command, sent: CommandEvent, request_id: str) -> dict[str, Any]:
        """Run a command that changes something, if its id is new; record it in one transaction."""
        operation = self._operation(sent, request_id)
        try:
            if sent.dry_run:
                tried = self.database.transaction(partial(self._run, command, sent), roll_back=True)
                answer = done(tried, dry_run=True)
            elif command.batch:
                self._check(command, sent)
                return self._in_batches(command.batch, operation)
            else:
                answer = self.database.transaction(
                    partial(self._recorded, command, sent, operation)
                )
        except Duplicate as duplicate:
            if duplicate.key != "PRIMARY":
                raise
            return self._repeated(operation)
        except Refusal as refusal:
            answer = refused(refusal)
            if not sent.dry_run and not self._record_refusal(operation, refusal, answer):
                return self._repeated(operation)
        return answer | {"operation": id_text(operation.command_id)}

    def _operation(self, sent: CommandEvent, request_id: str) -> Operation:
        try:
            command_id = uuid.UUID(sent.command_id).bytes
        except ValueError:
            raise InvalidCommand(fields={"command_id": "Send a UUID."}) from None
        if len(sent.reason) > MAX_REASON or len(sent.operator.arn) > MAX_ARN:
            raise InvalidCommand(fields={"reason": f"Use at most {MAX_REASON} characters."})
        try:
            content = msgspec.json.encode(
                [self.role, sent.command, sent.reason, sent.arguments],
                order="sorted",
            )
        except UnicodeEncodeError:
            raise InvalidCommand("The event has half a character.") from None
        return Operation(
            command_id=command_id,
            digest=hashlib.sha256(content).digest(),
            at=self.clock(),
            role=self.role.value,
            arn=sent.operator.arn,
            command=sent.command[:32],
            account_id=None,
            reason=sent.reason,
            outcome=DONE,
            result=b"",
            request_id=request_id,
        )

    def _recorded(
        self, command: Command, sent: CommandEvent, operation: Operation
    ) -> dict[str, Any]:
        self.operations.add(operation)  # first, so that a parallel run with this id waits
        outcome = self._run(command, sent)
        answer = done(outcome) | {"request_id": operation.request_id}
        self.operations.finish(
            replace(operation, account_id=outcome.account_id, result=msgspec.json.encode(answer))
        )
        return answer | ({"once": outcome.once} if outcome.once else {})

    def _in_batches(self, batch: Batch, operation: Operation) -> dict[str, Any]:
        """Do the next batches of a long command, or begin it; each is a transaction of its own."""
        stored = self.operations.find(operation.command_id)
        if stored is None:
            begun = replace(operation, outcome=RUNNING, result=_told(Progress(b"", 0)))
            with suppress(Duplicate):  # a parallel run has just begun it
                self.operations.add(begun)
        elif stored.digest != operation.digest or stored.outcome != RUNNING:
            return self._repeated(operation)
        end = self.monotonic() + BATCHES_SECONDS
        progress = self.database.transaction(partial(self._next_batch, batch, operation))
        while not progress.is_over and self.monotonic() < end:
            progress = self.database.transaction(partial(self._next_batch, batch, operation))
        result = {"accounts": progress.accounts, "finished": progress.is_over}
        answer = done(Outcome(result, changed=progress.accounts > 0))
        return answer | {"operation": id_text(operation.command_id)}

    def _next_batch(self, batch: Batch, operation: Operation) -> Progress:
        stored = self.operations.locked(operation.command_id)
        if stored is None:
            raise Unavailable("the operation was deleted meanwhile")
        if stored.outcome != RUNNING:  # a parallel run has finished it
            told = msgspec.json.decode(stored.result)
            return Progress(LAST_KEY, told["result"]["accounts"])
        progress = batch(_progress(stored.result))
        if progress.is_over:
            result = {"accounts": progress.accounts, "finished": True}
            answer = done(Outcome(result, changed=progress.accounts > 0))
            finished = msgspec.json.encode(answer | {"request_id": operation.request_id})
            self.operations.finish(replace(stored, outcome=DONE, result=finished))
        else:
            self.operations.finish(replace(stored, result=_told(progress)))
        return progress

    def _record_refusal(
        self, operation: Operation, refusal: Refusal, answer: dict[str, Any]
    ) -> bool:
        """Record a refused command; False: another run with this id was faster."""
        answer |= {"request_id": operation.request_id}
        stored = replace(
            operation,
            account_id=refusal.account_id,
            outcome=refusal.code,
            result=msgspec.json.encode(answer),
        )
        try:
            self.operations.add(stored)
        except Duplicate:
            return False
        return True

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
        return answer | {"operation": id_text(stored.command_id)}

    def _check(self, command: Command, sent: CommandEvent) -> Arguments:
        if command.role is not self.role:
            raise WrongRole(f"{sent.command} needs the role {command.role}.")
        if command.needs_reason and not sent.reason.strip():
            raise InvalidCommand(fields={"reason": "Say why."})
        try:
            return msgspec.convert(sent.arguments, command.takes)
        except msgspec.ValidationError as error:
            raise InvalidCommand(str(error)) from None

    def _run(self, command: Command, sent: CommandEvent) -> Outcome:
        arguments = self._check(command, sent)
        if not isinstance(arguments, OfAccount):
            return command.run(arguments)
        account = find_account(self.accounts, arguments.account)
        given = () if command.takes is OfAccount else (arguments,)
        try:
            outcome = command.run(account, *given)
        except Refusal as refusal:
            refusal.account_id = account.id
            raise
        return replace(outcome, account_id=account.id)

    def _log(self, sent: CommandEvent, answer: dict[str, Any]) -> None:
        fields = {
            "event": "operated",
            "role": self.role,
            "command": sent.command[:32],
            "operator": sent.operator.arn[:MAX_ARN],
            "operation": sent.command_id[:36],
            "dry_run": sent.dry_run,
            "account_id": answer.get("account_id", ""),
        }
        if "error" in answer:
            fields["code"] = answer["error"]["code"]
        logger.info("operator: %s", sent.command[:32], extra=fields)


def find_account(accounts: AccountTable, text: str) -> Account:
    """Return the account with this name or id.

    Raises:
        NoSuchAccount.
    """
    try:
        found = accounts.find(parse_id(text.lower()))
    except ValueError:
        found = accounts.by_username_key(username_key(text)) if text.isascii() else None
    if found is None:
        raise NoSuchAccount
    return found


def _told(progress: Progress) -> bytes:
    return msgspec.json.encode([progress.reached.hex(), progress.accounts])


def _progress(result: bytes) -> Progress:
    reached, accounts = msgspec.json.decode(result)
    return Progress(bytes.fromhex(reached), accounts)
