"""The deploy role and the resources of the compiled template fit by their names."""

import pytest

from tests.deploy.iam import FIXED, Context, Policies
from tests.deploy.template_parts import Template, resources
from tests.deploy.test_deploy_role import STAGES
from tests.deploy.test_deploy_role import compiled as compiled  # noqa: PLC0414  # fixtures
from tests.deploy.test_deploy_role import folders as folders  # noqa: PLC0414
from tests.deploy.test_deploy_role import role as role  # noqa: PLC0414

CLOUDFORMATION = ("NetworkAndData", "Service", "Watching")
PLACE = f"{FIXED['AWS::Region']}:{FIXED['AWS::AccountId']}"
# How AWS addresses a resource of the template, and the rights to create, change and delete it.
ADDRESSED = {
    "AWS::Lambda::Function": (
        f"arn:aws:lambda:{PLACE}:function:{{}}",
        ("lambda:CreateFunction", "lambda:UpdateFunctionCode", "lambda:DeleteFunction"),
    ),
    "AWS::Logs::LogGroup": (
        f"arn:aws:logs:{PLACE}:log-group:{{}}",
        ("logs:CreateLogGroup", "logs:PutRetentionPolicy", "logs:DeleteLogGroup"),
    ),
    "AWS::IAM::ManagedPolicy": (
        f"arn:aws:iam::{'1' * 12}:policy/{{}}",
        ("iam:CreatePolicy", "iam:CreatePolicyVersion", "iam:DeletePolicy"),
    ),
    "AWS::IAM::Role": (
        f"arn:aws:iam::{'1' * 12}:role/{{}}",
        ("iam:CreateRole", "iam:PutRolePolicy", "iam:DeleteRole"),
    ),
    "AWS::CloudWatch::Alarm": (
        f"arn:aws:cloudwatch:{PLACE}:alarm:{{}}",
        ("cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms"),
    ),
}
CONTEXT: Context = {
    "lambda:VpcIds": ["vpc-1"],
    "iam:PermissionsBoundary": "<Boundary>",
}


@pytest.mark.parametrize("stage", STAGES)
def test_names_are_within_the_role(
    role: Template, compiled: dict[str, Template], stage: str
) -> None:
    """CloudFormation may create, change and delete every resource under its name in this stage."""
    policies = {one: Policies(role, Stage=one, VpcId="vpc-1") for one in STAGES}
    checked = 0
    for logical_id, resource in compiled[stage]["Resources"].items():
        if resource["Type"] not in ADDRESSED:
            continue
        given = resource["Properties"]
        name = given.get("FunctionName") or given.get("LogGroupName")
        arn, rights = ADDRESSED[resource["Type"]]
        # Without a name CloudFormation makes one of the stack's and the resource's.
        address = arn.format(name or f"game-login-{stage}-{logical_id}-1A2B3C")
        for right in rights:
            may = {
                one
                for one in STAGES
                if policies[one].allow(CLOUDFORMATION, right, address, CONTEXT)
            }
            assert may == {stage}, f"{right} on {address}"
            checked += 1
    assert checked >= 60


@pytest.mark.parametrize("stage", STAGES)
def test_deployments_run_no_commands(
    role: Template, compiled: dict[str, Template], stage: str
) -> None:
    """Neither GitHub nor CloudFormation nor a function may call the functions of operators."""
    policies = Policies(role, Stage=stage)
    called = [
        properties["FunctionName"]
        for _, properties in resources(compiled[stage], "AWS::Lambda::Function")
        if properties["Handler"] == "handler.operate"
    ]
    assert len(called) == 3
    for name in called:
        for who in ("DeployRole", *CLOUDFORMATION, "Boundary"):
            arn = f"arn:aws:lambda:{PLACE}:function:{name}"
            assert not policies.allow((who,), "lambda:InvokeFunction", arn)
