"""The role that GitHub deploys with has the rights of a deployment, and no more."""

import copy
import fcntl
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from cfnlint.decode import decode

from local.stack import ROOT, without_aws
from tests.deploy.iam import Policies
from tests.deploy.role_checks import CHECKS, Check, allowed, cut_off, statements, uncovered
from tests.deploy.template_parts import Template, listed

TEMPLATE = ROOT / "deploy" / "infrastructure" / "deploy-role.yml"
COMPILED = "cloudformation-template-update-stack.json"
STATE = "serverless-state.json"
STAGES = ("dev", "prod")
ACCOUNT = "arn:aws:iam::123456789012"
CI = {
    "CLOUDFORMATION_ROLE_ARN": f"{ACCOUNT}:role/game-login-deployer-dev-cloudformation",
    "BOUNDARY_ARN": f"{ACCOUNT}:policy/game-login-deployer-dev-boundary",
}


@pytest.fixture(scope="module")
def role() -> Template:
    """Return the template of the role."""
    template, problems = decode(str(TEMPLATE))
    assert not problems
    return json.loads(json.dumps(template))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> dict[str, Path]:
    """Return each stage's package as CI makes it, built once for all workers."""
    shared = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        shared = shared.parent
    found = {stage: shared / f"package-ci-{stage}" for stage in STAGES}
    environment = {
        **without_aws(os.environ),
        **CI,
        "AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED": "true",
        "SLS_TELEMETRY_DISABLED": "1",
    }
    with (shared / "packages.lock").open("w") as lock:  # all stages share `.serverless`
        fcntl.flock(lock, fcntl.LOCK_EX)
        for stage, folder in found.items():
            if not (folder / COMPILED).exists():
                command = ["node", "node_modules/.bin/serverless", "package"]
                options = ["--stage", stage, "--package", str(folder)]
                done = subprocess.run(
                    [*command, *options],
                    cwd=ROOT,
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert done.returncode == 0, done.stdout + done.stderr
    return found


@pytest.fixture(scope="module")
def compiled(folders: dict[str, Path]) -> dict[str, Template]:
    """Return the compiled templates by stage."""
    return {stage: json.loads((folder / COMPILED).read_text()) for stage, folder in folders.items()}


def test_cfn_lint() -> None:
    """The template follows CloudFormation's own rules."""
    lint = Path(sys.executable).with_name("cfn-lint")
    done = subprocess.run([lint, TEMPLATE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_the_role(role: Template, check: Check) -> None:
    """The role is for this repository's environment, with only the rights of a deployment."""
    assert list(check(role)) == []


@pytest.mark.parametrize("repository", ["studio/game", "studio@583231/my.game_2@1296269"])
def test_repositories(role: Template, repository: str) -> None:
    """A repository is named as in its tokens: with GitHub's ids, or without."""
    assert re.fullmatch(role["Parameters"]["Repository"]["AllowedPattern"], repository)


def test_limits(role: Template) -> None:
    """The policies fit AWS's limits: 6144 characters if managed, 10240 in a role."""
    for name in ("NetworkAndData", "Service", "Watching", "Boundary"):
        assert _size(role["Resources"][name]["Properties"]["PolicyDocument"]) <= 6144, name
    (policy,) = role["Resources"]["DeployRole"]["Properties"]["Policies"]
    assert _size(policy["PolicyDocument"]) <= 10240


def _size(document: Any) -> int:
    def resolve(node: Any) -> Any:
        if isinstance(node, dict):
            if "Fn::Sub" in node:
                text = node["Fn::Sub"].replace("${AWS::Partition}", "aws")
                text = text.replace("${AWS::Region}", "ap-southeast-2").replace("${Stage}", "prod")
                text = text.replace("${VpcId}", "vpc-0123456789abcdef0")
                text = text.replace("${ApiId}", "a1b2c3d4e5")
                return text.replace("${AWS::AccountId}", "123456789012")
            if {"Ref", "Fn::GetAtt"} & node.keys():
                return f"{ACCOUNT}:role/game-login-deployer-prod-cloudformation"
            return {key: resolve(value) for key, value in node.items()}
        return [resolve(each) for each in node] if isinstance(node, list) else node

    return len(json.dumps(resolve(document), separators=(",", ":")))


@pytest.mark.parametrize("stage", STAGES)
def test_enough_for_the_template(role: Template, compiled: dict[str, Template], stage: str) -> None:
    """Every action in CloudFormation's own lists is allowed, for each type of resource."""
    assert list(uncovered(role, compiled[stage])) == []


@pytest.mark.parametrize("stage", STAGES)
def test_enough_for_the_functions(
    role: Template, compiled: dict[str, Template], stage: str
) -> None:
    """The boundary allows every right of the functions' roles."""
    assert list(cut_off(role, compiled[stage])) == []


@pytest.mark.parametrize("stage", STAGES)
def test_every_role_has_the_boundary(
    folders: dict[str, Path], compiled: dict[str, Template], stage: str
) -> None:
    """From CI, every role has the boundary, and CloudFormation uses its own role."""
    roles = [
        resource["Properties"]
        for resource in compiled[stage]["Resources"].values()
        if resource["Type"] == "AWS::IAM::Role"
    ]
    assert len(roles) >= 3
    assert {role.get("PermissionsBoundary") for role in roles} == {CI["BOUNDARY_ARN"]}
    assert not any(
        "RoleName" in role for role in roles
    )  # game-login-<stage>-..., by CloudFormation
    state = json.loads((folders[stage] / STATE).read_text())
    iam = state["service"]["provider"]["iam"]
    assert iam["deploymentRole"] == CI["CLOUDFORMATION_ROLE_ARN"]


def _statement(template: Template, name: str) -> dict[str, Any]:
    (found,) = (each for _, full, each in statements(template) if full == name)
    return found


def _trust(template: Template) -> dict[str, Any]:
    document = template["Resources"]["DeployRole"]["Properties"]["AssumeRolePolicyDocument"]
    condition: dict[str, Any] = document["Statement"][0]["Condition"]
    return condition


def _add(template: Template, name: str, action: str) -> None:
    statement = _statement(template, name)
    statement["Action"] = [*listed(statement["Action"]), action]


MISTAKES: dict[str, tuple[str, Callable[[Template], object]]] = {
    "an action *": ("any_action", lambda t: _add(t, "Service/Functions", "lambda:*")),
    "all actions": (
        "any_action",
        lambda t: _statement(t, "DeployRole/Upload").update(Action="*"),
    ),
    "any function": (
        "any_resource",
        lambda t: _statement(t, "Service/Functions").update(Resource="*"),
    ),
    "no resource": (
        "any_resource",
        lambda t: _statement(t, "DeployRole/Upload").pop("Resource"),
    ),
    "any bucket": (
        "any_resource",
        lambda t: _statement(t, "DeployRole/Upload").update(Resource="arn:aws:s3:::*"),
    ),
    "any role": (
        "any_resource",
        lambda t: _statement(t, "Service/Roles").update(
            Resource={"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/*"}
        ),
    ),
    "any database deleted": (
        "any_resource",
        lambda t: _add(t, "NetworkAndData/LookAtDatabases", "rds:DeleteDBInstance"),
    ),
    "any branch": (
        "foreign_trust",
        lambda t: _trust(t).update(
            StringLike={"token.actions.githubusercontent.com:sub": "repo:studio/game:*"}
        ),
    ),
    "another environment": (
        "foreign_trust",
        lambda t: _trust(t)["StringEquals"].update(
            {
                "token.actions.githubusercontent.com:sub": {
                    "Fn::Sub": "repo:${Repository}:environment:*"
                }
            }
        ),
    ),
    "no audience": (
        "foreign_trust",
        lambda t: _trust(t)["StringEquals"].pop("token.actions.githubusercontent.com:aud"),
    ),
    "any repository": (
        "foreign_trust",
        lambda t: t["Parameters"]["Repository"].update(AllowedPattern=".*"),
    ),
    "a user may take the role": (
        "foreign_trust",
        lambda t: t["Resources"]["CloudFormationRole"]["Properties"]["AssumeRolePolicyDocument"][
            "Statement"
        ][0].update(Principal={"AWS": "*"}),
    ),
    "GitHub reaches the database": (
        "github_rights",
        lambda t: _add(t, "DeployRole/Upload", "rds:ModifyDBInstance"),
    ),
    "GitHub creates roles": (
        "github_rights",
        lambda t: _add(t, "DeployRole/HandOver", "iam:CreateRole"),
    ),
    "a deployment with rights of its own": (
        "github_rights",
        lambda t: _statement(t, "DeployRole/StartDeployment").pop("Condition"),
    ),
    "roles for any service": (
        "escalation",
        lambda t: _statement(t, "Service/GiveRoles").pop("Condition"),
    ),
    "roles without the boundary": (
        "escalation",
        lambda t: _statement(t, "Service/RolesWithinBoundary").pop("Condition"),
    ),
    "the boundary removed": (
        "escalation",
        lambda t: _add(t, "Service/Roles", "iam:DeleteRolePermissionsBoundary"),
    ),
    "the admin of any database": (
        "admins_of_others",
        lambda t: _statement(t, "Boundary/ReadAdminSecret").pop("Condition"),
    ),
    "the admin of any cluster": (
        "admins_of_others",
        lambda t: _statement(t, "Boundary/ReadAuroraAdminSecret").pop("Condition"),
    ),
    "reading a secret that CloudFormation only creates": (
        "admins_of_others",
        lambda t: _add(t, "NetworkAndData/AdminSecret", "secretsmanager:GetSecretValue"),
    ),
    "a role that deployments can change": (
        "escalation",
        lambda t: t["Resources"]["DeployRole"]["Properties"].update(
            RoleName={"Fn::Sub": "game-login-${Stage}-deploy"}
        ),
    ),
}


@pytest.mark.parametrize(("check", "plant"), MISTAKES.values(), ids=MISTAKES)
def test_a_planted_mistake(role: Template, check: str, plant: Callable[[Template], object]) -> None:
    """Each check finds its planted mistake."""
    broken = copy.deepcopy(role)
    plant(broken)
    assert list(CHECKS[check](broken))


def test_a_planted_lack(role: Template, compiled: dict[str, Template]) -> None:
    """A right that a resource needs and the role lacks is reported."""
    less = copy.deepcopy(role)
    for name in ("NetworkAndData/Database", "NetworkAndData/DefaultOptions"):
        _statement(less, name)["Action"].remove("rds:CreateDBInstance")
    (lack,) = uncovered(less, compiled["dev"])
    assert lack.startswith("AWS::RDS::DBInstance: rds:CreateDBInstance is missing")
    untagged = copy.deepcopy(role)
    _statement(untagged, "Service/Functions")["Action"].remove("lambda:ListTags")
    (lack,) = uncovered(untagged, compiled["dev"])
    assert lack.startswith("AWS::Lambda::Function: lambda:ListTags is missing")
    queue = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {}}}}
    assert any("sqs:CreateQueue" in each for each in uncovered(role, queue))
    _statement(less, "Boundary/UseSecrets")["Action"].remove("secretsmanager:PutSecretValue")
    assert list(cut_off(less, compiled["dev"]))


