"""Each concept has one home: class names, statements, composition, opening of sessions."""

import ast
import re
from pathlib import Path

import pytest

from tests.unit.test_rooms import MODULES, PRODUCT, folder_of, room_of

COPIED = {"clients"}  # a studio copies these files into its own project

SQL = re.compile(
    r"\s*(?:SELECT|INSERT|REPLACE INTO|UPDATE \w+|DELETE FROM|WITH|TRUNCATE|SHOW|CREATE|ALTER|DROP"
    r"|GRANT|REVOKE|BEGIN|COMMIT|ROLLBACK|START TRANSACTION|SET [A-Z@]"
    r"|select .+ from|insert into|replace into|update \w+ |delete from|truncate table)\b"
)
# Statements belong in `store`, except for transactions, session settings, DDL, locks and users.
ELSEWHERE = {
    "auth.external.connection": r"SET|SELECT 1|SELECT @@",
    "auth.external.database": r"BEGIN$|COMMIT$|ROLLBACK$|ROLLBACK TO SAVEPOINT attempt$|SELECT 1$",
    "auth.jobs.database_users": r"CREATE USER|GRANT|ALTER USER|SELECT (GET|RELEASE)_LOCK"
    r"|SELECT 1 FROM accounts LIMIT 1$|SELECT, INSERT, UPDATE, DELETE$",
    "auth.jobs.migrate": r"SELECT (GET|RELEASE)_LOCK|BEGIN$|COMMIT$|ROLLBACK$"
    r"|[A-Za-z_ ,]+ schema_migrations\b",
}


def classes_of(path: Path) -> set[str]:
    """Return the names of a module's public classes."""
    nodes = ast.walk(ast.parse(path.read_text()))
    names = {node.name for node in nodes if isinstance(node, ast.ClassDef)}
    return {name for name in names if not name.startswith("_")}


def test_class_names() -> None:
    """No two classes share a name, neither in the shipped code nor in support code of the tests."""
    modules: dict[str, list[str]] = {}
    for module, path in MODULES.items():
        folder = folder_of(module)
        if folder not in COPIED and not path.name.startswith("test_"):
            for name in classes_of(path):
                modules.setdefault(name, []).append(module)
    twice = {name: found for name, found in modules.items() if len(found) > 1}
    assert twice == {}


def strings_of(path: Path) -> list[str]:
    """Return the strings of a module, without its docstrings."""
    tree = ast.parse(path.read_text())
    docstrings = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings
    ]


def is_sql(text: str) -> bool:
    """Tell whether a text is a statement or the beginning of one."""
    return bool(SQL.match(text))


@pytest.mark.parametrize("module", sorted(PRODUCT))
def test_sql(module: str) -> None:
    """SQL is found only in `store` and in the few modules that need another kind of statement."""
    if room_of(module) == "store":
        return
    statements = [text for text in strings_of(MODULES[module]) if is_sql(text)]
    allowed = re.compile(rf"\s*({ELSEWHERE.get(module, '(?!)')})")
    assert [text for text in statements if not allowed.match(text)] == []


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id FROM accounts",
        "UPDATE sessions s SET ended_at = %s",
        "UPDATE accounts a JOIN sessions s ON",
        "insert into accounts",
        "DELETE FROM sessions",
        "TRUNCATE TABLE accounts",
        "SHOW TABLES",
        "\n    CREATE TABLE x",
    ],
)
def test_sql_is_found(text: str) -> None:
    """A statement is recognised in its usual forms; a sentence that begins like one is not."""
    assert is_sql(text)
    assert not is_sql("Set the password from the secret.")
    assert not is_sql("Select a region")


# Within the product, each of these is called only in the listed places.
CALLED_IN = {
    "SecretStore": {"auth.app"},
    "Database": {"auth.app"},
    "Sessions": {"auth.app"},
    "Accounts": {"auth.app"},
    "Admission": {"auth.app"},
    "RateLimits": {"auth.app"},
    "PasswordChanges": {"auth.app"},
    "new_session": {"auth.flows.admission"},
    "connect": {
        *("auth.external.database", "auth.external.resuming"),  # resuming: a parameter of that name
        *("auth.jobs.admin", "auth.jobs.database_users"),
    },
}


def calls_of(path: Path) -> set[str]:
    """Return the names that a module calls, or passes to `partial`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = (
                [node.func, *node.args[:1]] if "partial" in ast.unparse(node.func) else [node.func]
            )
            found |= {one.id for one in called if isinstance(one, ast.Name)}
    return found


@pytest.mark.parametrize("name", sorted(CALLED_IN))
def test_one_place(name: str) -> None:
    """`app` composes, `admission` opens sessions, and only jobs connect beside the database."""
    assert {module for module in PRODUCT if name in calls_of(MODULES[module])} == CALLED_IN[name]
