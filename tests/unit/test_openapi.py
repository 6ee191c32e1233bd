"""docs/contract/openapi.json is valid, and says what the code says."""

import copy
import json
import re
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from openapi_spec_validator import OpenAPIV31SpecValidator

import auth.api
from auth.api import reading
from auth.api.answers import HEADERS, Created
from auth.api.forms import Confirmed
from auth.api.routes import ROUTES
from auth.api.routing import Route
from auth.api.tutorial import TUTORIAL
from auth.credentials import password_policy, usernames
from auth.credentials.keys import PrivateKey, SigningKey
from auth.store.records import ServerKey
from local.openapi import document, text_of
from tests.play.events import Answer
from tests.play.judge import FILE, GATEWAY, NotDescribed, description
from tests.unit.test_docs import errors

TABLE = {(route.method, route.template): route for route in (*ROUTES, *TUTORIAL)}
FORMS = [route.body for route in TABLE.values() if route.body]
# What happens on paths and methods that are no operation.
OFF_ROUTE = {"method_not_allowed"}


def form_of(operation: Any) -> Any:
    """Return the schema of an operation's body."""
    return description().resolved(operation["requestBody"]["content"]["application/json"]["schema"])


def member(schema: Any, name: str) -> Any:
    """Return what a schema says of a member."""
    return description().resolved(schema["properties"][name])


def types(schema: Any) -> set[str]:
    """Return the types that a value may have."""
    if "anyOf" in schema:
        return set().union(*(types(description().resolved(one)) for one in schema["anyOf"]))
    return {schema["type"]} if isinstance(schema["type"], str) else set(schema["type"])


def longest(schema: Any) -> int | None:
    """Return how long a value may be."""
    lengths = [one.get("maxLength") for one in (schema, *schema.get("anyOf", ()))]
    return next((length for length in lengths if length is not None), None)


def test_valid() -> None:
    """The file is valid OpenAPI 3.1, and a mistake in it would be found."""
    document = json.loads(Path("docs/contract/openapi.json").read_text())
    OpenAPIV31SpecValidator(document).validate()
    wrong = copy.deepcopy(document)
    wrong["paths"]["/v1/login"]["post"]["responses"]["200"].pop("description")
    assert list(OpenAPIV31SpecValidator(wrong).iter_errors())


def test_routes() -> None:
    """The file has the routes of the code, and no other."""
    assert {(method, path) for method, path, _ in description().operations()} == set(TABLE)


def test_bodies() -> None:
    """Each body has the fields of the struct that reads it, with its types; so has no other."""
    for method, path, operation in description().operations():
        form = TABLE[method, path].body
        if form is None:
            assert "requestBody" not in operation, path
            continue
        (schema,), parts = msgspec.json.schema_components([form], ref_template="{name}")
        read = parts[schema["$ref"]]
        described = form_of(operation)
        assert set(described["properties"]) == set(read["properties"]), path
        assert set(described.get("required", ())) == set(read.get("required", ())), path
        needs_body = bool(read.get("required")) or issubclass(form, Confirmed)
        assert operation["requestBody"]["required"] is needs_body, path
        for name, sent in read["properties"].items():
            assert types(member(described, name)) == types(sent), (path, name)
            if not name.endswith(("username", "password")):  # their limits are no struct's
                assert longest(member(described, name)) == longest(sent), (path, name)


def test_limits() -> None:
    """Names, passwords, keys and the body's size have the limits of the code."""
    schemas = description().document["components"]["schemas"]
    name, password = schemas["NewUsername"], schemas["NewPassword"]
    assert (name["minLength"], name["maxLength"]) == (usernames.MIN_LENGTH, usernames.MAX_LENGTH)
    assert name["pattern"] == f"^{usernames._SHAPE.pattern}$"  # noqa: SLF001
    assert password["minLength"] == password_policy.MIN_LENGTH
    assert password["maxLength"] == password_policy.MAX_LENGTH
    for operation, field in (("register", "password"), ("changePassword", "new_password")):
        found = [one for _, _, one in description().operations() if one["operationId"] == operation]
        assert form_of(found[0])["properties"][field] == {
            "$ref": "#/components/schemas/NewPassword"
        }
    key = description().document["components"]["parameters"]["IdempotencyKey"]["schema"]
    assert key["pattern"] == f"^{reading._IDEMPOTENCY_KEY.pattern}$"  # noqa: SLF001
    assert (
        f"at most {reading.MAX_BODY_BYTES} bytes" in description().document["info"]["description"]
    )


