"""Fifty containers at once, each a process with its own connection: no race changes an outcome."""

from collections import Counter
from typing import Any

import pytest

from auth.flows.rate_limits import GUEST_BY_ADDRESS
from auth.store.records import MAX_SESSIONS
from auth.times import new_id, system_clock
from tests.conftest import Tables
from tests.play.crowd import (
    NEW_PASSWORD,
    PASSWORD,
    WORKERS,
    Crowd,
    Request,
    address,
    registration,
    statuses,
)
from tests.play.guests import Guest, new_secret
from tests.play.players import Player, call

KEY = "a-key-of-the-client-0001"


@pytest.fixture
def ada(tables: Tables) -> Player:
    """Return a registered player."""
    ada = Player("Ada", PASSWORD)
    assert ada.register().status == 201
    return ada


def refresh(token: str, **options: Any) -> Request:
    """Return a refresh."""
    return Request("POST", "/v1/refresh", {"refresh_token": token}, options)


def test_one_name(crowd: Crowd, tables: Tables) -> None:
    """Of fifty registrations of one name at once, in any spelling, one succeeds."""
    names = ["Ada", "ada", "ADA", "aDa", "adA"]
    answers = crowd.send([registration(names[n % 5], n) for n in range(WORKERS)])
    assert Counter((answer.status, answer.code) for answer in answers) == {
        (201, ""): 1,
        (409, "username_taken"): WORKERS - 1,
    }
    (winner,) = [answer for answer in answers if answer.status == 201]
    assert tables.run("SELECT username FROM accounts") == [
        {"username": winner.json["account"]["username"]}
    ]
    assert tables.count("sessions") == 1


def test_one_key(crowd: Crowd, tables: Tables) -> None:
    """One registration sent twenty times with its key is one account, and none says "taken"."""
    answers = crowd.send([registration("Ada", n, key=KEY) for n in range(20)])
    assert statuses(answers) == {201: 20}
    assert len({answer.json["account"]["id"] for answer in answers}) == 1
    assert tables.count("accounts") == 1
    for answer in answers[:5]:
        token = answer.json["access_token"]
        assert call("GET", "/v1/me", token=token).json["account"]["username"] == "Ada"


def test_one_guest_secret(crowd: Crowd, tables: Tables) -> None:
    """Fifty first calls with one guest secret at once make one guest, and none fails."""
    for _ in range(5):
        tables.empty()
        body = {"guest_secret": new_secret(), "create": True}
        answers = crowd.send([Request("POST", "/v1/guest", body)] * WORKERS)
        assert statuses(answers) == {201: 1, 200: WORKERS - 1}
        assert len({answer.json["account"]["id"] for answer in answers}) == 1
        for table in ("accounts", "identities", "events"):
            assert tables.count(table) == 1
    # Refunded by those that created no guest: the address has the rest of its limit.
    for _ in range(GUEST_BY_ADDRESS.burst - 1):
        assert Guest().enter(create=True).status == 201
    assert Guest().enter(create=True).status == 429


def test_two_upgrades(crowd: Crowd, tables: Tables) -> None:
    """Of upgrades to several names at once one wins, and the account is whole."""
    for _ in range(5):
        tables.empty()
        guest = Guest()
        guest.enter(create=True)
        names = ["Ada", "Bea"]
        bodies = [
            {"username": name, "password": PASSWORD, "guest_secret": guest.secret} for name in names
        ]
        options = {"token": guest.access_token}
        answers = crowd.send([Request("POST", "/v1/me/upgrade", body, options) for body in bodies])
        assert statuses(answers) == {200: 1, 409: 1}
        (won,) = [name for name, answer in zip(names, answers, strict=True) if answer.status == 200]
        assert tables.run("SELECT username, guest, has_password FROM accounts") == [
            {"username": won, "guest": 0, "has_password": 1}
        ]
        assert tables.count("identities") == 0
        assert Player(won, PASSWORD).log_in().status == 200


def test_one_upgrade_many_times(crowd: Crowd, tables: Tables) -> None:
    """An upgrade that is sent four times at once gives one refresh token."""
    guest = Guest()
    guest.enter(create=True)
    body = {"username": "Ada", "password": PASSWORD, "guest_secret": guest.secret}
    request = Request("POST", "/v1/me/upgrade", body, {"token": guest.access_token})
    answers = crowd.send([request] * 4)
    assert statuses(answers) == {200: 4}
    assert len({answer.json["refresh_token"] for answer in answers}) == 1


