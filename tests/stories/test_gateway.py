"""The local API Gateway in front of a function that answers late or with an error."""

import json
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from local.stack import ROOT

LATER_SECONDS = 1.0
GATEWAY = """
const [invocations, seconds] = process.argv.slice(1)
const { gateway } = require('./local/gateway')
const cors = { allowedOrigins: [], exposedResponseHeaders: [] }
const server = gateway(invocations, cors, Number(seconds))
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
"""
GOOD = {"statusCode": 201, "headers": {"Content-Type": "application/json"}, "body": "{}"}


class Lambda(BaseHTTPRequestHandler):
    """Answers an invocation after the seconds and with the status in the path of its event."""

    def do_POST(self) -> None:
        """Answer an invocation."""
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        _, seconds, status = event["rawPath"].split("/")
        time.sleep(float(seconds))
        payload = json.dumps(GOOD).encode()
        self.send_response(int(status))
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@pytest.fixture
def gateway() -> Iterator[str]:
    """Return the address of a gateway in front of such a function."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Lambda) as server:
        threading.Thread(target=server.serve_forever).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        node = subprocess.Popen(
            ["node", "-e", GATEWAY, address, str(LATER_SECONDS)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        with node:
            assert node.stdout is not None
            yield f"http://127.0.0.1:{node.stdout.readline().strip()}"
            node.kill()
        server.shutdown()


def answer(url: str) -> tuple[int, dict[str, str]]:
    """Return the status and the body of an answer."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answered:
            return answered.status, json.load(answered)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_a_function_that_takes_too_long(gateway: str) -> None:
    """The first answer, a cold start, may be slow; later ones time out."""
    late = f"/{LATER_SECONDS * 2}/200"
    assert answer(gateway + late) == (201, {})
    assert answer(gateway + late) == (503, {"message": "Service Unavailable"})
    assert answer(gateway + "/0/200") == (201, {})


@pytest.mark.parametrize("status", [400, 413, 500])
def test_an_error_that_looks_like_an_answer(gateway: str, status: int) -> None:
    """An error from serverless-offline itself is not passed on as the function's answer."""
    assert answer(f"{gateway}/0/{status}") == (500, {"message": "Internal Server Error"})
