"""The floors: who may import whom, and who may import which library."""

import ast
from pathlib import Path

import pytest

import auth

FOLDER = Path(auth.__file__).parent

# From the ground up; a module imports only from floors strictly below its own.
FLOORS = (
    {"times", "texts"},
    {"errors"},
    {"settings", "logs", "guessability"},
    {"secret_store", "passwords", "usernames"},
    {"keys", "snapshot", "trusted_proxy"},
    {"refresh_tokens", "access_tokens", "records"},
    {"connection"},
    {"database", "migrate", "database_users", "resuming"},
    {"store", "rotation"},
    {"cleaning", "sessions", "rate_limits"},
    {"accounts"},
    {"forms", "answers"},
    {"request_log"},
    {"routes", "tutorial"},
    {"app"},
    {"__init__"},
    {"handler"},
)
FLOOR = {module: number for number, modules in enumerate(FLOORS) for module in modules}

# Each outside dependency is fenced in.
FENCES = {
    "flask": {"routes", "tutorial", "forms", "answers", "app", "request_log"},
    "werkzeug": {"app", "request_log"},
    "pymysql": {"connection", "migrate", "database_users"},
    "boto3": set(),
    "botocore": {"secret_store"},
    "argon2": {"passwords"},
    "zxcvbn": {"guessability"},
    "jwt": {"keys", "access_tokens"},
    "cryptography": {"keys"},
    "serverless_wsgi": {"handler"},
    "snapshot_restore_py": {"snapshot"},
}
MODULES = {
    path.stem: path
    for path in [
        *(path for path in FOLDER.rglob("*.py") if path.stem != "__init__"),
        FOLDER / "__init__.py",
        FOLDER.parent / "handler.py",
    ]
}
ROOMS = {f"auth.{path.parent.name}" for path in FOLDER.glob("*/__init__.py")}


def imports_of(source: str) -> set[str]:
    """Return what a module imports, wherever in it, by full name."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            module = node.module or ""
            if module == "auth" or module in ROOMS:
                names |= {f"{module}.{alias.name}" for alias in node.names}
            else:
                names.add(module)
    return names


def inner(names: set[str]) -> set[str]:
    """Return the modules of the application among these."""
    return {name.rpartition(".")[2] for name in names if name.startswith("auth.")}


def test_every_module_has_a_floor() -> None:
    """Every module is in the list, once, and the list names no other."""
    assert set(FLOOR) == set(MODULES)
    assert sum(len(modules) for modules in FLOORS) == len(FLOOR)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_floor(module: str) -> None:
    """A module imports only from floors below its own."""
    above = {
        other
        for other in inner(imports_of(MODULES[module].read_text()))
        if FLOOR[other] >= FLOOR[module]
    }
    assert above == set()


@pytest.mark.parametrize("library", sorted(FENCES))
def test_fence(library: str) -> None:
    """A library is imported where it is fenced in, and nowhere else."""
    importing = {
        module
        for module, path in MODULES.items()
        if any(name.partition(".")[0] == library for name in imports_of(path.read_text()))
    }
    assert importing == FENCES[library]


def test_imports_are_found() -> None:
    """The imports are found in all their forms."""
    source = "import a.b, c\nfrom auth import x, y as z\ndef f():\n    from auth.w import v\n"
    assert imports_of(source) == {"a.b", "c", "auth.x", "auth.y", "auth.w"}
    assert inner(imports_of(source)) == {"x", "y", "w"}
