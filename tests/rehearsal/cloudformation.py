"""Applies a template as CloudFormation does; moto provides the API, functions and conditions.

New and changed resources are applied in the order of their dependencies. Resources gone from the
template are removed last, in reverse order, unless they say `Retain`. Unknown types, impossible
changes and missing attributes are refused, not ignored.

A failed update is rolled back: changes are undone and new resources are deleted. A new resource
that says `Retain` or is protected against deletion is left behind, and belongs to no stack.
"""

import importlib
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from moto.cloudformation.exceptions import ValidationError

from tests.rehearsal.resources import LIVING, Resource, resource_types

# Any, since this module replaces parts of them.
models: Any = importlib.import_module("moto.cloudformation.models")
parsing: Any = importlib.import_module("moto.cloudformation.parsing")
responses: Any = importlib.import_module("moto.cloudformation.responses")

# The types for which moto's own classes suffice.
OF_MOTO = {
    "AWS::Events::Rule",
    "AWS::IAM::Role",
    "AWS::Lambda::Function",
    "AWS::S3::Bucket",
    "AWS::SNS::Topic",
}
KEPT = {"Retain", "RetainExceptOnCreate"}

_NAMED = re.compile(r"\$\{([A-Za-z0-9]+)")


def install() -> None:
    """Have moto's CloudFormation apply templates this way."""
    of_moto = parsing.get_model_map()
    types = {name: of_moto[name] for name in OF_MOTO} | resource_types()
    parsing.get_model_map = lambda: types
    models.ResourceMap = Resources
    models.ChangeSet.apply = _apply
    responses.CloudFormationResponse.update_termination_protection = _protect
    # moto's check treats warnings as errors; cfn-lint has a step of its own.
    models.validate_template_cfn_lint = lambda _: []


def _apply(change_set: Any) -> None:
    """Execute a change set, and update the stack's own record."""
    stack = change_set.stack
    try:
        stack.resource_map.update(change_set.template_dict, change_set.parameters)
    except ValidationError:
        raise
    except Exception as error:
        raise ValidationError(message=f"{type(error).__name__}: {error}") from error
    stack.template = change_set.template
    stack.parameters = change_set.parameters
    stack._parse_template()  # noqa: SLF001  # moto's
    stack.output_map = stack._create_output_map()  # noqa: SLF001


def _protect(response: Any) -> Any:
    """Answer UpdateTerminationProtection, which moto does not have."""
    stack = response.cloudformation_backend.get_stack(response._get_param("StackName"))  # noqa: SLF001
    wanted = response._get_bool_param("EnableTerminationProtection")  # noqa: SLF001
    stack.enable_termination_protection = wanted
    return responses.ActionResult({"StackId": stack.stack_id})


@dataclass(frozen=True)
class _Applied:
    """A resource as applied: its part of the template, and the resolved properties."""

    body: Mapping[str, Any]
    properties: Mapping[str, Any]


