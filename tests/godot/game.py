"""The game on a player's machine: a project, a home folder, and processes of the engine."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from local.stack import ROOT
from tests.godot.engine import GodotEngine, loader
from tests.godot.server import Backend

SCENES = ROOT / "tests" / "godot" / "scenes"
CONFORMANCE = ROOT / "clients" / "conformance"
LONGEST_RUN = 120.0  # for a whole script, on a slow machine
CASE = re.compile(r"^CASE (ok|failed|problem|end)(?: (.*))?$", re.MULTILINE)
ENGINE_ERROR = re.compile(r"^(?:SCRIPT )?(?:ERROR|WARNING): .*$", re.MULTILINE)
# The engine's messages about a machine without sound, screen or user.
# Debian's template prints the last one for each child of any container that is freed.
HARMLESS = re.compile(
    r"ALSA|PulseAudio|XDG_|D-?Bus|libdecor|Vulkan|V-Sync"
    r"|disconnect a nonexistent connection from .*'(size_flags|visibility)_changed', callable: ''",
    re.IGNORECASE,
)
# Messages that a script provokes.
EXPECTED = {
    "test_tls": re.compile("TLS handshake error"),
    "test_store": re.compile("Game Login: cannot write user://"),
    "test_guest": re.compile(
        "Could not create directory: 'user://|Game Login: cannot write user://"
    ),
    "test_socket": re.compile("Game Login: no ticket: "),
    "test_recovery": re.compile("Could not create directory: 'user://"),
    # The engine keeps the state of a function if its node was freed while it waited.
    "test_faults": re.compile("ObjectDB instances leaked"),
    "test_form": re.compile("ObjectDB instances leaked"),
}
PRESET = """\
[preset.0]
name="Linux"
platform="Linux"
runnable=true
advanced_options=false
dedicated_server=false
custom_features=""
export_filter="all_resources"
include_filter=""
exclude_filter=""
export_path=""
script_export_mode=2
encryption_include_filters=""
encryption_exclude_filters=""
seed=0
encrypt_pck=false
encrypt_directory=false

[preset.0.options]
custom_template/debug=""
custom_template/release="{template}"
debug/export_console_wrapper=0
binary_format/embed_pck=false
binary_format/architecture="x86_64"
texture_format/s3tc_bptc=true
texture_format/etc2_astc=false
"""


@dataclass(frozen=True)
class GameRun:
    """The output of one process."""

    output: str
    status: int

    @property
    def passed(self) -> list[str]:
        """Return the tests that passed."""
        return [what for kind, what in CASE.findall(self.output) if kind == "ok"]

    def problems(self, script: str = "") -> list[str]:
        """Return the failures that the scene reported, and the engine's own errors."""
        found = [what for kind, what in CASE.findall(self.output) if kind in {"failed", "problem"}]
        expected = EXPECTED.get(script, HARMLESS)
        said = ENGINE_ERROR.findall(self.output)
        return found + [
            line for line in said if not HARMLESS.search(line) and not expected.search(line)
        ]

    @property
    def came_to_its_end(self) -> bool:
        """Tell whether all tests were run and the engine ended by itself."""
        return self.status in {0, 1} and CASE.findall(self.output)[-1:] == [("end", "")]


