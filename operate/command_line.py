"""The command line: each command with its arguments, the role that runs it, and its help.

No rule of a command is here: the functions refuse what they do not take.
"""

import argparse
from dataclasses import dataclass, field
from typing import Any

VIEW, SUPPORT, OWN = "view", "support", "own"
FLAG = {"action": "store_true"}
REASON_HELP = "why, for the record, such as a ticket's number"


@dataclass(frozen=True)
class Argument:
    """One argument of a command; `sends` is its name in the event."""

    flags: tuple[str, ...]
    help: str
    sends: str = ""
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CommandLine:
    """One command. `ends`: "the player will be ..."; then it asks for a confirmation.

    `confirmed_by`: the argument that is typed again, by its name in the event.
    """

    name: str
    role: str
    help: str
    arguments: tuple[Argument, ...] = ()
    ends: str = ""
    confirmed_by: str = "account"
    reads: bool = False  # it only reads, for a role other than VIEW

    @property
    def is_view(self) -> bool:
        """Tell whether it changes nothing, and so is not recorded."""
        return self.reads or self.role == VIEW


ACCOUNT = Argument(("account",), "the player's name, in any case, or the account's id", "account")
AFTER = Argument(("--after",), "the value of `next` of the page before", "after")

COMMANDS = (
    CommandLine(
        "players find",
        VIEW,
        "find players by the beginning of the name, or by the account's id",
        (Argument(("name",), "the beginning of a name, or an id", "name"), AFTER),
    ),
    CommandLine(
        "players list",
        VIEW,
        "list the newest players, or the suspended ones",
        (
            Argument(("--suspended",), "only suspended players", "suspended", FLAG),
            Argument(
                ("--since",), "only accounts since a time, such as 2027-01-31T12:00:00Z", "since"
            ),
            AFTER,
        ),
    ),
    CommandLine("players show", VIEW, "show one player, and why a sign-in is refused", (ACCOUNT,)),
    CommandLine("players sessions", VIEW, "show where and when a player signed in", (ACCOUNT,)),
    CommandLine("players events", VIEW, "show what happened to an account", (ACCOUNT,)),
    CommandLine(
        "log",
        VIEW,
        "show what operators did",
        (
            Argument(("--account",), "only to this player", "account"),
            Argument(("--since",), "only since a time, such as 2027-01-31T12:00:00Z", "since"),
            AFTER,
        ),
    ),
    CommandLine(
        "suspend",
        SUPPORT,
        "shut a player out: every session ends, and signing in is refused",
        (
            ACCOUNT,
            Argument(("--for",), "for how long: 30m, 12h, 7d, 4w", "for"),
            Argument(("--until",), "until a time, such as 2027-01-31T12:00:00Z", "until"),
            Argument(("--for-good",), "without an end", "for_good", FLAG),
            Argument(
                ("--message",),
                "what the player reads, such as Cheating",
                "player_reason",
                {"required": True},
            ),
            Argument(("--replace",), "in place of an earlier suspension", "replace", FLAG),
        ),
        "will be signed out everywhere and unable to sign in",
    ),
    CommandLine("lift", SUPPORT, "end a suspension; the player signs in again", (ACCOUNT,)),
    CommandLine(
        "sign-out",
        SUPPORT,
        "end a player's sessions, or one of them",
        (
            Argument(("account",), ACCOUNT.help, "account", {"nargs": "?"}),
            Argument(("--session",), "only this one, by its id", "session"),
            Argument(("--everybody",), "every player, as after a restore", "everybody", FLAG),
        ),
        "will be signed out everywhere",
    ),
    CommandLine("note", SUPPORT, "keep a remark about a player", (ACCOUNT,)),
    CommandLine(
        "unlock",
        SUPPORT,
        "let a player try to sign in again at once, after too many failures",
        (ACCOUNT,),
    ),
    CommandLine(
        "rename",
        SUPPORT,
        "give a player another name",
        (ACCOUNT, Argument(("username",), "the new name", "username")),
        "will be given another name",
    ),
    CommandLine(
        "recover",
        SUPPORT,
        "make a recovery code, good for 24 hours, for a player who lost the password or the device",
        (ACCOUNT, Argument(("--cancel",), "make the code worthless again", "cancel", FLAG)),
        "can be taken over with the printed code, and loses an earlier one",
    ),
    CommandLine(
        "export",
        OWN,
        "print everything that is stored about a player, as the player's own export",
        (ACCOUNT,),
    ),
    CommandLine(
        "delete",
        OWN,
        "delete an account and all that belongs to it",
        (ACCOUNT,),
        "will be deleted, with everything that is stored about the player",
    ),
    CommandLine(
        "servers add",
        OWN,
        "make a key by which game servers redeem tickets and poll for events; it is shown once",
        (
            Argument(("label",), "what you call it, such as Europe", "label"),
            Argument(("--server",), "only for servers with such names, such as 'eu-*'", "server"),
            Argument(("--redeem-only",), "it may not poll for events", "redeem_only", FLAG),
        ),
    ),
    CommandLine(
        *("servers list", OWN, "list the keys of game servers, the newest first"), reads=True
    ),
    CommandLine(
        "servers revoke",
        OWN,
        "make a key worthless; game servers that have it are refused within 30 seconds",
        (Argument(("key",), "the key's id, which `servers list` shows", "key"),),
        "will be worthless",
        "key",
    ),
)

