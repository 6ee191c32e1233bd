"""Functions that walk through a compiled template, shared by its checks."""

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
    """Yield every leaf of a tree, with its path."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from values(value, f"{path}/{key}")
    elif isinstance(node, list):
        for value in node:
            yield from values(value, path)
    else:
        yield path, node


def listed(value: object) -> list[Any]:
    """Return a value as a list, unless it is a list already."""
    return value if isinstance(value, list) else [value]
