"""The servers that all runs share, and the table at the end."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack import keep_proxies_out
from tests.faults import table
from tests.faults.beliefs import Beliefs
from tests.faults.faults import Fault
from tests.faults.guessers import Guesser, watch
from tests.faults.history import History
from tests.faults.moderators import Moderator
from tests.faults.recoverers import Recoverer
from tests.faults.run import Play, Run
from tests.faults.seat_takers import GameServers
from tests.faults.secrets_line import SecretsLine
from tests.faults.servers import Servers
from tests.faults.visitors import Visitor, look_at_the_end

PLAYERS = (Recoverer, Recoverer, Recoverer, Visitor, Visitor)
SETTLING_SECONDS = 40.0  # at most, for players to learn the outcome of their calls
LOOKS = 150  # at accounts and sessions, at the end


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Return a running database and Secrets Manager stand-in, which any test may break."""
    keep_proxies_out(os.environ)
    servers = Servers(tmp_path_factory.mktemp("servers"))
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


@pytest.fixture
def play(servers: Servers, tmp_path: Path) -> Play:
    """Return a function that plays while a fault is injected, and returns the history."""

    def play(
        fault: Fault,
        build: str = "",
        settling: float = SETTLING_SECONDS,
        looks: int = LOOKS,
        *,
        connecting: bool = True,
    ) -> History:
        secrets_line = SecretsLine(servers.secrets_address)
        run = Run(servers, secrets_line, tmp_path / "run", build)
        beliefs = Beliefs()
        try:
            fault.prepare(run)
            players = [one(run, beliefs, seed) for seed, one in enumerate(PLAYERS, 1)]
            games = GameServers(run) if connecting else None
            if games:
                run.observed = games.observed
            run.begin(
                *(player.live for player in players),
                Moderator(run, players, 77).work,
                Guesser(run, 99).guess,
                *(games.parts(players) if games else ()),
                lambda: watch(run),
            )
            fault.inject(run)
            logged = run.logged(fault.logged)
            assert logged >= fault.times, f"{fault.logged!r} was logged {logged} times"
            run.settle(settling)
            look_at_the_end(run, beliefs, looks)
            sys.stdout.write("\n".join(run.workers.log_lines(" 503 ")))  # shown if a test fails
            if games:
                games.finish()
            return run.history()
        finally:
            run.stop()
            secrets_line.stop()

    return play


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table at the end."""
    reports = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if isinstance(report, pytest.TestReport)
    ]
    rows = [
        str(value)
        for report in reports
        for name, value in report.user_properties
        if name == table.ROW
    ]
    if rows:
        terminalreporter.section("faults")
        for line in table.lines(rows):
            terminalreporter.write_line(line)
