"""The version before guests serves beside their schema: during a deployment, and rolled back.

Its statements are written out here, because its code is gone.
"""

from datetime import datetime, timedelta

import pytest

from auth.credentials.refresh_tokens import RefreshToken, hash_of
from auth.times import new_id, system_clock
from tests.conftest import Tables
from tests.integration.sessions.test_refresh import ACCOUNT, COUNTER, MAC, SESSION, TAIL, raw
from tests.play.guests import Guest
from tests.play.players import PASSWORD, Player

OTHER_PASSWORD = "seven wooden ladders tonight"
ADD_ACCOUNT = (
    "INSERT INTO accounts (id, username, password_hash, epoch, suspended_until,"
    " suspension_reason, created_at, username_key, registration_key) VALUES (%(id)s, %(username)s,"
    " %(password_hash)s, %(epoch)s, %(suspended_until)s, %(suspension_reason)s, %(created_at)s,"
    " %(username_key)s, %(registration_key)s)"
)
ADD_SESSION = (
    "INSERT INTO sessions (id, account_id, tail_hash, counter, rotation_key, epoch, device,"
    " created_at, rotated_at, idle_expires_at, expires_at, ended_at) VALUES (%(id)s,"
    " %(account_id)s, %(tail_hash)s, %(counter)s, %(rotation_key)s, %(epoch)s, %(device)s,"
    " %(created_at)s, %(rotated_at)s, %(idle_expires_at)s, %(expires_at)s, %(ended_at)s)"
)
LASTS = (
    "s.ended_at IS NULL AND s.idle_expires_at > %(now)s AND s.expires_at > %(now)s"
    " AND s.epoch = a.epoch"
)
USABLE = f"{LASTS} AND (a.suspended_until IS NULL OR a.suspended_until <= %(now)s)"
FIND_ACCOUNT = (
    "SELECT a.username AS a_username, a.password_hash AS a_password_hash, a.epoch AS a_epoch,"
    " a.suspended_until AS a_suspended_until, a.suspension_reason AS a_suspension_reason,"
    " a.created_at AS a_created_at FROM sessions s JOIN accounts a ON a.id = s.account_id"
    f" WHERE s.id = %(id)s AND s.account_id = %(account_id)s AND {USABLE}"
)
ROTATE = (
    "UPDATE sessions s JOIN accounts a ON a.id = s.account_id SET s.counter = %(new_counter)s,"
    " s.tail_hash = %(new_tail_hash)s, s.rotation_key = %(rotation_key)s, s.rotated_at = %(now)s,"
    " s.idle_expires_at = %(idle_expires_at)s WHERE s.id = %(id)s AND s.account_id = %(account_id)s"
    f" AND s.counter = %(counter)s AND s.tail_hash = %(tail_hash)s AND {USABLE}"
    " AND (%(rotation_key)s IS NULL OR s.rotation_key IS NULL"
    " OR s.rotation_key <> %(rotation_key)s)"
)
SIGN_IN = (
    "SELECT a.id, a.username AS a_username, a.password_hash AS a_password_hash,"
    " a.epoch AS a_epoch, a.suspended_until AS a_suspended_until,"
    " a.suspension_reason AS a_suspension_reason, a.created_at AS a_created_at,"
    " (SELECT COUNT(*) FROM sessions s WHERE s.account_id = a.id) AS sessions,"
    " (SELECT s.id FROM sessions s WHERE s.account_id = a.id"
    f" ORDER BY ({LASTS}), s.rotated_at, s.id LIMIT 1) AS least_used,"
    " s.epoch = a.epoch AS device_is_known,"
    f" s.counter = %(counter)s AND s.tail_hash = %(tail_hash)s AND {LASTS} AS session_goes_on"
    " FROM accounts a LEFT JOIN sessions s ON s.id = %(session_id)s AND s.account_id = a.id"
    " WHERE a.username_key = %(key)s"
)
CHANGE_PASSWORD = (
    "UPDATE accounts a JOIN sessions s ON s.account_id = a.id"
    " SET a.password_hash = %(new_hash)s, a.epoch = %(new_epoch)s, s.epoch = %(new_epoch)s,"
    " s.tail_hash = %(new_tail_hash)s, s.counter = %(new_counter)s, s.rotation_key = NULL,"
    " s.rotated_at = %(now)s, s.idle_expires_at = %(idle_expires_at)s"
    " WHERE a.id = %(account_id)s AND a.epoch = %(epoch)s AND a.password_hash = %(hash)s"
    " AND s.id = %(id)s AND s.epoch = %(epoch)s AND s.counter = %(counter)s"
    " AND s.ended_at IS NULL"
)
EXCESS = (
    "SELECT s.id FROM sessions s JOIN accounts a ON a.id = s.account_id"
    f" WHERE s.account_id = %(account_id)s ORDER BY s.id <> %(spared)s, ({LASTS}) DESC,"
    " s.rotated_at DESC, s.id DESC LIMIT 100 OFFSET 50"
)
TRIM = "DELETE FROM sessions WHERE account_id = %s AND rotated_at <= %s AND id IN (%s)"
DELETE = (
    "DELETE FROM accounts WHERE id = %(id)s AND epoch = %(epoch)s"
    " AND password_hash = %(password_hash)s"
)


