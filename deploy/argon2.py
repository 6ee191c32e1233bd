"""Builds Argon2 with AVX2: the same hash in little more than half the time of the stock wheel.

Every x86_64 processor of Lambda has AVX2, but a public wheel cannot assume it. The build needs a
compiler on this machine, and is checked before it is used.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from deploy.pins import hashed

ROOT = Path(__file__).parent.parent
BUILD_TOOLS = ROOT / "deploy" / "argon2-build.txt"
DISTRIBUTION = "argon2-cffi-bindings"
FLAGS = "-O3 -mavx2"
NEWEST_GLIBC = (2, 34)  # of Amazon Linux 2023, which the runtime uses

# Argon2's multiplication, four at a time: only AVX2 has it in this width.
_AVX2 = re.compile(r"\bvpmuludq\b.*%ymm")
_GLIBC = re.compile(r"\bGLIBC_(\d+)\.(\d+)")


class Unusable(Exception):
    """No AVX2 build can be made; the text has the cause."""


def fast_library(version: str, folder: Path) -> Path:
    """Return the AVX2 build of the library, built in this folder unless it exists already.

    Raises:
        Unusable: it cannot be built here, or the build fails the checks.
    """
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise Unusable("this machine is not x86_64 Linux")
    compiler = os.environ.get("CC", "cc").split()[0]
    for program in (compiler, "objdump"):
        if shutil.which(program) is None:
            raise Unusable(f"{program} is missing: install it and build again")
    tools = hashlib.sha256(BUILD_TOOLS.read_bytes()).hexdigest()[:12]  # other tools: build again
    library = folder / f"{DISTRIBUTION}-{version}-{tools}-avx2.so"
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            built = _build(Path(temporary))
            check(built)
            built.replace(library)
    return library


def check(library: Path) -> None:
    """Check that the library has AVX2 instructions and runs on Lambda's glibc.

    Raises:
        Unusable: one of them is not the case.
    """
    if not _AVX2.search(_objdump("--disassemble", library)):
        raise Unusable("the build has no AVX2 instructions")
    needed = max(
        ((int(major), int(minor)) for major, minor in _GLIBC.findall(_objdump("-T", library))),
        default=(0, 0),
    )
    if needed > NEWEST_GLIBC:
        raise Unusable(
            f"the build needs glibc {needed[0]}.{needed[1]}, which is newer than Lambda's"
        )


def _build(folder: Path) -> Path:
    """Build the wheel with pinned tools: by itself pip would fetch the newest."""
    tools, source = folder / "tools", folder / "source.txt"
    source.write_text(hashed(ROOT / "requirements.txt", {DISTRIBUTION}))
    _pip("install", "--no-deps", f"--target={tools}", f"--requirement={BUILD_TOOLS}")
    _pip(
        *("wheel", "--no-build-isolation", "--no-deps", f"--no-binary={DISTRIBUTION}"),
        "--no-cache-dir",  # otherwise pip may use or cache a wheel built with other flags
        *(f"--wheel-dir={folder}", f"--requirement={source}"),
        CFLAGS=FLAGS,
        PYTHONPATH=str(tools),
    )
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        names = [name for name in wheel.namelist() if name.endswith(".abi3.so")]
        if len(names) != 1:
            raise Unusable("the build is bound to one version of Python")
        return Path(wheel.extract(names[0], folder))


def _pip(command: str, *options: str, **environment: str) -> None:
    quiet = ("--quiet", "--disable-pip-version-check", "--require-hashes")
    done = subprocess.run(  # noqa: S603  # our own command
        [sys.executable, "-m", "pip", command, *quiet, *options],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no error text"])[-1]
        raise Unusable(f"the AVX2 build failed: {reason}")


def _objdump(option: str, library: Path) -> str:
    command = ["objdump", option, str(library)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
