"""The schedule of a token key rotation: changes to the secret's value, and their times.

Nothing here calls AWS: each function takes a value of the secret and returns another. The times
are stored in the secret itself, as `rotation`, which the deployed functions ignore.
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
# Functions cache the keys for five minutes, and game servers cache a function's answer for five
# more; one minute is spare.
PUBLISHED = timedelta(seconds=2 * CACHE_SECONDS + 60)
# How long a key is kept after the next one became current: until all functions use the next one,
# then for the lifetime of its tokens, and some time to spare.
KEPT = {
    "mac": IDLE_LIFETIME + timedelta(days=1),
    "signing": timedelta(seconds=CACHE_SECONDS + LIFETIME_SECONDS + 300),
}


class Next(msgspec.Struct, frozen=True):
    """The keys that are published but not used yet."""

    mac: str
    signing: str
    at: datetime


class Schedule(msgspec.Struct, frozen=True):
    """The rotation's state in the secret: the next keys, and since when old keys are retired.

    `retired` has names such as `mac_keys.mac-1`.
    """

    next: Next | None = None
    retired: dict[str, datetime] = {}


def schedule_of(value: Value) -> Schedule:
    """Return the schedule in a value of the secret.

    Raises:
        ValueError: the schedule or a key is malformed.
    """
    ring_of(value)
    found = msgspec.convert(value.get("rotation", {}), Schedule, strict=False)
    next_keys = found.next
    if next_keys and not all(getattr(next_keys, kind) in value[KINDS[kind]] for kind in KINDS):
        next_keys = None  # they were removed by hand
    return Schedule(next_keys, found.retired)


def ring_of(value: Value) -> KeyRing:
    """Return the keys in a value, checked as in the deployed functions.

    Raises:
        ValueError: a key is malformed or missing.
    """
    return key_ring(msgspec.convert(value, TokenSecret))


def publish(value: Value, now: datetime, kind: str | None = None) -> Value:
    """Add the next keys; without `kind`, the signing key has the kind of the current one."""
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
    """Make the next keys current, and keep the previous ones."""
    chosen = schedule_of(value).next
    assert chosen, "nothing is published"
    current = {"mac": chosen.mac, "signing": chosen.signing}
    return _noted({**value, "current": current}, Schedule(None, schedule_of(value).retired), now)


def tidy(value: Value, now: datetime) -> Value:
    """Delete the keys with no valid tokens left."""
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
    """Return a value with new keys only; `kind` is as for `publish`."""
    fresh = switch(publish(value, now, kind), now)
    for use, field in KINDS.items():
        name = fresh["current"][use]
        fresh[field] = {name: fresh[field][name]}
    return _noted(fresh, Schedule(), now)


def _noted(value: Value, schedule: Schedule, now: datetime) -> Value:
    """Return the value with its schedule; an unused key without a date is retired from now on."""
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
