"""What a command of operators is: its event, its arguments, and its answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from auth.refusals import Refusal
from auth.times import id_text

LAST_KEY = b"\xff" * 16


class Role(StrEnum):
    """What an operator may do. IAM decides who may invoke the function of a role."""

    VIEW = "view"
    SUPPORT = "support"
    OWN = "own"


class Arguments(msgspec.Struct, forbid_unknown_fields=True):
    """The arguments of a command."""


class OfAccount(Arguments):
    """The arguments of a command about one account, given by name or id."""

    account: str


@dataclass(frozen=True)
class Outcome:
    """What a command did. `once` is shown in the first answer and stored nowhere."""

    result: dict[str, Any] = field(default_factory=dict)
    changed: bool = True
    once: dict[str, Any] = field(default_factory=dict)
    account_id: bytes | None = None  # set from the account that the command is about


@dataclass(frozen=True)
class Progress:
    """How far a long command is: the key that it reached, and the accounts that it changed."""

    reached: bytes
    accounts: int

    @property
    def is_over(self) -> bool:
        """Tell whether it has reached the last key."""
        return self.reached == LAST_KEY


Batch = Callable[[Progress], Progress]


@dataclass(frozen=True)
class Command:
    """A command: who may run it, what it takes, and what it does.

    `run` gets the account if the command is about one, and the arguments beside `account`, if it
    takes any.
    """

    name: str
    role: Role
    takes: type[Arguments]
    run: Callable[..., Outcome]
    needs_reason: bool = False
    prepare: Callable[..., object] | None = None  # slow work before the transaction, for `run`
    batch: Batch | None = None  # does the work of a long command, which `run` only previews
    reads: bool = False  # it only reads, for a role other than VIEW

    @property
    def is_view(self) -> bool:
        """Tell whether it changes nothing, and so is not recorded."""
        return self.reads or self.role is Role.VIEW


class Claim(msgspec.Struct):
    """Who calls, as the caller's client claims."""

    arn: str = ""
    tool: str = ""


class CommandEvent(msgspec.Struct, forbid_unknown_fields=True):
    """The event of an invocation; docs/run/support.md describes it."""

    command: str
    command_id: str = ""
    dry_run: bool = False
    reason: str = ""
    operator: Claim = msgspec.field(default_factory=Claim)
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)


def done(outcome: Outcome, *, dry_run: bool = False) -> dict[str, Any]:
    """Return the answer to a command that was done."""
    answer = {"ok": True, "changed": outcome.changed, "dry_run": dry_run}
    return {**answer, **_about(outcome.account_id), "result": outcome.result}


def refused(refusal: Refusal) -> dict[str, Any]:
    """Return the answer to a command that was refused."""
    return {
        **failed(refusal.code, str(refusal), refusal.fields),
        **_about(refusal.account_id),
    }


def failed(code: str, message: str, fields: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the answer to a command that was not done."""
    return {"ok": False, "error": {"code": code, "message": message, "fields": dict(fields or {})}}


def _about(account_id: bytes | None) -> dict[str, str]:
    return {"account_id": id_text(account_id)} if account_id else {}