GROUPS = {
    "players": "find and show players",
    "servers": "give keys to game servers, and revoke them",
}

# What `sign-out --everybody` means: another command, for another role.
EVERYBODY = CommandLine("sign-out everybody", OWN, "", ends="will be signed out everywhere")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="python -m operate",
        description="Help players, and see what happened: docs/run/support.md shows how.",
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("smoke", help="test a deployment as a player would: make smoke")
    commands.add_parser("token-keys", help="rotate the token keys: make rotate-token-keys")
    groups = {"": commands}
    for command in COMMANDS:
        group, _, name = command.name.rpartition(" ")
        if group not in groups:
            grouped = commands.add_parser(group, help=GROUPS[group])
            groups[group] = grouped.add_subparsers(required=True, metavar="COMMAND")
        added = groups[group].add_parser(name, help=command.help, description=command.help)
        _add_arguments(added, command)
        added.set_defaults(command=command)
    return top


def _add_arguments(added: argparse.ArgumentParser, command: CommandLine) -> None:
    for argument in command.arguments:
        named: dict[str, Any] = (
            {"dest": f"send_{argument.sends}"} if argument.flags[0].startswith("-") else {}
        )
        flags = argument.flags if named else (f"send_{argument.sends}",)
        shown: dict[str, Any] = {} if argument.more == FLAG else {"metavar": argument.sends.upper()}
        added.add_argument(*flags, help=argument.help, **named, **argument.more, **shown)
    added.add_argument("--stage", default="local", help="dev, prod, or local for `make run`")
    added.add_argument("--region", help="the stage's region in AWS")
    added.add_argument("--profile", help="the profile of the AWS configuration to use")
    added.add_argument("--json", action="store_true", help="print one JSON document")
    if command.is_view:
        added.set_defaults(reason="", yes=True, dry_run=False, command_id="")
        return
    added.add_argument("--reason", default="", help=REASON_HELP)
    added.add_argument("--yes", action="store_true", help="ask nothing; needs --reason")
    added.add_argument("--dry-run", action="store_true", help="show what would be done")
    added.add_argument(
        "--command-id", default="", help="repeat a command whose outcome is unknown, by its id"
    )


def sent_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of the event: those that were given."""
    given = {
        name.removeprefix("send_"): value
        for name, value in vars(options).items()
        if name.startswith("send_")
    }
    return {name: value for name, value in given.items() if value not in (None, False)}
