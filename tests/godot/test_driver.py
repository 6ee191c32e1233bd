"""The test driver itself: the failures that it must detect."""

from pathlib import Path

import pytest

from local.stack import ROOT
from tests.godot.game import Game, GameRun, assert_passed, cases_in

GOOD = "".join(f"CASE ok {name}\n" for name in cases_in("test_tls")) + "CASE end\n"


def test_a_good_run_passes() -> None:
    """A run in which every test passed is good."""
    assert_passed(GameRun(GOOD, 0), "test_tls", "", {"secret"})


@pytest.mark.parametrize(
    "run",
    [
        GameRun("", 0),
        GameRun("CASE end\n", 0),
        GameRun(GOOD.replace("CASE end\n", ""), 0),
        GameRun(GOOD, 1),
        GameRun(GOOD, -11),
        GameRun(GOOD.replace("ok", "failed", 1), 0),
        GameRun("CASE problem x\n" + GOOD, 0),
        GameRun(GOOD + "SCRIPT ERROR: Invalid call.\n", 0),
        GameRun(GOOD + "a secret slipped out\n", 0),
        GameRun(GOOD.replace(GOOD.splitlines()[0] + "\n", ""), 0),
    ],
)
def test_a_bad_run_fails(run: GameRun) -> None:
    """No output, no end, a crash, a missing test, an engine error, a leaked secret: all fail."""
    with pytest.raises(AssertionError):
        assert_passed(run, "test_tls", "", {"secret"})


def test_a_scene_that_hangs_fails(game: Game, tmp_path: Path) -> None:
    """A scene that never ends is killed, and fails."""
    before, game.longest_run = game.longest_run, 5.0
    try:
        run = game.run("hanging", tmp_path)
    finally:
        game.longest_run = before
    assert run.status == -1
    with pytest.raises(AssertionError, match="did not come to its end"):
        assert_passed(run, "hanging", "", set())


def addon_scripts() -> list[str]:
    """Return the addon's scripts, which need no autoload."""
    project = ROOT / "clients" / "godot"
    return sorted(str(path.relative_to(project)) for path in project.glob("addons/**/*.gd"))


@pytest.mark.parametrize("script", addon_scripts())
def test_types(game: Game, script: str) -> None:
    """The engine's type check reports nothing for a script, warnings included."""
    assert game.check_script(game.folder / script) == []


@pytest.mark.parametrize(
    "line", ["var x = 1", "func f(x): pass", "func f() -> void: var x: int = 1", "var y: int = 'a'"]
)
def test_the_type_check_finds_mistakes(game: Game, line: str) -> None:
    """An untyped declaration, an unused variable and a wrong type are found."""
    script = game.folder / "planted.gd"
    script.write_text(f"extends Node\n\n\n{line}\n")
    try:
        assert game.check_script(script)
    finally:
        script.unlink()


def test_all_warnings_are_errors(game: Game) -> None:
    """The project turns every warning that the engine knows into an error."""
    run = game.run("warnings", game.folder.parent / "editor")
    assert run.came_to_its_end
    assert not run.problems(), run.output


def test_size() -> None:
    """The addon has at most 2130 lines, so that a studio can read all of it before shipping it.

    Guests made it longer by 300, recovery codes by 725, and tickets by 55.
    """
    project = ROOT / "clients" / "godot"
    lines = sum(len((project / name).read_text().splitlines()) for name in addon_scripts())
    assert lines <= 2130


def test_nothing_else_is_needed() -> None:
    """The addon loads only files of its own folder; only classes for games have a class_name."""
    folder = ROOT / "clients" / "godot" / "addons" / "game_login"
    for path in [*folder.rglob("*.gd"), *folder.rglob("*.tscn")]:
        text = path.read_text()
        for loaded in text.split("res://")[1:]:
            assert loaded.startswith("addons/game_login/"), f"{path.name}: {loaded[:40]}"
        if path.name != "result.gd":
            assert "class_name" not in text
