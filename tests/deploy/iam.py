"""Evaluates policies for a call, by those rules of AWS that our deploy role uses.

A call is allowed if some statement allows it, with all its conditions. The file has no Deny.
"""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from tests.deploy.role_checks import statements
from tests.deploy.template_parts import Template, listed

Context = Mapping[str, str | list[str]]

FIXED = {"AWS::Partition": "aws", "AWS::Region": "eu-central-1", "AWS::AccountId": "1" * 12}


class Policies:
    """The policies of a template, with its parameters filled in."""

    def __init__(self, template: Template, **parameters: str) -> None:
        self._template = template
        given = {
            name: parameter["Default"]
            for name, parameter in template["Parameters"].items()
            if "Default" in parameter
        }
        self._values = {**FIXED, **given, **parameters}

    def allow(
        self, who: tuple[str, ...], action: str, resource: str, context: Context | None = None
    ) -> bool:
        """Tell whether the policies of some resources of the template allow a call."""
        return any(
            name in who and self._fits(statement, action, resource, context or {})
            for name, _, statement in statements(self._template)
        )

    def _fits(
        self, statement: Mapping[str, Any], action: str, resource: str, context: Context
    ) -> bool:
        assert statement["Effect"] == "Allow"
        return (
            action.lower() in {each.lower() for each in listed(statement["Action"])}
            and any(
                fnmatchcase(resource, self._text(each)) for each in listed(statement["Resource"])
            )
            and all(
                self._holds(operator, key, value, context)
                for operator, keys in statement.get("Condition", {}).items()
                for key, value in keys.items()
            )
        )

    def _holds(self, operator: str, key: str, value: object, context: Context) -> bool:
        wanted = [self._text(each) for each in listed(value)]
        found = context.get(key)
        if found is None:
            return operator.endswith("IfExists") or operator.startswith("ForAllValues:")
        kind = operator.removeprefix("ForAllValues:").removesuffix("IfExists")
        assert kind in {"StringEquals", "StringLike", "ArnLike"}, operator
        return all(
            any(fnmatchcase(each, one) if kind != "StringEquals" else each == one for one in wanted)
            for each in listed(found)
        )

    def _text(self, node: Any) -> str:
        if isinstance(node, str):
            return node
        if "Ref" in node:
            return str(self._values.get(node["Ref"], f"<{node['Ref']}>"))
        if "Fn::Sub" in node:
            return re.sub(r"\$\{([\w:]+)\}", lambda found: self._values[found[1]], node["Fn::Sub"])
        return str(node)
