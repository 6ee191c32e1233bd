"""Runs deployed functions: the uploaded code with its deployed settings.

Each version of a function is one process of `deploy.lambda_runtime`, started by its first event and
kept. Two things belong to this machine: the address of the stand-in, and the CA of its database,
which replaces Amazon's in the function's CA file.
"""

import atexit
import base64
import hashlib
import importlib
import json
import threading
from pathlib import Path
from typing import Any

from moto.awslambda.exceptions import LambdaClientError

from deploy.lambda_runtime import Function, FunctionError, unzip
from deploy.package import IN_LAMBDA
from deploy.python import VERSION
from local.secrets_manager import CREDENTIALS, REGION
from local.stack import NO_PROXY
from local.terminal import Problem
from tests.rehearsal.configuration import ACCOUNT
from tests.rehearsal.resources import configuration

AWAKE_SECONDS = 1.0  # in AWS a minute or more

models: Any = importlib.import_module("moto.awslambda.models")  # parts of it are replaced

_LOCK = threading.Lock()
_RUNNING: dict[str, "_Instance"] = {}


class _Instance:
    """One version of a function, running."""

    def __init__(self, deployed: Any) -> None:
        self.lock = threading.Lock()  # one event at a time, as in Lambda
        self.seconds = float(deployed.properties.get("Timeout", 3))
        version = deployed.version if "function:" in _qualified(deployed) else "$LATEST"
        digest = hashlib.sha256(deployed.code_bytes).hexdigest()[:12]
        folder = Path(configuration().folder)
        code = folder / "code" / digest
        if not code.exists():
            unzip_into(deployed.code_bytes, code)
        variables = deployed.properties.get("Environment", {}).get("Variables", {})
        settings = {
            name: text.replace(IN_LAMBDA, str(code)) if text.startswith(IN_LAMBDA) else text
            for name, text in variables.items()
        }
        if ca_file := settings.get("DATABASE_CA_FILE"):
            Path(ca_file).write_bytes(Path(configuration().database_ca_file).read_bytes())
        module, _, name = deployed.properties["Handler"].partition(".")
        if module != "handler" or deployed.properties["Runtime"] != f"python{VERSION}":
            raise Problem(f"{deployed.function_name} is not for {VERSION}, or not in handler.py")
        log_format = deployed.properties.get("LoggingConfig", {}).get("LogFormat", "Text")
        self.function = Function(
            name,
            code,
            Path(configuration().python),
            folder / "log" / f"{deployed.function_name}.{version}.{_key(deployed)[:6]}",
            {
                **CREDENTIALS,
                **NO_PROXY,
                **settings,
                "AWS_ENDPOINT_URL": configuration().endpoint,
                "AWS_LAMBDA_FUNCTION_NAME": deployed.function_name,
                "AWS_LAMBDA_FUNCTION_VERSION": str(version),
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(deployed.properties["MemorySize"]),
                "AWS_LAMBDA_LOG_FORMAT": log_format,
            },
        )


def install() -> None:
    """Have moto's Lambda keep all properties and run the deployed code."""
    function = models.LambdaFunction
    create = function.create_from_cloudformation_json.__func__
    update = function.update_from_cloudformation_json.__func__

    def creating(cls: Any, name: str, body: Any, /, *place: str, **named: Any) -> Any:
        made = create(cls, name, body, *place, **named)
        made.properties = body["Properties"]
        return made

    def updating(cls: Any, /, **named: Any) -> Any:
        changed = update(cls, **named)
        changed.properties = named["cloudformation_json"]["Properties"]
        changed.state = "Active"
        return changed

    def code(self: Any) -> dict[str, Any]:
        return {
            "Configuration": self.get_configuration(),
            "Code": {
                "RepositoryType": "S3",
                "Location": f"{configuration().endpoint}/_code/{self.function_name}/{self.version}",
            },
        }

    function.create_from_cloudformation_json = classmethod(creating)
    function.update_from_cloudformation_json = classmethod(updating)
    function.invoke = _invoked
    function.get_code = code
    atexit.register(stop)


def stop() -> None:
    """Stop all running functions."""
    with _LOCK:
        for instance in _RUNNING.values():
            instance.function.stop()
        _RUNNING.clear()


def run(deployed: Any, event: object) -> tuple[bool, object]:
    """Send an event to a function; return whether it succeeded, and its answer or error."""
    try:
        with _LOCK:
            instance = _RUNNING.get(_key(deployed)) or _Instance(deployed)
            if _key(deployed) not in _RUNNING:
                instance.function.start()
                _RUNNING[_key(deployed)] = instance
        with instance.lock:
            return True, instance.function.invoke(event, instance.seconds)
    except FunctionError as error:
        return False, {"errorType": error.type, "errorMessage": error.message}
    except Problem as problem:
        return False, {"errorType": "Runtime.Unknown", "errorMessage": str(problem)}


def unzip_into(code: bytes, folder: Path) -> None:
    """Unzip an uploaded package."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    zipped = folder.with_suffix(".zip")
    zipped.write_bytes(code)
    unzip(zipped, folder)


def put_to_sleep() -> None:
    """Put all functions to sleep, as Lambda does after some weeks without a call."""
    for name in _moto_functions():
        _set_state(name, "Inactive")


def _wake(function: Any) -> None:
    """Refuse the call that wakes a function, and all others until it is awake."""
    name = function.function_name
    if function.state == "Inactive":
        _set_state(name, "Pending")
        threading.Timer(AWAKE_SECONDS, _set_state, (name, "Active")).start()
    raise LambdaClientError(
        "CodeArtifactUserPendingException", "Lambda is initializing your function."
    )


def _set_state(name: str, state: str) -> None:
    """Set the state of all versions: moto runs the newest even if another number is called."""
    kept = _moto_functions()[name]
    for version in (kept["latest"], *kept["versions"]):
        version.state = state


def _moto_functions() -> dict[str, Any]:
    """Return the functions themselves; moto's lists contain copies."""
    kept: dict[str, Any] = models.lambda_backends[ACCOUNT][REGION]._lambdas._functions  # noqa: SLF001
    return kept


def _invoked(self: Any, body: Any, _headers: Any, response_headers: Any) -> bytes:
    if self.state != "Active":
        _wake(self)
    _set_state(self.function_name, "Active")
    well, answer = run(self, json.loads(body or "{}"))
    if not well:
        response_headers["x-amz-function-error"] = "Unhandled"
    response_headers["x-amz-log-result"] = base64.b64encode(b"").decode()
    return json.dumps(answer).encode()


def _key(deployed: Any) -> str:
    """Return a key that identifies a running version."""
    what = [deployed.function_arn, deployed.code_sha_256, deployed.properties]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def _qualified(deployed: Any) -> str:
    """Return the function's ARN from its name on, if it ends in a version."""
    name = str(deployed.function_arn).rpartition(":function:")[2]
    return f"function:{name}" if ":" in name else name
