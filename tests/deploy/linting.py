"""cfn-lint with the options of all tests, and the list of versions behind one disabled rule."""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import cfnlint

# W3005: a dependency that Serverless names twice. E3691: a release series as engine version. RDS
# accepts those; tests look them up in `versions`.
IGNORED = ("W3005", "E3691")


def lint(templates: Iterable[Path]) -> subprocess.CompletedProcess[str]:
    """Run cfn-lint on compiled templates."""
    program = str(Path(sys.executable).parent / "cfn-lint")
    return subprocess.run(  # our own command
        [program, "--ignore-checks", *IGNORED, "--", *map(str, templates)],
        capture_output=True,
        text=True,
        check=False,
    )


def versions(engine: str) -> list[str]:
    """Return RDS's versions of an engine, from cfn-lint's list."""
    schemas = Path(cfnlint.__file__).parent / "data" / "schemas" / "extensions"
    rules = json.loads((schemas / "aws_rds_dbinstance" / "engine_version.json").read_text())
    for rule in rules["allOf"]:
        if rule["if"]["properties"]["Engine"].get("const") == engine:
            found: list[str] = rule["then"]["properties"]["EngineVersion"]["enum"]
            return found
    return []
