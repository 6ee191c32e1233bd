"""What the checks of the compiled template share: ways to walk through it."""

from collections.abc import Callable, Iterator
from typing import Any

Template = dict[str, Any]
Check = Callable[[Template], Iterator[str]]


def resources(template: Template, *types: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the names and properties of the resources of some types, or of all."""
    for name, resource in template["Resources"].items():
        if not types or resource["Type"] in types:
            yield name, resource.get("Properties", {})


def values(node: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield every value in a tree that is not a branch, with the way to it."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from values(value, f"{path}/{key}")
    elif isinstance(node, list):
        for value in node:
            yield from values(value, path)
    else:
        yield path, node


def listed(value: object) -> list[Any]:
    """Return what may be one thing or a list of them as a list."""
    return value if isinstance(value, list) else [value]
