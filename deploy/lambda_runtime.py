"""AWS Lambda on this machine: the unzipped package, Amazon's runtime client, our own Runtime API.

The client (`awslambdaric`) requests the next event from the Runtime API and posts the answer there.
As in Lambda, Python and boto3 belong to the runtime; everything else comes from the package.
"""

import fcntl
import hashlib
import json
import os
import queue
import shlex
import subprocess
import sys
import threading
import time
import uuid
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from deploy.package import IN_RUNTIME, PLATFORMS, ROOT
from deploy.pins import hashed
from deploy.python import VERSION
from local.processes import Process, Program
from local.terminal import Problem

START_SECONDS = 30.0
RUNTIMES = ROOT / ".local" / "lambda-runtime"
CLIENT = ("awslambdaric", "simplejson", "snapshot-restore-py")
ARN = "arn:aws:lambda:us-east-1:123456789012:function:game-login"

_API = "/2018-06-01/runtime"


class FunctionError(Exception):
    """The function raised an exception, at its start or for an event, as Lambda reports it."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(f"{error.get('errorType')}: {error.get('errorMessage')}")
        self.type = str(error.get("errorType"))
        self.message = str(error.get("errorMessage"))


@dataclass(frozen=True)
class _Invocation:
    """One event, and later its answer."""

    event: bytes
    deadline: float
    identifier: str = field(default_factory=lambda: str(uuid.uuid4()))
    answered: threading.Event = field(default_factory=threading.Event)
    answers: list[tuple[bool, bytes]] = field(default_factory=list)

    def answer(self, body: bytes, *, well: bool) -> None:
        """Store the function's answer, or the error that it raised."""
        self.answers.append((well, body))
        self.answered.set()


