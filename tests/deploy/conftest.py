"""The package, built once for all tests that open or run it."""

import fcntl
import shutil
from pathlib import Path

import pytest

from deploy.package import build


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Return the zip; if tests run in parallel, the first that needs it builds it."""
    folder = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):
        folder = folder.parent
    zipped = folder / "game-login.zip"
    with (folder / "package.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not zipped.exists():
            build(zipped)
    return zipped


@pytest.fixture(scope="session")
def compiler() -> None:
    """Skip if the AVX2 build of Argon2 cannot be made."""
    for program in ("cc", "objdump"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} here: the package has the stock Argon2")
