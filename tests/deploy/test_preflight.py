"""The preflight refuses early, with a fix, each deployment that AWS would refuse later."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from deploy import preflight
from deploy.preflight import (
    CERTIFICATES,
    Target,
    another_database,
    ask,
    deployed_engine,
    no_certificate,
    on_the_free_plan,
    regions_in,
    too_many_runs,
)
from local.stack import ROOT

Parameters = dict[str, Any]
DEV: Parameters = {
    "database": "mariadb",
    "databaseClass": "db.t4g.micro",
    "databaseCaFile": "/var/task/certificates/rds.pem",
    "backupDays": 1,
    "concurrency": 25,
    "reserveConcurrency": True,
    "monthlyBudget": 0,
    "trustedProxy": False,
}
PROD = {**DEV, "databaseClass": "db.t4g.medium", "backupDays": 14, "concurrency": 100}
MARIADB = {"engine": "mariadb", "version": "11.8", "family": "mariadb11.8"}
WITHOUT = ("ap-southeast-5", "ca-west-1", "il-central-1", "us-gov-west-1", "cn-north-1")


@pytest.mark.parametrize(
    ("concurrency", "limit", "free", "most"),
    [
        (1, 10, 10, 0),  # a new account: nothing can be reserved
        (1, 50, 50, 0),
        (1, 100, 100, 0),
        (25, 125, 125, None),
        (26, 125, 125, 25),
        (25, 1000, 1000, None),
        (900, 1000, 1000, None),
        (901, 1000, 1000, 900),
        (100, 1000, 199, 99),  # others have reserved the rest
        (1, 1000, 100, 0),
    ],
)
def test_concurrent_runs(concurrency: int, limit: int, free: int, most: int | None) -> None:
    """AWS keeps 100 runs unreserved, or the whole of a smaller quota."""
    lines = list(too_many_runs({**DEV, "concurrency": concurrency}, limit, free))
    assert len(lines) == (most is not None)
    assert all(f"{most} can be reserved" in line for line in lines)
    assert all("reserveConcurrency: false" in line for line in lines)


@pytest.mark.parametrize("reserve", [False, "false"])
def test_concurrency_that_is_not_reserved(reserve: object) -> None:
    """Without a reservation nothing is refused: a new account needs this."""
    assert not list(too_many_runs({**DEV, "reserveConcurrency": reserve}, 10, 10))


@pytest.mark.parametrize(
    ("parameters", "plan", "wrong"),
    [
        (DEV, "FREE", None),
        (PROD, "PAID", None),
        (PROD, "FREE", "databaseClass db.t4g.medium and backupDays 14"),
        ({**DEV, "backupDays": "7"}, "FREE", "backupDays 7"),
        ({**PROD, "database": "existing"}, "FREE", None),
    ],
)
def test_free_plan(parameters: Parameters, plan: str, wrong: str | None) -> None:
    """Choices that the free plan does not include are named before RDS refuses them."""
    lines = list(on_the_free_plan(parameters, plan))
    assert len(lines) == (wrong is not None)
    assert all(f"refuses {wrong}: upgrade it" in line for line in lines)


def test_certificates() -> None:
    """Each region of the bundle is found by its name, and no other."""
    known = regions_in(CERTIFICATES.read_text())
    assert len(known) >= 27
    assert not list(no_certificate("eu-central-1", known))
    for region in WITHOUT:
        (line,) = no_certificate(region, known)
        assert f"no root certificate of RDS for {region}" in line


def test_documented_regions() -> None:
    """docs/run/deploy.md lists the regions of the bundle."""
    text = (ROOT / "docs" / "run" / "deploy.md").read_text()
    (listed,) = re.findall(r"<!-- regions -->(.+?)<!-- end -->", text, re.DOTALL)
    assert re.findall(r"`([\w-]+)`", listed) == regions_in(CERTIFICATES.read_text())


FUNCTION = {"HttpLambdaFunction": {"Type": "AWS::Lambda::Function"}}


@pytest.mark.parametrize(
    ("resources", "deployed"),
    [
        ({}, None),
        ({"ServerlessDeploymentBucket": {"Type": "AWS::S3::Bucket"}}, None),
        (
            {
                **FUNCTION,
                "Database": {"Type": "AWS::RDS::DBInstance", "Properties": {"Engine": "x"}},
            },
            "x",
        ),
        ({**FUNCTION, "Database": {"Type": "AWS::RDS::DBCluster", "Properties": {}}}, "aurora"),
        (FUNCTION, "existing"),
    ],
)
def test_change_of_database(resources: Parameters, deployed: str | None) -> None:
    """A database that differs from the deployed one is refused; the same or a first one is not."""
    template = {"Resources": resources}
    lines = list(another_database("mariadb", template))
    assert len(lines) == (deployed is not None)
    assert all(f"this stage was deployed with {deployed}:" in line for line in lines)
    assert not list(another_database(deployed or "mysql", template))


class Answers:
    """A stub of AWS that checks its answers against botocore's own models."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stack = ExitStack()
        self.clients: dict[str, Any] = {}
        monkeypatch.setattr(Target, "client", lambda _, service, *_region: self.of(service)[0])

    def of(self, service: str) -> tuple[Any, Stubber]:
        """Return a client of a service, and its stub."""
        if service not in self.clients:
            client = boto3.client(
                service, "eu-central-1", aws_access_key_id="x", aws_secret_access_key="x"
            )
            self.clients[service] = client, self.stack.enter_context(Stubber(client))
        found: tuple[Any, Stubber] = self.clients[service]
        return found

    def say(self, service: str, operation: str, answer: Parameters) -> None:
        """Queue the next answer of a service."""
        self.of(service)[1].add_response(operation, answer)

    def refuse(self, service: str, operation: str, code: str) -> None:
        """Queue a refusal."""
        self.of(service)[1].add_client_error(operation, code)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    """Return AWS before a first deployment, with all answers except those about the engine."""
    aws = Answers(monkeypatch)
    with aws.stack:
        plan = {"accountId": "1" * 12, "accountPlanType": "PAID", "accountPlanStatus": "ACTIVE"}
        aws.say("freetier", "get_account_plan_state", plan)
        limits = {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 1000}
        aws.say("lambda", "get_account_settings", {"AccountLimit": limits})
        aws.refuse("lambda", "get_function", "ResourceNotFoundException")
        aws.refuse("cloudformation", "get_template", "ValidationError")
        aws.refuse("cloudformation", "list_stack_resources", "ValidationError")
        yield aws