class _RuntimeApi(ThreadingHTTPServer):
    """The HTTP server that a function's process calls."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.asked = threading.Event()
        self.init_error: bytes | None = None
        self.waiting: queue.Queue[_Invocation | None] = queue.Queue()
        self.begun: dict[str, _Invocation] = {}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self) -> None:
        """End the waiting request for an event, and stop."""
        self.waiting.put(None)
        self.shutdown()
        self.server_close()


class _Request(BaseHTTPRequestHandler):
    server: _RuntimeApi
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Give the next event to the function."""
        if self.path != f"{_API}/invocation/next":
            self._reply(404)
            return
        self.server.asked.set()
        invocation = self.server.waiting.get()
        if invocation is None:
            self.close_connection = True
            return
        self.server.begun[invocation.identifier] = invocation
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.identifier,
            "Lambda-Runtime-Deadline-Ms": str(int(invocation.deadline * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": ARN,
        }
        self._reply(200, invocation.event, headers)

    def do_POST(self) -> None:
        """Take the answer to an event, its error, or the error of the initialisation."""
        body = self._body()
        what = self.path.removeprefix(_API).strip("/").split("/")
        if what == ["init", "error"]:
            self.server.init_error = body
        elif what[0] == "invocation" and what[-1] in {"response", "error"}:
            invocation = self.server.begun.pop(what[1], None)
            if invocation is None:
                self._reply(400)
                return
            invocation.answer(body, well=what[-1] == "response")
        else:
            self._reply(404)
            return
        self._reply(202, b'{"status": "OK"}')

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _reply(
        self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Function(Program):
    """One function of the package in its own process, like one Lambda instance."""

    def __init__(
        self, name: str, package: Path, python: Path, folder: Path, settings: Mapping[str, str]
    ) -> None:
        """Take the name of a function in `handler.py`, and its settings."""
        self._name = name
        self._package = package
        self._python = python
        self._folder = folder
        self._settings = settings
        self._api: _RuntimeApi | None = None

    def start(self) -> None:
        """Start the function and wait until it is initialised.

        Raises:
            FunctionError: the function raised an exception.
            Problem: the process did not start.
        """
        self._api = api = _RuntimeApi()

        def has_begun() -> bool:
            if api.init_error is not None:
                raise FunctionError(json.loads(api.init_error))
            return api.asked.is_set()

        # -B, since /var/task is read-only; -s excludes the user's own packages.
        command = [str(self._python), "-B", "-s", "-m", "awslambdaric", f"handler.{self._name}"]
        try:
            self._process = Process.ready(
                self._name,
                command,
                self._folder,
                self._environment(),
                self._package,
                until=has_begun,
                seconds=START_SECONDS,
            )
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the function; its log is kept."""
        super().stop()
        if self._api is not None:
            self._api.close()
            self._api = None

    def invoke(self, event: object, seconds: float = 10.0) -> Any:
        """Return the function's answer to an event.

        Raises:
            FunctionError: the function raised an exception.
            Problem: the process ended, or did not answer in time.
        """
        assert self._api is not None
        assert self._process is not None
        invocation = _Invocation(json.dumps(event).encode(), time.time() + seconds)
        self._api.waiting.put(invocation)
        while not invocation.answered.wait(0.1):
            if not self._process.is_running():
                raise Problem(f"{self._name} stopped:\n{self._process.last_lines()}")
            if time.time() > invocation.deadline:
                raise Problem(f"{self._name} did not answer within {seconds:.0f} s")
        well, body = invocation.answers[0]
        if not well:
            raise FunctionError(json.loads(body))
        return json.loads(body)

    def log(self) -> list[dict[str, Any]]:
        """Return the function's log: JSON objects, as Lambda sends them to CloudWatch.

        Raises:
            ValueError: a line is not JSON.
        """
        lines = (self._folder / f"{self._name}.log").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def _environment(self) -> dict[str, str]:
        assert self._api is not None
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_FUNCTION_NAME": f"game-login-{self._name}",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._api.server_port}",
            "LAMBDA_TASK_ROOT": str(self._package),
            "_HANDLER": f"handler.{self._name}",
            **self._settings,
        }


def unzip(package: Path, folder: Path) -> Path:
    """Unzip the package into a folder, as Lambda does into /var/task."""
    with zipfile.ZipFile(package) as zipped:
        zipped.extractall(folder)
    return folder


def _platforms() -> list[str]:
    """Return the platform tags of wheels for this machine, since the runtime runs here."""
    return [f"--platform={name}_{os.uname().machine}" for name in PLATFORMS]


def lambda_runtime(python: str) -> Path:
    """Return the runtime's Python, with boto3 and the runtime's client.

    It is built once for each Python and each list of versions.

    Raises:
        Problem: the runtime cannot be built on this machine.
    """
    if sys.platform != "linux":
        raise Problem("Lambda's runtime client, awslambdaric, runs on Linux only: test it there")
    names = ("requirements.txt", "requirements-dev.txt")
    versions = b"".join((ROOT / name).read_bytes() for name in names)
    folder = RUNTIMES / hashlib.sha256(versions + python.encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = folder / "python"  # written last
        return made if made.exists() else _make_runtime(python, folder)


def _make_runtime(python: str, folder: Path) -> Path:
    wanted = folder / "wanted.txt"
    wanted.write_text(hashed(ROOT / "requirements-dev.txt", {*IN_RUNTIME, *CLIENT}))
    packages = folder / "packages"
    install = [
        *(sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"),
        *("--no-deps", "--no-compile", "--only-binary=:all:", f"--target={packages}"),
        *("--implementation=cp", f"--python-version={VERSION}", *_platforms()),
        *("--require-hashes", f"--requirement={wanted}"),
    ]
    compile_all = [python, "-m", "compileall", "-q", str(packages)]
    for command in (install, compile_all):
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()
            raise Problem(f"the Lambda runtime could not be built:\n{said}")
    own = folder / "python"
    path = f'"${{PYTHONPATH:+$PYTHONPATH:}}"{shlex.quote(str(packages))}'
    own.write_text(f'#!/bin/sh\nPYTHONPATH={path} exec {shlex.quote(python)} "$@"\n')
    own.chmod(0o755)
    return own
