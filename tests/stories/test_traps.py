"""`make run` works in any folder and any environment, and leaves other people's files alone."""

import json
import os
import re
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from auth.credentials.leaked_passwords import LeakedPasswords
from local.leaked_passwords import FILE
from local.processes import free_port
from local.stack import ROOT
from tests.play.packages import (
    LISTED,
    NAME,
    VERSION,
    list_archive,
    node_archive,
    source_archive,
    wheel,
)
from tests.play.sources import checkout
from tests.stories.folders import MARK, MakeRun, copied, environment, make, prepared

ODD = 'it\'s a "folder"; $HOME ${x} & (ünï) 100%'


@pytest.fixture
def here() -> Iterator[Path]:
    """Return a folder on the disk of the project, so that files can be linked."""
    folder = ROOT / ".local" / "traps" / uuid.uuid4().hex[:8]
    folder.mkdir(parents=True)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def decoy(tmp_path: Path) -> Path:
    """Return a folder with another project's files, to which CDPATH leads `cd local/..`."""
    folder = tmp_path / "decoy"
    for name in ("local", ".venv", "node_modules"):
        (folder / name).mkdir(parents=True)
        (folder / name / "theirs").touch()
    (folder / "flask.py").write_text("raise SystemExit('this is not Flask')")
    (folder / "config").write_text("[damaged\n")
    return folder


def hostile(decoy: Path) -> dict[str, str]:
    """Return settings that each break Python, pip, Node, npm, the shell or boto3."""
    return {
        "CDPATH": str(decoy),
        "HOME": "/dev/null",  # no folder can be made in it
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": str(decoy),
        "PYTHONHOME": "/nowhere",
        "PYTHONWARNINGS": "error",
        "PYTHONINSPECT": "1",
        "PIP_USER": "1",
        "PIP_TARGET": str(decoy / "target"),
        "NODE_ENV": "production",
        "NODE_OPTIONS": "--require /nowhere.js",
        "NODE_PATH": str(decoy),
        "npm_config_omit": "dev",
        "NPM_CONFIG_GLOBAL": "true",
        "npm_config_dry_run": "true",
        "SLS_LOG_LEVEL": "error",
        "AWS_PROFILE": "studio",
        "AWS_CONFIG_FILE": str(decoy / "config"),
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "DATABASE_PROXY_HOST": "proxy.example.com",
        "http_proxy": "http://127.0.0.1:1",
    }


def interpreter(command: Path) -> str:
    """Return the virtual environment that a command of .venv/bin uses."""
    shown = subprocess.run([command, "--version"], capture_output=True, text=True, check=False)
    return shown.stdout


def test_every_trap(here: Path, tmp_path: Path, decoy: Path) -> None:
    """`make run` works after a move to an odd name; a copy touches no process of the original."""
    original = prepared(here / ODD, "/gone")
    settings = hostile(decoy)
    with ExitStack() as running:
        running.callback(make, original, "reset")
        first = MakeRun(original, tmp_path / "first", free_port(), settings)
        running.callback(first.stop)
        assert first.health() == {"status": "ok"}
        assert first.shows(r"INFO    GET /v1/health 200 \d+ ms")
        assert "this folder was moved or copied: repairing" in first.said
        assert str(original) in interpreter(original / ".venv" / "bin" / "pip")

        copy = copied(original, here / "copy")
        home = tmp_path / "home"
        (home / ".aws").mkdir(parents=True)
        (home / ".aws" / "config").write_text("[damaged\nignore_configured_endpoint_urls = true\n")
        second = MakeRun(copy, tmp_path / "second", free_port(), {"HOME": str(home)})
        running.callback(second.stop)
        assert second.health() == {"status": "ok"}
        assert "left running by an earlier run" not in second.said
        assert str(copy) in interpreter(copy / ".venv" / "bin" / "pip")
        assert [str(path.relative_to(home)) for path in home.rglob("*")] == [".aws", ".aws/config"]
        second.stop()
        assert make(copy, "reset").returncode == 0
        assert not (copy / ".local" / "stack").exists()
        assert first.health() == {"status": "ok"}

        first.kill()
        assert first.health() == {"status": "ok"}
        third = MakeRun(original, tmp_path / "third", first.port, settings)
        running.callback(third.stop)
        assert third.health() == {"status": "ok"}
        ended = [
            line
            for line in third.said.splitlines()
            if line.startswith("stopping ") and "left running" in line
        ]
        assert len(ended) == 3
    assert untouched(decoy)


