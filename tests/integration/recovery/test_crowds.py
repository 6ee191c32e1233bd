"""Recoveries at once, each in a process of its own: a code is used once, whatever the moment."""

from collections import Counter
from collections.abc import Sequence

import pytest

from auth.flows.rate_limits import CHANGE_BY_ACCOUNT
from tests.conftest import Tables
from tests.play.crowd import NEW_PASSWORD, PASSWORD, WORKERS, Crowd, Request, address, statuses
from tests.play.events import Answer
from tests.play.guests import Guest, new_secret
from tests.play.players import Player, call

ONE_WINS = {(200, ""): 1, (401, "invalid_credentials"): WORKERS - 1}
OTHER_PASSWORD = "pK3$wN9z-Hd"


@pytest.fixture
def ada(tables: Tables) -> Player:
    """Return a registered player."""
    ada = Player("Ada", PASSWORD)
    assert ada.register().status == 201
    return ada


@pytest.fixture
def guest(tables: Tables) -> Guest:
    """Return a guest."""
    guest = Guest()
    assert guest.enter(create=True).status == 201
    return guest


def recovery(username: str, code: str, number: int, **proof: str) -> Request:
    """Return a recovery from its own address."""
    body = {"username": username, "recovery_code": code, **proof}
    return Request("POST", "/v1/recover", body, {"address": address(number)})


def making(player: Player) -> Request:
    """Return the making of a code with the access token that the player has now."""
    options = {"token": player.access_token}
    return Request("POST", "/v1/me/recovery-code", player.proof(), options)


def of_status(answers: Sequence[Answer], status: int) -> list[int]:
    """Return the numbers of the answers with this status."""
    return [number for number, answer in enumerate(answers) if answer.status == status]


def refill(tables: Tables) -> None:
    """Fill all buckets."""
    tables.run("DELETE FROM rate_limits")


def works(tables: Tables, player: Player, code: str, new: str = NEW_PASSWORD) -> bool:
    """Tell whether a code lets the player in; fail if the answer is neither yes nor no."""
    refill(tables)
    answer = player.recover(code, new)
    assert answer.status == 200 or answer.code == "invalid_credentials", answer.text
    return answer.status == 200


def signs_in(tables: Tables, player: Player, password: str) -> bool:
    """Tell whether a password is in force."""
    refill(tables)
    return player.on_another_device().log_in(password).status == 200


@pytest.mark.parametrize("round_", range(3))
def test_one_code_many_passwords(crowd: Crowd, tables: Tables, ada: Player, round_: int) -> None:
    """Of fifty recoveries with one code one succeeds, and its password alone signs in."""
    older = [ada, *(ada.on_another_device() for _ in range(3))]
    for device in older[1:]:
        assert device.log_in().status == 200
    code = ada.saved_code()
    passwords = [f"{NEW_PASSWORD}-{number}" for number in range(WORKERS)]
    answers = crowd.send(
        [recovery("Ada", code, n, new_password=new) for n, new in enumerate(passwords)]
    )
    assert Counter((answer.status, answer.code) for answer in answers) == ONE_WINS
    (winner,) = of_status(answers, 200)
    given = answers[winner].json
    assert call("GET", "/v1/me", token=given["access_token"]).status == 200
    for device in older:
        assert device.me().code == "invalid_token"
        assert device.refresh().code == "session_ended"
    valid = [n for n, new in enumerate(passwords) if signs_in(tables, Player("Ada"), new)]
    assert valid == [winner]
    assert not signs_in(tables, ada, PASSWORD)
    assert not works(tables, ada, code)
    assert works(tables, ada, given["recovery_code"])
    assert not works(tables, ada, given["recovery_code"], OTHER_PASSWORD)
    assert not works(tables, ada, code)


@pytest.mark.parametrize("round_", range(3))
def test_one_code_many_devices(crowd: Crowd, tables: Tables, guest: Guest, round_: int) -> None:
    """Of fifty devices that take a guest over at once one has it, and no other secret opens it."""
    account = guest.me().json["account"]
    name, code = account["username"], guest.saved_code()
    devices = [Guest(address=address(number)) for number in range(WORKERS)]
    answers = crowd.send(
        [recovery(name, code, n, guest_secret=one.secret) for n, one in enumerate(devices)]
    )
    assert Counter((answer.status, answer.code) for answer in answers) == ONE_WINS
    (winner,) = of_status(answers, 200)
    entered = [device.enter() for device in devices]
    assert of_status(entered, 200) == [winner]
    assert {answer.code for n, answer in enumerate(entered) if n != winner} == {"unknown_guest"}
    assert devices[winner].me().json["account"] == account
    assert guest.enter().code == "unknown_guest"
    assert guest.me().code == "invalid_token"
    assert guest.refresh().code == "session_ended"
    assert tables.count("accounts") == tables.count("identities") == 1
    refill(tables)
    following = answers[winner].json["recovery_code"]
    assert Guest().move(name, code).code == "invalid_credentials"
    assert Guest().move(name, following).status == 200
    assert Guest().move(name, following).code == "invalid_credentials"


@pytest.mark.parametrize("owner", ["player", "guest"])
def test_codes_made_at_once(crowd: Crowd, tables: Tables, owner: str) -> None:
    """Codes made at once are all shown, and one of them works: the last. None is a deadlock."""
    for _ in range(10):
        tables.empty()
        player = Guest() if owner == "guest" else Player("Ada", PASSWORD)
        began = player.enter(create=True) if isinstance(player, Guest) else player.register()
        assert began.status == 201
        for _ in range(2):  # the first codes of the account, and the next ones
            refill(tables)
            answers = crowd.send([making(player)] * CHANGE_BY_ACCOUNT.burst)
            assert statuses(answers) == {200: CHANGE_BY_ACCOUNT.burst}
        codes = [answer.json["recovery_code"] for answer in answers]
        assert len(set(codes)) == len(codes)
        name = player.me().json["account"]["username"]
        if isinstance(player, Guest):
            moved = [Guest(address=address(n)).move(name, code) for n, code in enumerate(codes)]
            assert len(of_status(moved, 200)) == 1
        else:
            assert sum(works(tables, player, code) for code in codes) == 1


