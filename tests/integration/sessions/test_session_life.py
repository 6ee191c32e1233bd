"""The life of a session, from registration to its end, through every real component."""

from tests.play.players import PASSWORD, Player, call


def test_register_and_sign_in(player: Player) -> None:
    """A registered player signs in again and gets the name in its registered spelling."""
    answer = player.on_another_device().log_in()
    assert answer.status == 200
    assert answer.json["account"]["username"] == player.username
    assert answer.json["token_type"] == "Bearer"
    assert answer.json["expires_in"] == 600
    assert answer.json["refresh_expires_in"] == 30 * 24 * 3600


def test_wrong_password(player: Player) -> None:
    """A wrong password and an unknown name get the same answer."""
    wrong = player.log_in("not the password")
    unknown = Player("nobody-here").log_in()
    assert (wrong.status, wrong.code) == (401, "invalid_credentials")
    assert (unknown.status, unknown.code) == (401, "invalid_credentials")
    assert wrong.json["error"]["message"] == unknown.json["error"]["message"]


def test_auto_login(player: Player) -> None:
    """A refresh token signs the player in again, once, and gives the next one."""
    before = player.refresh_token
    answer = player.refresh()
    assert answer.status == 200
    assert answer.json["refresh_token"] != before
    assert player.me().json["account"]["username"] == player.username


def test_log_out(player: Player) -> None:
    """After signing out neither token works; signing out again succeeds."""
    assert player.log_out().json == {}
    assert player.me().code == "invalid_token"
    assert player.refresh().code == "session_ended"
    assert player.log_out().status == 200


def test_tutorial(player: Player) -> None:
    """The tutorial's client gets the tutorial's answers."""
    body = {"username": player.username, "password": PASSWORD}
    assert call("GET", "/").text == "OK"
    assert call("POST", "/login", body).json == {"status": True}
    assert call("POST", "/login", {**body, "password": "x"}).json == {"status": False}