# The right that a botocore call needs, if its name differs from the call's.
RIGHTS = {"budgets:DescribeBudgets": "budgets:ViewBudget"}


def test_preflight_calls_are_granted(role: Template) -> None:
    """The role grants each call of the preflight questions, so that CI can ask them."""
    source = (ROOT / "deploy" / "preflight.py").read_text()
    called = set(re.findall(r"\.((?:get|list|describe)_\w+)\(", source))
    called |= set(re.findall(r'get_paginator\("(\w+)"\)', source))
    called -= {"get_paginator", "get_caller_identity"}  # the last needs no right
    services = set(re.findall(r'client\("(\w+)"', source))
    known = [boto3.client(service, "us-east-1").meta for service in services]
    asked = {
        f"{meta.service_model.signing_name}:{meta.method_to_api_mapping[call]}"
        for call in called
        for meta in known
        if call in meta.method_to_api_mapping
    }
    assert len(asked) == len(called) >= 10
    granted = allowed(role, "DeployRole")
    assert not [one for one in asked if RIGHTS.get(one, one).lower() not in granted]


def test_a_budget_is_within_the_role(role: Template) -> None:
    """The stack of a stage with a budget can be deployed from CI."""
    budget = {"Resources": {"Budget": {"Type": "AWS::Budgets::Budget", "Properties": {}}}}
    assert list(uncovered(role, budget)) == []
    dev = Policies(role, Stage="dev")
    for name, allowed_to in (("dev-Alarms-1", True), ("prod-Alarms-1", False)):
        arn = f"arn:aws:budgets::{'1' * 12}:budget/game-login-{name}"
        assert dev.allow(("Watching",), "budgets:ModifyBudget", arn) is allowed_to


def test_a_package_from_elsewhere() -> None:
    """A package built without the two names gets role and boundary when it is deployed."""
    code = """
        const Roles = require('./deploy/roles.js')
        const role = { Type: 'AWS::IAM::Role', Properties: {} }
        const serverless = { service: { provider: {} } }
        const { hooks } = new Roles(serverless)
        hooks.initialize()
        // Serverless restores the packaged template like this.
        serverless.service.provider = { compiledCloudFormationTemplate: { Resources: { role } } }
        hooks['before:deploy:deploy']()
        console.log(JSON.stringify([role.Properties, serverless.service.provider.iam]))
    """
    done = subprocess.run(
        ["node", "-e", code],
        cwd=ROOT,
        env={**os.environ, **CI},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [
        {"PermissionsBoundary": CI["BOUNDARY_ARN"]},
        {"deploymentRole": CI["CLOUDFORMATION_ROLE_ARN"]},
    ]