def test_headers_that_are_read() -> None:
    """The routes that read the bearer token or the Idempotency-Key say so, and no other does."""
    for method, path, operation in description().operations():
        route = TABLE[method, path]
        schemes = {name for one in operation.get("security", ()) for name in one}
        assert ("accessToken" in schemes) is route.has_bearer, path
        assert ("serverKey" in schemes) is route.has_server_key, path
        keyed = {"$ref": "#/components/parameters/IdempotencyKey"} in operation.get(
            "parameters", ()
        )
        assert keyed is route.has_idempotency_key, path


@pytest.mark.parametrize("route", TABLE.values(), ids=lambda route: f"{route.method} {route.path}")
def test_views(route: Route) -> None:
    """A view takes what its route declares, in that order, and gives the declared answer."""
    hints = get_type_hints(route.view)
    created = Created if route.created else route.answer
    assert hints.pop("return") == route.answer | created
    caller = [get_type_hints(route.caller)["return"]] if route.caller else []
    caller += [ServerKey] if route.has_server_key else []
    query = [route.query] if route.query else []
    body = [route.body] if route.body else []
    key = [str | None] if route.has_idempotency_key else []
    parts = [str] * len(route.parameters)
    assert list(hints.values()) == [*caller, *query, *body, *key, *parts]


def test_only_signing_out_reads_the_token_itself() -> None:
    """Every other view that wants a token gets a caller whose session was found usable."""
    reading = {
        path.stem
        for path in Path(auth.api.__path__[0]).glob("*.py")
        if re.search(r"(import|\.|\W)\s*bearer_token\b", path.read_text())
    }
    assert reading == {"reading", "routing", "session_views"}
    assert [route.path for route in ROUTES if route.may_have_bearer] == ["/v1/logout"]


def test_written() -> None:
    """The file is what `make openapi` writes."""
    assert FILE.read_text() == text_of(document()) + "\n", "run `make openapi`"


def test_headers_of_every_answer() -> None:
    """What the application says in each answer is described with each, or once for all."""
    document = description().document
    for name in HEADERS:
        assert name in document["components"]["headers"] or name in document["info"]["description"]


def test_error_codes() -> None:
    """Each code has its status, its message and its headers, and each is on some route."""
    statuses = {error.code: error.status for error in errors()}
    on_routes: set[str] = set()
    for _, path, operation in description().operations():
        for status, response in operation["responses"].items():
            codes = description().codes(response)
            on_routes |= codes
            assert all(statuses[code] == int(status) for code in codes), (path, status)
    assert on_routes | OFF_ROUTE == set(statuses)
    messages = {
        example["error"]["message"]
        for schema in description().document["components"]["schemas"].values()
        for example in schema.get("examples", ())
        if "error" in example
    }
    assert messages == {error.message for error in errors() if error.__name__ != "MissingToken"}


def test_examples() -> None:
    """Every schema that goes over the wire has an example, and each is an example of it."""
    schemas = description().document["components"]["schemas"]
    seen = 0
    for schema in schemas.values():
        for example in schema.get("examples", ()):
            description().validator(schema).validate(example)
            seen += 1
    assert seen >= len(FORMS) + len({error.code for error in errors()})
    for _, path, operation in description().operations():
        for content in operation.get("requestBody", {}).get("content", {}).values():
            assert description().resolved(content["schema"])["examples"], path


# What a client can meet without our function: a request that API Gateway cannot read, does not let
# through or knows no route for, one that is too long, throttling, a crash, a timeout.
GATEWAY_STATUSES = {"400", "403", "404", "413", "429", "500", "503"}


