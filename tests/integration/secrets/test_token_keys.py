"""Rotating the token keys on the stand-in, with the code that uses the keys."""

import json
import os
from dataclasses import replace
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import handler
from auth.app import create_app
from auth.credentials.keys import TokenSecret, key_ring
from auth.credentials.new_keys import new_signing_pem, new_token_secret
from auth.credentials.passwords import Passwords
from auth.external.secret_store import SecretStore
from auth.settings import Settings
from local.terminal import Problem
from operate import token_keys
from operate.key_schedule import KEPT, PUBLISHED, Schedule, ring_of
from operate.token_keys import Secret, drop_old, rotate, rotate_at_once
from tests.integration.secrets.studio import NAME, STAGE, Studio
from tests.play.players import Player, call


def test_rotation_is_unnoticed(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions and access tokens stay valid in every container through two rotations.

    Containers learn of the keys at different times, because each caches them for five minutes.
    """
    player = Player()
    assert player.register().status == 201
    tokens: list[tuple[float, str]] = []
    statuses = []
    asked = [0]

    def play() -> None:
        """Let the next container refresh, then check recent access tokens in all of them."""
        asked[0] += 1
        monkeypatch.setattr(handler, "application", studio.containers[asked[0] % 3])
        statuses.append(player.refresh().status)
        tokens.append((studio.now, player.access_token))
        for container in studio.containers:
            monkeypatch.setattr(handler, "application", container)
            for made_at, token in tokens:
                if studio.now - made_at < 300:  # the tokens' own time is the system's
                    statuses.append(call("GET", "/v1/me", token=token).status)

    studio.while_waiting = play
    used = []
    for _ in range(2):
        play()
        studio.rotate()
        used.append(studio.value()["current"])
        for _ in range(8):
            studio.sleep(50.0)
    assert set(statuses) == {200}
    assert len(statuses) > 100
    assert used == [
        {"mac": "mac-2", "signing": "signing-2"},
        {"mac": "mac-3", "signing": "signing-3"},
    ]
    kids = {key["kid"] for key in call("GET", "/.well-known/jwks.json").json["keys"]}
    assert {"signing-2", "signing-3"} <= kids


def test_too_early(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail: a key used before all containers know it makes requests fail."""
    player = Player()
    assert player.register().status == 201
    other = studio.containers[1]
    monkeypatch.setattr(handler, "application", other)
    assert player.me().status == 200
    monkeypatch.setattr(token_keys, "PUBLISHED", timedelta(0))
    for _ in range(2):
        studio.rotate()
        monkeypatch.setattr(handler, "application", create_app_like(studio))
        assert player.refresh().status == 200
        monkeypatch.setattr(handler, "application", other)
        status = player.me().status
    assert status == 401, "it has just searched for a key, and may not again for a minute"


def create_app_like(studio: Studio) -> Any:
    """Return another container of the same studio."""
    settings = replace(Settings.from_environment(os.environ), token_secret_id=NAME)
    studio.containers.append(create_app(settings, passwords=Passwords(8, 1)))
    return studio.containers[-1]


def test_it_waits(studio: Studio, capsys: pytest.CaptureFixture[str]) -> None:
    """The next keys are in the secret for eleven minutes before they are used."""
    current = studio.value()["current"]
    seen = []
    studio.while_waiting = lambda: seen.append(studio.value()["current"])
    studio.rotate()
    assert sum(studio.naps) == PUBLISHED.total_seconds() + 1 == 661
    assert seen == [current] * len(studio.naps)
    assert studio.value()["current"] != current
    said = capsys.readouterr().out
    assert "0:11:00 to go" in said
    assert "now in use: mac-2 and signing-2" in said
    assert "31 days" in said


class Stopped(Exception):
    """Stands for Ctrl-C."""


class StoppedSecret(Secret):
    """A secret that raises `Stopped` after some calls to AWS, as if the user pressed Ctrl-C."""

    def __init__(self, studio: Studio, calls: int) -> None:
        super().__init__(studio.client, NAME)
        self._studio = studio
        self._calls_left = calls

    def read(self) -> Any:
        """Read with the studio's clock."""
        value, version, now = super().read()
        return value, version, now + timedelta(seconds=self._studio.now)

    def _ask(self, operation: str, **parameters: object) -> dict[str, Any]:
        if self._calls_left == 0:
            raise Stopped
        self._calls_left -= 1
        return super()._ask(operation, **parameters)


def test_ctrl_c_anywhere(studio: Studio) -> None:
    """After a stop at any call to AWS, or while waiting, the next run goes on; no key is lost."""
    stops = 0
    while True:
        before = studio.value()
        try:
            rotate(StoppedSecret(studio, stops), studio.sleep, lambda: studio.now)
        except Stopped:
            after = studio.value()
            ring_of(after)
            assert before["mac_keys"].items() <= after["mac_keys"].items()
            assert before["signing_keys"].items() <= after["signing_keys"].items()
            assert after["current"] in (before["current"], {"mac": "mac-2", "signing": "signing-2"})
            stops += 1
        else:
            break
    assert stops >= 3
    assert studio.value()["current"] == {"mac": "mac-2", "signing": "signing-2"}


def test_stopped_while_it_waits(studio: Studio, capsys: pytest.CaptureFixture[str]) -> None:
    """A second run waits only for the remaining time and uses the keys published before."""

    def stop() -> None:
        if sum(studio.naps) >= 600:
            raise KeyboardInterrupt

    studio.while_waiting = stop
    with pytest.raises(KeyboardInterrupt):
        studio.rotate()
    published = studio.schedule().next
    assert published
    studio.naps.clear()
    studio.while_waiting = lambda: None
    studio.rotate()
    assert sum(studio.naps) == 61
    assert studio.value()["current"] == {"mac": published.mac, "signing": published.signing}
    assert "published already" in capsys.readouterr().out


def test_two_at_once(studio: Studio) -> None:
    """Two runs at the same time publish one pair of keys; the later run says so and stops."""

    def another() -> None:
        studio.while_waiting = lambda: None
        rotate(studio.secret(), studio.sleep, lambda: studio.now)

    studio.while_waiting = another
    with pytest.raises(Problem, match="another run"):
        studio.rotate()
    assert studio.value()["current"] == {"mac": "mac-2", "signing": "signing-2"}
    assert set(studio.value()["mac_keys"]) == {"mac-1", "mac-2"}


def test_nothing_is_written_over(studio: Studio) -> None:
    """A value stored between reading and writing is kept."""
    secret = studio.secret()
    value, version, _ = secret.read()
    other = {**value, "mac_keys": {**value["mac_keys"], "by-hand": value["mac_keys"]["mac-1"]}}
    studio.client.put_secret_value(SecretId=NAME, SecretString=json.dumps(other))
    with pytest.raises(Problem, match="nothing was done"):
        secret.replace(value, version)
    assert studio.value() == other


def test_lost_answer(studio: Studio) -> None:
    """A change that took effect is no failure even if its answer was lost."""
    secret = studio.secret()
    value, version, _ = secret.read()
    ask = secret._ask  # noqa: SLF001

    def deaf(operation: str, **parameters: object) -> dict[str, Any]:
        answer = ask(operation, **parameters)
        return ask(operation, **parameters) if operation.startswith("update") else answer

    secret._ask = deaf  # type: ignore[method-assign]  # noqa: SLF001
    secret.replace({**value, "note": "new"}, version)
    assert studio.value()["note"] == "new"


def test_old_keys_go_when_their_time_has_come(
    studio: Studio, capsys: pytest.CaptureFixture[str]
) -> None:
    """A signing key is kept for twenty minutes after its last use, a MAC key for 31 days."""
    studio.rotate()
    both = {"mac_keys.mac-1", "signing_keys.signing-1"}
    assert set(studio.schedule().retired) == both
    drop_old(studio.secret())
    assert set(studio.schedule().retired) == both
    studio.now += KEPT["signing"].total_seconds()
    assert KEPT["signing"] == timedelta(minutes=20)
    drop_old(studio.secret())
    assert set(studio.schedule().retired) == {"mac_keys.mac-1"}
    assert list(studio.value()["signing_keys"]) == ["signing-2"]
    studio.now += timedelta(days=31).total_seconds()
    drop_old(studio.secret())
    assert list(studio.value()["mac_keys"]) == ["mac-2"]
    assert "no previous key is left" in capsys.readouterr().out


def test_the_next_rotation_drops_them_too(studio: Studio) -> None:
    """With one rotation a year there are never more than two keys of a kind."""
    studio.rotate()
    studio.now += timedelta(days=365).total_seconds()
    studio.rotate()
    value = studio.value()
    assert [list(value[field]) for field in ("mac_keys", "signing_keys")] == [
        ["mac-2", "mac-3"],
        ["signing-2", "signing-3"],
    ]


def test_keys_by_hand(studio: Studio) -> None:
    """Keys added by hand are kept as previous ones, whatever their names."""
    value = studio.value()
    other: dict[str, Any] = new_token_secret()
    value["mac_keys"]["winter"] = other["mac_keys"]["mac-1"]
    value["signing_keys"]["mac-1"] = other["signing_keys"]["signing-1"]  # a name of both kinds
    studio.client.put_secret_value(SecretId=NAME, SecretString=json.dumps(value))
    studio.rotate()
    assert set(studio.schedule().retired) == {
        "mac_keys.mac-1",
        "mac_keys.winter",
        "signing_keys.mac-1",
        "signing_keys.signing-1",
    }


def rsa_pem(bits: int) -> str:
    """Return an RSA key as PEM."""
    key = rsa.generate_private_key(65537, bits)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize(
    ("pem", "algorithm", "bits"),
    [
        (new_signing_pem("es256"), "ES256", 0),
        (new_signing_pem("ed25519"), "EdDSA", 0),
        (rsa_pem(2048), "RS256", 3072),
        (rsa_pem(3200), "RS256", 3200),
    ],
    ids=["es256", "ed25519", "rsa", "larger rsa"],
)
def test_the_kind_of_key_stays(studio: Studio, pem: str, algorithm: str, bits: int) -> None:
    """The next key keeps the algorithm, which a game server relies on, and is not smaller."""
    studio.sign_with(pem)
    studio.rotate()
    key = ring_of(studio.value()).current_signing
    assert (key.kid, key.algorithm, key.rsa_bits) == ("signing-2", algorithm, bits)


def test_moving_to_another_kind(studio: Studio, capsys: pytest.CaptureFixture[str]) -> None:
    """A stage moves from RSA with 2048 bits to each kind and back, unnoticed by players."""
    studio.sign_with(rsa_pem(2048))
    player = Player()
    assert player.register().status == 201
    tokens = [player.access_token]
    for kind in ("es256", "ed25519", "rsa", "es256"):
        studio.rotate(kind)
        studio.now += 301.0
        for token in tokens[-2:]:
            assert call("GET", "/v1/me", token=token).status == 200
        assert player.refresh().status == 200
        tokens.append(player.access_token)
        game_server = PlayerKeys()
        assert [game_server.verifies(token) for token in tokens[-2:]] == [True, True]
    used = [jwt.get_unverified_header(token)["alg"] for token in tokens]
    assert used == ["RS256", "ES256", "EdDSA", "RS256", "ES256"]
    assert ring_of(studio.value()).signing_keys["signing-4"].rsa_bits == 3072
    assert "now in use: mac-5 and signing-5 (ES256)" in capsys.readouterr().out


class PlayerKeys:
    """A game server that verifies with PyJWT and the published keys only."""

    def __init__(self) -> None:
        self._keys = jwt.PyJWKSet.from_dict(call("GET", "/.well-known/jwks.json").json)

    def verifies(self, token: str) -> bool:
        """Tell whether the key that the token names has signed it."""
        key = self._keys[jwt.get_unverified_header(token)["kid"]]
        claims = jwt.decode(token, key, [key.algorithm_name], audience="game")
        return bool(claims["sub"])


def test_another_kind_is_published(studio: Studio) -> None:
    """A rotation begun for another kind is finished first; nothing is changed meanwhile."""

    def stop() -> None:
        raise KeyboardInterrupt

    studio.while_waiting = stop
    with pytest.raises(KeyboardInterrupt):
        studio.rotate("ed25519")
    before = studio.value()
    with pytest.raises(Problem, match=r"signing-2 is published already .* ed25519: .* KIND=rsa"):
        studio.rotate("rsa")
    assert studio.value() == before
    studio.while_waiting = lambda: None
    studio.rotate("ed25519")
    assert ring_of(studio.value()).current_signing.algorithm == "EdDSA"


def test_emergency(studio: Studio, capsys: pytest.CaptureFixture[str]) -> None:
    """After a leak all keys are replaced: old sessions and tokens end, signing in works."""
    player, *others = (Player() for _ in range(4))
    for one in (player, *others):
        assert one.register().status == 201
    old = studio.value()
    rotate_at_once(studio.secret(), STAGE, lambda _: STAGE)
    value = studio.value()
    assert set(value["mac_keys"]) == {"mac-2"}
    assert set(value["signing_keys"]) == {"signing-2"}
    assert ring_of(value).current_signing.kind == ring_of(old).current_signing.kind
    assert not {*old["mac_keys"].values()} & {*value["mac_keys"].values()}
    assert "Every session ends" in capsys.readouterr().out
    assert player.me().status == 200, "the container still remembers"
    studio.now += 301.0
    for one in (player, *others):
        assert one.me().status == 401
        assert one.refresh().json["error"]["code"] == "session_ended"
    assert player.log_in().status == 200
    assert player.me().status == 200


def test_emergency_with_another_kind(studio: Studio) -> None:
    """A leaked key can be replaced by one of another kind."""
    rotate_at_once(studio.secret(), STAGE, lambda _: STAGE, "ed25519")
    keys = ring_of(studio.value()).signing_keys
    assert [key.algorithm for key in keys.values()] == ["EdDSA"]


def test_emergency_in_the_midst_of_a_rotation(studio: Studio) -> None:
    """Keys published for later have leaked as well, so they are replaced with the rest."""

    def stop() -> None:
        raise KeyboardInterrupt

    studio.while_waiting = stop
    with pytest.raises(KeyboardInterrupt):
        studio.rotate()
    rotate_at_once(studio.secret(), STAGE, lambda _: f" {STAGE}\n")
    assert set(studio.value()["mac_keys"]) == {"mac-3"}
    assert studio.schedule() == Schedule()


def test_emergency_wants_to_be_confirmed(studio: Studio) -> None:
    """Any confirmation but the stage's name leaves the keys unchanged."""
    before = studio.value()
    with pytest.raises(Problem, match="not confirmed"):
        rotate_at_once(studio.secret(), STAGE, lambda _: "yes")
    assert studio.value() == before


def test_functions_read_the_written_secret(studio: Studio) -> None:
    """The secret keeps the documented form; the times are stored beside it."""
    studio.rotate()
    value = studio.value()
    assert set(value) == {"mac_keys", "signing_keys", "current", "rotation"}
    secret = SecretStore().read(NAME, TokenSecret)
    assert key_ring(secret).current_mac.key_id == ring_of(value).current_mac.key_id
