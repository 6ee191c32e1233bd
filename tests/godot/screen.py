"""A virtual screen for pictures: Xvfb, from the system's package manager."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.terminal import say

SIZE = "1400x1400x24"


class NoScreen(Exception):
    """Xvfb is unavailable here; the text gives the remedy."""


def install_screen() -> None:
    """Install Xvfb if it is missing."""
    if shutil.which("Xvfb") is None and shutil.which("apt-get") is not None:
        say("Xvfb is missing: installing xvfb with apt-get")
        sudo = [] if os.geteuid() == 0 else ["sudo"]
        if not sudo or shutil.which("sudo"):
            subprocess.run([*sudo, "apt-get", "update", "-qq"], check=False)
            options = ["-qq", "-y", "--no-install-recommends"]
            environment = ["env", "DEBIAN_FRONTEND=noninteractive"]
            command = [*sudo, *environment, "apt-get", "install", *options, "xvfb"]
            subprocess.run(command, check=False)


@contextmanager
def screen(folder: Path) -> Iterator[str]:
    """Start an Xvfb, and yield the name of its display.

    Raises:
        NoScreen: Xvfb is unavailable.
    """
    program = shutil.which("Xvfb")
    if program is None:
        raise NoScreen("Xvfb is missing: install the package xvfb")
    folder.mkdir(parents=True, exist_ok=True)
    read, write = os.pipe()
    command = [program, "-displayfd", str(write), "-screen", "0", SIZE, "-nolisten", "tcp"]
    with (folder / "xvfb.log").open("wb") as log:
        xvfb = subprocess.Popen(command, stdout=log, stderr=log, pass_fds=[write])
    os.close(write)
    try:
        with os.fdopen(read) as pipe:
            display = pipe.readline().strip()
        if not display:
            raise NoScreen(f"Xvfb does not start:\n{(folder / 'xvfb.log').read_text()}")
        yield f":{display}"
    finally:
        xvfb.terminate()
        xvfb.wait(10)