def test_one_key_for_two_names(crowd: Crowd, tables: Tables) -> None:
    """One key sent with two names registers one of them; the other gets the reason.

    Requests that wait for the losing name are repeatedly rolled back by deadlocks, all but one. No
    answer shows it, in any of ten rounds.
    """
    for number in range(10):
        names, key = [f"Ada-{number}", f"Eve-{number}"], f"{KEY}-{number}"
        answers = crowd.send([registration(names[n % 2], n, key=key) for n in range(40)])
        assert Counter((answer.status, answer.code) for answer in answers) == {
            (201, ""): 20,
            (409, "idempotency_key_reused"): 20,
        }
    assert tables.count("accounts") == 10


def test_many_names(crowd: Crowd, tables: Tables) -> None:
    """Fifty registrations of different names at once all succeed."""
    answers = crowd.send([registration(f"player.{n}", n) for n in range(WORKERS)])
    assert statuses(answers) == {201: WORKERS}
    assert tables.count("accounts") == tables.count("sessions") == WORKERS
    assert len({answer.json["refresh_token"] for answer in answers}) == WORKERS


def test_registrations_from_one_address(crowd: Crowd, tables: Tables) -> None:
    """One address registers no more accounts than its burst, even with many requests at once."""
    requests = [registration(f"player.{n}", 1) for n in range(WORKERS)]
    assert statuses(crowd.send(requests)) == {201: 20, 429: WORKERS - 20}
    assert tables.count("accounts") == 20


@pytest.mark.parametrize("key", [None, KEY])
def test_one_refresh_token(crowd: Crowd, tables: Tables, ada: Player, key: str | None) -> None:
    """A token refreshed fifty times at once has one successor, and its session goes on."""
    answers = crowd.send([refresh(ada.refresh_token, key=key)] * WORKERS)
    assert statuses(answers) == {200: WORKERS}
    assert len({answer.json["refresh_token"] for answer in answers}) == 1
    assert tables.run("SELECT counter, ended_at FROM sessions") == [
        {"counter": 1, "ended_at": None}
    ]
    assert ada.refresh(answers[0].json["refresh_token"]).status == 200
    assert ada.me().status == 200


def test_stolen_token_in_a_crowd(crowd: Crowd, tables: Tables, ada: Player) -> None:
    """A token replaced twice ends its session, even among valid refreshes."""
    stolen = ada.refresh_token
    ada.refresh()
    ada.refresh()
    crowd.send([refresh(stolen), *[refresh(ada.refresh_token)] * (WORKERS - 1)])
    assert ada.refresh().code == "session_ended"
    assert ada.me().code == "invalid_token"


@pytest.mark.parametrize("place", [0, 25, 49])
def test_log_out_everywhere(crowd: Crowd, tables: Tables, ada: Player, place: int) -> None:
    """After signing out everywhere no token works, not even one refreshed at that moment."""
    devices = [ada, *(ada.on_another_device() for _ in range(6))]
    for device in devices[1:]:
        assert device.log_in().status == 200
    requests = [refresh(devices[n % 7].refresh_token) for n in range(WORKERS)]
    options = {"token": ada.access_token}
    requests[place] = Request("POST", "/v1/logout", {"everywhere": True}, options)
    answers = crowd.send(requests)
    assert answers[place].status == 200
    assert set(statuses(answers)) <= {200, 401}
    given = [answer.json for answer in answers if "refresh_token" in answer.json]
    refresh_tokens = {each["refresh_token"] for each in given}
    refresh_tokens |= {device.refresh_token for device in devices}
    access_tokens = {each["access_token"] for each in given}
    access_tokens |= {device.access_token for device in devices}
    for token in refresh_tokens:
        assert call("POST", "/v1/refresh", {"refresh_token": token}).code == "session_ended"
    for token in access_tokens:
        assert call("GET", "/v1/me", token=token).code == "invalid_token"


