"""Copies of the project in separate folders, in which tests run `make` as a user would."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.processes import Process
from local.stack import ROOT
from tests.play.sources import checkout

MARK = ".game-login"
START_SECONDS = 120.0
COPIED = (".bin", "serverless", "serverless-offline")  # these need their own real path
# The settings that pip and npm need on this machine.
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "PIP_", "NODE_EXTRA_CA_CERTS", "http", "HTTP")


def environment(**more: str) -> dict[str, str]:
    """Return a minimal environment, as of a plain shell, plus some settings."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(KEPT)}
    return {**kept, **more}


def prepared(folder: Path, former: str) -> Path:
    """Copy the project after `make setup`, as if it had been set up at another path.

    Files that do not depend on the folder's path are linked.
    """
    checkout(folder)
    modules, environment_ = folder / "node_modules", folder / ".venv"
    modules.mkdir()
    for module in (ROOT / "node_modules").iterdir():
        if module.name in COPIED:
            _copy(module, modules / module.name)
        else:
            (modules / module.name).symlink_to(module)
    environment_.mkdir()
    for name in ("bin", "pyvenv.cfg"):
        _copy(ROOT / ".venv" / name, environment_ / name)
    (packages,) = (ROOT / ".venv").glob("lib/python3.*/site-packages")
    links = environment_ / packages.relative_to(ROOT / ".venv")
    links.mkdir(parents=True)
    for package in packages.iterdir():
        (links / package.name).symlink_to(package)
    for mark in (modules / MARK, environment_ / MARK):
        mark.unlink(missing_ok=True)
        mark.write_text(f"{former}\n")
    for command in (environment_ / "bin").iterdir():
        if command.is_file() and not command.is_symlink():
            command.write_bytes(command.read_bytes().replace(bytes(ROOT), former.encode()))
    (folder / ".local").mkdir()
    for name in ("ready", "leaked-passwords.bin"):
        _copy(ROOT / ".local" / name, folder / ".local" / name)
    return folder


def copied(folder: Path, copy: Path) -> Path:
    """Copy a prepared folder without the database's data."""
    _copy(folder, copy)
    shutil.rmtree(copy / ".local" / "stack" / "mariadb")
    return copy


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", source, target], check=True)


def make(folder: Path, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run `make` to its end."""
    return subprocess.run(
        ["make", "--silent", "-C", str(folder), *arguments],
        env=environment(**more),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


class MakeRun:
    """A running `make run`, from the moment it reports that it is ready."""

    def __init__(
        self,
        folder: Path,
        logs: Path,
        port: int,
        settings: Mapping[str, str],
        seconds: float = START_SECONDS,
    ) -> None:
        self.port = port
        log = logs / "make-run.log"
        self._process = Process.ready(
            "make-run",
            ["make", "--silent", "-C", str(folder), "run", f"PORT={port}"],
            logs,
            environment(**settings),
            until=lambda: "Requests:" in log.read_text(),
            seconds=seconds,
        )

    @property
    def said(self) -> str:
        """Return its output so far."""
        return self._process.log.read_text()

    def health(self) -> Any:
        """Return its answer to a health check."""
        url = f"http://127.0.0.1:{self.port}/v1/health"
        with urllib.request.urlopen(url, timeout=15) as answer:
            return json.load(answer)

    def shows(self, line: str, seconds: float = 10) -> bool:
        """Tell whether a line appears in its output within some seconds."""
        end = time.monotonic() + seconds
        while not (said := re.search(line, self.said)) and time.monotonic() < end:
            time.sleep(0.05)
        return said is not None

    def stop(self) -> None:
        """Press Ctrl-C."""
        self._process.stop(signal.SIGINT)

    def kill(self) -> None:
        """Kill `make run` alone, as a crash would; its child processes keep running."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait_until(lambda: not self._process.is_running(), 10)
