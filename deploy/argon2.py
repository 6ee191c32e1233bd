"""The AVX2 build of Argon2: the same hash in little more than half the time of the stock wheel.

Every x86_64 processor of Lambda has AVX2, but a wheel for everybody cannot count on it. It is built
here where there is a compiler, and used only if it is seen to be what it should be.
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
NEWEST_GLIBC = (2, 34)  # that of Amazon Linux 2023, on which the runtime stands

# Argon2's multiplication, four at a time: only AVX2 has it in this width.
_AVX2 = re.compile(r"\bvpmuludq\b.*%ymm")
_GLIBC = re.compile(r"\bGLIBC_(\d+)\.(\d+)")


class Unusable(Exception):
    """There is no AVX2 build to be had; says why."""


def fast_library(version: str, folder: Path) -> Path:
    """Return the AVX2 build of the library, made in this folder unless it is there already.

    Raises:
        Unusable: it cannot be built here, or what was built is not what it should be.
    """
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise Unusable("this machine is not x86_64 Linux")
    compiler = os.environ.get("CC", "cc").split()[0]
    for program in (compiler, "objdump"):
        if shutil.which(program) is None:
            raise Unusable(f"{program} is missing")
    tools = hashlib.sha256(BUILD_TOOLS.read_bytes()).hexdigest()[:12]  # others build it anew
    library = folder / f"{DISTRIBUTION}-{version}-{tools}-avx2.so"
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            built = _build(Path(temporary))
            check(built)
            built.replace(library)
    return library


def check(library: Path) -> None:
    """Check that it holds AVX2 instructions and runs on the glibc of Lambda.

    Raises:
        Unusable: it does not.
    """
    if not _AVX2.search(_objdump("--disassemble", library)):
        raise Unusable("the build holds no AVX2 instructions")
    needed = max(
        ((int(major), int(minor)) for major, minor in _GLIBC.findall(_objdump("-T", library))),
        default=(0, 0),
    )
    if needed > NEWEST_GLIBC:
        raise Unusable(f"the build needs glibc {needed[0]}.{needed[1]}")


def _build(folder: Path) -> Path:
    """Build the wheel with tools that are pinned as all else is: pip would fetch the newest."""
    tools, source = folder / "tools", folder / "source.txt"
    source.write_text(hashed(ROOT / "requirements.txt", {DISTRIBUTION}))
    _pip("install", "--no-deps", f"--target={tools}", f"--requirement={BUILD_TOOLS}")
    _pip(
        *("wheel", "--no-build-isolation", "--no-deps", f"--no-binary={DISTRIBUTION}"),
        "--no-cache-dir",  # or pip takes, and leaves to others, a wheel of other flags
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
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Unusable(f"it could not be built: {reason}")


def _objdump(option: str, library: Path) -> str:
    command = ["objdump", option, str(library)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
