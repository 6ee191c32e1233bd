"""Gets the chosen database server onto this machine: from apt, from Homebrew, or from Docker."""

import os
import shutil
import subprocess
from collections.abc import Sequence

from local.docker_image import IMAGE, has_docker_engine
from local.engines import find_engine
from local.terminal import Problem, say


def install_server() -> str:
    """Install the chosen server unless it is there, and return its name and version.

    Raises:
        Problem: there is no way to get it.
    """
    if engine := find_engine():
        return engine.title
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    if shutil.which("apt-get") and (not sudo or shutil.which("sudo")):
        packages = ["mariadb-server-core", "mariadb-client-core"]
        say(f"MariaDB is missing: installing {' and '.join(packages)} with apt-get (no service)")
        _call([*sudo, "apt-get", "update", "-qq"])  # one broken source of many is no reason to stop
        environment = ["env", "DEBIAN_FRONTEND=noninteractive"]
        options = ["-qq", "-y", "--no-install-recommends"]
        _call([*sudo, *environment, "apt-get", "install", *options, *packages])
    elif shutil.which("brew"):
        say("MariaDB is missing: installing it with Homebrew (it is not made a service)")
        _call(["brew", "install", "mariadb"])
    if engine := find_engine():
        return engine.title
    if not has_docker_engine():
        raise Problem(
            "MariaDB is missing and could not be installed. Install the server (mariadb-server-core"
            " on Debian and Ubuntu, mariadb from Homebrew on macOS) or start a Docker engine."
        )
    say(f"there is no MariaDB server here: the Docker image {IMAGE} will do")
    return f"MariaDB (the image {IMAGE})"


def _call(command: Sequence[str]) -> None:
    """Run a command whose failure shows in what it was for."""
    subprocess.run(command, check=False)  # noqa: S603
