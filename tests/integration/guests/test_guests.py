"""A guest plays without a name and a password, and is known by a secret of the device."""

from tests.conftest import FakeClock, Tables
from tests.play.guests import Guest
from tests.play.players import Player, call


def test_created_once(tables: Tables) -> None:
    """The first call creates a guest with a generated name, and a repetition signs it in."""
    guest = Guest()
    first = guest.enter(create=True)
    assert first.status == 201
    account = first.json["account"]
    assert account["guest"] is True
    assert account["generated_name"] is True
    assert account["username"].startswith("player-")
    again = guest.enter(create=True)
    assert again.status == 200
    assert again.json["account"] == account
    assert guest.me().json["account"] == account
    assert tables.count("accounts") == 1


def test_upgrade(tables: Tables) -> None:
    """An upgrade keeps the account, and the secret is worth nothing afterwards."""
    guest = Guest()
    account = guest.enter(create=True).json["account"]
    upgraded = guest.upgrade("Ada")
    assert upgraded.status == 200, upgraded.json
    assert upgraded.json["account"] == account | {
        "username": "Ada",
        "guest": False,
        "generated_name": False,
    }
    assert guest.enter().code == "unknown_guest"
    assert Player("Ada").log_in().status == 200
    again = guest.upgrade("Ada")
    assert again.json["refresh_token"] == upgraded.json["refresh_token"]
    types = [one["type"] for one in guest.events()]
    assert types == ["upgraded", "registered"]


def test_rename_and_export_and_delete(tables: Tables) -> None:
    guest = Guest()
    guest.enter(create=True)
    assert guest.ask("PUT", "/v1/me/username", {"username": "Ada"}).status == 200
    answer = guest.ask("PUT", "/v1/me/username", {"username": "Bea", "guest_secret": guest.secret})
    assert answer.status == 200, answer.json
    answer = guest.ask("PUT", "/v1/me/username", {"username": "Cia", "guest_secret": guest.secret})
    assert answer.code == "renamed_recently"
    export = guest.ask("POST", "/v1/me/export", {"guest_secret": guest.secret})
    assert export.status == 200
    print(export.json)
    assert guest.ask("POST", "/v1/me/delete", {"guest_secret": guest.secret}).status == 200
    assert tables.count("events") == 1
