"""Installs the chosen database server: from apt, from Homebrew, or as a Docker image."""

import os
import shutil
import subprocess
from collections.abc import Sequence

from local.docker_image import IMAGE, has_docker_engine
from local.engines import find_engine
from local.terminal import Problem, say


def install_server() -> str:
    """Install the chosen server if it is missing, and return its name and version.

    Raises:
        Problem: it could not be installed.
    """
    if engine := find_engine():
        return engine.title
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    if shutil.which("apt-get") and (not sudo or shutil.which("sudo")):
        packages = ["mariadb-server-core", "mariadb-client-core"]
        say(
            f"MariaDB is missing: installing {' and '.join(packages)} with apt-get, without a"
            " system service"
        )
        _call([*sudo, "apt-get", "update", "-qq"])  # may fail: one broken source does not matter
        environment = ["env", "DEBIAN_FRONTEND=noninteractive"]
        options = ["-qq", "-y", "--no-install-recommends"]
        _call([*sudo, *environment, "apt-get", "install", *options, *packages])
    elif shutil.which("brew"):
        say("MariaDB is missing: installing it with Homebrew, without a system service")
        _call(["brew", "install", "mariadb"])
    if engine := find_engine():
        return engine.title
    if not has_docker_engine():
        raise Problem(
            "MariaDB is missing and could not be installed. Install the server (mariadb-server-core"
            " on Debian and Ubuntu, mariadb from Homebrew on macOS) or start a Docker engine, then"
            " run this again."
        )
    say(f"MariaDB is missing: using the Docker image {IMAGE}")
    return f"MariaDB (Docker image {IMAGE})"


def _call(command: Sequence[str]) -> None:
    """Run a command; the caller checks the result, not the exit status."""
    subprocess.run(command, check=False)  # noqa: S603
