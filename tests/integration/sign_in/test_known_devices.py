"""Known devices: attackers cannot use up the guesses of a device that the player used before.

A refresh token identifies the device. A device has one session, so signing in on it ends the
previous one.
"""

import time

import pytest

import handler
from tests.conftest import FakeClock, Tables
from tests.integration.sign_in.test_login import WRONG, guess
from tests.play.players import PASSWORD, Player, call

NEW = "lute-Gr4ph!t"


def use_up_the_account(player: Player, already: int = 0) -> None:
    """Let attackers use up all guesses at an account."""
    for number in range(20 - already):
        assert guess(player.username, f"198.51.100.{number}").status == 401
    assert player.on_another_device().log_in().status == 429


def guesses_from_everywhere(player: Player) -> dict[int, int]:
    """Guess at an account from a thousand addresses; return the number of answers per status."""
    statuses: dict[int, int] = {}
    for number in range(1000):
        address = f"10.0.{number // 250}.{number % 250}"
        status = guess(player.username, address, f"guess {number}").status
        statuses[status] = statuses.get(status, 0) + 1
    return statuses


def test_known_device(player: Player) -> None:
    """During a thousand guesses from elsewhere the owner signs in from a known device.

    A replaced token and one of an ended session work as well.
    """
    replaced = player.refresh_token
    assert player.refresh().status == 200
    ended = player.on_another_device()
    assert ended.log_in().status == 200
    assert ended.log_out().status == 200

    began_at = time.monotonic()
    statuses = guesses_from_everywhere(player)
    refilled = int(time.monotonic() - began_at) // 300 + 1
    assert sum(statuses.values()) == 1000
    assert 20 <= statuses[401] <= 20 + refilled
    assert statuses[429] == 1000 - statuses[401]

    assert player.log_in().status == 429
    for token in (player.refresh_token, replaced, ended.refresh_token):
        assert player.on_another_device().log_in(refresh_token=token).status == 200
    assert player.log_in().status == 429


def test_proof_of_an_expired_session(player: Player, clock: FakeClock) -> None:
    """A device stays known after its session has expired, as long as the session's row is kept."""
    clock.advance(days=59)
    handler.clean_up({}, None)
    use_up_the_account(player)
    assert player.log_in(refresh_token=player.refresh_token).status == 200


def test_proof_without_a_row(player: Player, tables: Tables) -> None:
    """Without a row the token proves nothing: the device is limited like any other."""
    tables.run("DELETE FROM sessions")
    use_up_the_account(player)
    assert player.log_in(refresh_token=player.refresh_token).status == 429


@pytest.mark.parametrize("how", ["password", "everywhere"])
def test_proofs_are_taken_away(player: Player, how: str) -> None:
    """Changing the password and signing out everywhere revoke the proofs of all other sessions."""
    lost = player.on_another_device()
    assert lost.log_in().status == 200
    if how == "password":
        assert player.change_password(NEW).status == 200
    else:
        assert player.log_out(everywhere=True).status == 200
        assert player.log_in().status == 200
    use_up_the_account(player)
    assert player.log_in(refresh_token=lost.refresh_token).status == 429
    assert player.log_in(refresh_token=player.refresh_token).status == 200


def test_tokens_of_other_sessions_lock_no_owner_out(player: Player) -> None:
    """Tokens of other sessions use up only their own buckets, never the owner's."""
    others = [player.on_another_device() for _ in range(4)]
    for other in others:
        assert other.log_in().status == 200
        assert other.log_out().status == 200
    for number, other in enumerate(others):
        for tried in range(12):  # ten of its own, then two of the account's
            address = f"198.51.{number}.{tried}"
            proof = other.refresh_token
            assert guess(player.username, address, WRONG, refresh_token=proof).status == 401
    use_up_the_account(player, already=8)
    assert player.log_in(refresh_token=player.refresh_token).status == 200


def test_proof_is_nothing_else(player: Player, tables: Tables) -> None:
    """With a wrong password a known device's token changes nothing."""
    token = player.refresh_token
    before = tables.run("SELECT * FROM sessions")
    assert player.on_another_device().log_in(WRONG, refresh_token=token).status == 401
    assert tables.run("SELECT * FROM sessions") == before
    assert player.refresh(token).status == 200


# One session per device


