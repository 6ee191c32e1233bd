"""`make openapi`: writes docs/contract/openapi.json from the route table.

Paths come from the routes, bodies and answers from their structs, errors from their classes.
`openapi_base.json` has everything that is not in the code: headers, links, examples, and the
gateway's answers.
"""

import inspect
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from auth.api.answers import HEADERS, Done, SessionBody, SessionList
from auth.api.forms import Confirmed, Form
from auth.api.routes import ROUTES
from auth.api.routing import Route
from auth.api.tutorial import TUTORIAL
from auth.errors import (
    AccountSuspended,
    ApiError,
    FieldError,
    InvalidRequest,
    MethodNotAllowed,
    RenamedRecently,
    TooManyAttempts,
    Unauthorized,
    Unavailable,
)
from local.engines import ROOT

FILE = ROOT / "docs" / "contract" / "openapi.json"
BASE = Path(__file__).with_name("openapi_base.json")
WIDTH = 97

# API Gateway sends these too, with its own body and without our headers.
GATEWAY_STATUSES = {400, 403, 404, 413, 429, 500, 503}
# Shorter schema names for members of larger answers; the names never appear in an answer.
NAMES = {"AccountMember": "Account", "SessionMember": "Session"}
SCHEMAS = "#/components/schemas/"
LINKS = {SessionBody: "refresh", SessionList: "endSession"}
WAIT = {
    "retry_after": {
        "type": "integer",
        "minimum": 1,
        "description": "Seconds to wait; also in Retry-After.",
    }
}
# The members of an error in addition to its code, its message and the request id.
DETAILS: dict[type[ApiError], dict[str, Any]] = {
    FieldError: {
        "fields": {
            "type": "object",
            "description": "Field or header: the reason, to be shown beside it.",
            "additionalProperties": {"type": "string"},
        }
    },
    AccountSuspended: {
        "until": {
            "type": ["string", "null"],
            "format": "date-time",
            "description": "null: for good.",
        },
        "reason": {"type": "string"},
    },
    RenamedRecently: {"until": {"type": "string", "format": "date-time"}},
    TooManyAttempts: WAIT,
    Unavailable: WAIT,
}


def document() -> dict[str, Any]:
    """Return the whole OpenAPI document."""
    base = json.loads(BASE.read_text())
    examples, components = base.pop("examples"), base["components"]
    errors: dict[str, type[ApiError]] = {}
    responses: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    for route in (*ROUTES, *TUTORIAL):
        operation = _operation(route)
        by_status = _by_status(route)
        for status, found in by_status.items():
            errors |= {error.__name__: error for error in found}
            responses[_name(found)] = _response(status, found)
            operation["responses"][str(status)] = _reference("responses", _name(found))
        if route in TUTORIAL:
            operation["responses"] = _tutorial_responses(operation["responses"], route)
        paths.setdefault(route.template, {})[route.method.lower()] = operation
    responses["MethodNotAllowed"] = _response(405, [MethodNotAllowed])
    errors["MethodNotAllowed"] = MethodNotAllowed
    components["responses"] = {**responses, **components["responses"]}
    components["schemas"] = {
        **_bodies(),
        **components["schemas"],
        **{name: _error_schema(error) for name, error in errors.items()},
    }
    for route in (*ROUTES, *TUTORIAL):
        if route.body and route.body.__name__ not in examples:
            schema = components["schemas"][route.body.__name__]
            examples[route.body.__name__] = [_example(schema)]
    for name, shown in examples.items():
        components["schemas"][name]["examples"] = shown
    last = {name: base.pop(name) for name in ("x-off-route", "components")}
    return {**base, "paths": paths, **last}


def _operation(route: Route) -> dict[str, Any]:
    summary, _, more = (inspect.getdoc(route.view) or "").partition("\n\n")
    operation: dict[str, Any] = {
        "operationId": re.sub("_(.)", lambda found: found[1].upper(), route.view.__name__),
        "summary": summary,
    }
    if more:
        operation["description"] = " ".join(more.split())
    if route.has_bearer:
        operation["security"] = [{"accessToken": []}, *([{}] if route.may_have_bearer else [])]
    if route.has_server_key:
        operation["security"] = [{"serverKey": []}]
    parameters: list[Any] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in route.parameters
    ]
    if route.query:
        parameters += _query(route.query)
    if route.has_idempotency_key:
        parameters.append(_reference("parameters", "IdempotencyKey"))
    if parameters:
        operation["parameters"] = parameters
    if route.body:
        fields = msgspec.structs.fields(route.body)
        needs_field = any(field.required for field in fields) or issubclass(route.body, Confirmed)
        operation["requestBody"] = {
            "required": needs_field,
            "content": _json(_reference("schemas", route.body.__name__)),
        }
    operation["responses"] = {str(route.status): _success(route, route.success)}
    if route.created:
        operation["responses"]["201"] = _success(route, route.created)
    return operation


def _query(query: type[Form]) -> list[Any]:
    """Return the parameters of a query string: texts, all optional."""
    _, schemas = msgspec.json.schema_components([query], ref_template=SCHEMAS + "{name}")
    found = []
    for name, described in schemas[query.__name__]["properties"].items():
        schema = _plain(described)
        description = schema.pop("description")
        schema = schema | {"type": "string"}
        found.append({"name": name, "in": "query", "description": description, "schema": schema})
    return found


def _success(route: Route, description: str) -> dict[str, Any]:
    cache = "Cache-Control" if route.cache == HEADERS["Cache-Control"] else "Cache-Control-public"
    answer: dict[str, Any] = {
        "description": description,
        "headers": {
            "X-Request-Id": _reference("headers", "X-Request-Id"),
            "Cache-Control": _reference("headers", cache),
        },
        "content": {"text/plain": {"schema": {"const": "OK"}}}
        if route.answer is str
        else _json(_reference("schemas", route.answer.__name__)),
    }
    if route.answer in LINKS:
        name = LINKS[route.answer]
        answer["links"] = {name: _reference("links", name)}
    return answer


