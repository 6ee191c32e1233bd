"""Installs the npm tools listed in this folder's lock file, and runs them.

`python -m tests.openapi_tools.npm_tools` installs them if they are missing.
"""

import os
import subprocess
import sys
from pathlib import Path

from local.stack import ROOT
from local.terminal import Problem
from tests.play.npm import NpmPackages

HERE = Path(__file__).parent
TOOLS = NpmPackages(HERE, "openapi-tools", "the tools that read docs/contract/openapi.json")
MODULES = TOOLS.modules
LOCK = TOOLS.lock
# No tool sends telemetry or looks for updates.
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
RUN_SECONDS = 120


def run(tool: str, *arguments: object, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a tool to its end.

    Raises:
        Problem: the tool is not installed.
    """
    TOOLS.check("tests.openapi_tools.npm_tools")
    return subprocess.run(
        ["node", str(MODULES / ".bin" / tool), *map(str, arguments)],
        cwd=folder,
        env={**os.environ, **QUIET},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )


if __name__ == "__main__":
    try:
        TOOLS.install()
    except Problem as problem:
        sys.exit(f"openapi tools: {problem}")