def untouched(decoy: Path) -> bool:
    """Tell whether the other project's folder is unchanged."""
    left = sorted(path.name for path in decoy.rglob("*"))
    made = ["config", "flask.py"]
    return left == sorted([".venv", "local", "node_modules", *(["theirs"] * 3), *made])


def tiny(folder: Path) -> Path:
    """Copy the project, with one package each for Python and Node, and two leaked passwords."""
    checkout(folder)
    (folder / "auth" / "__init__.py").write_text("")  # it imports packages that are left out
    (folder / "wheels").mkdir()
    (folder / "requirements-dev.txt").write_text(
        "--no-index\n--find-links wheels\n"
        f"{NAME}=={VERSION} --hash=sha256:{wheel(folder / 'wheels')}\n"
    )
    archives = {name: f"file:{name}.tgz" for name in (NAME, LISTED)}
    root = {"name": "all", "private": True, "devDependencies": archives}
    (folder / "package.json").write_text(json.dumps(root))
    entries = {
        name: {"version": f"{VERSION}.0", "resolved": archive, "integrity": integrity, "dev": True}
        for (name, archive), integrity in zip(
            archives.items(),
            (node_archive(folder / f"{NAME}.tgz"), list_archive(folder / f"{LISTED}.tgz")),
            strict=True,
        )
    }
    packages = {
        "": root,
        f"node_modules/{NAME}": {**entries[NAME], "bin": {NAME: "main.js"}},
        f"node_modules/{LISTED}": entries[LISTED],
    }
    lock = {"name": "all", "lockfileVersion": 3, "requires": True, "packages": packages}
    (folder / "package-lock.json").write_text(json.dumps(lock))
    return folder


def test_users_own_configuration(here: Path, tmp_path: Path) -> None:
    """Settings in ~/.npmrc and pip's configuration file cannot leave out packages."""
    (tmp_path / ".npmrc").write_text("omit=dev\nbin-links=false\nglobal=true\n")
    pip = tmp_path / ".config" / "pip"
    pip.mkdir(parents=True)
    (pip / "pip.conf").write_text("[install]\nuser = true\n")
    assert_set_up(tiny(here / "folder"), {"HOME": str(tmp_path)})


def assert_set_up(folder: Path, settings: dict[str, str]) -> None:
    """Set up a tiny project, and check that all its packages are installed."""
    done = make(folder, "setup", **settings)
    assert done.stderr == ""
    assert done.returncode == 0
    assert (folder / "node_modules" / ".bin" / NAME).exists()
    command = subprocess.run([folder / ".venv/bin" / NAME], capture_output=True, check=False)
    assert command.stdout == f"{NAME}\n".encode()
    assert str(folder) in interpreter(folder / ".venv/bin/pip")
    assert "password" in LeakedPasswords(str(folder / ".local" / FILE.name))


def test_setting_up(here: Path, decoy: Path) -> None:
    """Under the same settings, setup installs into this folder, development packages included."""
    assert_set_up(tiny(here / ODD), hostile(decoy))
    assert untouched(decoy)


def test_what_the_list_depends_on(here: Path, tmp_path: Path) -> None:
    """Setup is done only while the list of leaked passwords is whole and its rules unchanged."""
    folder = prepared(here / "folder", str(here / "folder"))
    path = str(bin_without_python(tmp_path))  # so nothing is installed
    assert make(folder, "setup", PATH=path).stderr == ""
    listed = folder / ".local" / FILE.name
    rules = folder / "auth" / "credentials" / "password_policy.py"
    for changed, content in (
        (listed, None),
        (listed, listed.read_bytes()[:-1]),
        (rules, rules.read_bytes().replace(b"MIN_LENGTH = 8", b"MIN_LENGTH = 9")),
    ):
        before = changed.read_bytes()
        changed.unlink()
        if content is not None:
            changed.write_bytes(content)
        assert "Python 3.11 or newer is missing" in make(folder, "setup", PATH=path).stderr
        changed.write_bytes(before)
        assert make(folder, "setup", PATH=path).stderr == ""


def test_a_list_cut_short(here: Path) -> None:
    """Setup repairs a list of leaked passwords that was cut short."""
    folder = tiny(here / "folder")
    assert_set_up(folder, {})
    listed = folder / ".local" / FILE.name
    whole = listed.read_bytes()
    listed.write_bytes(whole[:-1])
    assert make(folder, "setup").returncode == 0
    assert listed.read_bytes() == whole


SETTINGS = sorted(hostile(Path()))