class Game:
    """A project with test scenes."""

    def __init__(self, engine: GodotEngine, folder: Path, backend: Backend, ca: Path) -> None:
        self.engine = engine
        self.folder = folder
        self.backend = backend
        self._ca = ca
        self.longest_run = LONGEST_RUN
        self._program = [*engine.command, "--path", str(folder), "res://tests/runner.tscn"]

    def import_project(self) -> None:
        """Let the engine import the project; a fresh clone does not run without it."""
        home = self.folder.parent / "editor"
        environment = self.environment(home, {})
        done = self.engine.run(
            "--path", str(self.folder), "--import", environment=environment, seconds=180
        )
        problems = GameRun(done.stdout + done.stderr, 0).problems()
        assert done.returncode == 0, done.stderr
        assert not problems, problems

    def export(self, template: Path, folder: Path) -> "Game":
        """Export for release, with the test scenes in place of the demo; return the exported game.

        The program expects its package beside the executable that is run, which is the loader.
        """
        assert self.engine.root is not None
        project = folder / "project"
        shutil.copytree(self.folder, project)
        settings = project / "project.godot"
        settings.write_text(
            settings.read_text().replace("res://demo/main.tscn", "res://tests/runner.tscn")
        )
        (project / "export_presets.cfg").write_text(PRESET.format(template=template))
        game = folder / "game"
        done = self.engine.run(
            *("--path", str(project), "--export-release", "Linux", str(game)),
            environment=self.environment(folder / "editor", {}),
        )
        problems = GameRun(done.stdout + done.stderr, 0).problems()
        assert done.returncode == 0, done.stderr
        assert not problems, "\n".join(problems)
        program, *its_libraries = loader(self.engine.root)
        copy = folder / "loader"  # the game looks for its data beside the executable
        shutil.copy(program, copy)
        shutil.copy(folder / "game.pck", folder / "loader.pck")
        released = Game(self.engine, project, self.backend, self._ca)
        released._program = [str(copy), *its_libraries, str(game)]
        return released

    def check_script(self, script: Path) -> list[str]:
        """Return the engine's type errors and warnings for a script."""
        done = self.engine.run(
            "--path",
            str(self.folder),
            "--check-only",
            "-s",
            f"res://{script.relative_to(self.folder)}",
            environment=self.environment(self.folder.parent / "editor", {}),
        )
        problems = GameRun(done.stdout + done.stderr, 0).problems()
        return problems or (["it failed without output"] if done.returncode else [])

    def start(
        self, script: str, home: Path, phase: str = "", **settings: str
    ) -> subprocess.Popen[str]:
        """Start the engine with one script of tests."""
        environment = self.environment(
            home,
            {
                "GAME_LOGIN_TEST_URL": self.backend.url,
                "GAME_LOGIN_TEST_CONTROL": self.backend.url,
                "GAME_LOGIN_TEST_SECURE_URL": self.backend.secure_url,
                "GAME_LOGIN_TEST_CA": str(self._ca),
                "GAME_LOGIN_TEST_CONFORMANCE": str(CONFORMANCE),
                "GAME_LOGIN_TEST_SCRIPT": f"res://tests/{script}.gd",
                "GAME_LOGIN_TEST_PHASE": phase,
                **settings,
            },
        )
        screen = ["--headless"]
        if "DISPLAY" in settings:
            screen = ["--rendering-driver", "opengl3", "--audio-driver", "Dummy"]
            screen += ["--resolution", settings["GAME_LOGIN_TEST_RESOLUTION"]]
        return subprocess.Popen(
            [*self._program, *screen],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            env=environment,
        )

    def finish(self, process: subprocess.Popen[str]) -> GameRun:
        """Wait for a process; kill it if it hangs, which counts as not reaching the end."""
        try:
            output, _ = process.communicate(timeout=self.longest_run)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            return GameRun(output, -1)
        return GameRun(output, process.returncode)

    def run(self, script: str, home: Path, phase: str = "", **settings: str) -> GameRun:
        """Run one script of tests to its end."""
        return self.finish(self.start(script, home, phase, **settings))

    def environment(self, home: Path, more: dict[str, str]) -> dict[str, str]:
        """Return an environment that places the game's `user://` below a folder."""
        folders = {f"XDG_{kind}_HOME": str(home / kind) for kind in ("DATA", "CONFIG", "CACHE")}
        home.mkdir(parents=True, exist_ok=True)
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        return {**kept, "HOME": str(home), **folders, **more}


def cases_in(script: str, phase: str = "") -> list[str]:
    """Return the names of a script's tests."""
    text = (SCENES / f"{script}.gd").read_text()
    return re.findall(rf"^func (test_{phase}\w*)\(", text, re.MULTILINE)


def assert_passed(run: GameRun, script: str, phase: str, secrets: set[str]) -> None:
    """Check that each test of a script passed, and that no secret was printed."""
    leaked = [secret for secret in secrets if secret in run.output]
    assert not leaked, f"{len(leaked)} secrets in the output of {script}"  # without printing them
    assert not run.problems(script), f"{script}:\n{run.output}"
    assert run.came_to_its_end, f"{script} did not come to its end:\n{run.output}"
    expected = cases_in(script, phase)
    assert expected, f"{script} has no tests named test_{phase}*"
    assert run.passed == expected
    assert run.status == 0
