"""The token keys are rotated while players play, and no container is started anew for it."""

from dataclasses import replace

import jwt
import pytest

from auth import keys
from auth.keys import new_token_secret
from auth.settings import Settings
from tests.conftest import Tables
from tests.events import is_unavailable
from tests.integration.containers import Container, Secrets, Switch
from tests.players import Player, call

TOKENS = "rotated/tokens"


class KeyRotation:
    """The token secret through the steps of docs/security.md, and two containers beside it."""

    def __init__(self, secrets: Secrets, settings: Settings) -> None:
        self._secrets = secrets
        self.settings = replace(settings, token_secret_id=TOKENS)
        old, new = new_token_secret(), new_token_secret()
        self.mac_keys: dict[str, str] = dict(old["mac_keys"])  # type: ignore[call-overload]
        self.signing_keys: dict[str, str] = dict(old["signing_keys"])  # type: ignore[call-overload]
        self.current = {"mac": "mac-1", "signing": "signing-1"}
        self._next = (new["mac_keys"]["mac-1"], new["signing_keys"]["signing-1"])  # type: ignore[index]
        secrets.create(TOKENS, self._value())

    def container(self) -> Container:
        """Return a container that has not read the secret yet."""
        return Container(self.settings)

    def publish(self) -> None:
        """Add the next keys, not used yet."""
        self.mac_keys["mac-2"], self.signing_keys["signing-2"] = self._next
        self._store()

    def promote(self) -> None:
        """Make the next keys the current ones."""
        self.current = {"mac": "mac-2", "signing": "signing-2"}
        self._store()

    def withdraw(self) -> None:
        """Take the next keys back, as if they had never been."""
        del self.mac_keys["mac-2"], self.signing_keys["signing-2"]
        self.current = {"mac": "mac-1", "signing": "signing-1"}
        self._store()

    def remove_old(self) -> None:
        """Remove the previous keys."""
        del self.mac_keys["mac-1"], self.signing_keys["signing-1"]
        self._store()

    def _value(self) -> dict[str, object]:
        return {
            "mac_keys": self.mac_keys,
            "signing_keys": self.signing_keys,
            "current": self.current,
        }

    def _store(self) -> None:
        self._secrets.put(TOKENS, self._value())


@pytest.fixture
def key_rotation(secrets: Secrets, settings: Settings, tables: Tables) -> KeyRotation:
    """Return token keys that are about to be rotated."""
    return KeyRotation(secrets, settings)


def kids() -> list[str]:
    """Return the ids of the keys that are published."""
    answer = call("GET", "/.well-known/jwks.json")
    assert answer.status == 200
    return [key["kid"] for key in answer.json["keys"]]


def kid_of(player: Player) -> str:
    """Return the id of the key that signed a player's access token."""
    return str(jwt.get_unverified_header(player.access_token)["kid"])


def as_it_was(player: Player) -> Player:
    """Return the player with the tokens of now, to come back with them later."""
    return Player(
        player.username, player.password, player.address, player.access_token, player.refresh_token
    )


def test_key_rotation(
    key_rotation: KeyRotation, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Token keys are rotated in three steps, and no player notices any of them."""
    switch(key_rotation.container())
    player = Player()
    player.register()
    assert kids() == ["signing-1"]

    key_rotation.publish()
    assert kids() == ["signing-1"]  # cached
    monkeypatch.setattr(keys, "CACHE_SECONDS", 0.0)  # from here on the cache time always passes
    switch(key_rotation.container())
    assert sorted(kids()) == ["signing-1", "signing-2"]
    assert player.refresh().status == 200
    assert kid_of(player) == "signing-1"

    key_rotation.promote()
    assert player.me().status == 200
    assert player.refresh().status == 200
    assert kid_of(player) == "signing-2"
    assert player.me().status == 200
    assert sorted(kids()) == ["signing-1", "signing-2"]

    key_rotation.remove_old()
    assert kids() == ["signing-2"]
    assert player.me().status == 200
    assert player.refresh().status == 200
    assert player.log_in().status == 200


def test_old_keys_are_gone(
    key_rotation: KeyRotation, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a removed key made is worth nothing: no token of it passes."""
    monkeypatch.setattr(keys, "CACHE_SECONDS", 0.0)
    monkeypatch.setattr(keys, "REREAD_SECONDS", 0.0)
    switch(key_rotation.container())
    player = Player()
    player.register()
    key_rotation.publish()
    key_rotation.promote()
    key_rotation.remove_old()
    assert player.me().code == "invalid_token"
    assert player.refresh().code == "session_ended"
    assert player.log_in().status == 200


def test_container_that_missed_the_publication(key_rotation: KeyRotation, switch: Switch) -> None:
    """A token made with a key that a container has not heard of makes it read the secret again."""
    behind, ahead = key_rotation.container(), key_rotation.container()
    switch(behind)
    player = Player()
    player.register()
    key_rotation.publish()
    key_rotation.promote()
    switch(ahead)
    assert player.refresh().status == 200
    assert kid_of(player) == "signing-2"
    switch(behind)
    assert player.me().status == 200
    assert player.refresh().status == 200


def test_unknown_key_while_reading_is_throttled(key_rotation: KeyRotation, switch: Switch) -> None:
    """A key unknown to a container that has just re-read its keys means 503, never signed out."""
    behind, ahead = key_rotation.container(), key_rotation.container()
    switch(behind)
    player = Player()
    player.register()
    key_rotation.publish()
    key_rotation.promote()
    switch(ahead)
    early = as_it_was(player)
    assert player.refresh().status == 200
    key_rotation.withdraw()
    switch(behind)
    assert player.refresh().code == "session_ended"  # it has looked: there is no such key
    answer = player.refresh()
    assert is_unavailable(answer)
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert player.me().code == "invalid_token"  # which makes a client refresh, no more
    assert early.me().status == 200


def test_rate_limits_over_a_rotation(
    key_rotation: KeyRotation, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new MAC key fills no more than each bucket once: guessing stays limited."""
    monkeypatch.setattr(keys, "CACHE_SECONDS", 0.0)
    switch(key_rotation.container())
    player = Player()
    player.register()
    key_rotation.publish()
    statuses = [player.log_in("wrong").status for _ in range(7)]
    key_rotation.promote()
    statuses += [player.log_in("wrong").status for _ in range(7)]
    key_rotation.remove_old()
    statuses += [player.log_in("wrong").status for _ in range(7)]
    assert statuses.count(401) <= 10
