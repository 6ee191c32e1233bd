"""`python -m tests.benchmarks [--accounts N]`: measure everything and print the tables."""

import argparse
import datetime as dt
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.install import install_server
from local.stack import Stack, keep_proxies_out, without_aws
from local.terminal import Problem, say, step
from tests.benchmarks import cold_start, memory, routes, tables
from tests.benchmarks.runtimes import MeasuredProcess, Runtime, prepare
from tests.benchmarks.targets import FIGURES, TARGETS, Row, plain_table, table

PARTS = ("routes", "timing", "cold-start", "memory", "tables")
NO_LIMITS = {"RATE_LIMIT_SCALE": "100000"}  # the timing part makes hundreds of guesses
PASSWORD = "tutorial"  # of the tutorial's database user


@dataclass(frozen=True)
class Counts:
    """The numbers of repetitions; a test uses small ones."""

    calls: int = 200
    starts: int = 21
    requests: int = 10_000
    lookups: int = 60
    accounts: int = 200_000


class Bench:
    """The servers, the measured runtime, and the measured rows."""

    def __init__(self, folder: Path, counts: Counts) -> None:
        self._folder = folder
        self._counts = counts
        self._stack = Stack(folder / "stack", rate_limit_scale="1")
        self.rows: dict[str, Row] = {}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Build the package and start the servers; stop them at the end."""
        with step("building the package"):
            self._runtime = prepare(self._folder)
        try:
            self._stack.start()
            os.environ.update(self._stack.environment())
            self._root = tables.Root(self._stack.database)
            self._settings = {**self._stack.environment(), **self._tutorial()}
            yield
        finally:
            self._stack.stop()

    @property
    def runtime(self) -> Runtime:
        """Return the runtime of the measured processes."""
        return self._runtime

    def measure(self, part: str) -> None:
        """Measure one part."""
        getattr(self, "_" + part.replace("-", "_"))()

    def _routes(self) -> None:
        with routes.workers(self._runtime, self._settings, self._folder) as found:
            self.rows |= routes.measure(found, self._counts.calls, self._runtime)

    def _timing(self) -> None:
        with routes.workers(self._runtime, self._settings | NO_LIMITS, self._folder) as found:
            self.rows["timing"] = routes.timing(found, self._counts.calls)

    def _cold_start(self) -> None:
        with self._worker("stock", "cheap") as worker:
            player = worker.ask("username")
        self.rows |= cold_start.measure(
            self._runtime, self._settings, player, self._counts.starts, self._folder
        )

    def _memory(self) -> None:
        build = "avx2" if "avx2" in self._runtime.builds else "stock"
        with self._worker(build, "real") as worker:
            parts = memory.parts(self._runtime, self._settings)
            self.rows |= memory.measure(worker, self._counts.requests, parts)

    def _tables(self) -> None:
        self.rows |= tables.measure(
            self._stack, self._root, self._counts.accounts, self._counts.lookups
        )

    @contextmanager
    def _worker(self, build: str, hashing: str) -> Iterator[MeasuredProcess]:
        log = self._folder / "worker.log"
        worker = MeasuredProcess(self._runtime, build, hashing, self._settings, log)
        try:
            yield worker
        finally:
            worker.stop()

    def _tutorial(self) -> Mapping[str, str]:
        """Create the tutorial's table and user; return the settings of its server."""
        for sql in (
            "CREATE DATABASE tutorial",
            "CREATE TABLE tutorial.users (username VARCHAR(99) PRIMARY KEY, password VARCHAR(99))",
            "INSERT INTO tutorial.users (username, password) VALUES ('Test', 'Test')",
            f"CREATE USER tutorial@'%' IDENTIFIED BY '{PASSWORD}'",
            "GRANT SELECT ON tutorial.* TO tutorial@'%'",
        ):
            self._root.run(sql)
        return {
            "TUTORIAL_HOST": "127.0.0.1",
            "TUTORIAL_PORT": str(self._stack.database.port),
            "TUTORIAL_USER": "tutorial",
            "TUTORIAL_PASSWORD": PASSWORD,
            "TUTORIAL_DATABASE": "tutorial",
        }


def machine(runtime: Runtime) -> str:
    """Return a description of the machine and its load."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    flags = ", AVX2" if "avx2" in runtime.builds else ""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    version = subprocess.run(  # our own command
        [str(runtime.python), "-V"], capture_output=True, text=True, check=True
    ).stdout.strip()
    return (
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores of"
        f" {model}{flags}, {platform.system()} {platform.release()}, {version}; load {load}"
    )


def main() -> int:
    """Measure, print, and return the exit status; a missed target is not an error."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("--accounts", type=int, default=Counts.accounts)
    parser.add_argument("--only", choices=PARTS, action="append", help="measure only this part")
    arguments = parser.parse_args()
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, lambda *_: sys.exit("bench: stopped"))  # and stops its servers
    keep_proxies_out(os.environ)
    for name in set(os.environ) - set(without_aws(os.environ)):
        del os.environ[name]
    counts, began = Counts(accounts=arguments.accounts), time.monotonic()
    try:
        install_server()
        with tempfile.TemporaryDirectory(prefix="game-login-bench-") as folder:
            bench = Bench(Path(folder), counts)
            with bench.running():
                say(machine(bench.runtime))
                for part in arguments.only or PARTS:
                    with step(f"measuring: {part}"):
                        bench.measure(part)
                say(machine(bench.runtime))
    except Problem as problem:
        say(f"bench: {problem}")
        return 1
    say(f"measured in {(time.monotonic() - began) / 60:.1f} minutes")
    say("\n" + table(bench.rows, [name for name in TARGETS if name in bench.rows]))
    say("\n" + plain_table(bench.rows, [name for name in FIGURES if name in bench.rows]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