@pytest.fixture
def guest(tables: Tables) -> Guest:
    """Return a guest whom the newer version has created."""
    guest = Guest()
    assert guest.enter(create=True).status == 201
    return guest


def account_row(tables: Tables, username: str) -> dict[str, object]:
    """Return the whole row of an account."""
    (row,) = tables.run("SELECT * FROM accounts WHERE username = %s", username)
    return row


def register_before(tables: Tables, username: str, password_hash: object) -> bytes:
    """Register as the version before guests does; return the account's id."""
    now = system_clock()
    account_id = new_id(now)
    tables.run(
        ADD_ACCOUNT,
        id=account_id,
        username=username,
        password_hash=password_hash,
        epoch=0,
        suspended_until=None,
        suspension_reason=None,
        created_at=now,
        username_key=username.lower().encode(),
        registration_key=None,
    )
    open_session_before(tables, account_id, now)
    return account_id


def open_session_before(tables: Tables, account_id: bytes, now: datetime) -> bytes:
    """Open a session as the version before guests does; return its id."""
    session_id = new_id(now)
    tables.run(
        ADD_SESSION,
        id=session_id,
        account_id=account_id,
        tail_hash=bytes(32),
        counter=0,
        rotation_key=None,
        epoch=0,
        device=None,
        created_at=now,
        rotated_at=now,
        idle_expires_at=now + timedelta(days=30),
        expires_at=now + timedelta(days=180),
        ended_at=None,
    )
    return session_id


def sign_in_before(tables: Tables, username: str, refresh_token: str) -> dict[str, object]:
    """Return what a sign-in of the version before guests reads."""
    token = presented(refresh_token)
    (row,) = tables.run(
        SIGN_IN,
        key=username.lower().encode(),
        session_id=token.session_id,
        counter=token.counter,
        tail_hash=hash_of(token.tail),
        now=system_clock(),
    )
    return row


def presented(refresh_token: str) -> RefreshToken:
    """Return the parts of a refresh token."""
    token = raw(refresh_token)
    return RefreshToken(
        bytes(token[ACCOUNT:SESSION]),
        bytes(token[SESSION:COUNTER]),
        int.from_bytes(token[COUNTER:TAIL], "big"),
        bytes(token[TAIL:MAC]),
    )


def test_registered_before(player: Player, tables: Tables) -> None:
    """An account of the previous version is a player's, with a password and a chosen name."""
    known_hash = account_row(tables, player.username)["password_hash"]
    register_before(tables, "Ada", known_hash)
    ada = Player("Ada")
    signed_in = ada.log_in()
    assert signed_in.status == 200, signed_in.text
    flags = {name: signed_in.json["account"][name] for name in ("guest", "generated_name")}
    assert flags == {"guest": False, "generated_name": False}
    exported = ada.ask("POST", "/v1/me/export", {"password": PASSWORD}).json
    assert (exported["account"]["has_password"], exported["account"]["renamed_at"]) == (True, None)
    assert (exported["identities"], exported["events"]) == ([], [])
    assert ada.change_password(OTHER_PASSWORD).status == 200
    renaming = {"username": "Grace", "password": OTHER_PASSWORD}
    assert ada.ask("PUT", "/v1/me/username", renaming).status == 200


