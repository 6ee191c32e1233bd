"""The runtime of the measured processes: the deployed package, with either build of Argon2.

It is a Python of Lambda's version with the unzipped package, or else this Python with the sources
of this folder. In both cases the chosen build of Argon2 comes first on the path.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _argon2_cffi_bindings

from deploy import argon2
from deploy.lambda_runtime import lambda_runtime, unzip
from deploy.package import CACHE, ROOT, build, pinned
from deploy.python import VERSION, find_or_fetch_python
from local.terminal import Problem, say

BINDINGS = "_argon2_cffi_bindings"
START = ("-B", "-s", "-P")  # as in Lambda: no .pyc files, and no packages of the user


@dataclass(frozen=True)
class Runtime:
    """A Python, its code, and the available builds of Argon2: name -> folder."""

    python: Path
    code: Path
    builds: Mapping[str, Path]
    missing: str  # the reason if there is no AVX2 build

    @property
    def deployed(self) -> Path:
        """Return the build that a deployment uses if it can be made here."""
        return self.builds.get("avx2", self.builds["stock"])

    def environment(self, settings: Mapping[str, str], *folders: Path) -> dict[str, str]:
        """Return the environment of a process that imports from these folders, then the code."""
        path = os.pathsep.join(str(folder) for folder in (*folders, self.code))
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "PYTHONPATH": path,
            **settings,
        }


class MeasuredProcess:
    """The parent's end of a process that measures (`tests.benchmarks.worker`)."""

    def __init__(
        self, runtime: Runtime, build: str, hashing: str, settings: Mapping[str, str], log: Path
    ) -> None:
        self._log = log
        environment = runtime.environment(settings, runtime.builds[build])
        environment["PYTHONPATH"] += os.pathsep + str(ROOT)
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(  # our own command
                [str(runtime.python), *START, "-m", "tests.benchmarks.worker", hashing],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env=environment,
                cwd=log.parent,
            )
        try:
            self._check(self.ask("loaded"), runtime, build)
        except BaseException:
            self.stop()
            raise

    def ask(self, do: str, **order: object) -> Any:
        """Send an order to the process and return its answer.

        Raises:
            Problem: the process ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **order}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            last = (self._log.read_text().strip().splitlines() or ["no reason given"])[-1]
            raise Problem(f"the measured process ended: {last}")
        return json.loads(line)

    def run(self, what: str, times: int) -> list[float]:
        """Return the seconds of each of so many runs."""
        samples: list[float] = self.ask("run", what=what, times=times)
        return samples

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @staticmethod
    def _check(loaded: Mapping[str, str], runtime: Runtime, build: str) -> None:
        """Check that the process runs this code, and this build."""
        for found, wanted in (
            (loaded["handler"], runtime.code),
            (loaded["argon2"], runtime.builds[build]),
        ):
            if not Path(found).is_relative_to(wanted):
                raise Problem(f"the measured process runs {found}, which is not in {wanted}")


def prepare(folder: Path) -> Runtime:
    """Build the package, and put the runtime of the measured processes into this folder.

    Raises:
        Problem: the package cannot be built.
    """
    builds, missing = _argon2_builds(folder)
    try:
        python = find_or_fetch_python()
    except Problem as problem:
        say(f"WARNING: no Python {VERSION} ({problem}): measuring this Python, with the sources")
        return Runtime(Path(sys.executable), ROOT, builds, missing)
    build(folder / "game-login.zip")
    task = unzip(folder / "game-login.zip", folder / "task")
    return Runtime(lambda_runtime(python), task, builds, missing)


def _argon2_builds(folder: Path) -> tuple[dict[str, Path], str]:
    """Return the builds of the Argon2 library, and the reason if there is no AVX2 build."""
    stock = Path(str(_argon2_cffi_bindings.__file__)).parent
    builds = {"stock": folder / "stock"}
    shutil.copytree(stock, builds["stock"] / BINDINGS)
    CACHE.mkdir(parents=True, exist_ok=True)
    try:
        library = argon2.fast_library(pinned(ROOT / "requirements.txt")[argon2.DISTRIBUTION], CACHE)
    except argon2.Unusable as reason:
        say(f"WARNING: no AVX2 build of Argon2: {reason}")
        return builds, f"no AVX2 build of Argon2 here: {reason}"
    builds["avx2"] = folder / "avx2"
    shutil.copytree(stock, builds["avx2"] / BINDINGS)
    (copy,) = (builds["avx2"] / BINDINGS).glob("*.so")
    shutil.copyfile(library, copy)
    return builds, ""
