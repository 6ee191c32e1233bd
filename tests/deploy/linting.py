"""cfn-lint, as all that look at a template call it, and a list in the place of one rule."""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import cfnlint

# W3005: a dependency that Serverless names twice. E3691: an engine version that is not a full one.
# RDS takes those; tests look among `versions` for what they stand for.
IGNORED = ("W3005", "E3691")


def lint(templates: Iterable[Path]) -> subprocess.CompletedProcess[str]:
    """Have cfn-lint read compiled templates."""
    program = str(Path(sys.executable).parent / "cfn-lint")
    return subprocess.run(  # our own command
        [program, "--ignore-checks", *IGNORED, "--", *map(str, templates)],
        capture_output=True,
        text=True,
        check=False,
    )


def versions(engine: str) -> list[str]:
    """Return the versions of an engine that RDS has, as far as cfn-lint knows."""
    schemas = Path(cfnlint.__file__).parent / "data" / "schemas" / "extensions"
    rules = json.loads((schemas / "aws_rds_dbinstance" / "engine_version.json").read_text())
    for rule in rules["allOf"]:
        if rule["if"]["properties"]["Engine"].get("const") == engine:
            found: list[str] = rule["then"]["properties"]["EngineVersion"]["enum"]
            return found
    return []
