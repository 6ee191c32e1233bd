"""Processes left by a killed run are ended; other processes never are."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import processes
from local.docker_image import name_container, remove_container
from local.processes import NOTE, Process, end_leftovers, identity
from local.terminal import Problem

SLEEP = [sys.executable, "-uc", "import time; print('up'); time.sleep(60)"]


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Process]:
    """Return a running process with its note, as a killed run leaves it behind."""
    folder = tmp_path / "stack"
    log = folder / "sleeper.log"
    process = Process.ready(
        "sleeper", SLEEP, folder, until=lambda: log.read_text() == "up\n", seconds=30
    )
    yield process
    process.stop()


@pytest.fixture
def another() -> Iterator["subprocess.Popen[bytes]"]:
    """Return another program's process that leads its own process group, as ours do."""
    with subprocess.Popen(SLEEP, start_new_session=True, stdout=subprocess.DEVNULL) as process:
        yield process
        process.kill()


def lives_on(process: "subprocess.Popen[bytes]") -> bool:
    """Tell whether the process is still alive after a signal would have arrived."""
    try:
        process.wait(0.3)
    except subprocess.TimeoutExpired:
        return True
    return False


def notes(folder: Path) -> list[Path]:
    """Return the remaining notes."""
    return list(folder.rglob(f"*{NOTE}"))


def note_of(process: Process) -> Path:
    """Return the note of a process."""
    (note,) = notes(process.log.parent)
    return note


def test_what_a_killed_run_left_behind(ours: Process) -> None:
    """A process of an earlier run of this folder is ended, and its note is removed."""
    end_leftovers(ours.log.parent)
    assert not ours.is_running()
    assert notes(ours.log.parent) == []


def test_a_moved_folder(ours: Process, tmp_path: Path) -> None:
    """A folder that was renamed while its processes ran still recognises them."""
    moved = ours.log.parent.rename(tmp_path / "moved")
    end_leftovers(moved)
    assert not ours.is_running()


def test_a_copied_folder(ours: Process, tmp_path: Path) -> None:
    """A copy of a folder ends no process of the original, though it holds the original's notes."""
    copy = Path(shutil.copytree(ours.log.parent, tmp_path / "copy"))
    assert notes(copy)
    end_leftovers(copy)
    assert ours.is_running()
    assert notes(copy) == []


def test_a_copy_in_the_place_of_the_original(ours: Process, tmp_path: Path) -> None:
    """A copy renamed to the original's name still counts as a copy."""
    place = ours.log.parent
    moved = place.rename(tmp_path / "moved")
    shutil.copytree(moved, place)
    end_leftovers(place)
    assert ours.is_running()


def test_a_process_id_that_came_again(ours: Process, another: "subprocess.Popen[bytes]") -> None:
    """After a reboot the id may belong to any process, even one of the same program."""
    note = note_of(ours)
    noted = json.loads(note.read_text())
    note.write_text(json.dumps({**noted, "process": another.pid}))
    end_leftovers(note.parent)
    assert lives_on(another)
    assert notes(note.parent) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{pid} python",
        "{pid}",
        "null",
        "[{pid}]",
        '{{"process": {pid}}}',
        '{{"process": "{pid}"}}',
    ],
)
def test_a_note_that_says_too_little(
    text: str, another: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    """A file that is not a note of ours ends nothing and is not removed, whatever its name."""
    said = text.format(pid=another.pid)
    note = tmp_path / f"old{NOTE}"
    note.write_text(said)
    end_leftovers(tmp_path)
    assert lives_on(another)
    assert note.read_text() == said


def test_a_folder_with_the_name_of_a_note(tmp_path: Path) -> None:
    """A folder with the name of a note is not a note, and stays."""
    folder = tmp_path / f"theirs{NOTE}"
    folder.mkdir()
    end_leftovers(tmp_path)
    assert folder.is_dir()


def test_a_note_that_cannot_be_read(tmp_path: Path) -> None:
    """A note that the system does not let us read is reported in one line."""
    note = tmp_path / f"loop{NOTE}"
    note.symlink_to(note)
    with pytest.raises(Problem, match=f"^cannot read {re.escape(str(note))}: .*$"):
        end_leftovers(tmp_path)


@pytest.mark.parametrize("pid", [0, -1, 1])
def test_ids_that_mean_more_than_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pid: int
) -> None:
    """No note makes us signal our own group, all processes, or the first one."""
    signalled: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda group, _: signalled.append(group))
    monkeypatch.setattr(processes, "STOP_SECONDS", 0)
    # As if a process of this id had started then: now only the id itself rules it out.
    monkeypatch.setattr(processes, "_started", lambda _: "then")
    note = tmp_path / f"odd{NOTE}"
    for noted in (pid, 2):
        text = {"process": noted, "started": "then", "folder": identity(tmp_path)}
        note.write_text(json.dumps(text))
        end_leftovers(tmp_path)
        assert notes(tmp_path) == []
    assert set(signalled) == {2}


def test_the_group_of_a_process_that_ended_long_ago(
    tmp_path: Path, another: "subprocess.Popen[bytes]"
) -> None:
    """Stopping a process that has ended signals nothing: its id may have been reused."""
    process = Process("short", [sys.executable, "-c", ""], tmp_path)
    process.wait_until(lambda: not process.is_running(), 30)
    process._popen.pid = another.pid  # noqa: SLF001  # as if the id had been reused
    process.stop()
    assert lives_on(another)


DOCKER = """#!/bin/sh
echo "$@" >> "$CALLS"
"""


def test_containers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container is removed by the folder that started it, not by a copy of that folder."""
    (tmp_path / "bin").mkdir()
    docker = tmp_path / "bin" / "docker"
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    calls = tmp_path / "calls"
    monkeypatch.setenv("CALLS", str(calls))
    monkeypatch.setenv("PATH", f"{docker.parent}{os.pathsep}{os.environ['PATH']}")
    original = tmp_path / "original"
    original.mkdir()
    name = name_container(original)
    copy = Path(shutil.copytree(original, tmp_path / "copy"))
    remove_container(copy)
    assert not calls.exists()
    remove_container(original)
    assert calls.read_text() == f"rm --force {name}\n"
    remove_container(original)
    assert calls.read_text().count("\n") == 1