@pytest.mark.long
@pytest.mark.parametrize("name", SETTINGS)
def test_one_setting_at_a_time(here: Path, decoy: Path, name: str) -> None:
    """Each setting is handled by itself, not hidden by another one."""
    settings = {name: hostile(decoy)[name]}
    assert_set_up(tiny(here / "folder"), settings)
    assert untouched(decoy)
    refused = make(ROOT, "run", "PORT=0", **settings)
    assert refused.stdout.strip() == "PORT must be a number from 1 to 65535, not '0'"


@pytest.mark.long
def test_from_nothing(here: Path, tmp_path: Path, decoy: Path) -> None:
    """`make run` in a new checkout installs everything under the same settings, and runs."""
    run = MakeRun(checkout(here / ODD), tmp_path, free_port(), hostile(decoy), seconds=900)
    try:
        assert run.health() == {"status": "ok"}
    finally:
        run.stop()
    assert untouched(decoy)


@pytest.mark.parametrize("name", [".venv", "node_modules"])
@pytest.mark.parametrize("kind", ["folder", "link"])
def test_folders_that_are_not_ours(tmp_path: Path, decoy: Path, name: str, kind: str) -> None:
    """A virtual environment or modules folder that setup did not create is refused in one line."""
    folder = checkout(tmp_path / "folder")
    theirs = folder / name
    if kind == "link":
        (decoy / name / MARK).write_text("/elsewhere\n")
        theirs.symlink_to(decoy / name)
    else:
        shutil.copytree(decoy / name, theirs)
    done = make(folder, "run")
    assert done.returncode != 0
    problem, _, rest = done.stderr.partition("\n")
    assert problem == (
        f"setup: `make setup` did not create {name}, so it does not touch it:"
        " move it away and run again"
    )
    assert rest.startswith("make: ***")
    assert (theirs / "theirs").exists()


def test_what_earlier_versions_installed(tmp_path: Path) -> None:
    """Packages installed before folders were marked count as ours; other folders do not."""
    folder = checkout(tmp_path / "folder")
    for path in (".venv/bin", "node_modules/.bin", ".local"):
        (folder / path).mkdir(parents=True)
    (folder / ".local" / "ready").write_text("123 456\n")
    # Python is missing, so nothing is installed.
    path = str(bin_without_python(tmp_path))
    marks = [folder / name / MARK for name in (".venv", "node_modules")]
    assert "Python 3.11 or newer is missing" in make(folder, "setup", PATH=path).stderr
    assert not any(mark.exists() for mark in marks)
    (folder / ".venv/bin/moto_server").touch()
    (folder / "node_modules/.bin/serverless").touch()
    assert "Python 3.11 or newer is missing" in make(folder, "setup", PATH=path).stderr
    assert all(mark.exists() for mark in marks)


@pytest.mark.parametrize("name", [".venv", "node_modules"])
@pytest.mark.parametrize("note", ["", "{number}"])
def test_a_folder_in_place_of_one_that_was_half_made(
    tmp_path: Path, decoy: Path, name: str, note: str
) -> None:
    """The note of a killed setup does not apply to a folder that the user puts in its place."""
    folder = tiny(tmp_path / "folder")
    half_made = folder / name
    half_made.mkdir()
    (folder / ".local").mkdir()
    noted = note.format(number=half_made.stat().st_ino)
    (folder / ".local" / "unfinished").write_text(noted)
    half_made.rename(tmp_path / "moved away")
    shutil.copytree(decoy / name, half_made)
    done = make(folder, "setup")
    assert f"`make setup` did not create {name}, so it does not touch it" in done.stderr
    assert (half_made / "theirs").exists()


@pytest.mark.parametrize("name", ["requirements-dev.txt", "package-lock.json"])
def test_setting_up_that_fails(here: Path, name: str) -> None:
    """A wrong hash stops setup, and the half-made folder counts as ours."""
    folder = tiny(here / "folder")
    good = (folder / name).read_text()
    bad = re.sub(r"(sha256:|sha512-)[0-9a-zA-Z+/]{8}", r"\g<1>00000000", good)
    assert bad != good
    (folder / name).write_text(bad)
    done = make(folder, "setup")
    assert done.returncode != 0
    assert "could not be installed: see above" in done.stderr
    assert not (folder / ".local" / "unfinished").exists()
    (folder / name).write_text(good)
    assert_set_up(folder, {})


def test_a_package_without_a_wheel(here: Path) -> None:
    """No package's own build code is run: one line names the page with the supported machines."""
    folder = tiny(here / "folder")
    shutil.rmtree(folder / "wheels")
    (folder / "wheels").mkdir()
    digest = source_archive(folder / "wheels", here / "built")
    (folder / "requirements-dev.txt").write_text(
        f"--no-index\n--find-links wheels\n{NAME}=={VERSION} --hash=sha256:{digest}\n"
    )
    done = make(folder, "setup")
    assert "see the supported machines in docs/run/local.md" in done.stderr
    assert not (here / "built").exists()