def upgraded(name: str, guest: Guest) -> Request:
    """Return an upgrade with the token that the guest has now."""
    body = {"username": name, "password": PASSWORD, "guest_secret": guest.secret}
    return Request("POST", "/v1/me/upgrade", body, {"token": guest.access_token})


@pytest.mark.parametrize("first", ["upgrade", "code"])
def test_a_code_made_during_an_upgrade(crowd: Crowd, tables: Tables, first: str) -> None:
    """Whoever prepared the device gets no code that outlives the upgrade, in either order."""
    made = 0
    for _ in range(20):
        tables.empty()
        guest = Guest()
        assert guest.enter(create=True).status == 201
        other = Guest(secret=guest.secret)
        assert other.enter().status == 200
        generated = guest.me().json["account"]["username"]
        requests = [upgraded("Ada", guest), *[making(other)] * 4]
        answers = crowd.send(requests if first == "upgrade" else requests[::-1])
        upgrade = answers[0 if first == "upgrade" else -1]
        assert upgrade.status == 200, upgrade.text
        rest = [answer for answer in answers if answer is not upgrade]
        assert set(statuses(rest)) <= {200, 401, 503}, [answer.text for answer in rest]
        player = Player("Ada", PASSWORD)
        for number, answer in enumerate(rest):
            if answer.status == 200:
                made += 1
                code, at = answer.json["recovery_code"], address(number)
                assert Player("Ada", address=at).recover(code, NEW_PASSWORD).status == 401
                assert Guest(address=at).move(generated, code).status == 401
        assert tables.count("recovery_codes") == 0
        assert player.log_in().status == 200
    assert made > 0, "no code was made before the upgrade: the race was never run"


def test_a_code_used_during_a_password_change(crowd: Crowd, tables: Tables) -> None:
    """Of a recovery and a password change at once the recovery is the last, or has no effect."""
    for _ in range(20):
        tables.empty()
        player = Player("Ada", PASSWORD)
        assert player.register().status == 201
        code = player.saved_code()
        change = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}
        options = {"token": player.access_token}
        recovered, changed = crowd.send(
            [
                recovery("Ada", code, 1, new_password=NEW_PASSWORD),
                Request("PUT", "/v1/me/password", change, options),
            ]
        )
        # A password change keeps the code, so both succeed if the change comes first.
        assert 200 in (recovered.status, changed.status)
        assert {recovered.status, changed.status} <= {200, 401, 503}
        is_back = recovered.status == 200
        won = NEW_PASSWORD if is_back else OTHER_PASSWORD
        for password in (PASSWORD, NEW_PASSWORD, OTHER_PASSWORD):
            assert signs_in(tables, player, password) is (password == won)
        for answer, lives in ((recovered, is_back), (changed, not is_back)):
            if answer.status == 200:
                token = answer.json["access_token"]
                assert (call("GET", "/v1/me", token=token).status == 200) is lives
        assert works(tables, player, code) is not is_back


def test_a_code_used_during_a_sign_out_everywhere(crowd: Crowd, tables: Tables) -> None:
    """A recovery and signing out everywhere at once leave no older session, and one password."""
    for _ in range(20):
        tables.empty()
        player = Player("Ada", PASSWORD)
        assert player.register().status == 201
        other = player.on_another_device()
        assert other.log_in().status == 200
        code = player.saved_code()
        options = {"token": player.access_token}
        recovered, out = crowd.send(
            [
                recovery("Ada", code, 1, new_password=NEW_PASSWORD),
                Request("POST", "/v1/logout", {"everywhere": True}, options),
            ]
        )
        assert out.status == 200, out.text
        assert recovered.status in (200, 401), recovered.text
        for device in (player, other):
            assert device.me().code == "invalid_token"
            assert device.refresh().code == "session_ended"
        won = NEW_PASSWORD if recovered.status == 200 else PASSWORD
        for password in (PASSWORD, NEW_PASSWORD):
            assert signs_in(tables, player, password) is (password == won)
        # The loser's code is still good: nothing was changed by it.
        assert works(tables, player, code) is (recovered.status == 401)


def test_one_secret_for_two_guests(crowd: Crowd, tables: Tables) -> None:
    """A device's secret that two guests are moved to at once opens one of them."""
    for _ in range(10):
        tables.empty()
        guests = [Guest(), Guest()]
        for one in guests:
            assert one.enter(create=True).status == 201
        names = [one.me().json["account"]["username"] for one in guests]
        codes = [one.saved_code() for one in guests]
        secret = new_secret()
        pairs = enumerate(zip(names, codes, strict=True))
        answers = crowd.send([recovery(*pair, n, guest_secret=secret) for n, pair in pairs])
        assert Counter((answer.status, answer.code) for answer in answers) == {
            (200, ""): 1,
            (409, "guest_secret_in_use"): 1,
        }
        (winner,) = of_status(answers, 200)
        entered = Guest(secret=secret).enter()
        assert entered.json["account"]["username"] == names[winner]
        loser = 1 - winner
        assert guests[loser].enter().status == 200
        assert Guest().move(names[loser], codes[loser]).status == 200
