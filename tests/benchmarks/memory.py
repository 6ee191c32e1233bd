"""The memory of a handler process after many requests: its size, its growth and its parts."""

import json
import subprocess
from collections.abc import Mapping
from itertools import pairwise

from tests.benchmarks.runtimes import START, MeasuredProcess, Runtime
from tests.benchmarks.targets import Row

PARTS = 4
STAGES = {
    "Python with Flask": "import flask, serverless_wsgi",
    "PyMySQL with TLS": "import pymysql",
    "tokens": "import jwt, auth.credentials.keys",
    "botocore": "import auth.external.secret_store as s; b = s.SecretStore(); b.prepare()",
    "Argon2": "import auth.credentials.passwords as p; p.Passwords()",
    "zxcvbn": "import zxcvbn; zxcvbn.zxcvbn('correct horse')",
}
ONE_AFTER_THE_OTHER = """
import json, os
for code in json.loads(os.environ["STAGES"]):
    exec(code)
    with open("/proc/self/status") as file:
        kilobytes, = [int(line.split()[1]) for line in file if line.startswith("VmRSS")]
    print(kilobytes * 1024 / 1e6)
"""


def measure(worker: MeasuredProcess, requests: int, parts: str) -> dict[str, Row]:
    """Return the rows of the memory after a number of requests; `parts` describes its parts."""
    resident = []
    for _ in range(PARTS):
        worker.run("mixed", max(1, requests // PARTS))
        resident.append(worker.ask("memory"))
    shown = ", ".join(f"{found['VmRSS']:.1f}" for found in resident)
    half, last = resident[PARTS // 2 - 1]["VmRSS"], resident[-1]["VmRSS"]
    private = resident[-1]["RssAnon"]
    note = f"after each quarter of {requests} requests: {shown} MB"
    return {
        "memory": Row(last, f"{private:.0f} MB are private, the rest is mapped files; {parts}"),
        "memory_growth": Row(last - half, note),
    }


def parts(runtime: Runtime, settings: Mapping[str, str]) -> str:
    """Return the memory that each part of the handler adds as a process loads them in turn."""
    stages = json.dumps(list(STAGES.values()))
    done = subprocess.run(  # our own code
        [str(runtime.python), *START, "-c", ONE_AFTER_THE_OTHER],
        env=runtime.environment(settings) | {"STAGES": stages},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    held = [0.0, *(float(line) for line in done.stdout.splitlines())]
    added = [after - before for before, after in pairwise(held)]
    return ", ".join(f"{name} {more:.0f}" for name, more in zip(STAGES, added, strict=True)) + " MB"