def test_setting_up_that_is_killed(here: Path) -> None:
    """If npm and its parents are killed, the half-made folder counts as ours in the next run."""
    folder = tiny(here / "folder")
    programs = here / "bin"
    programs.mkdir()
    npm = programs / "npm"
    npm.write_text("#!/bin/sh\nrm -rf node_modules/.??*\ntouch node_modules/half\nkill -9 0\n")
    npm.chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    setup = ["make", "--silent", "-C", str(folder), "setup"]
    killed = subprocess.run(
        setup, env=environment(PATH=path), start_new_session=True, capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert (folder / "node_modules" / "half").exists()
    assert not (folder / "node_modules" / MARK).exists()
    assert_set_up(folder, {})
    assert not (folder / "node_modules" / "half").exists()
    assert not (folder / ".local" / "unfinished").exists()


def bin_without_python(folder: Path) -> Path:
    """Return a folder with the system's commands that setup needs, except Python."""
    programs = folder / "bin"
    programs.mkdir()
    for name in ("sh", "make", "node", "dirname", "cat", "cksum", "env"):
        (programs / name).symlink_to(shutil.which(name) or "")
    return programs


def test_a_path_that_is_not_utf8(tmp_path: Path) -> None:
    """A folder that Node cannot find is refused in one line."""
    done = make(checkout(tmp_path / os.fsdecode(b"a \xff")), "run")
    assert done.stderr.startswith("setup: Node does not find a folder whose path is not UTF-8")


def test_a_colon_in_the_path(tmp_path: Path) -> None:
    """A folder in which Python's venv cannot work is refused in one line."""
    folder = checkout(tmp_path / "a:b")
    done = make(folder, "run")
    assert done.stderr.startswith("setup: a path with a colon or a line break does not work")
    assert not (folder / ".venv").exists()


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("PORT=0", "PORT must be a number from 1 to 65535, not '0'"),
        ("PORT=-1", "PORT must be a number from 1 to 65535, not '-1'"),
        ("PORT=70000", "PORT must be a number from 1 to 65535, not '70000'"),
        ("PORT=", "PORT must be a number from 1 to 65535, not ''"),
        ("GAME_PORT=", "GAME_PORT must be a number from 1 to 65535, not ''"),
        ("GAME_PORT=3000", "PORT and GAME_PORT are both 3000: choose another port"),
    ],
)
def test_impossible_ports(setting: str, problem: str) -> None:
    """One line names the setting, and nothing is started."""
    done = make(ROOT, "run-game", setting)
    assert done.returncode != 0
    assert done.stdout.strip().startswith(problem)
    assert len(done.stdout.strip().splitlines()) == 1


def test_settings_of_the_registry() -> None:
    """Credentials for a registry are kept; settings that change Node's behaviour are removed."""
    settings = {"NODE_AUTH_TOKEN": "t", "npm_config_registry": "r", "NODE_ENV": "production"}
    shown = make(ROOT, "--eval=show: ; @env", "show", **settings).stdout.splitlines()
    assert "NODE_AUTH_TOKEN=t" in shown
    assert "npm_config_registry=r" in shown
    assert not [line for line in shown if line.startswith("NODE_ENV=")]


def test_measurements_are_ignored() -> None:
    """A copy of the project has no data files of coverage, which come and go while tests run."""
    files = (".coverage", ".coverage.host.pid1.Xa1.HoWU9E")
    command = ["git", "check-ignore", "--no-index", *files]
    ignored = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ignored.stdout.split() == list(files)


def test_line_ends(tmp_path: Path) -> None:
    """A checkout with core.autocrlf=true keeps line ends that a shell can read."""
    folder = tmp_path / "checkout"
    git = ["git", "-c", "core.autocrlf=true", "-c", "user.name=x", "-c", "user.email=x@example.com"]
    source = checkout(tmp_path / "source")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        subprocess.run([*git, *command], cwd=source, check=True, capture_output=True)
    subprocess.run([*git, "clone", "-q", source, folder], check=True, capture_output=True)
    with_carriage = [
        path.name
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.parts and path.suffix not in {".png", ".res"}
        if b"\r\n" in path.read_bytes()
    ]
    assert with_carriage == []
    assert os.access(folder / ".ci" / "run", os.X_OK)
