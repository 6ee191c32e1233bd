"""The HTTP APIs of the stand-in: they route a request by its integration to a function.

`/_http/<id of the API>/<path>` is the request `/<path>`; `/_code/<function>/<version>` is the zip
of a version; `/_left` lists all resources that stacks have created and not removed, `/_unknown`
those of them that belong to no stack; `/_sleep` puts all functions to sleep. moto answers the rest.
"""

import base64
import json
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from moto.awslambda.models import lambda_backends
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import cloudformation_backends

from local.secrets_manager import REGION
from tests.play.events import wsgi_event
from tests.rehearsal import account
from tests.rehearsal.configuration import ACCOUNT
from tests.rehearsal.functions import put_to_sleep, run
from tests.rehearsal.resources import LIVING, Permission, aws

HTTP = "/_http/"
CODE = "/_code/"
LEFT = "/_left"
UNKNOWN = "/_unknown"
SLEEP = "/_sleep"

Start = Callable[[str, list[tuple[str, str]]], object]


class Gateway:
    """A WSGI application around moto's."""

    def __init__(self, moto: Any) -> None:
        self._moto = moto

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        path = str(environ["PATH_INFO"])
        if path.startswith(HTTP):
            return _reply(start, *_answered(environ, path.removeprefix(HTTP)))
        if path.startswith(CODE):
            name, _, version = path.removeprefix(CODE).partition("/")
            return _reply(start, 200, {}, _function(name, version).code_bytes)
        if path in (LEFT, UNKNOWN):
            there = [resource for resource in LIVING if resource.is_there()]
            if path == UNKNOWN:
                known = _known()
                there = [resource for resource in there if id(resource) not in known]
            left = sorted(f"{resource.logical_id} ({resource.type})" for resource in there)
            return _reply(start, 200, {}, json.dumps(left).encode())
        if path == SLEEP:
            put_to_sleep()
            return _reply(start, 200, {}, b"")
        if (said := account.answer(environ)) is not None:
            return _reply(start, 200, {"Content-Type": "application/x-amz-json-1.0"}, said)
        answer: Iterable[bytes] = self._moto(environ, start)
        return answer


def _reply(start: Start, status: int, headers: dict[str, str], body: bytes) -> Iterable[bytes]:
    start(f"{status} -", [*headers.items(), ("Content-Length", str(len(body)))])
    return [body]


def _answered(environ: dict[str, Any], path: str) -> tuple[int, dict[str, str], bytes]:
    api, _, rest = path.partition("/")
    try:
        arn = _target(api, f"{environ['REQUEST_METHOD']} /{rest}")
    except (LookupError, ValidationError) as error:
        # Like the gateway, which reports the reason in its log, not to the caller.
        return 500, {"X-Rehearsal-Error": str(error)}, b'{"message":"Internal Server Error"}'
    _, _, qualified = arn.rpartition(":function:")
    name, _, qualifier = qualified.partition(":")
    well, answer = run(_function(name, qualifier or None), _event(environ, api, f"/{rest}"))
    if not (well and isinstance(answer, dict)):
        return 500, {"X-Rehearsal-Error": str(answer)}, b'{"message":"Internal Server Error"}'
    body = answer.get("body") or ""
    raw = base64.b64decode(body) if answer.get("isBase64Encoded") else str(body).encode()
    headers = {str(key): str(text) for key, text in answer["headers"].items()}
    return int(answer["statusCode"]), headers, raw


def _target(api: str, asked: str) -> str:
    """Return the ARN of the function that a request calls.

    Raises:
        LookupError: no such route or stage exists, or the API may not call the function.
    """
    service = aws("apigatewayv2")
    if not any(stage["AutoDeploy"] for stage in service.get_stages(ApiId=api)["Items"]):
        raise LookupError("no stage is deployed automatically")
    routes = {route["RouteKey"]: route for route in service.get_routes(ApiId=api)["Items"]}
    route = routes.get(asked) or routes.get("$default")
    if route is None:
        raise LookupError(f"no route for {asked}")
    _, _, integration = route["Target"].partition("/")
    uri = str(service.get_integration(ApiId=api, IntegrationId=integration)["IntegrationUri"])
    for resource in LIVING:
        given = resource.properties
        if (
            isinstance(resource, Permission)
            and given["FunctionName"] == uri
            and given["Principal"] == "apigateway.amazonaws.com"
            and f":{api}/" in given["SourceArn"]
        ):
            return uri
    raise LookupError(f"API Gateway may not call {uri}")


def _known() -> set[int]:
    """Return the identities of the stacks' resources."""
    stacks: Any = cloudformation_backends[ACCOUNT][REGION].stacks
    return {id(one) for stack in stacks.values() for one in stack.resource_map.known()}


def _function(name: str, qualifier: str | None) -> Any:
    return lambda_backends[ACCOUNT][REGION].get_function(name, qualifier)


def _event(environ: dict[str, Any], api: str, path: str) -> dict[str, Any]:
    """Return the request as a function's event, with an id of its own."""
    event = wsgi_event(environ, path)
    event["requestContext"] |= {"apiId": api, "requestId": uuid.uuid4().hex[:16]}
    return event
