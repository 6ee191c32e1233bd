"""The token keys are rotated while players play, without restarting a container."""

import base64
from dataclasses import replace

import jwt
import pytest

from auth.credentials import token_keys
from auth.credentials.new_keys import new_token_secret
from auth.settings import Settings
from tests.conftest import Tables
from tests.play.containers import Container, Secrets, Switch
from tests.play.events import is_unavailable
from tests.play.players import PASSWORD, Player, call

TOKENS = "rotated/tokens"


class KeyRotation:
    """The token secret in the steps of docs/run/rotation.md, and two containers that read it."""

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
        """Add the next keys without using them."""
        self.mac_keys["mac-2"], self.signing_keys["signing-2"] = self._next
        self._store()

    def promote(self) -> None:
        """Make the next keys the current ones."""
        self.current = {"mac": "mac-2", "signing": "signing-2"}
        self._store()

    def withdraw(self) -> None:
        """Remove the next keys again."""
        del self.mac_keys["mac-2"], self.signing_keys["signing-2"]
        self.current = {"mac": "mac-1", "signing": "signing-1"}
        self._store()

    def remove_old(self) -> None:
        """Remove the previous keys."""
        del self.mac_keys["mac-1"], self.signing_keys["signing-1"]
        self._store()

    def break_secret(self) -> None:
        """Store a malformed secret."""
        self._secrets.put(TOKENS, "no JSON")

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
    """Return the ids of the published keys."""
    answer = call("GET", "/.well-known/jwks.json")
    assert answer.status == 200
    return [key["kid"] for key in answer.json["keys"]]


def kid_of(player: Player) -> str:
    """Return the id of the key that signed a player's access token."""
    return str(jwt.get_unverified_header(player.access_token)["kid"])


def as_it_was(player: Player) -> Player:
    """Return a copy of the player with the current tokens, to use them later."""
    return Player(
        player.username, player.password, player.address, player.access_token, player.refresh_token
    )


def test_key_rotation(
    key_rotation: KeyRotation, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Token keys are rotated in three steps, unnoticed by players."""
    switch(key_rotation.container())
    player = Player()
    player.register()
    assert kids() == ["signing-1"]

    key_rotation.publish()
    assert kids() == ["signing-1"]  # cached
    monkeypatch.setattr(token_keys, "CACHE_SECONDS", 0.0)  # the cache is always expired
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


def test_old_keys_are_gone(key_rotation: KeyRotation, switch: Switch) -> None:
    """Tokens made with a removed key are refused."""
    switch(key_rotation.container())
    player = Player()
    player.register()
    key_rotation.publish()
    key_rotation.promote()
    key_rotation.remove_old()
    switch(key_rotation.container())
    assert player.me().code == "invalid_token"
    assert player.refresh().code == "session_ended"
    assert player.log_in().status == 200


def test_container_that_missed_the_publication(key_rotation: KeyRotation, switch: Switch) -> None:
    """A token with a key that a container does not know makes it read the secret again."""
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


def test_tokens_of_an_old_key_after_an_emergency(
    key_rotation: KeyRotation, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an emergency all old tokens are refused at once, not only the first."""
    switch(key_rotation.container())
    players = [Player() for _ in range(6)]
    for player in players:
        assert player.register().status == 201
    key_rotation.publish()
    key_rotation.promote()
    key_rotation.remove_old()
    switch(key_rotation.container())
    assert call("GET", "/.well-known/jwks.json").status == 200  # it has read the new keys
    for player in players:
        assert player.me().code == "invalid_token"
        assert player.refresh().code == "session_ended"
    assert players[0].log_in().status == 200


def test_junk_makes_no_503(key_rotation: KeyRotation, switch: Switch) -> None:
    """Tokens with made-up key ids are refused one by one, and do not block real key look-ups."""
    switch(key_rotation.container())
    player = Player()
    assert player.register().status == 201
    raw = base64.urlsafe_b64decode(player.refresh_token.removeprefix("glrt_") + "==")
    for number in range(20):
        forged = raw[:1] + number.to_bytes(4, "big") + raw[5:]
        text = "glrt_" + base64.urlsafe_b64encode(forged).rstrip(b"=").decode()
        assert player.refresh(text).code == "session_ended"
        header = base64.urlsafe_b64encode(b'{"typ":"at+jwt","alg":"RS256","kid":"k%d"}' % number)
        token = header.rstrip(b"=").decode() + "." + player.access_token.partition(".")[2]
        assert call("GET", "/v1/me", token=token).code == "invalid_token"
    assert player.me().status == 200
    assert player.refresh().status == 200


def test_unknown_key_while_the_keys_are_out_of_date(
    key_rotation: KeyRotation, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container that can no longer read the keys signs no player out because of a missing key."""
    old, new = key_rotation.container(), key_rotation.container()
    switch(old)
    player = Player()
    assert player.register().status == 201
    key_rotation.publish()
    key_rotation.promote()
    switch(new)
    assert player.refresh().status == 200
    monkeypatch.setattr(token_keys, "CACHE_SECONDS", 0.0)
    key_rotation.break_secret()
    switch(old)
    assert is_unavailable(player.refresh())
    assert is_unavailable(player.me())
    switch(new)
    assert player.me().status == 200


def test_password_change_over_a_rotation(key_rotation: KeyRotation, switch: Switch) -> None:
    """A repeated password change returns its token again, even after the MAC key has changed."""
    switch(key_rotation.container())
    player = Player()
    assert player.register().status == 201
    first = player.change_password("lute-Gr4ph!t")
    key_rotation.publish()
    key_rotation.promote()
    switch(key_rotation.container())
    again = player.change_password("lute-Gr4ph!t", PASSWORD)
    assert (first.status, again.status) == (200, 200)
    assert player.refresh(first.json["refresh_token"]).status == 200


def test_rate_limits_over_a_rotation(
    key_rotation: KeyRotation, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new MAC key refills each bucket at most once: guessing stays limited."""
    monkeypatch.setattr(token_keys, "CACHE_SECONDS", 0.0)
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
