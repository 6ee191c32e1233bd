"""The exit status of an operator's command, and that nothing is half done, whatever breaks."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import operate.functions
from local.offline import Offline
from local.processes import free_port
from local.stack import Stack
from operate.__main__ import main
from tests.conftest import Tables
from tests.play.relays import relay
from tests.play.sources import ROOT
from tests.play.terminals import Terminal
from tests.stories.test_offline import ask

ADA = {"username": "Ada", "password": "correct horse battery staple"}
SUSPEND = "suspend Ada --for 7d --message Cheating --yes --reason x"
DEV = f"{SUSPEND} --stage dev"
EXPIRED = (
    "<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredToken</Code>"
    "<Message>The security token included in the request is expired</Message></Error>"
    "<RequestId>1</RequestId></ErrorResponse>"
)
# If the tests are a background job, their children ignore Ctrl-C.
OPERATE = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    " runpy.run_module('operate', run_name='__main__', alter_sys=True)"
)
DENIED = json.dumps({"Message": "User is not authorized to perform: lambda:InvokeFunction"})
BUSY = json.dumps(
    {"Type": "User", "message": "Rate Exceeded.", "Reason": "CallerRateLimitExceeded"}
)


def run(line: str) -> int:
    """Run a command, as typed."""
    return main(shlex.split(line))


@pytest.fixture
def ada(operated: Offline) -> None:
    """Register a player."""
    assert ask(operated, "POST", "/v1/register", ADA).status == 201


def done(tables: Tables) -> tuple[int, int, int]:
    """Return the epoch of the only player, its suspensions, and the operations."""
    (account,) = tables.run("SELECT epoch FROM accounts")
    (events,) = tables.run("SELECT COUNT(*) AS n FROM events WHERE kind = 10")
    return account["epoch"], events["n"], tables.count("operations")


@contextmanager
def answering(status: int, text: str, **headers: str) -> Iterator[str]:
    """Run a server that gives this answer to every call, as AWS does when it refuses."""

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def reach_by(address: str, offline: Offline, folder: Path) -> None:
    """Let `python -m operate` find the functions at another address."""
    found = {**offline.operate_environment(), "OPERATE_ENDPOINT": address}
    (folder / "env").write_text("".join(f"{name}={value}\n" for name, value in found.items()))


@pytest.mark.usefixtures("ada")
def test_done(tables: Tables) -> None:
    """0: the command is done."""
    assert run(SUSPEND) == 0
    assert done(tables) == (1, 1, 1)


@pytest.mark.usefixtures("ada")
def test_refused(tables: Tables, capsys: pytest.CaptureFixture[str]) -> None:
    """1: the command is refused, and only this is recorded."""
    assert run(SUSPEND.replace("Ada", "nobody")) == 1
    assert capsys.readouterr().err == "No account has this name or id.\n"
    assert done(tables) == (0, 0, 1)


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize("line", ["suspend", "dance Ada", "sign-out", f"{SUSPEND} --for-ever"])
def test_unknown_usage(tables: Tables, line: str) -> None:
    """2: the command line is not one; nothing is sent."""
    with pytest.raises(SystemExit) as ended:
        run(line)
    assert ended.value.code == 2
    assert done(tables) == (0, 0, 0)


@pytest.mark.usefixtures("stack")
def test_nothing_to_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """2: there is no such stage, or `make run` is not running."""
    assert run(DEV) == 2
    assert "there is no function game-login-dev-operate_support" in capsys.readouterr().err
    monkeypatch.setattr(operate.functions, "LOCAL_ENVIRONMENT", tmp_path / "none")
    assert run(SUSPEND) == 2
    assert "make run" in capsys.readouterr().err


@pytest.mark.usefixtures("stack")
def test_policy_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """3: IAM does not let the operator invoke the function of the role."""
    with answering(403, DENIED, x_amzn_ErrorType="AccessDeniedException") as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", address)
        assert run(DEV) == 3
    said = capsys.readouterr().err
    assert "does not let you invoke game-login-dev-operate_support" in said
    assert "--command-id" not in said


@pytest.mark.usefixtures("stack")
def test_signed_out_of_aws(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """3: the credentials are expired, or there are none."""
    with answering(403, EXPIRED, Content_Type="text/xml") as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", address)
        assert run(DEV) == 3
    assert "AWS refuses the credentials" in capsys.readouterr().err
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert run(DEV) == 3
    assert "sign in to AWS first" in capsys.readouterr().err


def repeated(said: str) -> str:
    """Return the option to repeat a command, as it was printed."""
    found = re.search(
        r"with the same reason and (--command-id \S+): it is done once at most.", said
    )
    assert found, said
    return found[1]


@pytest.mark.usefixtures("ada")
def test_database_is_down(
    stack: Stack, operated: Offline, capsys: pytest.CaptureFixture[str]
) -> None:
    """4: the database is down; nothing is half done, and the repetition does it."""
    stack.database.stop()
    try:
        assert run(SUSPEND) == 4
        said = capsys.readouterr().err
        assert "The database is out of reach or busy; try again." in said
        assert run("players show Ada") == 4
        assert "--command-id" not in capsys.readouterr().err
    finally:
        stack.database.start()
    with stack.database.connect() as connection:
        tables = Tables(connection)
        assert done(tables) == (0, 0, 0)
        assert run(f"{SUSPEND} {repeated(said)}") == 0
        assert done(tables) == (1, 1, 1)


@pytest.mark.usefixtures("ada")
def test_function_is_out_of_reach(
    operated: Offline,
    tables: Tables,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """4: nobody listens, in AWS or here, or Lambda is busy or asleep; nothing is done."""
    reach_by(f"http://127.0.0.1:{free_port()}", operated, tmp_path)
    assert run(SUSPEND) == 4
    assert repeated(capsys.readouterr().err)
    with answering(429, BUSY, x_amzn_ErrorType="TooManyRequestsException") as address:
        reach_by(address, operated, tmp_path)
        assert run(SUSPEND) == 4
        assert "is busy" in capsys.readouterr().err
    pending = json.dumps({"Type": "User", "Message": "The function is in the Pending state."})
    with answering(409, pending, x_amzn_ErrorType="ResourceConflictException") as address:
        reach_by(address, operated, tmp_path)
        assert run(SUSPEND) == 4
        assert "waking up" in capsys.readouterr().err
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{free_port()}")
    assert run(DEV) == 4
    assert done(tables) == (0, 0, 0)


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize("forwards", [True, False])
def test_answer_is_lost(
    operated: Offline,
    tables: Tables,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    forwards: bool,
) -> None:
    """5: the connection broke before the answer; the repetition tells the outcome of one change."""
    found = operated.operate_environment()["OPERATE_ENDPOINT"]
    with relay(int(found.rpartition(":")[2]), forwards=forwards) as cut:
        reach_by(f"http://127.0.0.1:{cut.port}", operated, tmp_path)
        assert run(SUSPEND) == 5
        assert cut.connections == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "no answer from the function" in said.err
    assert done(tables) == ((1, 1, 1) if forwards else (0, 0, 0))
    reach_by(found, operated, tmp_path)
    for _ in range(2):
        assert run(f"{SUSPEND} --json {repeated(said.err)}") == 0
        answer = json.loads(capsys.readouterr().out)
        assert (answer["ok"], answer["changed"]) == (True, True)
        assert done(tables) == (1, 1, 1)


@pytest.mark.usefixtures("ada")
def test_interrupted(operated: Offline, tables: Tables, tmp_path: Path) -> None:
    """5: the operator pressed Ctrl-C while the command ran; the text says how to go on."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        terminal = Terminal(
            tmp_path, {**operated.operate_environment(), "OPERATE_ENDPOINT": address}
        )
        running = subprocess.Popen(
            [terminal.make_python(), "-c", OPERATE, *shlex.split(SUSPEND)],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        with running, silent.accept()[0] as connection:
            assert connection.recv(1)
            running.send_signal(signal.SIGINT)
            _, said = running.communicate(timeout=60)
    assert running.returncode == 5
    assert "Traceback" not in said
    assert done(tables) == (0, 0, 0)
    reach_by(operated.operate_environment()["OPERATE_ENDPOINT"], operated, tmp_path)
    assert run(f"{SUSPEND} {repeated(said)}") == 0
    assert done(tables) == (1, 1, 1)