def engines(answers: Answers, *versions: str, options: int = 1) -> None:
    """Let RDS have some versions, and some options to order the newest."""
    found = [{"EngineVersion": version} for version in versions]
    answers.say("rds", "describe_db_engine_versions", {"DBEngineVersions": found})
    option = [{"Engine": "mariadb"}] * options
    answers.say(
        "rds", "describe_orderable_db_instance_options", {"OrderableDBInstanceOptions": option}
    )


def secrets(answers: Answers, *found: Parameters | None) -> None:
    """Let Secrets Manager have the database's secret and the token keys, or not."""
    for secret in found:
        if secret is None:
            answers.refuse("secretsmanager", "describe_secret", "ResourceNotFoundException")
        else:
            answers.say("secretsmanager", "describe_secret", secret)


def asked(
    parameters: Parameters = DEV, region: str = "eu-central-1"
) -> tuple[list[str], list[str]]:
    """Ask all questions about a stage."""
    return ask(Target("dev", region, parameters, MARIADB))


def test_nothing_to_refuse(answers: Answers) -> None:
    """A first deployment into a suitable account is not refused."""
    engines(answers, "11.8.8", "11.8.9")
    secrets(answers, None, None)
    assert asked() == ([], [])


@pytest.mark.parametrize(
    ("versions", "options", "line"),
    [
        (("11.4.9",), 1, "RDS has no mariadb 11.8 in eu-central-1 (it has 11.4.9)"),
        ((), 1, "(it has none of that family)"),
        (("11.80.1",), 1, "RDS has no mariadb 11.8 in"),
        (("11.8.9",), 0, "RDS has no db.t4g.micro for mariadb 11.8.9"),
    ],
)
def test_engine(answers: Answers, versions: tuple[str, ...], options: int, line: str) -> None:
    """An engine version or class that RDS lacks there is named, with the available versions."""
    engines(answers, *versions, options=options)
    secrets(answers, None, None)
    refusals, _ = asked()
    assert len(refusals) == 1
    assert line in refusals[0]