def test_log_out_of_one_session(crowd: Crowd, tables: Tables, ada: Player) -> None:
    """After a sign-out no concurrent refresh has kept the session alive."""
    requests = [refresh(ada.refresh_token)] * (WORKERS - 1)
    out = Request("POST", "/v1/logout", {}, {"token": ada.access_token})
    answers = crowd.send([*requests[:25], out, *requests[25:]])
    assert answers[25].status == 200
    assert set(statuses(answers)) <= {200, 401}
    successors = {a.json["refresh_token"] for a in answers if "refresh_token" in a.json}
    assert len(successors) <= 1
    for token in (ada.refresh_token, *successors):
        assert ada.refresh(token).code == "session_ended"
    assert ada.me().code == "invalid_token"


def test_guesses_from_one_address(crowd: Crowd, tables: Tables, ada: Player) -> None:
    """Of fifty guesses at once from one address only five are checked: its burst."""
    body = {"username": "Ada", "password": "not the password"}
    answers = crowd.send([Request("POST", "/v1/login", body, {"address": address(1)})] * WORKERS)
    assert statuses(answers) == {401: 5, 429: WORKERS - 5}
    for answer in answers:
        if answer.status == 429:
            # The request with the earliest time may be refused last: one second more.
            assert 1 <= int(answer.headers["retry-after"]) <= 61


def test_guesses_from_everywhere(crowd: Crowd, tables: Tables, ada: Player) -> None:
    """Of fifty guesses at one account from fifty addresses only twenty are checked."""
    body = {"username": "Ada", "password": "not the password"}
    requests = [Request("POST", "/v1/login", body, {"address": address(n)}) for n in range(WORKERS)]
    assert statuses(crowd.send(requests)) == {401: 20, 429: WORKERS - 20}


def test_charges_that_cross(crowd: Crowd, tables: Tables) -> None:
    """Charges of buckets that cross, three a statement, are never a deadlock for a player.

    Sixty rounds, each with names and addresses of its own, so that rows are new and then shared.
    No more guesses pass than the buckets hold.
    """
    for number in range(60):
        tables.run("DELETE FROM rate_limits")
        names = [f"nobody-{number}-{n % 4}" for n in range(WORKERS)]
        requests = [
            Request(
                *("POST", "/v1/login", {"username": name, "password": "not the password"}),
                {"address": address(n % 3)},
            )
            for n, name in enumerate(names)
        ]
        given = crowd.send(requests)
        assert set(statuses(given)) <= {401, 429}
        # Twelve pairs with four or five guesses each; an address has 16 or 17 of 20.
        assert statuses(given) == {401: WORKERS}
        again = crowd.send(requests)
        assert set(statuses(again)) <= {401, 429}
        passed = Counter(n % 3 for n, one in enumerate(again) if one.status == 401)
        assert all(count + (17 if n < 2 else 16) <= 20 for n, count in passed.items())
        per_pair = Counter((n % 3, n % 4) for n, one in enumerate(again) if one.status == 401)
        assert all(count <= 1 for count in per_pair.values())


def test_guesses_from_a_session(crowd: Crowd, tables: Tables, ada: Player) -> None:
    """Of fifty guesses at the password with a stolen access token only five are checked."""
    body = {"password": "not the password"}
    request = Request("POST", "/v1/me/delete", body, {"token": ada.access_token})
    assert statuses(crowd.send([request] * WORKERS)) == {401: 5, 429: WORKERS - 5}
    assert tables.count("accounts") == 1


@pytest.mark.parametrize("place", [0, 9, 19])
def test_password_change(crowd: Crowd, tables: Tables, ada: Player, place: int) -> None:
    """After a password change no session lasts that the old password opened meanwhile."""
    body = {"username": "Ada", "password": PASSWORD}
    requests = [Request("POST", "/v1/login", body, {"address": address(n)}) for n in range(20)]
    change = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    requests[place] = Request("PUT", "/v1/me/password", change, {"token": ada.access_token})
    answers = crowd.send(requests)
    changed = answers.pop(place)
    assert changed.status == 200
    assert set(statuses(answers)) <= {200, 401}
    for answer in answers:
        if answer.status == 200:
            assert call("GET", "/v1/me", token=answer.json["access_token"]).status == 401
            assert ada.refresh(answer.json["refresh_token"]).code == "session_ended"
    mine = changed.json["access_token"]
    (left,) = call("GET", "/v1/sessions", token=mine).json["sessions"]
    assert left["current"] is True
    tables.run("DELETE FROM rate_limits")
    assert ada.log_in().status == 401
    assert ada.log_in(NEW_PASSWORD).status == 200


