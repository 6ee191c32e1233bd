"""The inventory: fences decide who may write, also between processes."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from inventory import MAX_ITEMS, Fenced, Inventory

from local.stack import ROOT


def test_items(tmp_path: Path) -> None:
    """A player's items are kept for the next connection; others have their own."""
    one = Inventory(tmp_path / "items")
    assert one.enter("ada", 1) == []
    assert one.take("ada", 1, "sword") == ["sword"]
    assert one.take("ada", 1, "sword") == ["sword", "sword"]
    one.close()
    again = Inventory(tmp_path / "items")
    assert again.enter("ada", 2) == ["sword", "sword"]
    assert again.enter("eve", 1) == []
    again.close()


def test_a_late_write(tmp_path: Path) -> None:
    """Once a later connection has read the items, an earlier one can neither write nor read."""
    paused, current = Inventory(tmp_path / "items"), Inventory(tmp_path / "items")
    paused.enter("ada", 1)
    paused.take("ada", 1, "sword")
    assert current.enter("ada", 2) == ["sword"]
    with pytest.raises(Fenced):
        paused.take("ada", 1, "crown")
    with pytest.raises(Fenced):
        paused.enter("ada", 1)
    assert current.take("ada", 2, "shield") == ["sword", "shield"]
    for inventory in (paused, current):
        inventory.close()


def test_too_many(tmp_path: Path) -> None:
    """Nobody fills the database."""
    inventory = Inventory(tmp_path / "items")
    inventory.enter("ada", 1)
    for number in range(MAX_ITEMS + 2):
        items = inventory.take("ada", 1, str(number))
    assert len(items) == MAX_ITEMS
    inventory.close()


def test_nobody_enters_by_taking(tmp_path: Path) -> None:
    """A player who has not entered has no place for an item."""
    inventory = Inventory(tmp_path / "items")
    with pytest.raises(Fenced):
        inventory.take("ada", 1, "sword")
    inventory.close()


def test_a_reader_that_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails because another process reads for too long spoils no later one."""
    monkeypatch.setattr("inventory.BUSY_SECONDS", 0.1)
    inventory = Inventory(tmp_path / "items")
    inventory.enter("ada", 1)
    reader = sqlite3.connect(tmp_path / "items", isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT items FROM inventories").fetchall() == [("[]",)]
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            inventory.take("ada", 1, "crown")
    reader.execute("COMMIT")
    reader.close()
    assert inventory.take("ada", 1, "sword") == ["sword"], "the crown was not kept"
    inventory.close()


TAKE = """
import sys
import inventory as inventories
inventories.BUSY_SECONDS = 240.0
inventory = inventories.Inventory(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for number in range(25):
    inventory.take("ada", 1, f"{sys.argv[2]}-{number}")
"""


def test_at_once(tmp_path: Path) -> None:
    """No item is lost when several processes write at the same time."""
    inventory = Inventory(tmp_path / "items")
    inventory.enter("ada", 1)
    with ExitStack() as running:
        processes = [running.enter_context(taking(tmp_path / "items", n)) for n in range(4)]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            process.communicate(timeout=300)  # on a slow disk each write takes a while
        assert [process.returncode for process in processes] == [0] * 4
    assert len(set(inventory.enter("ada", 1))) == 100
    inventory.close()
    with sqlite3.connect(tmp_path / "items") as connection:
        assert connection.execute("SELECT COUNT(*) FROM inventories").fetchone() == (1,)
    connection.close()


@contextmanager
def taking(file: Path, number: int) -> Iterator[subprocess.Popen[str]]:
    """Run a process that takes items, and end it in any case."""
    with subprocess.Popen(
        [sys.executable, "-c", TAKE, str(file), str(number)],
        cwd=ROOT / "clients" / "game_server",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()
