"""The demo's lobby against the example game server with a server key, which puts players out."""

import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.server import ServerConnection, serve

from local.stack import ROOT
from local.terminal import say
from tests.godot.game import Game, assert_passed

README = (ROOT / "clients" / "godot" / "README.md").read_text()
LONGEST = 10  # lines that a developer must write
LINES = re.compile(r"```gdscript\n(var kicked.*?)```", re.DOTALL)
STAY = re.compile(r"```gdscript\n(func stay_connected.*?)```", re.DOTALL)
SCRIPT = """\
extends "res://tests/case.gd"

const FORM: PackedScene = preload("res://addons/game_login/ui/login_form.tscn")

var socket_url: String = OS.get_environment("GAME_LOGIN_TEST_SOCKET")
var peer: WebSocketPeer = WebSocketPeer.new()
{lines}

{stay}

func _process(_delta: float) -> void:
\tpeer.poll()
\twhile peer.get_available_packet_count() > 0:
\t\ton_message(JSON.parse_string(peer.get_packet().get_string_from_utf8()))


func until(is_so: Callable) -> void:
\tfor _tick: int in 200:
\t\tif is_so.call():
\t\t\treturn
\t\tawait seconds(0.05)
\tcheck(false, "it did not happen in time")


func test_suspended() -> void:
\tvar form: Control = FORM.instantiate()
\tform.name = "LoginForm"
\tform.set("is_automatic", false)
\tadd_child(form)
\tform.hide()
\tGameLogin.session_ended.connect(_on_session_ended)
\tGameLogin.profile = new_name()
\tcheck((await GameLogin.register(new_name(), PASSWORD)).ok, "registered")
\tstay_connected(peer, socket_url, socket_url.trim_prefix("ws://"))
\tawait until(func() -> bool: return peer.get_ready_state() == WebSocketPeer.STATE_OPEN)
\tvar suspension: Dictionary = {{"for_": "7d", "player_reason": "Spam in the chat."}}
\tsuspension.merge({{"command": "suspend", "account": GameLogin.account_name}})
\tawait command("operate", suspension)
\tawait until(func() -> bool: return form.visible)
\tawait seconds(0.3)
\tvar text: String = (form.get_node("%MessageText") as Label).text
\tcheck(text.begins_with("Suspended until "), text)
\tcheck(text.ends_with(" Reason: Spam in the chat."), text)
\tawait seconds(3.5)
\tequal(peer.get_close_code(), 4403, "no other connection")
\tGameLogin.session_ended.disconnect(_on_session_ended)
\tform.queue_free()
"""
READING_SECONDS = 0.5  # Godot loses messages that arrive in the same frame as a close


def kick(connection: ServerConnection) -> None:
    """Welcome a player, and close soon with the code in the path."""
    assert connection.request is not None
    connection.send(json.dumps({"type": "welcome", "name": "Ada", "players": ["Ada"]}))
    time.sleep(READING_SECONDS)
    connection.close(int(connection.request.path.removeprefix("/")))


@pytest.fixture
def kicking_url() -> Iterator[str]:
    """Return the address of a server that puts each player out soon."""
    with serve(kick, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"


@pytest.mark.parametrize("kind", ["game", "released"])
def test_kick(
    request: pytest.FixtureRequest, kind: str, tmp_path: Path, keyed_url: str, kicking_url: str
) -> None:
    """Whoever is suspended or signed out elsewhere is out at once, and reads why in the form."""
    game: Game = request.getfixturevalue(kind)
    run = game.run(
        "test_kick",
        tmp_path,
        GAME_LOGIN_TEST_SOCKET=keyed_url,
        GAME_LOGIN_TEST_KICKING=kicking_url,
    )
    assert_passed(run, "test_kick", "", game.backend.secrets)
    say("\n".join(line for line in run.output.splitlines() if line.startswith("TIME ")))


def test_lines_of_the_readme(game: Game, tmp_path: Path, keyed_url: str) -> None:
    """With the README's lines the form tells a suspended player until when, and why."""
    lines, stay = LINES.search(README), STAY.search(README)
    assert lines
    assert stay
    assert len([line for line in lines[1].splitlines() if line]) <= LONGEST
    script = game.folder / "tests" / "kicked_lines.gd"
    script.write_text(SCRIPT.format(lines=lines[1], stay=stay[1]))
    run = game.run("kicked_lines", tmp_path, GAME_LOGIN_TEST_SOCKET=keyed_url)
    script.unlink()
    assert not run.problems(), run.output
    assert run.passed == ["test_suspended"], run.output
    assert not [secret for secret in game.backend.secrets if secret in run.output]
