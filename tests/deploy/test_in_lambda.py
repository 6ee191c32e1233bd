"""The package runs as in AWS Lambda: unzipped, on Python 3.13, with Amazon's runtime client."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.lambda_runtime import Function, FunctionError, lambda_runtime, unzip
from deploy.python import find_python
from local.stack import Stack
from tests.play.events import REQUEST_ID, Answer, http_event

PASSWORD = "correct horse battery staple"
PYTHON = find_python()
ADA = {"username": "Ada", "password": PASSWORD}

pytestmark = [
    pytest.mark.skipif(
        PYTHON is None, reason="no python3.13 here (PATH, pyenv): THE PACKAGE WAS NOT RUN"
    ),
    pytest.mark.skipif(
        sys.platform != "linux", reason="awslambdaric is for Linux only: THE PACKAGE WAS NOT RUN"
    ),
]


@pytest.fixture(scope="module")
def python() -> Path:
    """Return the Python of the runtime, with the boto3 of the runtime."""
    assert PYTHON is not None
    return lambda_runtime(PYTHON)


@pytest.fixture(scope="module")
def task(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the package, unzipped."""
    return unzip(package, tmp_path_factory.mktemp("task"))


@pytest.fixture(scope="module")
def migrated(
    stack: Stack, python: Path, task: Path, tmp_path_factory: pytest.TempPathFactory
) -> object:
    """Return the answer of the migration, run as in the deployment."""
    function = Function(
        "migrate", task, python, tmp_path_factory.mktemp("log"), stack.environment()
    )
    function.start()
    try:
        return function.invoke({}, 60)
    finally:
        function.stop()


@pytest.fixture
def http(
    stack: Stack, python: Path, task: Path, tmp_path: Path, migrated: object, tables: object
) -> Iterator[Function]:
    """Return the function behind the API, freshly started."""
    function = Function("http", task, python, tmp_path, stack.environment())
    function.start()
    yield function
    function.stop()


def ask(function: Function, path: str, body: object) -> Answer:
    """Send one request to the function, its body as JSON."""
    headers = {"Content-Type": "application/json"}
    return Answer.of(function.invoke(http_event("POST", path, json.dumps(body), headers)))


def test_migrate(migrated: object) -> None:
    """The migration runs in Lambda, and finds nothing left to do."""
    assert migrated == {"applied": []}


def test_a_players_life(http: Function, stack: Stack) -> None:
    """Each call of a player logs one JSON line, without any secret."""
    registered = ask(http, "/v1/register", ADA)
    signed_in = ask(http, "/v1/login", ADA)
    back = ask(http, "/v1/refresh", {"refresh_token": signed_in.json["refresh_token"]})
    refused = ask(http, "/v1/login", {**ADA, "password": "not this one, surely"})
    answers = [registered, signed_in, back, refused]
    assert [answer.status for answer in answers] == [201, 200, 200, 401]

    lines = [line for line in http.log() if line.get("logger", "").startswith("auth")]
    assert [line["event"] for line in lines] == [
        "registered",
        "signed_in",
        "refreshed",
        "sign_in_failed",
    ]
    for line in lines:
        assert line["level"] == "INFO"
        assert line["request_id"] == REQUEST_ID
        assert line["requestId"]  # Lambda's own id of the invocation

    written = json.dumps(http.log())
    tokens = stack.secrets_manager.client().get_secret_value(
        SecretId=stack.environment()["TOKEN_SECRET_ID"], VersionStage="AWSCURRENT"
    )
    (mac_key,) = json.loads(tokens["SecretString"])["mac_keys"].values()
    password = stack.database.application.password
    for secret in (PASSWORD, "not this one", password, mac_key, "PRIVATE KEY"):
        assert secret not in written
    for answer in answers[:3]:
        for token in ("access_token", "refresh_token"):
            assert answer.json[token] not in written


def test_clean_up(stack: Stack, python: Path, task: Path, tmp_path: Path, migrated: object) -> None:
    """The daily run respects Lambda's time limit."""
    function = Function("clean_up", task, python, tmp_path, stack.environment())
    function.start()
    try:
        deleted = function.invoke({}, 60)
    finally:
        function.stop()
    assert all(isinstance(number, int) for number in deleted.values())
    events = [line for line in function.log() if "event" in line]
    assert [line["event"] for line in events] == ["cleaned_up", "password_age"]
    assert events[1]["age_days"] == 0  # the metric reads this field


def test_rotate_refuses(
    stack: Stack, python: Path, task: Path, tmp_path: Path, migrated: object
) -> None:
    """The rotation runs in Lambda; any other event is an error that the alarm counts."""
    function = Function("rotate", task, python, tmp_path, stack.environment())
    function.start()
    try:
        with pytest.raises(FunctionError, match="not a rotation event") as raised:
            function.invoke({"Step": "createSecret"}, 60)
    finally:
        function.stop()
    assert raised.value.type == "RotationError"


def test_failing_migration(stack: Stack, python: Path, task: Path, tmp_path: Path) -> None:
    """A migration that cannot run fails visibly: the deployment sees an error, not an answer."""
    settings = {**stack.environment(), "DATABASE_CA_FILE": "/nowhere"}
    function = Function("migrate", task, python, tmp_path, settings)
    function.start()
    try:
        with pytest.raises(FunctionError, match="DATABASE_CA_FILE") as raised:
            function.invoke({}, 60)
    finally:
        function.stop()
    assert raised.value.type == "SettingError"


def test_missing_function(python: Path, task: Path, tmp_path: Path) -> None:
    """A missing function fails at the start."""
    with pytest.raises(FunctionError, match="nothing"):
        Function("nothing", task, python, tmp_path, {}).start()
