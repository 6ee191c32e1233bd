"""A new game with the addon added as its README says."""

import re
import shutil
from pathlib import Path

import pytest

import handler
from local.stack import ROOT
from tests.godot.engine import GodotEngine
from tests.godot.game import Game, GameRun
from tests.godot.server import Backend
from tests.play.events import Answer, http_event

CLIENT = ROOT / "clients" / "godot"
GDSCRIPT = re.compile(r"```gdscript\n(.*?)```", re.DOTALL)
PLAYER = '{"username": "Ada", "password": "correct horse battery staple"}'  # from the README
PROJECT = """\
config_version=5

[application]

config/name="A Game"
config/features=PackedStringArray("4.6", "GL Compatibility")
"""
WITH_HAND = '\n[editor_plugins]\n\nenabled=PackedStringArray("res://addons/hand/plugin.cfg")\n'
SETTING = '[game_login]\n\nbase_url="https://login.example.com"\n'  # from the README
# The same as switching the plugin on in Project > Project Settings > Plugins.
HAND = """\
@tool
extends EditorPlugin


func _ready() -> void:
\tawait get_tree().process_frame
\twhile EditorInterface.get_resource_filesystem().is_scanning():
\t\tawait get_tree().process_frame
\tEditorInterface.set_plugin_enabled("game_login", true)
\tget_tree().quit(ProjectSettings.save())  # as the editor does a little later
"""
HAND_PLUGIN = '[plugin]\n\nname="Hand"\ndescription=""\nauthor=""\nversion="1"\nscript="hand.gd"\n'
MAIN = """\
[gd_scene format=3]

[ext_resource type="Script" path="res://main.gd" id="main"]
[ext_resource type="PackedScene" path="res://addons/game_login/ui/login_form.tscn" id="form"]

[node name="Main" type="Control"]
script = ExtResource("main")
"""
FORM = '\n[node name="LoginForm" parent="." instance=ExtResource("form")]\n'
BY_CODE = """\
extends Control


func _ready() -> void:
{quick_start}
\tprint("CASE ok ", GameLogin.account_name)
\tget_tree().quit()
"""
BY_FORM = """\
extends Control


func _process(_delta: float) -> void:
\tif not $LoginForm.visible:
\t\tset_process(false)
\t\tawait GameLogin.logout()
\t\tawait get_tree().process_frame
\t\tprint("CASE ok form back: ", $LoginForm.visible)
\t\tget_tree().quit()


{quick_start}
"""


@pytest.fixture
def own(engine: GodotEngine, backend: Backend, certificates: Path, tmp_path: Path) -> Game:
    """Return a new game, with the addon's folder in it and the plugin switched on."""
    readme = (CLIENT / "README.md").read_text()
    assert SETTING in readme
    folder = tmp_path / "own"
    shutil.copytree(CLIENT / "addons" / "game_login", folder / "addons" / "game_login")
    project = folder / "project.godot"
    project.write_text(PROJECT)
    own = Game(engine, folder, backend, certificates / "ca.pem")
    own.import_project()
    switch_on(own)
    setting = SETTING.replace("https://login.example.com", backend.url)
    project.write_text(f"{project.read_text()}\n{setting}")
    return own


def switch_on(own: Game) -> None:
    """Switch the plugin on in the editor."""
    project, hand = own.folder / "project.godot", own.folder / "addons" / "hand"
    hand.mkdir()
    (hand / "plugin.cfg").write_text(HAND_PLUGIN)
    (hand / "hand.gd").write_text(HAND)
    project.write_text(project.read_text() + WITH_HAND)
    home = own.environment(own.folder.parent / "editor", {})
    done = own.engine.run("--editor", "--path", str(own.folder), environment=home)
    settings = project.read_text()
    assert "\nGameLogin=" in settings, f"no autoload:\n{settings}\n{done.stdout}{done.stderr}"
    assert "game_login/plugin.cfg" in settings
    project.write_text(re.sub(r'"res://addons/hand/plugin.cfg"(, )?', "", settings))
    shutil.rmtree(hand)


def play(own: Game, scene: str, script: str) -> list[str]:
    """Start the game with a main scene and its script; return its reported results."""
    (own.folder / "main.tscn").write_text(scene)
    (own.folder / "main.gd").write_text(script)
    home = own.environment(own.folder.parent / "home", {})
    done = own.engine.run("--path", str(own.folder), "res://main.tscn", environment=home)
    run = GameRun(done.stdout + done.stderr, done.returncode)
    assert not run.problems(), run.output
    assert not [secret for secret in own.backend.secrets if secret in run.output]
    return run.passed


def test_a_game_of_ones_own(own: Game, backend: Backend) -> None:
    """The quick start signs in; the form signs in by itself at the next start, and reappears."""
    with_form, by_code, *_ = GDSCRIPT.findall((CLIENT / "README.md").read_text())
    by_code = "\n".join(f"\t{line}" for line in by_code.rstrip().splitlines())
    for said in ("Hello, ", "Goodbye"):
        assert f'print("{said}"' in with_form
        with_form = with_form.replace(f'print("{said}"', f'print("CASE ok {said}"')
    headers = {"content-type": "application/json"}
    event = http_event("POST", "/v1/register", PLAYER, headers, "198.51.100.8")
    assert Answer.of(handler.http(event, None)).status in {201, 409}
    backend.command("reset", {})
    assert play(own, MAIN, BY_CODE.format(quick_start=by_code)) == ["Ada"]
    script = BY_FORM.format(quick_start=with_form)
    assert play(own, MAIN + FORM, script) == ["Hello, Ada", "Goodbye", "form back: true"]
    paths = [request["path"] for request in backend.command("requests", {})["requests"]]
    assert paths == ["/v1/login", "/v1/refresh", "/v1/logout"]
