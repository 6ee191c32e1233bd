"""A recovery code lets a player back in, once, and gives the next code."""

import pytest

from auth.store.records import MAX_SESSIONS
from tests.conftest import FakeClock, Tables
from tests.play.guests import Guest, new_secret
from tests.play.players import PASSWORD, Player

NEW_PASSWORD = "seven wooden ladders tonight"
THIRD_PASSWORD = "purple otters count slowly"


@pytest.fixture
def guest(tables: Tables) -> Guest:
    """Return a guest."""
    guest = Guest()
    assert guest.enter(create=True).status == 201
    return guest


def test_make_a_code(player: Player, clock: FakeClock) -> None:
    """The code is shown once, and its age as long as it is good."""
    assert player.me().json["recovery"] == {"code": False, "created_at": None}
    made = player.make_recovery_code()
    assert made.status == 200, made.text
    created_at = made.json["created_at"]
    assert player.me().json["recovery"] == {"code": True, "created_at": created_at}
    exported = player.ask("POST", "/v1/me/export", player.proof()).json
    wanted = {"code": True, "created_at": created_at, "expires_at": None}
    assert exported["recovery"] == wanted
    assert made.json["recovery_code"] not in str(exported)
    assert [event["type"] for event in exported["events"]] == ["recovery_code_made", "registered"]


def test_recover(player: Player) -> None:
    """The new password is in force, every session has ended, and there is a next code."""
    code, old = player.saved_code(), player.on_another_device()
    assert old.log_in().status == 200
    lost = player.on_another_device()
    back = lost.recover(code, NEW_PASSWORD, device="new phone")
    assert back.status == 200, back.text
    assert back.json["recovery_code"] != code
    assert lost.me().json["account"]["username"] == player.username
    assert [session["device"] for session in lost.sessions()] == ["new phone"]
    for before in (player, old):
        assert before.me().code == "invalid_token"
        assert before.refresh().code == "session_ended"
    assert lost.log_in(PASSWORD).code == "invalid_credentials"
    assert lost.log_in(NEW_PASSWORD).status == 200
    listed = lost.ask("GET", "/v1/me/events").json["events"]
    assert [event["type"] for event in listed] == ["recovered", "recovery_code_made", "registered"]


def test_each_code_works_once(player: Player) -> None:
    """The used code is worth nothing, and the one of the answer is worth one recovery."""
    code, second = player.saved_code(), THIRD_PASSWORD
    following = player.recover(code, NEW_PASSWORD).json["recovery_code"]
    assert player.recover(code, second).code == "invalid_credentials"
    assert player.log_in(NEW_PASSWORD).status == 200
    assert player.recover(following, second).status == 200
    assert player.recover(following, PASSWORD).code == "invalid_credentials"
    assert player.log_in(second).status == 200


def test_a_new_code_replaces_the_earlier_one(player: Player) -> None:
    """Only the last code works."""
    first, last = player.saved_code(), player.saved_code()
    assert player.recover(first, NEW_PASSWORD).code == "invalid_credentials"
    assert player.recover(last, NEW_PASSWORD).status == 200


def test_a_password_change_keeps_the_code(player: Player) -> None:
    """Whoever changes the password does not have to write down another code."""
    code = player.saved_code()
    assert player.change_password(NEW_PASSWORD).status == 200
    assert player.me().json["recovery"]["code"] is True
    assert player.recover(code, THIRD_PASSWORD).status == 200


def test_a_code_needs_the_owner(player: Player, guest: Guest) -> None:
    """A stolen access token alone makes no code."""
    assert player.make_recovery_code(password="wrong").code == "invalid_credentials"
    assert player.make_recovery_code(guest_secret=guest.secret).code == "invalid_credentials"
    assert guest.make_recovery_code(guest_secret=new_secret()).code == "invalid_credentials"
    both = guest.make_recovery_code(guest_secret=guest.secret, password=PASSWORD)
    assert both.code == "invalid_request"
    assert player.ask("POST", "/v1/me/recovery-code").code == "invalid_request"
    assert player.me().json["recovery"]["code"] is False


def test_a_guest_moves_to_another_device(guest: Guest) -> None:
    """The new device's secret is the guest's from now on, and the old device's is worth nothing."""
    account = guest.me().json["account"]
    code = guest.saved_code()
    there = Guest()
    moved = there.move(account["username"], code)
    assert moved.status == 200, moved.text
    assert moved.json["account"] == account
    assert there.enter().json["account"] == account
    assert guest.me().code == "invalid_token"
    assert guest.enter().code == "unknown_guest"
    assert guest.move(account["username"], code).code == "invalid_credentials"