class Resources(parsing.ResourceMap):  # type: ignore[misc]  # it is Any
    """The resources of a stack."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._applied: dict[str, _Applied] = {}

    def update(self, template: dict[str, Any], parameters: dict[str, Any] | None = None) -> None:
        """Bring the resources to the template's state, or leave them as they were."""
        before = self._template, self.input_parameters, dict(self._applied)
        try:
            self._read(template, dict(parameters or {}))
            self._become()
        except Exception:
            self._roll_back(*before)
            raise

    def _read(self, template: dict[str, Any], parameters: dict[str, Any]) -> None:
        self._template = template
        self._resource_json_map = template["Resources"]
        self.input_parameters = parameters
        self.resolved_parameters: dict[str, Any] = {}
        self.load_mapping()
        self.load_parameters()
        self.load_conditions()

    def _become(self) -> None:
        wanted = self._wanted()
        for name in wanted:
            self._bring(name, wanted[name])
        for name in [name for name in reversed(self._applied) if name not in wanted]:
            if self._applied[name].body.get("DeletionPolicy") not in KEPT:
                self._remove(name)
            self._forget(name)
        for name, output in self._template.get("Outputs", {}).items():
            if parsing.clean_json(output, self).get("Value") is None:
                raise ValidationError(message=f"the output {name} has no value")

    def _roll_back(
        self, template: dict[str, Any], parameters: dict[str, Any], before: Mapping[str, _Applied]
    ) -> None:
        """Undo the changes; delete new resources, and forget those that stay."""
        made = [name for name in reversed(self._applied) if name not in before]
        if before:
            self._read(template, parameters)
            for name, applied in before.items():
                self._bring(name, applied.body)
        for name in made:
            if self._applied[name].body.get("DeletionPolicy") != "Retain":
                with suppress(ValidationError):  # after three tries, CloudFormation continues
                    self._remove(name)
            self._forget(name)

    def _forget(self, name: str) -> None:
        del self._applied[name]
        self._parsed_resources.pop(name, None)

    def known(self) -> list[Any]:
        """Return the stack's resources."""
        return [self._parsed_resources[name] for name in self._applied]

    def create(self, template: dict[str, Any]) -> bool:
        """Create a stack immediately."""
        self.update(template, self.input_parameters)
        return True

    def delete(self) -> None:
        """Remove all resources except those to keep."""
        for name in reversed(list(self._applied)):
            if self._applied[name].body.get("DeletionPolicy") not in KEPT:
                self._remove(name)
        self._applied = {}

    def _wanted(self) -> dict[str, Mapping[str, Any]]:
        """Return the wanted resources, each after its dependencies."""
        bodies = {
            name: body
            for name, body in self._resource_json_map.items()
            if "Condition" not in body or self.lazy_condition_map[body["Condition"]]
        }
        for name, body in bodies.items():
            if parsing.resource_class_from_type(body["Type"]) is None:
                raise ValidationError(
                    message=f"{name} is an {body['Type']}, which the stand-in does not know"
                    " (tests/rehearsal/resources.py)"
                )
        ordered: dict[str, Mapping[str, Any]] = {}
        for name in bodies:
            _order(name, bodies, ordered, ())
        return ordered

    def _bring(self, name: str, body: Mapping[str, Any]) -> None:
        properties = parsing.clean_json(body.get("Properties", {}), self)
        if name not in self._applied:
            if self[name] is None:
                raise ValidationError(message=f"{name} cannot be created")
        elif properties != self._applied[name].properties:
            changed = parsing.parse_and_update_resource(
                name, dict(body), self, self._account_id, self._region_name
            )
            if changed is None:
                raise ValidationError(
                    message=f"the stand-in cannot change {name}, an {body['Type']}"
                )
            self._parsed_resources[name] = changed
        self._applied[name] = _Applied(body, properties)

    def _remove(self, name: str) -> None:
        resource = self._parsed_resources[name]
        if isinstance(resource, Resource):
            resource.remove()
            LIVING.remove(resource)
        else:
            self._delete_resource(resource, dict(self._applied[name].body))


def _order(
    name: str,
    bodies: Mapping[str, Mapping[str, Any]],
    ordered: dict[str, Mapping[str, Any]],
    way: tuple[str, ...],
) -> None:
    """Append a resource after its dependencies."""
    if name in way:
        raise ValidationError(message=f"Circular dependency between resources: {list(way)}")
    if name in ordered or name not in bodies:
        return
    for needed in sorted(set(_needs(bodies[name]))):
        _order(needed, bodies, ordered, (*way, name))
    ordered[name] = bodies[name]


def _needs(node: Any) -> Iterator[str]:
    """Yield the names that a part of a template refers to."""
    if isinstance(node, list):
        for value in node:
            yield from _needs(value)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "Ref":
                yield str(value)
            elif key == "Fn::GetAtt":
                yield str(value[0])
            elif key == "Fn::Sub":
                yield from _NAMED.findall(value if isinstance(value, str) else value[0])
                yield from _needs(value)
            elif key == "DependsOn":
                yield from [value] if isinstance(value, str) else value
            else:
                yield from _needs(value)
