"""The compiled template is sound, and each check finds its planted mistakes."""

import copy
import fcntl
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cfnlint
import pytest

from auth.jobs.rotation import WAKE
from auth.settings import Settings
from deploy.preflight import CERTIFICATES, regions_in
from local.leaked_passwords import FILE
from local.stack import ROOT, without_aws
from tests.deploy.linting import lint
from tests.deploy.mistakes import MISTAKES
from tests.deploy.template_checks import CHECKS, Check, Template, careless_production
from tests.deploy.template_parts import resources

STAGES = ("dev", "prod")
COMPILED = "cloudformation-template-update-stack.json"
EVERY_CHECK = [(stage, check) for stage in STAGES for check in CHECKS.values()]


def serverless(*arguments: str, at: Path = ROOT) -> str:
    """Run `serverless` in a folder and return what it prints."""
    tools = Path(sys.executable).parent
    environment = {
        **without_aws(os.environ),
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED": "true",
        "SLS_TELEMETRY_DISABLED": "1",
    }
    command = ["node", "node_modules/.bin/serverless", *arguments]
    done = subprocess.run(
        command, cwd=at, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> dict[str, Path]:
    """Return the folder of each stage's package, built once for all workers."""
    shared = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        shared = shared.parent
    found = {stage: shared / f"package-{stage}" for stage in STAGES}
    with (shared / "packages.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for stage, folder in found.items():
            if not (folder / COMPILED).exists():
                serverless("package", "--stage", stage, "--package", str(folder))
    return found


@pytest.fixture(scope="module")
def templates(folders: dict[str, Path]) -> dict[str, Template]:
    """Return the compiled templates by stage."""
    return {stage: json.loads((folder / COMPILED).read_text()) for stage, folder in folders.items()}


@pytest.fixture
def template(templates: dict[str, Template]) -> Template:
    """Return a copy of production's template, to plant a mistake in."""
    return copy.deepcopy(templates["prod"])


@pytest.mark.parametrize(("stage", "check"), EVERY_CHECK)
def test_sound(templates: dict[str, Template], stage: str, check: Check) -> None:
    """No check finds a mistake in any stage."""
    assert list(check(templates[stage])) == []


def test_production_is_careful(templates: dict[str, Template]) -> None:
    """Production keeps its data; the check finds that the small stage may lose its own."""
    assert list(careless_production(templates["prod"])) == []
    assert len(list(careless_production(templates["dev"]))) == 5


@pytest.mark.parametrize("stage", STAGES)
def test_lint(folders: dict[str, Path], stage: str) -> None:
    """cfn-lint has no findings."""
    done = lint([folders[stage] / COMPILED])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_region_has_the_types(templates: dict[str, Template]) -> None:
    """CloudFormation has the deployed types of resources in every region with certificates."""
    schemas = Path(cfnlint.__file__).parent / "data" / "schemas" / "providers"
    known = {
        region: json.loads(path.read_text()).keys()
        for region in regions_in(CERTIFICATES.read_text())
        if (path := schemas / f"{region}.json").exists()
    }
    assert len(known) >= 26
    types = {each["Type"] for it in templates.values() for each in it["Resources"].values()}
    lacking = {region: types - had for region, had in known.items() if types - had}
    assert lacking == {}


def test_local_stage_needs_no_aws() -> None:
    """For the local stage every variable is a string: a reference would be an object."""
    service = json.loads(serverless("print", "--stage", "local", "--format", "json"))
    environments = [service["provider"]["environment"]]
    environments += [function.get("environment", {}) for function in service["functions"].values()]
    named = {name: value for environment in environments for name, value in environment.items()}
    assert all(isinstance(value, str) for value in named.values())
    secrets = {name: value for name, value in named.items() if name.endswith("SECRET_ID")}
    assert secrets == {
        "DATABASE_SECRET_ID": "game-login/local/database",
        "DATABASE_ADMIN_SECRET_ID": "game-login/local/database-admin",
        "TOKEN_SECRET_ID": "game-login/local/tokens",
        "TRUSTED_PROXY_SECRET_ID": "",
    }


class Read(dict[str, str]):
    """An environment that knows which of its variables were asked for."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        super().__init__(variables)
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        """Return a variable, and remember its name."""
        self.names.add(name)
        return super().get(name, default)


def test_every_setting_is_set(templates: dict[str, Template]) -> None:
    """Each variable that the settings read is in the template, so no default decides unseen."""
    function = templates["prod"]["Resources"]["HttpLambdaFunction"]["Properties"]
    variables = function["Environment"]["Variables"]
    files = {"DATABASE_CA_FILE": str(CERTIFICATES), "LEAKED_PASSWORDS_FILE": str(FILE)}
    read = Read({**variables, **files})
    Settings.from_environment(read)
    assert read.names - variables.keys() == {"DATABASE_PROXY_HOST"}  # set if there is a proxy


def test_metrics_count_what_is_logged(templates: dict[str, Template]) -> None:
    """Every filter uses events, codes and fields that the code writes."""
    code = "".join(path.read_text() for path in (ROOT / "auth").rglob("*.py"))
    patterns = [
        resource["Properties"]["FilterPattern"]
        for resource in templates["prod"]["Resources"].values()
        if resource["Type"] == "AWS::Logs::MetricFilter"
    ]
    assert len(patterns) >= 8
    for pattern in patterns:
        for word in re.findall(r'\$\.(?:event|code) = "(\w+)"', pattern):
            assert f'"{word}"' in code, pattern
        for name in re.findall(r"\$\.(event|code|status|route|duration_ms)\b", pattern):
            assert f'"{name}"' in code, pattern


def test_dashboard_shows_what_is_counted(templates: dict[str, Template]) -> None:
    """The dashboard is valid, and its own metrics are exactly those that are counted."""
    resources = templates["prod"]["Resources"]
    body = json.loads(resources["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])
    shown = {
        metric[1]
        for widget in body["widgets"]
        for metric in widget["properties"].get("metrics", [])
        if metric[0] == "GameLogin/prod"
    }
    counted = {
        transformation["MetricName"]
        for resource in resources.values()
        for transformation in resource.get("Properties", {}).get("MetricTransformations", [])
    }
    assert shown == counted


def test_alarms_notify(templates: dict[str, Template]) -> None:
    """Every alarm notifies the topic."""
    alarms = [
        resource["Properties"]
        for resource in templates["prod"]["Resources"].values()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    ]
    assert len(alarms) >= 5
    assert all(alarm["AlarmActions"] == [{"Ref": "Alarms"}] for alarm in alarms)


def test_alarms_watch_what_is_counted(templates: dict[str, Template]) -> None:
    """Each metric of our own that an alarm watches is one that a filter counts."""
    counted = {
        (made["MetricNamespace"], made["MetricName"])
        for _, properties in resources(templates["prod"], "AWS::Logs::MetricFilter")
        for made in properties["MetricTransformations"]
    }
    watched = {
        (metric["Namespace"], metric["MetricName"])
        for _, properties in resources(templates["prod"], "AWS::CloudWatch::Alarm")
        for query in properties.get("Metrics", [{"MetricStat": {"Metric": properties}}])
        if (metric := query.get("MetricStat", {}).get("Metric"))
    }
    own = {metric for metric in watched if metric[0] == "GameLogin/prod"}
    assert len(own) >= 4
    assert own < counted


@pytest.mark.parametrize(("stage", "most"), [("dev", 100), ("prod", 1000)])
def test_guests_alarm(templates: dict[str, Template], stage: str, most: int) -> None:
    """More new guests in an hour than the parameter says raise the alarm; none raise none."""
    alarm = templates[stage]["Resources"]["GuestsAlarm"]["Properties"]
    assert (alarm["MetricName"], alarm["Statistic"], alarm["Period"]) == (
        "GuestCreated",
        "Sum",
        3600,
    )
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", most)
    assert alarm["TreatMissingData"] == "notBreaching"


def test_alarms_that_would_mail_by_mistake(templates: dict[str, Template]) -> None:
    """One failure that Lambda retries, or one late daily figure, raises no alarm."""
    found = {
        name: resource["Properties"]
        for name, resource in templates["prod"]["Resources"].items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }
    assert found["CleanUpAlarm"]["Threshold"] == 1
    age = found["RotationMissingAlarm"]
    assert (age["EvaluationPeriods"], age["DatapointsToAlarm"]) == (2, 1)


def test_zones(templates: dict[str, Template]) -> None:
    """By default the network is in the region's first two zones."""
    zones = [
        templates["prod"]["Resources"][f"PrivateSubnet{which}"]["Properties"]["AvailabilityZone"]
        for which in "AB"
    ]
    assert zones == [{"Fn::Select": [number, {"Fn::GetAZs": ""}]} for number in (0, 1)]


def test_migrate_cannot_read_the_token_keys(templates: dict[str, Template]) -> None:
    """The function that fills the token secret has no right to read it."""
    role = templates["prod"]["Resources"]["MigrateRole"]["Properties"]["Policies"][0]
    about_tokens = [
        statement["Action"]
        for statement in role["PolicyDocument"]["Statement"]
        if "TokenSecret" in str(statement["Resource"])
    ]
    assert about_tokens == [["secretsmanager:DescribeSecret", "secretsmanager:PutSecretValue"]]


def test_rotate_may_do_what_it_needs(templates: dict[str, Template]) -> None:
    """The rotation reads two secrets and changes one: not the admin's, and not the token keys."""
    role = templates["prod"]["Resources"]["RotateRole"]["Properties"]["Policies"][0]
    about_secrets = [
        (statement["Action"], statement["Resource"])
        for statement in role["PolicyDocument"]["Statement"]
        if "secretsmanager" in str(statement["Action"])
    ]
    own = {"Ref": "DatabaseSecret"}
    admin = {"Fn::GetAtt": ["Database", "MasterUserSecret.SecretArn"]}
    change = ["DescribeSecret", "PutSecretValue", "UpdateSecretVersionStage"]
    assert about_secrets == [
        ("secretsmanager:GetSecretValue", [own, admin]),
        ([f"secretsmanager:{action}" for action in change], own),
    ]
    endpoint = templates["prod"]["Resources"]["SecretsEndpoint"]["Properties"]["PolicyDocument"]
    through = set(endpoint["Statement"][0]["Action"])
    assert {f"secretsmanager:{action}" for action in ("GetSecretValue", *change)} <= through


def test_rotate_is_kept_awake(templates: dict[str, Template]) -> None:
    """A schedule sends the rotation its wake event more often than every two weeks."""
    rules = [
        resource["Properties"]
        for resource in templates["prod"]["Resources"].values()
        if resource["Type"] == "AWS::Events::Rule"
        and "Rotate" in str(resource["Properties"]["Targets"])
    ]
    (rule,) = rules
    assert rule["ScheduleExpression"] == "rate(7 days)"
    assert [json.loads(target["Input"]) for target in rule["Targets"]] == [WAKE]


def test_the_secret_has_the_databases_address(templates: dict[str, Template]) -> None:
    """AWS writes the database's address into the secret of the database it belongs to."""
    attachment = templates["prod"]["Resources"]["DatabaseSecretAttachment"]["Properties"]
    assert attachment == {
        "SecretId": {"Ref": "DatabaseSecret"},
        "TargetId": {"Ref": "Database"},
        "TargetType": "AWS::RDS::DBInstance",
    }


@pytest.mark.parametrize(("name", "spoil"), MISTAKES)
def test_mistake(template: Template, name: str, spoil: Callable[[Template], None]) -> None:
    """Each planted mistake is found."""
    spoil(template)
    check = {**CHECKS, "careless_production": careless_production}[name]
    assert list(check(template))


def test_secret_in_an_output(template: Template) -> None:
    """An output that refers to a secret is found."""
    template["Outputs"]["Keys"] = {"Value": {"Ref": "TokenSecret"}}
    assert list(CHECKS["plain_secrets"](template))
