"""When which token key may be used, and when it may go: what to do to the secret's value.

Nothing here talks to AWS. A value goes in and another comes out; the times are kept in the secret
itself, as `rotation`, which the functions do not read.
"""

import re
from datetime import datetime, timedelta
from typing import Any

import msgspec

from auth.credentials.access_tokens import LIFETIME_SECONDS
from auth.credentials.keys import KeyRing, TokenSecret, key_ring
from auth.credentials.new_keys import new_mac_secret, new_signing_pem
from auth.credentials.token_keys import CACHE_SECONDS
from auth.flows.sessions import IDLE_LIFETIME

Value = dict[str, Any]

KINDS = {"mac": "mac_keys", "signing": "signing_keys"}
# Functions keep the keys for five minutes, and game servers what a function told them for as long;
# one more for what takes its time on the way there.
PUBLISHED = timedelta(seconds=2 * CACHE_SECONDS + 60)
# How long a key is good for after the next one has become the current one: until all functions know
# that, and then as long as what it made lives, and some to spare.
KEPT = {
    "mac": IDLE_LIFETIME + timedelta(days=1),
    "signing": timedelta(seconds=CACHE_SECONDS + LIFETIME_SECONDS + 300),
}


class Next(msgspec.Struct, frozen=True):
    """The keys that are published and not used yet."""

    mac: str
    signing: str
    at: datetime


class Schedule(msgspec.Struct, frozen=True):
    """What the secret says of its keys besides the keys: the next, and since when one is retired.

    `retired` has names such as `mac_keys.mac-1`.
    """

    next: Next | None = None
    retired: dict[str, datetime] = {}


def schedule_of(value: Value) -> Schedule:
    """Return what a value says of its keys.

    Raises:
        ValueError: it says it in no form of ours, or a key is malformed.
    """
    ring_of(value)
    found = msgspec.convert(value.get("rotation", {}), Schedule, strict=False)
    next_keys = found.next
    if next_keys and not all(getattr(next_keys, kind) in value[KINDS[kind]] for kind in KINDS):
        next_keys = None  # somebody took them out by hand
    return Schedule(next_keys, found.retired)


def ring_of(value: Value) -> KeyRing:
    """Return the keys of a value, checked as the functions check them.

    Raises:
        ValueError: a key is malformed or missing.
    """
    return key_ring(msgspec.convert(value, TokenSecret))


def publish(value: Value, now: datetime, kind: str | None = None) -> Value:
    """Add the next keys; the signing key is of the kind named, or else of the current one's."""
    old = ring_of(value).current_signing
    names = [name for key in KINDS.values() for name in value[key]]
    numbers = [int(found[0]) for name in names if (found := re.search(r"\d+\Z", name))]
    number = max(numbers, default=0) + 1
    mac, signing = f"mac-{number}", f"signing-{number}"
    return _noted(
        {
            **value,
            "mac_keys": {**value["mac_keys"], mac: new_mac_secret()},
            "signing_keys": {
                **value["signing_keys"],
                signing: new_signing_pem(kind or old.kind, old.rsa_bits),
            },
        },
        Schedule(Next(mac, signing, now), schedule_of(value).retired),
        now,
    )


def switch(value: Value, now: datetime) -> Value:
    """Make the next keys the current ones, and keep those they replace."""
    chosen = schedule_of(value).next
    assert chosen, "nothing is published"
    current = {"mac": chosen.mac, "signing": chosen.signing}
    return _noted({**value, "current": current}, Schedule(None, schedule_of(value).retired), now)


def tidy(value: Value, now: datetime) -> Value:
    """Drop the keys whose tokens have all run out."""
    schedule = schedule_of(value)
    tidied = dict(value)
    for kind, field in KINDS.items():
        tidied[field] = {
            name: key
            for name, key in value[field].items()
            if now < schedule.retired.get(f"{field}.{name}", now) + KEPT[kind]
        }
    return _noted(tidied, schedule, now)


def replace_all(value: Value, now: datetime, kind: str | None = None) -> Value:
    """Return a value with fresh keys and no other; the kind is as for `publish`."""
    fresh = switch(publish(value, now, kind), now)
    for use, field in KINDS.items():
        name = fresh["current"][use]
        fresh[field] = {name: fresh[field][name]}
    return _noted(fresh, Schedule(), now)


def _noted(value: Value, schedule: Schedule, now: datetime) -> Value:
    """Return the value with its schedule; a key that nothing says anything of is retired now."""
    retired = {}
    for kind, field in KINDS.items():
        used = {value["current"][kind], getattr(schedule.next, kind, None)}
        for name in value[field]:
            if name not in used:
                key = f"{field}.{name}"
                retired[key] = schedule.retired.get(key, now)
    noted = {**value, "rotation": msgspec.to_builtins(Schedule(schedule.next, retired))}
    ring_of(noted)
    return noted