def _tutorial_responses(responses: dict[str, Any], route: Route) -> dict[str, Any]:
    """Return the responses of a tutorial route: most errors have the tutorial's own form."""
    kept = {status: responses[status] for status in (str(route.status), "500")}
    kept["400"] = _reference("responses", "TutorialInvalid")
    if route.limits:
        kept |= dict.fromkeys(("429", "503"), _reference("responses", "TutorialLater"))
    return dict(sorted(kept.items()))


def _by_status(route: Route) -> dict[int, list[type[ApiError]]]:
    found: dict[int, list[type[ApiError]]] = {}
    errors: dict[str, type[ApiError]] = {}
    for error in route.all_errors():
        errors.setdefault(error.code, error)  # several may share a code, and differ in the message
    for error in sorted(errors.values(), key=lambda error: error.status):
        found.setdefault(error.status, []).append(error)
    return found


def _response(status: int, errors: list[type[ApiError]]) -> dict[str, Any]:
    is_gateways = status in GATEWAY_STATUSES
    suffix = "-unless-gateway" if is_gateways else ""
    headers = {name: f"{name}{suffix}" for name in ("X-Request-Id", "Cache-Control")}
    if issubclass(errors[0], Unauthorized):
        headers["WWW-Authenticate"] = "WWW-Authenticate"
    if WAIT in (DETAILS.get(error) for error in errors):
        headers["Retry-After"] = "Retry-After"
    if MethodNotAllowed in errors:
        headers["Allow"] = "Allow"
    schemas = [_reference("schemas", error.__name__) for error in errors]
    if is_gateways:
        schema: Any = {"anyOf": [*schemas, _reference("schemas", "Gateway")]}
    else:
        schema = schemas[0] if len(schemas) == 1 else {"oneOf": schemas}
    return {
        "description": " Or: ".join(_first_paragraph(error) for error in errors),
        "headers": {name: _reference("headers", shared) for name, shared in headers.items()},
        "content": _json(schema),
    }


def _error_schema(error: type[ApiError]) -> dict[str, Any]:
    details = next((DETAILS[one] for one in error.__mro__ if one in DETAILS), {})
    text = {"type": "string"}
    required = ["code", "message", "request_id", *(() if error is InvalidRequest else details)]
    members = {"code": {"const": error.code}, "message": text, "request_id": text, **details}
    return {
        "description": _first_paragraph(error),
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"type": "object", "required": required, "properties": members}},
    }


def _bodies() -> dict[str, Any]:
    """Return the schemas of all request and response bodies."""
    structs = {
        struct
        for route in (*ROUTES, *TUTORIAL)
        for struct in (route.body, route.answer)
        if struct and issubclass(struct, msgspec.Struct)
    }
    ordered = sorted(structs, key=lambda struct: struct.__name__)
    _, schemas = msgspec.json.schema_components(ordered, ref_template=SCHEMAS + "{name}")
    described = {NAMES.get(name, name): _plain(schema) for name, schema in schemas.items()}
    described[Done.__name__] = {"type": "object", "maxProperties": 0}
    return described


def _example(schema: Any) -> dict[str, Any]:
    """Return an example with the required fields, for a body without an example in the base."""
    values = {"string": "text", "integer": 1, "number": 1.5, "boolean": True}
    members = {name: schema["properties"][name] for name in schema.get("required", ())}
    return {
        name: member.get("const", values[member.get("type", "string")])
        for name, member in members.items()
    }


def _plain(part: Any) -> Any:
    """Return a schema from msgspec in this document's style."""
    if isinstance(part, list):
        return [_plain(one) for one in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        name = part["$ref"].removeprefix(SCHEMAS)
        return {"$ref": SCHEMAS + NAMES.get(name, name)}
    plain = {key: _plain(value) for key, value in part.items() if key not in ("title", "default")}
    if len(plain.get("enum", ())) == 1:
        return {"const": plain["enum"][0]}
    if {"type": "null"} in plain.get("anyOf", ()):
        (either,) = (one for one in plain["anyOf"] if one != {"type": "null"})
        if "type" in either:  # otherwise it is a reference, which cannot have more types
            del plain["anyOf"]
            plain = {**either, "type": [either["type"], "null"], **plain}
    if not plain.get("required", True):
        del plain["required"]
    return plain


def _name(errors: Iterable[type[ApiError]]) -> str:
    return "Or".join(error.__name__ for error in errors)


def _first_paragraph(error: type[ApiError]) -> str:
    return " ".join((inspect.getdoc(error) or "").partition("\n\n")[0].split())


def _reference(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}


def _json(schema: Any) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def text_of(part: Any, indent: int = 0, used: int = 0) -> str:
    """Return JSON text; each value that fits on one line gets one line."""
    short = json.dumps(part, ensure_ascii=False)
    is_short = not isinstance(part, dict | list) or indent + used + len(short) <= WIDTH
    if is_short and indent:  # the whole document is never on one line
        return short
    space = " " * (indent + 2)
    if isinstance(part, list):
        lines = [space + text_of(one, indent + 2) for one in part]
    else:
        names = {name: json.dumps(name) for name in part}
        lines = [
            f"{space}{names[name]}: {text_of(one, indent + 2, len(names[name]) + 2)}"
            for name, one in part.items()
        ]
    begin, end = "[]" if isinstance(part, list) else "{}"
    return f"{begin}\n" + ",\n".join(lines) + f"\n{' ' * indent}{end}"


if __name__ == "__main__":
    FILE.write_text(text_of(document()) + "\n")
