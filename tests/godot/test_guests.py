"""The README's lines for guests, as a game uses them."""

import re
from pathlib import Path

from local.stack import ROOT
from tests.godot.game import Game

README = (ROOT / "clients" / "godot" / "README.md").read_text()
LONGEST = 10  # lines that a developer must write
PLAY = re.compile(r"```gdscript\n(func _on_play_pressed.*?)```", re.DOTALL)
MOVE = re.compile(r"```gdscript\n(func move_guest_here.*?)```", re.DOTALL)
REMIND = re.compile(r"```gdscript\n(func remind_guest.*?)```", re.DOTALL)
SCRIPT = """\
extends "res://tests/case.gd"

const FORM: PackedScene = preload("res://addons/game_login/ui/login_form.tscn")
const DAY: float = 86400.0

var questions: Array = []


{play}

{remind}

{move}

func ask(question: String) -> bool:
\tquestions.append(question)
\treturn true


func test_play() -> void:
\tGameLogin.profile = new_name()
\tawait _on_play_pressed()
\tcheck(GameLogin.is_guest(), "a guest")
\tvar account: String = GameLogin.account_id
\tcheck((await GameLogin.logout()).ok, "signed out")
\tawait _on_play_pressed()
\tequal(GameLogin.account_id, account, "the same guest")
\tequal(questions, [], "nothing to ask")
\tcheck((await GameLogin.delete_account()).ok, "deleted")
\tawait _on_play_pressed()
\tequal(questions.size(), 1, "asked")
\tcheck(GameLogin.is_guest() and GameLogin.account_id != account, "another guest")


func test_move() -> void:
\tvar guest: Client = new_client()
\tcheck((await guest.play_as_guest()).ok, "a guest on another device")
\tvar made: GameLoginResult = await guest.make_recovery_code()
\tvar code: String = made.data["recovery_code"]
\tvar label: Label = Label.new()
\tlabel.name = "Code"
\tadd_child(label)
\tGameLogin.profile = new_name()
\tawait move_guest_here(guest.account_name, code + "X")
\tcheck(not GameLogin.has_session(), "a typing error")
\tcheck("16 letters" in ($Code as Label).text, "the reason")
\tawait move_guest_here(guest.account_name, code)
\tequal(GameLogin.account_id, guest.account_id, "the guest is here")
\tvar next: String = ($Code as Label).text
\tcheck(next.length() == code.length() and next != code, "the next code is shown")


func test_remind() -> void:
\tvar form: Control = FORM.instantiate()
\tform.name = "LoginForm"
\tform.set("is_automatic", false)
\tadd_child(form)
\tform.hide()
\tGameLogin.profile = new_name()
\tawait command("advance", {{"seconds": -3.0 * DAY}})
\tcheck((await GameLogin.play_as_guest()).ok, "a guest of three days ago")
\tawait command("advance", {{"seconds": 3.0 * DAY}})
\tawait remind_guest()
\tcheck(form.visible, "reminded on the fourth day")
\tform.hide()
\tcheck((await GameLogin.upgrade(new_name(), PASSWORD)).ok, "saved")
\tawait remind_guest()
\tcheck(not form.visible, "not reminded any more")
\tGameLogin.profile = new_name()
\tcheck((await GameLogin.play_as_guest()).ok, "a guest of today")
\tawait remind_guest()
\tcheck(not form.visible, "not reminded yet")
\tform.queue_free()
"""


def test_lines_of_the_readme(game: Game, tmp_path: Path) -> None:
    """The README's lines create a guest, ask before another, move it, and remind it of saving."""
    play, move, remind = (lines.search(README) for lines in (PLAY, MOVE, REMIND))
    assert play
    assert move
    assert remind
    for lines in (play[1], move[1], remind[1]):
        assert len(lines.splitlines()) <= LONGEST
    assert "print" not in move[1]  # the engine writes what a game prints to a file
    script = game.folder / "tests" / "guest_lines.gd"
    script.write_text(SCRIPT.format(play=play[1], move=move[1], remind=remind[1]))
    run = game.run("guest_lines", tmp_path)
    script.unlink()
    assert not run.problems(), run.output
    assert run.passed == ["test_play", "test_move", "test_remind"], run.output
    assert not [secret for secret in game.backend.secrets if secret in run.output]
