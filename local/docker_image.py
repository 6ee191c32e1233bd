"""Runs MariaDB from a Docker image, if this machine has no server.

After a run is killed, its container keeps running and locks the data. So a file in the server's
folder names the container, and the next run removes it.
"""

import os
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from local.plain import plain
from local.processes import identity

IMAGE = "mariadb:10.11"
IMAGE_USER = 999  # the id of the image's own user
READY_SECONDS = 300.0  # includes pulling the image
TLS = Path("/tls")  # the folder of the certificates inside the container


def has_docker_engine() -> bool:
    """Tell whether a Docker engine runs on this machine."""
    if shutil.which("docker") is None:
        return False
    command = ["docker", "info"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603


def image_command(folder: Path, setup: Path, port: int, options: Sequence[str]) -> list[str]:
    """Return the command that runs the image with the data in a server's folder.

    The image runs as the current user. For root it switches to its own user, which must be able to
    read the mounted files.
    """
    data = plain(folder) / "data"
    data.mkdir(parents=True, exist_ok=True)
    owner = [f"--user={os.getuid()}:{os.getgid()}"]
    if os.geteuid() == 0:
        owner = []
        for file in (setup, folder / "tls" / "key.pem"):
            os.chown(file, IMAGE_USER, IMAGE_USER)
    tls = plain(folder) / "tls"
    mounts = (f"{data}:/var/lib/mysql", f"{tls}:{TLS}:ro", f"{setup}:/setup.sql")
    return [
        "docker",
        "run",
        "--rm",
        "--init",
        f"--name={name_container(folder)}",
        *owner,
        f"--publish=127.0.0.1:{port}:3306",
        "--env=MARIADB_RANDOM_ROOT_PASSWORD=1",
        *(f"--volume={mount}" for mount in mounts),
        IMAGE,
        *options,
        "--init-file=/setup.sql",
    ]


def name_container(folder: Path) -> str:
    """Return a unique container name, and write it to the folder for the next run."""
    name = f"game-login-{secrets.token_hex(8)}"
    _note(folder).write_text(f"{name} {identity(folder)}")
    return name


def remove_container(folder: Path) -> None:
    """Remove a container that an earlier run on this folder left running."""
    if not _note(folder).exists():
        return
    name, _, noted = _note(folder).read_text().partition(" ")
    if name and noted == identity(folder):  # in a copied folder the note is the original's
        command = ["docker", "rm", "--force", name]
        subprocess.run(command, capture_output=True, check=False)  # noqa: S603
    _note(folder).unlink()


def _note(folder: Path) -> Path:
    return folder / "container"
