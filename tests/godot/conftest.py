"""The engine, the addon's project as on a player's machine, the backend and the game server."""

import os
import shutil
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import handler
from auth.app import create_app
from auth.settings import Settings
from auth.times import system_clock
from local.certificates import make_certificates
from local.game_server import SERVER_KEY, GameServer
from local.processes import free_port
from local.stack import ROOT, Stack
from tests.godot.clocked_server import AHEAD
from tests.godot.engine import CACHE, REQUIRED, EngineMissing, GodotEngine, find_engine
from tests.godot.game import Game
from tests.godot.server import Backend
from tests.play.game_servers import new_key


class ClockedGameServer(GameServer):
    """The game server, with a clock that moves with the backend's."""

    def __init__(
        self, port: int, folder: Path, backend: str, environment: Mapping[str, str], ahead: Path
    ) -> None:
        """Take what the server takes, and the file that says how far the clocks are ahead."""
        super().__init__(port, folder, backend, environment)
        self._environment[AHEAD] = str(ahead)

    def command(self) -> list[str]:
        """Return the command that starts the server with that clock."""
        python, *options, script = super().command()
        return [python, *options, str(Path(__file__).with_name("clocked_server.py")), script]


@pytest.fixture(scope="session")
def engine() -> GodotEngine:
    """Return Godot, or skip the test if it is unavailable."""
    try:
        return find_engine(CACHE)
    except EngineMissing as missing:
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(f"no Godot, but {REQUIRED}=1: {missing}")
        pytest.skip(f"GODOT TESTS DID NOT RUN ({REQUIRED}=1 makes this a failure): {missing}")


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the certificate of the HTTPS server, and of its own CA."""
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder)
    return folder


@pytest.fixture(scope="session")
def ahead_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file that says how many seconds the clocks are ahead."""
    file = tmp_path_factory.mktemp("clock") / "ahead"
    file.write_text("0.0")
    return file


@pytest.fixture(scope="session")
def backend(stack: Stack, certificates: Path, ahead_file: Path) -> Iterator[Backend]:
    """Return the real backend behind HTTP and HTTPS, with an adjustable clock."""
    ahead = timedelta()

    def clock() -> datetime:
        return system_clock() + ahead

    def advance(seconds: float | None) -> None:
        nonlocal ahead
        ahead = timedelta() if seconds is None else ahead + timedelta(seconds=seconds)
        next_file = ahead_file.with_name("next")
        next_file.write_text(str(ahead.total_seconds()))
        next_file.replace(ahead_file)  # as a whole: the game server may be reading it

    application = create_app(Settings.from_environment(stack.environment()), clock=clock)
    before, handler.application = handler.application, application
    backend = Backend(certificates, advance)
    backend.start()
    yield backend
    backend.stop()
    handler.application = before
    application.close()


@pytest.fixture(autouse=True)
def _clock(backend: Backend) -> Iterator[None]:
    """Reset the clock after each test, or the next one would accept old tokens."""
    yield
    backend.set_right()


@pytest.fixture(scope="session")
def game(
    engine: GodotEngine,
    backend: Backend,
    certificates: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Game:
    """Return the demo's project with the test scenes added, imported."""
    folder = tmp_path_factory.mktemp("game") / "project"
    ignored = shutil.ignore_patterns(".godot")
    shutil.copytree(ROOT / "clients" / "godot", folder, ignore=ignored)
    shutil.copytree(ROOT / "tests" / "godot" / "scenes", folder / "tests")
    _relax_warnings(folder / "project.godot", "res://tests")
    game = Game(engine, folder, backend, certificates / "ca.pem")
    game.import_project()
    return game


@pytest.fixture(scope="session")
def socket_url(
    backend: Backend, stack: Stack, ahead_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Return the address of the example game server."""
    folder = tmp_path_factory.mktemp("socket-server")
    environment = stack.environment()
    server = ClockedGameServer(free_port(), folder, backend.url, environment, ahead_file)
    server.start()
    yield server.url
    server.stop()


@pytest.fixture(scope="module")
def keyed_url(
    backend: Backend, stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Return the address of an example game server that redeems tickets and obeys the feed."""
    key = new_key()
    backend.secrets.add(key)
    folder = tmp_path_factory.mktemp("keyed-server")
    environment = stack.environment() | {SERVER_KEY: key}
    server = GameServer(free_port(), folder, backend.url, environment)
    server.start()
    yield server.url
    server.stop()
    log = server.log.read_text()
    assert "Traceback" not in log
    assert not [secret for secret in backend.secrets if secret in log]


@pytest.fixture(scope="session")
def released(game: Game, engine: GodotEngine, tmp_path_factory: pytest.TempPathFactory) -> Game:
    """Return the same project exported for release, as players get it."""
    if engine.release_template is None:
        pytest.skip(f"NO RELEASE EXPORT WAS TESTED: there is no template for {engine.command[0]}")
    return game.export(engine.release_template, tmp_path_factory.mktemp("released"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Report skipped tests at the end."""
    reasons = {
        str(report.longrepr[2]).removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple)
    }
    for reason in sorted(reasons):
        terminalreporter.write_line(reason, red=True)


def _relax_warnings(project: Path, folder: str) -> None:
    """Allow the test scenes warnings that are errors in the shipped scripts."""
    strict = "gdscript/warnings/directory_rules={}"
    text = project.read_text()
    assert strict in text
    project.write_text(text.replace(strict, strict.replace("{}", f'{{"{folder}": 0}}')))
