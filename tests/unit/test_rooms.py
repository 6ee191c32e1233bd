"""The rooms: who may import whom, and who may import which library.

Among folders: auth < local < deploy, operate < tests. Within `auth`, a room imports only from rooms
to its left: shared < external < credentials < store < flows < api, jobs < app < handler.
"""

import ast
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.play.sources import ROOT, tracked

FOLDERS = (
    {"auth", "clients", "docs"},
    {"local"},
    {"deploy", "operate"},
    {"tests"},
)
ROOMS = (
    {"shared"},
    {"external"},
    {"credentials"},
    {"store"},
    {"flows"},
    {"api", "jobs"},
    {"app"},
    {"auth"},
    {"handler"},
)
SHARED = {"errors", "refusals", "settings", "times", "logs", "texts"}

# Each library is imported in these rooms only.
FENCES = {
    "flask": {"api"},
    "werkzeug": {"api"},
    "serverless_wsgi": {"api"},
    "pymysql": {"external"},
    "boto3": set(),
    "botocore": {"external"},
    "snapshot_restore_py": {"external"},
    "argon2": {"credentials"},
    "zxcvbn": {"credentials"},
    "jwt": {"credentials"},
    "cryptography": {"credentials"},
}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in tracked("*.py")
}
PRODUCT = {name for name in MODULES if name == "handler" or name.partition(".")[0] == "auth"}


def imports_of(source: str) -> set[str]:
    """Return what a module imports, wherever in it, by full name."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            module = node.module or ""
            inner = {f"{module}.{alias.name}" for alias in node.names} & set(MODULES)
            names |= inner or {module}
    return names


IMPORTS = {name: imports_of(path.read_text()) for name, path in MODULES.items()}


def folder_of(module: str) -> str:
    """Return the folder of a module; the handler counts as one of the product's."""
    return "auth" if module in PRODUCT else module.partition(".")[0]


def room_of(module: str) -> str:
    """Return the room of a module of the product."""
    parts = module.split(".")
    if len(parts) == 1:
        return module
    return "shared" if parts[1] in SHARED else parts[1]


def rank(name: str, order: tuple[set[str], ...]) -> int:
    """Return where a folder or a room stands, from the left."""
    (place,) = (place for place, names in enumerate(order) if name in names)
    return place


def test_every_module_has_a_room() -> None:
    """Every module of the product is in a room, and every folder with code has a place."""
    assert {room_of(module) for module in PRODUCT} == set().union(*ROOMS)
    assert {folder_of(module) for module in MODULES} <= set().union(*FOLDERS)


@pytest.mark.parametrize("module", sorted(PRODUCT))
def test_room(module: str) -> None:
    """A room imports only from rooms to its left, or within itself."""
    room = room_of(module)
    outside = {
        other
        for other in IMPORTS[module] & PRODUCT
        if room_of(other) != room and rank(room_of(other), ROOMS) >= rank(room, ROOMS)
    }
    assert outside == set()


@pytest.mark.parametrize("folder", sorted({folder_of(name) for name in MODULES}))
def test_folder(folder: str) -> None:
    """A folder imports only from folders to its left: nothing that is shipped imports tests."""
    outside = {
        (module, other)
        for module in MODULES
        if folder_of(module) == folder
        for other in IMPORTS[module] & set(MODULES)
        if folder_of(other) != folder and rank(folder_of(other), FOLDERS) >= rank(folder, FOLDERS)
    }
    assert outside == set()


def test_no_cycles() -> None:
    """No modules import one another in a circle, in any folder."""
    graph = {module: names & set(MODULES) for module, names in IMPORTS.items()}
    assert list(TopologicalSorter(graph).static_order())


def test_a_cycle_is_found() -> None:
    """A circle of imports is found."""
    with pytest.raises(CycleError):
        list(TopologicalSorter({"a": {"b"}, "b": {"c"}, "c": {"a"}}).static_order())


@pytest.mark.parametrize("library", sorted(FENCES))
def test_fence(library: str) -> None:
    """A library is imported in its rooms, and nowhere else in the product."""
    importing = {
        room_of(module)
        for module in PRODUCT
        if any(name.partition(".")[0] == library for name in IMPORTS[module])
    }
    assert importing == FENCES[library]


def test_imports_are_found() -> None:
    """The imports are found in all their forms."""
    source = (
        "import a.b, c\nfrom auth import errors, y as z\ndef f():\n"
        "    from auth.store.records import v\n"
    )
    assert imports_of(source) == {"a.b", "c", "auth.errors", "auth.store.records"}
