"""The commands of operators on server keys, by which game servers prove who they are."""

import re
from dataclasses import dataclass
from typing import Any

from auth.credentials.server_keys import new_server_key, read_server_key
from auth.credentials.tickets import SERVER_NAMES
from auth.jobs.operator_events import Arguments, Command, Outcome, Role
from auth.refusals import InvalidCommand, NoSuchKey
from auth.store.records import ServerKey
from auth.store.server_keys import ServerKeyTable
from auth.texts import without_controls
from auth.times import Clock, id_text, new_id, parse_id, rfc3339

MAX_LABEL = 64
LISTED = 200  # keys


class NewServerKey(Arguments):
    """What the key is called, for which servers it is, and whether it may not read the feed."""

    label: str
    server: str = "*"
    redeem_only: bool = False


class ListedKeys(Arguments):
    """No arguments: all keys are listed."""


class RevokedKey(Arguments):
    """The id of the key."""

    key: str


@dataclass(frozen=True)
class ServerCommands:
    """The commands, with the table that they change."""

    table: ServerKeyTable
    clock: Clock

    def all(self) -> list[Command]:
        """Return the commands."""
        return [
            Command("servers add", Role.OWN, NewServerKey, self.add),
            Command("servers list", Role.OWN, ListedKeys, self.list_keys, reads=True),
            Command("servers revoke", Role.OWN, RevokedKey, self.revoke),
        ]

    def add(self, arguments: NewServerKey) -> Outcome:
        """Make a server key, which is shown once."""
        _check(arguments)
        now = self.clock()
        key_id = new_id(now)
        text = new_server_key(key_id)
        key = ServerKey(
            id=key_id,
            secret_hash=read_server_key(text).digest,
            label=arguments.label,
            pattern=arguments.server,
            redeem_only=arguments.redeem_only,
            created_at=now,
            revoked_at=None,
        )
        self.table.add(key)
        return Outcome(_shown(key), once={"server_key": text})

    def list_keys(self, _: ListedKeys) -> Outcome:
        """List the keys, the newest first, revoked ones included."""
        keys = [_shown(key) for key in self.table.all(LISTED)]
        return Outcome({"keys": keys}, changed=False)

    def revoke(self, arguments: RevokedKey) -> Outcome:
        """Revoke a server key; it is refused within 30 seconds."""
        try:
            key_id = parse_id(arguments.key)
        except ValueError:
            raise NoSuchKey from None
        key = self.table.find(key_id)
        if key is None or not self.table.revoke(key_id, self.clock()):
            raise NoSuchKey
        return Outcome({"key": id_text(key_id), "label": key.label})


def _check(arguments: NewServerKey) -> None:
    label = arguments.label
    if not label.strip() or len(label) > MAX_LABEL or label != without_controls(label):
        raise InvalidCommand(fields={"label": f"Use 1 to {MAX_LABEL} characters on one line."})
    if not re.fullmatch(SERVER_NAMES, arguments.server):
        reason = "Use 1 to 64 characters of a-z, 0-9 and . : _ - and * for any characters."
        raise InvalidCommand(fields={"server": reason})


def _shown(key: ServerKey) -> dict[str, Any]:
    return {
        "key": id_text(key.id),
        "label": key.label,
        "server": key.pattern,
        "redeem_only": key.redeem_only,
        "created_at": rfc3339(key.created_at),
        "revoked_at": rfc3339(key.revoked_at) if key.revoked_at else None,
    }