@pytest.mark.parametrize("round_", range(5))
def test_double_tap(crowd: Crowd, tables: Tables, ada: Player, round_: int) -> None:
    """A password change sent twice at once gives one refresh token, not taken for a stolen one."""
    change = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    request = Request("PUT", "/v1/me/password", change, {"token": ada.access_token})
    answers = crowd.send([request] * 2)
    assert statuses(answers) == {200: 2}
    assert len({answer.json["refresh_token"] for answer in answers}) == 1
    for answer in answers:
        assert ada.refresh(answer.json["refresh_token"]).status == 200
    assert ada.log_in(NEW_PASSWORD).status == 200


def test_sign_ins_at_once(crowd: Crowd, tables: Tables, ada: Player) -> None:
    """Concurrent sign-ins may exceed the session limit; the next sign-in enforces it again."""
    body = {"username": "Ada", "password": PASSWORD}
    requests = [Request("POST", "/v1/login", body, {"address": address(n)}) for n in range(20)]
    for _ in range(3):
        assert statuses(crowd.send(requests)) == {200: 20}
    assert MAX_SESSIONS <= tables.count("sessions") < MAX_SESSIONS + 20
    tables.run("DELETE FROM rate_limits")  # an account opens no more than sixty at once
    assert ada.log_in().status == 200
    assert tables.count("sessions") == MAX_SESSIONS


def test_sign_ins_at_once_above_the_limit(crowd: Crowd, tables: Tables, ada: Player) -> None:
    """Concurrent sign-ins of an account with too many sessions delete no more than the excess."""
    body = {"username": "Ada", "password": PASSWORD}
    requests = [Request("POST", "/v1/login", body, {"address": address(n)}) for n in range(20)]
    while tables.count("sessions") < 2 * MAX_SESSIONS:
        tables.run(
            "INSERT INTO sessions SELECT %s, account_id, tail_hash, counter,"
            " rotation_key, epoch, device, created_at, rotated_at - INTERVAL 1 DAY,"
            " idle_expires_at, expires_at, ended_at FROM sessions LIMIT 1",
            new_id(system_clock()),
        )
    answers = crowd.send(requests)
    assert statuses(answers) == {200: 20}
    living = [call("GET", "/v1/me", token=one.json["access_token"]).status for one in answers]
    assert living == [200] * 20
    assert MAX_SESSIONS <= tables.count("sessions") < MAX_SESSIONS + 20


def test_two_password_changes(crowd: Crowd, tables: Tables, ada: Player) -> None:
    """Of several password changes at once exactly one reports success, and its password works."""
    passwords = [f"{NEW_PASSWORD}-{n}" for n in range(5)]
    requests = [
        Request(
            "PUT",
            "/v1/me/password",
            {"current_password": PASSWORD, "new_password": new},
            {"token": ada.access_token},
        )
        for new in passwords
    ]
    answers = crowd.send(requests)
    # 401: the password had already changed.
    assert set(statuses(answers)) <= {200, 401, 429, 503}
    winners = [n for n, answer in enumerate(answers) if answer.status == 200]
    assert len(winners) == 1
    tables.run("DELETE FROM rate_limits")
    works = [n for n, new in enumerate(passwords) if ada.log_in(new).status == 200]
    assert works == winners


def test_deletions_and_logins(crowd: Crowd, tables: Tables, ada: Player) -> None:
    """Sign-ins concurrent with a deletion succeed or are refused; no row of the account is left."""
    body = {"username": "Ada", "password": PASSWORD}
    requests = [Request("POST", "/v1/login", body, {"address": address(n)}) for n in range(18)]
    options = {"token": ada.access_token}
    requests.insert(9, Request("POST", "/v1/me/delete", {"password": PASSWORD}, options))
    answers = crowd.send(requests)
    assert answers[9].status == 200
    assert set(statuses(answers)) <= {200, 401}
    assert tables.count("accounts") == tables.count("sessions") == 0


def test_requests_are_truly_parallel(crowd: Crowd, tables: Tables) -> None:
    """The workers hold fifty connections at the same time."""
    users = tables.run(
        "SELECT COUNT(*) AS n FROM information_schema.processlist WHERE user = 'game_login'"
    )
    assert users[0]["n"] >= WORKERS
