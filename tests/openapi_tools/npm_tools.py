"""Installs the npm tools listed in this folder's lock file, and runs them.

`python -m tests.openapi_tools.npm_tools` installs them if they are missing.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from local.stack import ROOT
from local.terminal import Problem, say

HERE = Path(__file__).parent
FOLDER = ROOT / ".local" / "openapi-tools"
MODULES = FOLDER / "node_modules"
LOCK = HERE / "package-lock.json"
INSTALLED = FOLDER / "installed"  # a copy of the lock file, written after everything is installed
# No tool sends telemetry or looks for updates.
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
RUN_SECONDS = 120


def install() -> None:
    """Install the tools, unless they are already installed in the versions of the lock file.

    Raises:
        Problem: npm failed.
    """
    if _installed():
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    INSTALLED.unlink(missing_ok=True)
    for file in (ROOT / ".npmrc", HERE / "package.json", LOCK):
        shutil.copy(file, FOLDER)
    say("installing the tools that read docs/contract/openapi.json")
    npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        done = subprocess.run(npm, cwd=FOLDER, check=False)
    except FileNotFoundError:
        raise Problem("npm is missing: it comes with Node") from None
    if done.returncode:
        raise Problem("the tools of tests/openapi_tools could not be installed: see above")
    shutil.copy(LOCK, INSTALLED)


def run(tool: str, *arguments: object, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a tool to its end.

    Raises:
        Problem: the tool is not installed.
    """
    if not _installed():
        raise Problem("first run: .venv/bin/python -m tests.openapi_tools.npm_tools")
    return subprocess.run(
        ["node", str(MODULES / ".bin" / tool), *map(str, arguments)],
        cwd=folder,
        env={**os.environ, **QUIET},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )


def _installed() -> bool:
    return INSTALLED.exists() and INSTALLED.read_bytes() == LOCK.read_bytes()


if __name__ == "__main__":
    try:
        install()
    except Problem as problem:
        sys.exit(f"openapi tools: {problem}")
