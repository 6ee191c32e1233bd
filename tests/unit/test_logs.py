"""The log: one line per request with its id; errors appear by type and line, without their text."""

import subprocess
import sys
import traceback
from contextvars import copy_context
from pathlib import Path

import pytest

from auth.external.failures import WrongStatement
from auth.logs import begin_request, note, notes, request_id, where
from tests.play.sources import ROOT


def test_notes() -> None:
    """A note belongs to the request during which it was made; the last event counts."""

    def request() -> dict[str, str]:
        begin_request("one")
        note("refreshed", account_id="a")
        note("refresh_reused", session_id="s")
        return notes()

    context = copy_context()
    noted = context.run(request)
    assert noted == {"event": "refresh_reused", "account_id": "a", "session_id": "s"}
    noted.clear()
    assert context.run(notes) != {}
    context.run(begin_request, "two")
    assert context.run(notes) == {}
    assert context.run(request_id.get) == "two"


def test_note_outside_a_request() -> None:
    """A note outside a request does no harm, and is not kept for the next one."""

    def outside() -> dict[str, str]:
        note("signed_in")
        return notes()

    code = "from auth.logs import note, notes; note('x'); assert notes() == {}, notes()"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    context = copy_context()
    context.run(begin_request, "one")
    assert context.run(outside) == {"event": "signed_in"}
    context.run(begin_request, "two")
    assert context.run(notes) == {}


def test_where() -> None:
    """An unexpected error is logged by its type and the lines it passed, without its text."""

    def inner() -> None:
        secret = "canary-4711"
        raise ZeroDivisionError(secret)

    def outer() -> None:
        inner()

    with pytest.raises(ZeroDivisionError) as caught:
        outer()
    text = where(caught.value)
    line = traceback.extract_tb(caught.value.__traceback__)[-1].lineno
    assert text.startswith(f"ZeroDivisionError at test_logs.py:{line} inner < test_logs.py:")
    assert "outer" in text
    assert "canary" not in text
    assert "\n" not in text
    assert str(Path(__file__).parent) not in text


def test_where_of_a_wrong_statement() -> None:
    """A statement that the database refused is logged with the error's number and name."""
    assert where(WrongStatement(1054)).startswith("WrongStatement (error 1054 BAD_FIELD_ERROR) at")


def test_where_without_a_traceback() -> None:
    """An error that was never raised is logged by its type."""
    assert where(KeyError("canary")).startswith("KeyError at")
    assert "canary" not in where(KeyError("canary"))


def run(code: str, **environment: str) -> str:
    """Run code in a fresh process and return its stderr."""
    start = "import logging; from auth.logs import begin_request, configure_logging\n"
    done = subprocess.run(
        [sys.executable, "-c", start + code],
        cwd=ROOT,
        env={"PATH": "/usr/bin", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    return done.stderr


LINES = (
    "configure_logging(); begin_request('id-1')\n"
    "logging.getLogger('auth.app').info('ours')\n"
    "logging.getLogger('auth.app').debug('detail')\n"
    "logging.getLogger('other').info('theirs')\n"
    "logging.getLogger('other').warning('warned')\n"
)


def test_on_a_terminal() -> None:
    """Outside Lambda, our lines and other libraries' warnings go to stderr, once each."""
    lines = run(LINES).splitlines()
    assert [line.split()[1:] for line in lines] == [
        ["INFO", "ours", "id-1"],
        ["WARNING", "warned", "id-1"],
    ]
    assert run("configure_logging()\n" * 2 + LINES).count("ours") == 1


def test_in_lambda() -> None:
    """In Lambda the runtime's own handler stays, and gets the request's id with each record."""
    code = (
        "handler = logging.StreamHandler(); logging.getLogger().addHandler(handler)\n"
        "handler.setFormatter(logging.Formatter('%(request_id)s %(message)s'))\n"
    )
    written = run(code + LINES, AWS_LAMBDA_RUNTIME_API="127.0.0.1:9001")
    assert written.splitlines() == ["id-1 ours", "id-1 warned"]
