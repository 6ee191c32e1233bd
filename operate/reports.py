"""What each command prints: a sentence that says what was done, or the part that support needs.

`--json` has the whole answer.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

from local.terminal import say
from operate.printing import (
    NOTHING,
    minute,
    pairs,
    plain,
    print_members,
    print_table,
)

Result = dict[str, Any]

# What a limit of docs/promises/security.md keeps a player from doing.
HELD_BACK = {
    "login account": "signing in on a new device",
    "login known device": "signing in on a device in use",
    "sessions opened": "opening more sessions",
}


def print_done(command: str, answer: dict[str, Any], stage: str) -> None:
    """Print the answer to a command that was done, or tried by a dry run."""
    result, once = answer["result"], answer.get("once", {})
    if command in VIEWS:
        VIEWS[command](result)
        return
    if answer["dry_run"]:
        say("A dry run: nothing was changed. The command would say:")
    if "export" in once:
        say(json.dumps(once["export"], indent=2))
        sys.stderr.write(
            f"{stage}: The data of {_name(result)} are printed. Send them to the owner alone.\n"
        )
    elif command == "export" and not answer["dry_run"]:
        sys.stderr.write(f"{stage}: {SENTENCES[command](result, answer)}\n")
    else:
        say(f"{stage}: {SENTENCES[command](result, answer)}")


def _print_players(result: Result) -> None:
    rows = [
        [
            plain(one["username"]),
            minute(one["created_at"]),
            plain(one["guest"]),
            _end(one) if one["suspended"] else NOTHING,
            plain(one["suspension_reason"]),
        ]
        for one in result["players"]
    ]
    titles = ("name", "registered (UTC)", "guest", "suspended until", "message to the player")
    _print_list("player", titles, rows, result)


def _print_player(result: Result) -> None:
    by = result["suspended_by"]
    members = [
        ("name", plain(result["username"])),
        ("id", plain(result["id"])),
        ("registered", _time(result["created_at"])),
        ("renamed", _time(result["renamed_at"])),
        ("guest", plain(result["guest"])),
        ("recovery code", plain(result["recovery_code"])),
        ("sessions", f"{result['sessions']}, last used {_time(result['last_used_at'])}"),
        ("suspended", "no"),
    ]
    if result["suspended"]:
        until = result["suspended_until"]
        members[-1] = ("suspended", f"until {_time(until)}" if until else "for good")
        members.append(("message", plain(result["suspension_reason"])))
    if by:
        why = f", reason: {plain(by['reason'])}"
        members.append(("suspended by", f"{_operator(by)}, {_time(by['at'])}{why}"))
    held = [_held_back(one) for one in result["limits"]]
    members += [("held back", text) for text in held or ["no"]]
    print_members(members)


def _print_sessions(result: Result) -> None:
    rows = [
        [
            plain(one["id"]),
            minute(one["created_at"]),
            minute(one["last_used_at"]),
            plain(one["state"]),
            plain(one["device"]),
        ]
        for one in result["sessions"]
    ]
    titles = ("session", "signed in (UTC)", "last used", "state", "device")
    _print_list("session", titles, rows, result)


def _print_events(result: Result) -> None:
    rows = [
        [
            minute(one["at"]),
            plain(one["type"].replace("_", " ")),
            plain(one["session_id"]),
            _details(one["data"] or {}),
        ]
        for one in result["events"]
    ]
    _print_list("event", ("time (UTC)", "event", "session", "details"), rows, result)


def _print_log(result: Result) -> None:
    rows = [
        [
            minute(one["at"]),
            _operator(one),
            plain(one["role"]),
            plain(one["command"]),
            plain(one["outcome"].replace("_", " ")),
            plain(one["username"] or one["account_id"]),
            plain(one["reason"]),
        ]
        for one in result["operations"]
    ]
    titles = ("time (UTC)", "operator", "role", "command", "outcome", "player", "reason")
    _print_list("operation", titles, rows, result)


def _print_keys(result: Result) -> None:
    rows = [
        [
            plain(one["key"]),
            minute(one["created_at"]),
            minute(one["revoked_at"]) if one["revoked_at"] else NOTHING,
            plain(one["redeem_only"]),
            plain(one["server"]),
            plain(one["label"]),
        ]
        for one in result["keys"]
    ]
    titles = ("key", "created (UTC)", "revoked", "redeem only", "servers", "label")
    _print_list("server key", titles, rows, result)


def _print_list(noun: str, titles: tuple[str, ...], rows: list[list[str]], result: Result) -> None:
    if not rows:
        say(f"No {noun}s.")
        return
    print_table(titles, rows)
    if result.get("next"):
        say(f"\nMore: repeat the command with --after {plain(result['next'])}")


def _suspended(result: Result, _: object) -> str:
    end = f"until {_time(result['until'])}" if result["until"] else "for good"
    return f"{_name(result)} is suspended {end}."


def _lifted(result: Result, answer: Result) -> str:
    if not answer["changed"]:
        return f"{_name(result)} was not suspended. Nothing was changed."
    return f"{_name(result)} is no longer suspended, and has to sign in again."


def _signed_out(result: Result, _: object) -> str:
    if "session" in result:
        return f"{_name(result)} is signed out of the session {plain(result['session'])}."
    return f"{_name(result)} is signed out everywhere."


def _everybody(result: Result, answer: Result) -> str:
    if answer["dry_run"]:
        at_least = "" if result["finished"] else "at least "
        return f"Everybody is signed out: {at_least}{result['accounts']} accounts."
    return f"Everybody is signed out: {result['accounts']} accounts."


def _noted(result: Result, _: object) -> str:
    return f"The note about {_name(result)} is kept: see `log --account {_name(result)}`."


def _unlocked(result: Result, answer: Result) -> str:
    if not answer["changed"]:
        return f"{_name(result)} was not held back. Nothing was changed."
    return (
        f"{_name(result)} may try again at once; after too many tries from one address, in ten"
        " minutes."
    )


def _renamed(result: Result, _: object) -> str:
    return f"{plain(result['former'])} is now called {_name(result)}."


def _recovered(result: Result, answer: Result) -> str:
    name = _name(result)
    if "cancelled" in result:
        return f"The recovery code for {name} is worthless now."
    code = answer.get("once", {}).get("recovery_code")
    if code:
        return (
            f"The recovery code for {name}, until {_time(result['expires_at'])}: {plain(code)}\n"
            "It is shown this once."
        )
    if answer["dry_run"]:
        return f"{name} gets a recovery code, good until {_time(result['expires_at'])}."
    return (
        f"{name} has a recovery code, good until {_time(result['expires_at'])}.\n"
        "The code was in the first run's answer. If nobody saw it, run the command again without"
        " --command-id."
    )


def _deleted(_: object, answer: Result) -> str:
    name = answer.get("once", {}).get("username")
    return f"{plain(name) if name else 'The account'} is deleted."


def _exported(result: Result, answer: Result) -> str:
    if answer["dry_run"]:
        return f"The data of {_name(result)}, as one JSON document."
    return (
        f"The data of {_name(result)} were in the first run's answer."
        " To get them, run the command again without --command-id."
    )


def _key_made(result: Result, answer: Result) -> str:
    """Say what to do with the key, or how to end one that nobody has seen."""
    label, key_id = plain(result["label"]), plain(result["key"])
    key = answer.get("once", {}).get("server_key")
    if key:
        return (
            f"The key of {label}, for {_servers(result)}:\n{plain(key)}\n"
            "Store it as the game server's secret, GAME_LOGIN_SERVER_KEY: it is shown only now."
        )
    if answer["dry_run"]:
        return f"{label} gets a key, for {_servers(result)}."
    return (
        f"{label} has a key, which was in the first run's answer. If nobody saw it, revoke it by\n"
        f"`servers revoke {key_id}`, and run the command again without --command-id."
    )


def _key_revoked(result: Result, _: object) -> str:
    return (
        f"The key of {plain(result['label'])} is revoked. Game servers that have it are refused"
        " within 30 s."
    )


VIEWS: dict[str, Callable[[Result], None]] = {
    "players find": _print_players,
    "players list": _print_players,
    "players show": _print_player,
    "players sessions": _print_sessions,
    "players events": _print_events,
    "log": _print_log,
    "servers list": _print_keys,
}
SENTENCES: dict[str, Callable[[Result, Result], str]] = {
    "suspend": _suspended,
    "lift": _lifted,
    "sign-out": _signed_out,
    "sign-out everybody": _everybody,
    "note": _noted,
    "unlock": _unlocked,
    "rename": _renamed,
    "recover": _recovered,
    "delete": _deleted,
    "export": _exported,
    "servers add": _key_made,
    "servers revoke": _key_revoked,
}


def _name(result: Result) -> str:
    return plain(result["username"])


def _servers(key: Result) -> str:
    return "all servers" if key["server"] == "*" else f"the servers {plain(key['server'])}"


def _time(moment: str | None) -> str:
    return f"{minute(moment)} UTC" if moment else NOTHING


def _end(account: Result) -> str:
    until = account["suspended_until"]
    return minute(until) if until else "for good"


def _held_back(limited: Result) -> str:
    what = plain(HELD_BACK.get(limited["limit"], limited["limit"]))
    session = limited["session_id"]
    of = f", session {plain(session)}" if session else ""
    return f"{what}, for {limited['seconds']} s{of}"


def _operator(operation: Result) -> str:
    """Return the end of an ARN: `Support/kim` is what tells operators apart."""
    name = operation["operator"].rpartition(":")[2]
    return plain(name.removeprefix("assumed-role/").removeprefix("user/"))


def _details(data: Result) -> str:
    """Return what an event says besides its kind; the epoch is of no use to support."""
    if "former" in data:
        return f"from {plain(data['former'])} to {plain(data['username'])}"
    if "until" in data:
        return f"until {_time(data['until'])}" if data["until"] else "for good"
    return pairs({name: value for name, value in data.items() if name != "epoch"})