def test_the_session_before_ends(player: Player) -> None:
    """Signing in with the device's current token ends its session, and no other."""
    elsewhere = player.on_another_device()
    assert elsewhere.log_in().status == 200
    before = Player(player.username, refresh_token=player.refresh_token)
    before.access_token = player.access_token
    assert player.log_in(refresh_token=before.refresh_token).status == 200
    assert before.me().code == "invalid_token"
    assert before.refresh().code == "session_ended"
    assert player.me().status == 200
    assert elsewhere.refresh().status == 200
    assert len(player.sessions()) == 2


def test_a_token_replaced_before_ends_nothing(player: Player) -> None:
    """A token that is not the current one proves the device and ends nothing."""
    replaced = player.refresh_token
    assert player.refresh().status == 200
    assert player.on_another_device().log_in(refresh_token=replaced).status == 200
    assert player.me().status == 200
    assert player.refresh().status == 200


def test_a_token_of_another_account_ends_nothing(player: Player) -> None:
    """The current token of another account's session ends nothing."""
    stranger = Player()
    assert stranger.register().status == 201
    assert player.on_another_device().log_in(refresh_token=stranger.refresh_token).status == 200
    assert stranger.refresh().status == 200


def test_a_lost_answer(player: Player) -> None:
    """Signing in again after a lost answer works with the token of the ended session."""
    token = player.refresh_token
    assert player.on_another_device().log_in(refresh_token=token).status == 200
    use_up_the_account(player)
    assert player.log_in(refresh_token=token).status == 200


def test_the_tutorials_route_ends_nothing(player: Player) -> None:
    """The tutorial's login opens no session and so ends none."""
    body = {"username": player.username, "password": PASSWORD}
    token = player.refresh_token
    assert call("POST", "/login", {**body, "refresh_token": token}).json == {"status": True}
    assert player.refresh().status == 200


# Proofs


def test_token_of_another_account(player: Player) -> None:
    """Another account's token makes no device known."""
    stranger = Player()
    assert stranger.register().status == 201
    for _ in range(5):
        assert player.log_in(WRONG, refresh_token=stranger.refresh_token).status == 401
    assert player.log_in(refresh_token=stranger.refresh_token).status == 429
    assert stranger.log_in().status == 200


def test_garbled_proof(player: Player) -> None:
    """A garbled token is ignored: it neither helps nor harms."""
    token = player.refresh_token
    middle = len(token) // 2
    flipped = f"{token[:middle]}{'A' if token[middle] != 'A' else 'B'}{token[middle + 1 :]}"
    garbled = ("", "x", "null", "glrt_", token[:-1], f"{token} ", flipped, "\u00e9" * 124)
    for text in garbled:
        assert player.on_another_device().log_in(refresh_token=text).status == 200
    for text in garbled[:5]:
        assert player.log_in(WRONG, refresh_token=text).status == 401
    for text in garbled:
        assert player.log_in(refresh_token=text).status == 429
    assert player.log_in(refresh_token=token).status == 200


def test_known_device_is_limited(player: Player, clock: FakeClock) -> None:
    """A known device has ten guesses, then one a minute; further ones are limited like others."""
    token = player.refresh_token
    for number in range(10 + 20):  # its own, then those of the account
        answer = guess(player.username, f"198.51.100.{number}", WRONG, refresh_token=token)
        assert answer.status == 401
    answer = player.log_in(refresh_token=token)
    assert answer.code == "too_many_attempts"
    assert 45 <= answer.json["error"]["retry_after"] <= 60  # its own bucket refills first
    answer = player.log_in()
    assert answer.code == "too_many_attempts"
    assert answer.json["error"]["retry_after"] > 200
    clock.advance(minutes=1)
    for _ in range(3):
        assert player.on_another_device().log_in(refresh_token=token).status == 200


def test_empty_bucket_does_not_refuse_the_owner(player: Player) -> None:
    """If a copy of the device's token uses up its bucket, the owner can still sign in."""
    token = player.refresh_token
    for number in range(10):
        answer = guess(player.username, f"198.51.100.{number}", WRONG, refresh_token=token)
        assert answer.status == 401
    assert player.log_in(refresh_token=token).status == 200


def test_known_device_guesses_apart(player: Player) -> None:
    """Guesses from a known device are not charged to unknown devices."""
    for _ in range(10):
        assert player.log_in(WRONG, refresh_token=player.refresh_token).status == 401
    assert [player.log_in(WRONG).status for _ in range(6)] == [401] * 5 + [429]
