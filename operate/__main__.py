"""`python -m operate`: what a studio's support staff and operators type.

Exit status: 0 done, 1 refused, 2 wrong usage, 3 not permitted, 4 try again, 5 outcome unknown.
"""

import argparse
import io
import json
import sys
from typing import Any

from auth.times import id_text, new_id, parse_id, system_clock
from local.terminal import Problem, say
from operate import smoke, token_keys
from operate.command_line import EVERYBODY, CommandLine, parser, sent_arguments
from operate.functions import Functions, NotPermitted, TryAgain, Unknown, functions_of
from operate.printing import plain
from operate.reports import print_done

DONE, REFUSED, USAGE, NOT_PERMITTED, TRY_AGAIN, UNKNOWN = range(6)
TOOL = "game-login"
# These call AWS or HTTP by themselves, and also have names of their own in the Makefile.
TOOLS = {"smoke": smoke.main, "token-keys": token_keys.main}
STATUS_OF_PROBLEM = {NotPermitted: NOT_PERMITTED, TryAgain: TRY_AGAIN, Unknown: UNKNOWN}
STATUS_OF = {"invalid_command": USAGE, "unavailable": TRY_AGAIN, "internal_error": UNKNOWN}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may lack a character of a player's
            stream.reconfigure(errors="backslashreplace")
    if given and given[0] in TOOLS:
        return TOOLS[given[0]](given[1:])
    options = parser().parse_args(given)
    command = _meant(options)
    command_id = options.command_id or id_text(new_id(system_clock()))
    try:
        _check(options, command_id)
        _confirm(command, options)
        functions = functions_of(options.stage, options.region, options.profile)
        event = _event(command, options, command_id, functions)
        answer = functions.invoke(command.role, event)
        while _goes_on(answer, options):
            sys.stderr.write(f"{answer['result']['accounts']} accounts so far\n")
            answer = functions.invoke(command.role, event)
    except KeyboardInterrupt:
        return _fail(Unknown("\ninterrupted before the answer"), command, command_id)
    except Problem as problem:
        return _fail(problem, command, command_id)
    return _show(command, options, answer, command_id)


def _meant(options: argparse.Namespace) -> CommandLine:
    """Return the command: `sign-out --everybody` is another one than `sign-out`."""
    command: CommandLine = options.command
    if vars(options).pop("send_everybody", False):
        if options.send_account or options.send_session:
            parser().error("--everybody takes no account and no session")
        return EVERYBODY
    if command.name == "sign-out" and not options.send_account:
        parser().error("name an account, or add --everybody")
    return command


def _goes_on(answer: dict[str, Any], options: argparse.Namespace) -> bool:
    """Tell whether a long command needs another call."""
    done = bool(answer.get("ok")) and not options.dry_run
    return done and answer["result"].get("finished") is False


def _check(options: argparse.Namespace, command_id: str) -> None:
    try:
        parse_id(command_id)
    except ValueError:
        raise Problem("--command-id must be the id that an earlier run printed") from None
    if options.yes and options.reason == "" and "reason" in vars(options) and not _views(options):
        raise Problem("--yes needs --reason: nobody is asked, so say why")


def _views(options: argparse.Namespace) -> bool:
    return bool(options.command.is_view)


def _confirm(command: CommandLine, options: argparse.Namespace) -> None:
    """Let the operator type the name, or the key's id, before something ends."""
    if not command.ends or options.yes or options.dry_run or vars(options).get("send_cancel"):
        return
    name = options.stage
    if command is not EVERYBODY:
        name = vars(options)[f"send_{command.confirmed_by}"]
    if not sys.stdin.isatty():
        raise Problem("no terminal to ask on: add --yes and --reason, or --dry-run")
    subject = "every player" if command is EVERYBODY else plain(name)
    if command.confirmed_by == "key":
        subject = f"the key {subject}"
    ends = (
        "will be signed out of one session" if vars(options).get("send_session") else command.ends
    )
    # Not to the standard output, which may lead into a file.
    sys.stderr.write(f"On the stage {options.stage}, {subject} {ends}.\n")
    sys.stderr.write(f"{options.stage}: type {plain(name)} to go on: ")
    sys.stderr.flush()
    try:
        typed = input()
    except (EOFError, KeyboardInterrupt):
        raise Problem("\nNothing was typed. Nothing was done.") from None
    if typed.strip() != name:
        raise Problem("That is another name. Nothing was done.")


def _event(
    command: CommandLine, options: argparse.Namespace, command_id: str, functions: Functions
) -> dict[str, Any]:
    return {
        "command": command.name,
        "command_id": command_id,
        "dry_run": options.dry_run,
        "reason": options.reason,
        "operator": {"arn": functions.arn, "tool": TOOL},
        "arguments": sent_arguments(options),
    }


def _show(
    command: CommandLine, options: argparse.Namespace, answer: dict[str, Any], command_id: str
) -> int:
    error = answer.get("error", {})
    status = DONE if answer.get("ok") else STATUS_OF.get(error.get("code", ""), REFUSED)
    if options.json:
        say(json.dumps({"schema": f"{command.name.replace(' ', '.')}@1", **answer}, indent=2))
    elif status == DONE:
        print_done(command.name, answer, options.stage)
    else:
        fields = error.get("fields", {})
        reasons = [f"{plain(name)}: {plain(reason)}" for name, reason in fields.items()]
        sys.stderr.write("\n".join([plain(error["message"]), *reasons, ""]))
    _say_how_to_repeat(status, command, command_id)
    return status


def _fail(problem: Problem, command: CommandLine, command_id: str) -> int:
    sys.stderr.write(f"{problem}\n")
    status = STATUS_OF_PROBLEM.get(type(problem), USAGE)
    _say_how_to_repeat(status, command, command_id)
    return status


def _say_how_to_repeat(status: int, command: CommandLine, command_id: str) -> None:
    # Somebody whose credentials expire between two calls of a long command goes on with it.
    may_go_on = status in (TRY_AGAIN, UNKNOWN) or (status == NOT_PERMITTED and command is EVERYBODY)
    if may_go_on and not command.is_view:
        again = (
            f"Repeat the same command, with the same reason and --command-id {command_id}:"
            " it is done once at most."
        )
        sys.stderr.write(f"{again}\n")


if __name__ == "__main__":
    sys.exit(main())