def test_answers_of_api_gateway() -> None:
    """Each status that API Gateway also sends can have its body, and none of our headers."""
    document = json.loads(FILE.read_text())
    shared, headers = document["components"]["responses"], document["components"]["headers"]
    described = [
        (status, shared[response["$ref"].rpartition("/")[2]])
        for responses in (
            document["x-off-route"],
            *(one["responses"] for item in document["paths"].values() for one in item.values()),
        )
        for status, response in responses.items()
        if "$ref" in response
    ]
    assert {status for status, _ in described} >= GATEWAY_STATUSES
    for status, response in described:
        either = response["content"]["application/json"]["schema"].get("anyOf", ())
        assert (GATEWAY in either) is (status in GATEWAY_STATUSES), response
        names = [one["$ref"].rpartition("/")[2] for one in response["headers"].values()]
        required = any(headers[name]["required"] for name in names)
        assert required is (status not in GATEWAY_STATUSES), response


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        (method, path, int(status))
        for method, path, operation in description().operations()
        for status in operation["responses"]
        if status in GATEWAY_STATUSES
    ],
)
def test_our_function_is_no_gateway(method: str, path: str, status: int) -> None:
    """Our function may answer neither with API Gateway's body nor without one of our headers."""
    response = description().response(method, path, status)
    schema = response["content"]["application/json"]["schema"]
    first = schema["anyOf"][0] if "anyOf" in schema else schema
    body = description().resolved(first)["examples"][0]
    headers = GOOD | ({"retry-after": "2"} if "Retry-After" in response["headers"] else {})
    description().check(method, path, Answer(status, headers, json.dumps(body)))
    with pytest.raises(NotDescribed):
        description().check(method, path, Answer(status, headers, '{"message": "Slow down"}'))
    for name in headers.keys() - {"content-type"}:
        fewer = {one: value for one, value in headers.items() if one != name}
        with pytest.raises(NotDescribed, match=f"(?i){name} is missing"):
            description().check(method, path, Answer(status, fewer, json.dumps(body)))


GOOD = {
    "content-type": "application/json",
    "cache-control": "no-store",
    "x-request-id": "abc",
}


@pytest.mark.parametrize(
    ("method", "path", "status", "headers", "text"),
    [
        ("GET", "/v1/health", 201, {}, '{"status": "ok"}'),
        ("GET", "/v1/health", 200, {}, '{"status": "OK"}'),
        ("GET", "/v1/health", 200, {}, '{"status": "ok", "load": 1}'),
        ("GET", "/v1/health", 200, {"content-type": "text/plain"}, "ok"),
        ("GET", "/v1/health", 200, {"cache-control": "public"}, '{"status": "ok"}'),
        ("GET", "/v1/health", 200, {"retry-after": "2"}, '{"status": "ok"}'),
        (
            "GET",
            "/v1/me",
            401,
            {},
            '{"error": {"code": "invalid_token", "message": "", "request_id": ""}}',
        ),
        ("GET", "/v1/nothing", 200, {}, "{}"),
        ("PATCH", "/v1/me", 404, {}, "{}"),
    ],
)
def test_what_is_not_described(
    method: str, path: str, status: int, headers: dict[str, str], text: str
) -> None:
    """An answer with another status, body, media type or header than described is found."""
    description().check("GET", "/v1/health", Answer(200, GOOD, '{"status": "ok"}'))
    with pytest.raises(NotDescribed):
        description().check(method, path, Answer(status, GOOD | headers, text))


def test_validator_knows_formats() -> None:
    """A time that is none is found: the library that checks it is there."""
    account = description().document["components"]["schemas"]["Account"]["properties"]
    assert not description().validator(account["created_at"]).is_valid("yesterday")


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("RS256", rsa.generate_private_key(65537, 2048)),
        ("ES256", ec.generate_private_key(ec.SECP256R1())),
        ("EdDSA", ed25519.Ed25519PrivateKey.generate()),
    ],
    ids=["RS256", "ES256", "EdDSA"],
)
def test_kinds_of_keys(algorithm: str, key: PrivateKey) -> None:
    """Public keys of each kind that may be in the secret are described."""
    schema = description().document["components"]["schemas"]["PublicKey"]
    description().validator(schema).validate(SigningKey("a", algorithm, key).jwk())