@pytest.mark.parametrize(
    ("secret", "line"),
    [
        ({}, "the secret game-login/dev/tokens is there already, and belongs to no stack"),
        (
            {"DeletedDate": datetime(2026, 11, 1, tzinfo=UTC)},
            "the secret game-login/dev/tokens is deleted, and keeps its name",
        ),
    ],
)
def test_leftover_secret(answers: Answers, secret: Parameters, line: str) -> None:
    """A secret that an earlier stage left, or that is being deleted, blocks a new one."""
    engines(answers, "11.8.9")
    secrets(answers, None, secret)
    refusals, unanswered = asked()
    assert [line in refusal for refusal in refusals] == [True]
    assert not unanswered


def test_leftover_secret_of_a_proxy(answers: Answers) -> None:
    """The secret of a trusted proxy is looked up if one is used."""
    engines(answers, "11.8.9")
    secrets(answers, None, None, {})
    refusals, _ = asked({**DEV, "trustedProxy": "true"})
    assert [refusal.split()[2] for refusal in refusals] == ["game-login/dev/proxy"]


def test_secrets_are_known() -> None:
    """Each secret that the templates create under a fixed name is looked up."""
    made = {
        found
        for path in (ROOT / "deploy" / "infrastructure").rglob("*.yml")
        for found in re.findall(r"Name: game-login/\$\{sls:stage\}/(\w+)", path.read_text())
    }
    assert made == set(preflight.SECRETS.values())


def test_own_secrets(answers: Answers) -> None:
    """The stack's own secrets do not block it; those that it has lost do."""
    engines(answers, "11.8.9")
    stubber = answers.of("cloudformation")[1]
    stubber._queue.pop()  # noqa: SLF001  # the stack exists
    now = datetime(2026, 11, 1, tzinfo=UTC)
    summaries = [
        {
            "LogicalResourceId": name,
            "ResourceType": "AWS::SecretsManager::Secret",
            "LastUpdatedTimestamp": now,
            "ResourceStatus": status,
        }
        for name, status in (
            ("DatabaseSecret", "CREATE_COMPLETE"),
            ("TokenSecret", "DELETE_COMPLETE"),
        )
    ]
    answers.say("cloudformation", "list_stack_resources", {"StackResourceSummaries": summaries})
    secrets(answers, {})
    refusals, _ = asked()
    assert [refusal.split()[2] for refusal in refusals] == ["game-login/dev/tokens"]


def test_own_runs(answers: Answers) -> None:
    """The runs that the function has already reserved count as free."""
    stubber = answers.of("lambda")[1]
    stubber._queue.clear()  # noqa: SLF001  # it is deployed
    limits = {"ConcurrentExecutions": 125, "UnreservedConcurrentExecutions": 100}
    answers.say("lambda", "get_account_settings", {"AccountLimit": limits})
    answers.say("lambda", "get_function", {"Concurrency": {"ReservedConcurrentExecutions": 25}})
    engines(answers, "11.8.9")
    secrets(answers, None, None)
    assert asked() == ([], [])


