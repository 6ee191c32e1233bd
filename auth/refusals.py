"""Every way an operator's command can be refused: one tree, each class one code.

An operator reads the text that the refusal is raised with, or else the class's message.
"""

from collections.abc import Mapping
from typing import ClassVar


class Refusal(Exception):
    """The root. Nothing was changed. `fields` maps an argument to the reason."""

    code: ClassVar[str]
    message: ClassVar[str]
    account_id: bytes | None = None  # that the command was about, if it was found

    def __init__(self, message: str = "", fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message or self.message)
        self.fields = dict(fields or {})


class InvalidCommand(Refusal):
    """The event or an argument is not what the command takes."""

    code, message = "invalid_command", "The command is not valid."


class UnknownCommand(Refusal):
    """There is no such command."""

    code, message = "unknown_command", "There is no such command."


class WrongRole(Refusal):
    """Another function runs this command, for operators with another role."""

    code, message = "wrong_role", "This function does not run this command."


class CommandIdReused(Refusal):
    """The id belongs to another command: take a new one."""

    code, message = "command_id_reused", "This command id was used for another command."


class NoSuchAccount(Refusal):
    """No account has this name or id."""

    code, message = "not_found", "No account has this name or id."


class AccountDeleted(Refusal):
    """The command is recorded; its answer was deleted with the account."""

    code, message = "account_deleted", "The account has been deleted since, with this answer."


class NoSuchSession(Refusal):
    """The account has no such session that still lasts."""

    code, message = "session_not_found", "The account has no such session, or it has ended."


class AlreadySuspended(Refusal):
    """The account is suspended: replace that suspension, or lift it."""

    code, message = "already_suspended", "The account is suspended already."


class NothingToCancel(Refusal):
    """No operator's recovery code is waiting."""

    code, message = "nothing_to_cancel", "The account has no recovery code of an operator."


class NameRefused(Refusal):
    """The name is taken, reserved or not a name."""

    code, message = "name_refused", "The account cannot have this name."


class Changed(Refusal):
    """The account changed while the command ran: look again, and repeat it with a new id."""

    code, message = "account_changed", "The account changed meanwhile. Nothing was done; try again."


class NoSuchKey(Refusal):
    """No server key has this id, or it was revoked before."""

    code, message = "key_not_found", "There is no server key with this id that is not revoked."
