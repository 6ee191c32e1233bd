"""The project's own files, according to git."""

import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def tracked(*patterns: str) -> list[Path]:
    """Return the project's files that match these patterns; `*` also matches folders."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", *patterns]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).exists()]


def checkout(folder: Path) -> Path:
    """Copy the project's current files, except those that git ignores."""
    for path in tracked():
        copy = folder / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    return folder


def created_tables() -> list[str]:
    """Return the tables that the migrations create, newest first: foreign keys point back."""
    migrations = reversed(tracked("auth/store/migrations/*.sql"))
    created = [re.findall(r"CREATE TABLE (\w+)", path.read_text()) for path in migrations]
    return [name for names in created for name in names]