def test_no_right_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unanswered question does not stop the deployment, and is named."""
    aws = Answers(monkeypatch)
    with aws.stack:
        aws.refuse("freetier", "get_account_plan_state", "AccessDeniedException")
        aws.refuse("lambda", "get_account_settings", "AccessDeniedException")
        for _ in range(2):  # the next question asks for it again
            aws.refuse("cloudformation", "get_template", "AccessDenied")
        aws.refuse("cloudformation", "list_stack_resources", "AccessDenied")
        refusals, unanswered = asked()
    assert refusals == []
    assert [text.partition(" (")[0] for text in unanswered] == [
        name for name in preflight.QUESTIONS if name not in ("certificates of the region", "budget")
    ]


def test_no_budget_to_see(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user or CI role without access to bills is told before AWS refuses the budget."""
    monkeypatch.setenv("CLOUDFORMATION_ROLE_ARN", "arn")
    answers.say("sts", "get_caller_identity", {"Account": "1" * 12})
    answers.refuse("budgets", "describe_budgets", "AccessDeniedException")
    answers.of("cloudformation")[1]._queue.clear()  # noqa: SLF001  # nothing else is asked
    answers.say("cloudformation", "describe_type", {"TypeName": preflight.BUDGET})
    target = Target("dev", "eu-central-1", {**DEV, "monthlyBudget": "50"}, MARIADB)
    (refusal,) = preflight.QUESTIONS["budget"](target)
    assert "or set monthlyBudget: 0" in refusal


def test_no_budgets_in_the_region(answers: Answers) -> None:
    """A budget is refused if CloudFormation does not know the type in that region."""
    answers.of("cloudformation")[1]._queue.clear()  # noqa: SLF001  # nothing else is asked
    answers.refuse("cloudformation", "describe_type", "TypeNotFoundException")
    target = Target("dev", "eu-north-1", {**DEV, "monthlyBudget": 50}, MARIADB)
    (refusal,) = preflight.QUESTIONS["budget"](target)
    assert refusal.startswith("CloudFormation makes no budgets in eu-north-1: set monthlyBudget: 0")


def deployed(answers: Answers, version: str, size: str) -> None:
    """Let a stage be deployed with a database."""
    properties = {"Engine": "mariadb", "EngineVersion": version, "DBInstanceClass": size}
    database = {"Type": "AWS::RDS::DBInstance", "Properties": properties}
    template = json.dumps({"Resources": {**FUNCTION, "Database": database}})
    queue = answers.of("cloudformation")[1]._queue  # noqa: SLF001
    queue.popleft()  # there is a template
    rest = list(queue)
    queue.clear()
    answers.say("cloudformation", "get_template", {"TemplateBody": template})
    queue.extend(rest)


def test_deployed_engine() -> None:
    """An Aurora is recognised by its cluster; without a database both are empty."""
    cluster = {"Type": "AWS::RDS::DBCluster", "Properties": {"EngineVersion": "8.0.mysql"}}
    assert deployed_engine({"Resources": {"Database": cluster}}) == ("8.0.mysql", "db.serverless")
    assert deployed_engine({"Resources": FUNCTION}) == ("", "")
    assert deployed_engine({}) == ("", "")


def test_a_hotfix_with_a_retired_version(answers: Answers) -> None:
    """RDS is not asked about version and class if the database does not change."""
    deployed(answers, "11.8", "db.t4g.micro")
    secrets(answers, None, None)
    assert asked() == ([], [])  # a call to RDS would fail here, and be named in `unanswered`


def test_another_class_with_a_retired_version(answers: Answers) -> None:
    """A new class is looked up, and a version already in use is not refused."""
    deployed(answers, "11.8", "db.t4g.medium")
    engines(answers, "11.4.9")
    secrets(answers, None, None)
    assert asked() == ([], [])


def test_another_version(answers: Answers) -> None:
    """A version that differs from the deployed one is checked like a first one."""
    deployed(answers, "11.4", "db.t4g.micro")
    engines(answers, "11.4.9")
    secrets(answers, None, None)
    refusals, _ = asked()
    assert ["RDS has no mariadb 11.8" in refusal for refusal in refusals] == [True]


def test_region(answers: Answers) -> None:
    """A region without certificates is refused like the rest."""
    engines(answers, "11.8.9")
    secrets(answers, None, None)
    refusals, _ = asked(region="ca-west-1")
    assert ["ca-west-1" in refusal for refusal in refusals] == [True]
