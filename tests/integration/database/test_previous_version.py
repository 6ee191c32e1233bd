"""The version before guests serves beside their schema: during a deployment, and rolled back.

Its statements are written out here, because its code is gone.
"""

from datetime import timedelta

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
    tables.run(
        ADD_SESSION,
        id=new_id(now),
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
    return account_id


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
    token = raw(guest.refresh_token)
    presented = RefreshToken(
        bytes(token[ACCOUNT:SESSION]),
        bytes(token[SESSION:COUNTER]),
        int.from_bytes(token[COUNTER:TAIL], "big"),
        bytes(token[TAIL:MAC]),
    )
    now, successor = system_clock(), presented.successor()
    session = {"id": presented.session_id, "account_id": presented.account_id, "now": now}
    (found,) = tables.run(FIND_ACCOUNT, **session)
    assert found["a_username"] == guest.me().json["account"]["username"]
    tables.run(
        ROTATE,
        **session,
        counter=presented.counter,
        tail_hash=hash_of(presented.tail),
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
