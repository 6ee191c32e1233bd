"""Check answers against docs/contract/openapi.json."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from tests.play.events import Answer
from tests.play.sources import ROOT

FILE = ROOT / "docs" / "contract" / "openapi.json"
GATEWAY = {"$ref": "#/components/schemas/Gateway"}
METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
# Headers of every answer: HTTP's own, and those that the file describes once for all answers.
COMMON_HEADERS = {
    *("content-type", "content-length", "strict-transport-security", "x-content-type-options"),
}


class NotDescribed(AssertionError):
    """The file does not describe the handler's answer."""


class Description:
    """The file, limited to our function's answers; no other member or header is allowed."""

    def __init__(self, document: Any) -> None:
        self.document = _closed(ours(document))
        resource = DRAFT202012.create_resource(self.document)
        self._registry: Registry[Any] = Registry().with_resource("urn:openapi", resource)
        self._validators: dict[int, jsonschema.Draft202012Validator] = {}

    def operations(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Yield method, path and description of each operation."""
        for path, item in self.document["paths"].items():
            for method in METHODS & set(item):
                yield method.upper(), path, item[method]

    def resolved(self, part: Any) -> Any:
        """Follow the references of a part of the file."""
        while "$ref" in part:
            found = self.document
            for name in part["$ref"].removeprefix("#/").split("/"):
                found = found[name]
            part = found
        return part

    def validator(self, schema: Any) -> jsonschema.Draft202012Validator:
        """Return the validator of one of the file's schemas, formats included."""
        known = self._validators.get(id(schema))  # ids are unique while the file is loaded
        if known is None:
            known = jsonschema.Draft202012Validator(
                _absolute(schema),
                registry=self._registry,
                format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
            )
            self._validators[id(schema)] = known
        return known

    def codes(self, response: Any) -> set[str]:
        """Return the error codes that a response may carry."""
        found = set()
        for content in self.resolved(response)["content"].values():
            either = content["schema"].get("oneOf") or content["schema"].get("anyOf")
            for schema in either or [content["schema"]]:
                error = self.resolved(schema).get("properties", {}).get("error")
                if error:
                    found.add(error["properties"]["code"]["const"])
        return found

    def response(self, method: str, path: str, status: int) -> Any:
        """Return the described response for a request, unknown paths and methods included."""
        items = [
            item
            for template, item in self.document["paths"].items()
            if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template)), path)
        ]
        shared = self.document["components"]["responses"]
        if not items:
            responses = {"404": shared["NotFound"], "500": shared["InternalError"]}
            responses |= {"400": shared["InvalidRequest"], "413": shared["PayloadTooLarge"]}
        elif method == "HEAD" and "get" in items[0]:
            responses = items[0]["get"]["responses"]
        elif method.lower() not in items[0]:
            responses = {"405": shared["MethodNotAllowed"], "413": shared["PayloadTooLarge"]}
            responses |= {"400": shared["InvalidRequest"], "500": shared["InternalError"]}
        else:
            responses = items[0][method.lower()]["responses"]
        if str(status) not in responses:
            raise NotDescribed(f"{method} {path}: no {status} is described")
        return self.resolved(responses[str(status)])

    def check(self, method: str, path: str, answer: Answer) -> None:
        """Check an answer: status, headers, media type, body.

        Raises:
            NotDescribed: the file does not describe this answer.
        """
        where = f"{method} {path}: {answer.status}"
        response = self.response(method, path, answer.status)
        self._check_headers(where, response["headers"], answer.headers)
        kind = answer.headers["content-type"].partition(";")[0]
        if kind not in response["content"]:
            raise NotDescribed(f"{where}: {kind} is not described")
        if method == "HEAD":
            return
        body = answer.text if kind == "text/plain" else json.loads(answer.text)
        validator = self.validator(response["content"][kind]["schema"])
        if not validator.is_valid(body):
            error = jsonschema.exceptions.best_match(validator.iter_errors(body))
            raise NotDescribed(f"{where}: {error.json_path}: {error.message}")

    def _check_headers(self, where: str, described: Any, sent: dict[str, str]) -> None:
        rest = set(sent) - COMMON_HEADERS
        for name, reference in described.items():
            header, value = self.resolved(reference), sent.get(name.lower())
            if value is None:
                if header["required"]:
                    raise NotDescribed(f"{where}: {name} is missing")
                continue
            rest.discard(name.lower())
            typed = int(value) if header["schema"].get("type") == "integer" else value
            if not self.validator(header["schema"]).is_valid(typed):
                raise NotDescribed(f"{where}: {name}: {value}")
        if rest:
            raise NotDescribed(f"{where}: {', '.join(rest)} is not described")


@cache
def description() -> Description:
    """Return docs/contract/openapi.json."""
    return Description(json.loads(FILE.read_text()))


def ours(part: Any) -> Any:
    """Return a part of the file without API Gateway's answers; our own headers become required."""
    if isinstance(part, list):
        return [ours(one) for one in part if one != GATEWAY]
    if not isinstance(part, dict):
        return part
    left = {name: ours(one) for name, one in part.items()}
    if left.get("x-sent-by-the-function"):
        left["required"] = True
    if GATEWAY in part.get("anyOf", ()) and len(left["anyOf"]) == 1:
        (only,) = left.pop("anyOf")
        return only
    return left


def _closed(part: Any) -> Any:
    """Return a part of the file in which objects allow no members but their named ones."""
    if isinstance(part, list):
        return [_closed(one) for one in part]
    if not isinstance(part, dict):
        return part
    closed = {name: _closed(one) for name, one in part.items()}
    if part.get("type") == "object" and "properties" in part:
        closed.setdefault("additionalProperties", False)
    return closed


def _absolute(part: Any) -> Any:
    """Return a schema with absolute references, which name the file."""
    if isinstance(part, list):
        return [_absolute(one) for one in part]
    if not isinstance(part, dict):
        return part
    return {
        name: f"urn:openapi{one}" if name == "$ref" else _absolute(one)
        for name, one in part.items()
    }
