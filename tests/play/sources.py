"""The project's own files, according to git."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def tracked(*patterns: str) -> list[Path]:
    """Return the project's files that match these patterns; `*` also matches folders."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.splitlines() if (ROOT / name).exists()]


def created_tables() -> list[str]:
    """Return the tables that the migrations create, newest first: foreign keys point back."""
    migrations = reversed(tracked("auth/store/migrations/*.sql"))
    created = [re.findall(r"CREATE TABLE (\w+)", path.read_text()) for path in migrations]
    return [name for names in created for name in names]