def test_a_code_from_before_an_upgrade(guest: Guest) -> None:
    """Whoever prepared the device does not get the account back."""
    generated = guest.me().json["account"]["username"]
    code = guest.saved_code()
    assert guest.upgrade("Ada").status == 200
    assert guest.me().json["recovery"]["code"] is False
    player = Player("Ada")
    assert player.recover(code, NEW_PASSWORD).code == "invalid_credentials"
    assert Guest().move(generated, code).code == "invalid_credentials"
    assert player.log_in(PASSWORD).status == 200


def test_the_wrong_kind(player: Player, guest: Guest, tables: Tables) -> None:
    """A code stays good if it was sent with the wrong kind of proof, or to a suspended account."""
    theirs, ours = player.saved_code(), guest.saved_code()
    generated = guest.me().json["account"]["username"]
    assert Player(generated).recover(ours, NEW_PASSWORD).code == "no_password"
    assert Guest().move(player.username, theirs).code == "not_a_guest"
    assert Guest(secret=guest.secret).move(generated, ours).code == "guest_secret_in_use"
    other = Guest()
    assert other.enter(create=True).status == 201
    assert other.move(generated, ours).code == "guest_secret_in_use"
    tables.run("UPDATE accounts SET suspended_until = '9999-12-31', suspension_reason = 'x'")
    assert player.recover(theirs, NEW_PASSWORD).code == "account_suspended"
    tables.run("UPDATE accounts SET suspended_until = NULL")
    assert player.recover(theirs, NEW_PASSWORD).status == 200
    assert Guest().move(generated, ours).status == 200


def test_an_expired_code_is_none(player: Player, tables: Tables, clock: FakeClock) -> None:
    """A code that an operator made is worth nothing after its time."""
    code = player.saved_code()
    tables.run("UPDATE recovery_codes SET expires_at = %s", clock())
    assert player.me().json["recovery"] == {"code": False, "created_at": None}
    assert player.recover(code, NEW_PASSWORD).code == "invalid_credentials"


def test_weak_proofs(player: Player, guest: Guest) -> None:
    """A weak password or guest secret is refused before anything is charged or judged."""
    code = player.saved_code()
    for _ in range(30):
        for password in ("zaq1@WSX", "qwertyuiop[]"):  # from a leak; easy to guess
            weak = player.recover(code, password)
            assert (weak.status, weak.code) == (422, "weak_password")
            assert set(weak.json["error"]["fields"]) == {"password", "new_password"}
        assert Guest(secret="x").move("Ada", code).code == "weak_guest_secret"
    assert player.recover(code, NEW_PASSWORD).status == 200


def test_exactly_one_proof(player: Player) -> None:
    """Both or none of the two is a faulty call."""
    code = player.saved_code()
    assert player.recover(code, NEW_PASSWORD, guest_secret=new_secret()).code == "invalid_request"
    assert player.recover(code, NEW_PASSWORD, new_password=None).code == "invalid_request"


def test_a_deleted_account_has_no_code(player: Player, tables: Tables) -> None:
    """The code goes with the account, and the next owner of the name has none."""
    code = player.saved_code()
    assert player.delete().status == 200
    assert tables.count("recovery_codes") == 0
    assert Player(player.username).register().status == 201
    assert player.recover(code, NEW_PASSWORD).code == "invalid_credentials"


def test_a_full_history(player: Player, tables: Tables) -> None:
    """An account with 50 sessions has no more after a recovery, and the oldest leaves no event."""
    code = player.saved_code()
    for _ in range(MAX_SESSIONS - 1):
        tables.run(
            "INSERT INTO sessions (id, account_id, tail_hash, counter, epoch, created_at,"
            " rotated_at, idle_expires_at, expires_at) SELECT RANDOM_BYTES(16), account_id,"
            " tail_hash, counter, epoch, created_at, rotated_at, idle_expires_at, expires_at"
            " FROM sessions LIMIT 1"
        )
    assert tables.count("sessions") == MAX_SESSIONS
    assert player.recover(code, NEW_PASSWORD).status == 200
    assert tables.count("sessions") == MAX_SESSIONS
    listed = [event["type"] for event in player.ask("GET", "/v1/me/events").json["events"]]
    assert listed == ["recovered", "recovery_code_made", "registered"]


def test_an_impossible_name(player: Player) -> None:
    """A name that no account can have is an unknown one, even if the password contains it."""
    code = player.saved_code()
    for name in ("", "e", "en"):
        assert Player(name).recover(code, NEW_PASSWORD).code == "invalid_credentials"