def test_guest_refreshes_before(guest: Guest, tables: Tables) -> None:
    """The previous version refreshes a guest, who enters by the secret with the next one."""
    token = presented(guest.refresh_token)
    now, successor = system_clock(), token.successor()
    session = {"id": token.session_id, "account_id": token.account_id, "now": now}
    (found,) = tables.run(FIND_ACCOUNT, **session)
    assert found["a_username"] == guest.me().json["account"]["username"]
    tables.run(
        ROTATE,
        **session,
        counter=token.counter,
        tail_hash=hash_of(token.tail),
        new_counter=successor.counter,
        new_tail_hash=hash_of(successor.tail),
        rotation_key=None,
        idle_expires_at=now + timedelta(days=30),
    )
    before = account_row(tables, str(found["a_username"]))
    # The answer was lost: the newer version gives the same successor.
    assert guest.refresh().status == 200
    assert raw(guest.refresh_token)[TAIL:MAC] == successor.tail
    assert guest.refresh().status == 200
    again = guest.enter()
    assert (again.status, again.json["account"]["guest"]) == (200, True)
    assert account_row(tables, str(found["a_username"])) == before


@pytest.mark.parametrize("kind", ["player", "guest"])
def test_signs_in_before(player: Player, guest: Guest, tables: Tables, kind: str) -> None:
    """The sign-in of the previous version finds players and guests, with hash and session."""
    one = player if kind == "player" else guest
    username = str(one.me().json["account"]["username"])
    row, found = account_row(tables, username), sign_in_before(tables, username, one.refresh_token)
    assert found["id"] == row["id"]
    assert found["a_password_hash"] == row["password_hash"]
    assert found["least_used"] == presented(one.refresh_token).session_id
    assert (found["sessions"], found["device_is_known"], found["session_goes_on"]) == (1, 1, 1)


def test_password_changed_before(player: Player, tables: Tables) -> None:
    """A player whose password the previous version changed signs in with it, and is as before."""
    other = Player(password=OTHER_PASSWORD)
    assert other.register().status == 201
    new_hash = account_row(tables, other.username)["password_hash"]
    before, token = account_row(tables, player.username), presented(player.refresh_token)
    now, successor = system_clock(), token.successor()
    tables.run(
        CHANGE_PASSWORD,
        id=token.session_id,
        account_id=token.account_id,
        epoch=before["epoch"],
        hash=before["password_hash"],
        counter=token.counter,
        new_hash=new_hash,
        new_epoch=1,
        new_tail_hash=hash_of(successor.tail),
        new_counter=successor.counter,
        now=now,
        idle_expires_at=now + timedelta(days=30),
    )
    after = account_row(tables, player.username)
    assert after == before | {"password_hash": new_hash, "epoch": 1}
    assert sign_in_before(tables, player.username, player.refresh_token)["device_is_known"] == 1
    assert player.log_in().code == "invalid_credentials"
    assert player.log_in(OTHER_PASSWORD).status == 200
    assert player.change_password(PASSWORD, OTHER_PASSWORD).status == 200


def test_trimmed_before(guest: Guest, tables: Tables) -> None:
    """The previous version deletes the least used session of a guest, who stays one."""
    account_id = presented(guest.refresh_token).account_id
    began = system_clock()
    sessions = [
        open_session_before(tables, account_id, began + timedelta(milliseconds=n))
        for n in range(50)
    ]
    spared = presented(guest.refresh_token).session_id
    rows = tables.run(EXCESS, account_id=account_id, spared=spared, now=began)
    assert rows == [{"id": sessions[0]}]
    tables.run(TRIM, account_id, began, sessions[0])
    assert tables.count("sessions") == 50
    assert guest.refresh().status == 200
    assert guest.enter().json["account"]["guest"] is True


def test_no_password_fits_a_guest(guest: Guest, player: Player, tables: Tables) -> None:
    """The previous version, which reads the hash alone, verifies it and refuses every password."""
    username = guest.me().json["account"]["username"]
    row, known = account_row(tables, username), account_row(tables, player.username)
    written, usual = str(row["password_hash"]), str(known["password_hash"])
    assert written.split("$")[:4] == usual.split("$")[:4]  # the same algorithm and parameters
    assert len(written) == len(usual)
    for password in (PASSWORD, username):
        assert Player(username, password).log_in().code == "invalid_credentials"


def test_guest_deleted_before(guest: Guest, tables: Tables) -> None:
    """The cascade deletes the secret of a guest, too; only the events remain, by id."""
    (row,) = tables.run("SELECT id, epoch, password_hash FROM accounts")
    tables.run(DELETE, **row)
    assert guest.enter().code == "unknown_guest"
    assert (tables.count("identities"), tables.count("sessions")) == (0, 0)
    assert tables.count("events") == 1
