"""The choice of database server for the tests, and the message if it is unavailable."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local import debian
from local.engines import MYSQL_BEFORE, MYSQL_FROM, chosen, known
from local.stack import ROOT
from local.terminal import Problem

COMMAND = [sys.executable, "-m", "tests.play.on_engine"]


def run(name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run tests on an engine, in an environment that cannot download anything."""
    return subprocess.run(
        [*COMMAND, name, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_default_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without DATABASE, or with an empty one, tests run on the system's own MariaDB."""
    monkeypatch.delenv("DATABASE", raising=False)
    assert chosen() == "mariadb"
    monkeypatch.setenv("DATABASE", "")
    assert chosen() == "mariadb"


def test_unknown_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown name is refused with the list of known ones."""
    monkeypatch.setenv("DATABASE", "postgres")
    with pytest.raises(Problem, match=r"use one of mariadb, mariadb-11\.8, mysql"):
        chosen()


@pytest.mark.parametrize("required", ["", "1"])
def test_engine_is_missing(required: str) -> None:
    """A missing engine is reported loudly; if engines are required, it is a failure."""
    done = run("oracle", "tests/unit/test_times.py", GAME_LOGIN_REQUIRE_ENGINES=required)
    assert done.returncode == (1 if required else 0)
    *_, rule, first, reason, last, _, end = done.stdout.splitlines()
    assert rule == end == "!" * 100
    assert first.startswith("!!  NOT TESTED ON ORACLE")
    assert "DATABASE='oracle' is unknown" in reason
    assert "GAME_LOGIN_REQUIRE_ENGINES=1" in last


@pytest.mark.parametrize(("test", "status"), [("test_times.py", 0), ("test_no_such.py", 4)])
def test_status_of_the_tests(test: str, status: int) -> None:
    """If the engine is available, the tests run, and the command exits with their status."""
    done = run("mariadb", "-q", "-p", "no:cacheprovider", f"tests/unit/{test}")
    assert done.returncode == status, done.stdout
    first, *_, last = done.stdout.splitlines()
    assert first.startswith("the database is MariaDB")
    assert last == first.replace("the database is", "that was on")


@pytest.mark.parametrize(
    ("version", "fits"),
    [("8.3.9", False), ("8.4.0", True), ("9.7.4", True), ("9.10.1", True), ("10.0.1", False)],
)
def test_versions(version: str, fits: bool) -> None:  # noqa: FBT001
    """A version from Debian is accepted within the known range, and refused outside it."""
    if fits:
        assert known("MySQL", version, MYSQL_FROM, MYSQL_BEFORE) == version
    else:
        with pytest.raises(Problem, match=rf"Debian has MySQL {version} by now, but only 8\.4"):
            known("MySQL", version, MYSQL_FROM, MYSQL_BEFORE)


def test_no_keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is downloaded without the keyring that verifies it."""
    monkeypatch.setattr(debian, "KEYRING", tmp_path / "none.gpg")
    monkeypatch.setattr(debian, "_download", pytest.fail)
    reason = "debian-archive-keyring" if os.uname().machine == "x86_64" else "x86_64 only"
    with pytest.raises(Problem, match=reason):
        debian.unpack("MySQL", ["mysql-server-core"], tmp_path / "mysql")


def test_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloaded packages are reused, unless another set of packages is requested."""
    monkeypatch.setattr(debian, "KEYRING", tmp_path / "none.gpg")
    (tmp_path / "mysql").mkdir()
    (tmp_path / "mysql" / debian.UNPACKED).write_text("one two")
    root = debian.unpack("MySQL", ["one", "two"], tmp_path / "mysql")
    assert root == tmp_path / "mysql" / "root"
    with pytest.raises(Problem):
        debian.unpack("MySQL", ["one", "two", "three"], tmp_path / "mysql")
