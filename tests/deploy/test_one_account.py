"""Two stages in one account: the role of `dev` cannot reach `prod`."""

import pytest

from tests.deploy.iam import FIXED, Context, Policies
from tests.deploy.role_checks import OWN_CLUSTER, OWN_DATABASE
from tests.deploy.template_parts import Template
from tests.deploy.test_deploy_role import role as role  # noqa: PLC0414  # a fixture

CLOUDFORMATION = ("NetworkAndData", "Service", "Watching")
FUNCTION = ("Boundary",)
JOB = ("DeployRole",)
PLACE = f"{FIXED['AWS::Region']}:{FIXED['AWS::AccountId']}"
SECRET = f"arn:aws:secretsmanager:{PLACE}:secret"
API = f"arn:aws:apigateway:{FIXED['AWS::Region']}::"
GROUP = f"arn:aws:ec2:{PLACE}:security-group/sg-1"
SUBNET = f"arn:aws:ec2:{PLACE}:subnet/subnet-1"
ENDPOINT = f"arn:aws:ec2:{PLACE}:vpc-endpoint/vpce-1"
STACK_TAG = "aws:ResourceTag/aws:cloudformation:stack-name"
CONFIGURE = "lambda:UpdateFunctionConfiguration"
POLICY = f"arn:aws:iam::{'1' * 12}:policy/game-login-{{}}-OperateOwnPolicy-1A2B3C"
CHANGE_POLICY = "iam:CreatePolicyVersion"
OPERATE = f"arn:aws:lambda:{PLACE}:function:game-login-dev-operate_own"
SUPPORT = f"arn:aws:iam::{'1' * 12}:role/Support"
MIGRATE = f"arn:aws:lambda:{PLACE}:function:game-login-dev-migrate"


def network(name: str) -> str:
    """Return the ARN of a network."""
    return f"arn:aws:ec2:{PLACE}:vpc/{name}"


def database(stage: str) -> Context:
    """Return RDS's tag on the secret of a stage's database."""
    return {OWN_DATABASE: f"arn:aws:rds:{PLACE}:db:game-login-{stage}-database-1x2y"}


def cluster(stage: str) -> Context:
    """Return RDS's tag on the secret of a stage's Aurora cluster."""
    return {OWN_CLUSTER: f"arn:aws:rds:{PLACE}:cluster:game-login-{stage}-database-1x2y"}


def within(name: str) -> Context:
    """Return AWS's context of a resource in a network."""
    return {"ec2:Vpc": network(name)}


@pytest.fixture
def dev(role: Template) -> Policies:
    """Return the role of `dev`, as of the second deployment."""
    return Policies(role, Stage="dev", VpcId="vpc-de", ApiId="devapi")


# The calls of another deployment of `dev`, and of its functions.
OWN: list[tuple[tuple[str, ...], str, str, Context]] = [
    (FUNCTION, "secretsmanager:GetSecretValue", f"{SECRET}:rds!db-1", database("dev")),
    (FUNCTION, "secretsmanager:GetSecretValue", f"{SECRET}:rds!cluster-1", cluster("dev")),
    (CLOUDFORMATION, CONFIGURE, MIGRATE, {"lambda:VpcIds": ["vpc-de"]}),
    (CLOUDFORMATION, CONFIGURE, MIGRATE, {}),  # without a network in the call, it stays the same
    (CLOUDFORMATION, "apigateway:PATCH", f"{API}/apis/devapi", {}),
    (CLOUDFORMATION, "apigateway:POST", f"{API}/apis/devapi/routes", {}),
    (
        CLOUDFORMATION,
        "ec2:AuthorizeSecurityGroupIngress",
        GROUP,
        {"ec2:Vpc": network("vpc-de")},
    ),
    (
        CLOUDFORMATION,
        "ec2:AuthorizeSecurityGroupIngress",
        f"arn:aws:ec2:{PLACE}:security-group-rule/sgr-1",
        {},
    ),
    (CLOUDFORMATION, "ec2:ModifyVpcAttribute", network("vpc-de"), {}),
    # AWS checks both the network and its new part.
    *(
        (CLOUDFORMATION, action, resource, context)
        for action, parts in (
            ("ec2:CreateSubnet", [SUBNET]),
            ("ec2:CreateSecurityGroup", [GROUP]),
            ("ec2:CreateVpcEndpoint", [SUBNET, GROUP]),
        )
        for resource, context in (
            (network("vpc-de"), {}),
            *((part, within("vpc-de")) for part in parts),
        )
    ),
    (CLOUDFORMATION, "ec2:CreateVpcEndpoint", ENDPOINT, {}),
    (CLOUDFORMATION, "ec2:ModifyVpcEndpoint", ENDPOINT, {STACK_TAG: "game-login-dev"}),
    (CLOUDFORMATION, "ec2:ModifyVpcEndpoint", SUBNET, within("vpc-de")),
    (CLOUDFORMATION, "ec2:ModifyVpcEndpoint", GROUP, within("vpc-de")),
    (CLOUDFORMATION, CHANGE_POLICY, POLICY.format("dev"), {}),
    (JOB, "lambda:InvokeFunction", MIGRATE, {}),
    (JOB, "lambda:DeleteFunction", f"arn:aws:lambda:{PLACE}:function:game-login-dev-http:7", {}),
]
# Calls that reach `prod` or exceed the boundary.
OTHERS: list[tuple[tuple[str, ...], str, str, Context]] = [
    (FUNCTION, "secretsmanager:GetSecretValue", f"{SECRET}:rds!db-2", database("prod")),
    (FUNCTION, "secretsmanager:GetSecretValue", f"{SECRET}:rds!db-2", {}),
    (FUNCTION, "secretsmanager:GetSecretValue", f"{SECRET}:rds!cluster-2", cluster("prod")),
    (FUNCTION, "secretsmanager:GetSecretValue", f"{SECRET}:game-login/prod/tokens-AbCdEf", {}),
    (CLOUDFORMATION, "secretsmanager:GetSecretValue", f"{SECRET}:rds!db-2", database("dev")),
    (CLOUDFORMATION, CONFIGURE, MIGRATE, {"lambda:VpcIds": ["vpc-pd"]}),
    (CLOUDFORMATION, "lambda:CreateFunction", MIGRATE, {"lambda:VpcIds": ["vpc-pd"]}),
    (CLOUDFORMATION, CONFIGURE, MIGRATE.replace("dev", "prod"), {"lambda:VpcIds": ["vpc-de"]}),
    (CLOUDFORMATION, "apigateway:POST", f"{API}/apis/prodapi/routes", {}),
    (CLOUDFORMATION, "apigateway:PATCH", f"{API}/apis/prodapi/integrations/x", {}),
    (CLOUDFORMATION, "apigateway:DELETE", f"{API}/apis/prodapi", {}),
    (
        CLOUDFORMATION,
        "ec2:AuthorizeSecurityGroupIngress",
        GROUP,
        {"ec2:Vpc": network("vpc-pd")},
    ),
    (CLOUDFORMATION, "ec2:RevokeSecurityGroupIngress", GROUP, {"ec2:Vpc": network("vpc-pd")}),
    (CLOUDFORMATION, "ec2:ModifyVpcAttribute", network("vpc-pd"), {}),
    (CLOUDFORMATION, "ec2:CreateVpc", network("vpc-new"), {}),
    (CLOUDFORMATION, "ec2:CreateSubnet", network("vpc-pd"), {}),
    (CLOUDFORMATION, "ec2:CreateSecurityGroup", network("vpc-pd"), {}),
    (CLOUDFORMATION, "ec2:CreateVpcEndpoint", network("vpc-pd"), {}),
    (CLOUDFORMATION, "ec2:ModifyVpcEndpoint", ENDPOINT, {STACK_TAG: "game-login-prod"}),
    (CLOUDFORMATION, "ec2:ModifyVpcEndpoint", GROUP, within("vpc-pd")),
    (CLOUDFORMATION, "iam:PassRole", f"arn:aws:iam::{'1' * 12}:role/game-login-deployer-dev", {}),
    (CLOUDFORMATION, CHANGE_POLICY, POLICY.format("prod"), {}),
    (CLOUDFORMATION, "iam:AttachRolePolicy", SUPPORT, {}),
    (CLOUDFORMATION, "lambda:InvokeFunction", OPERATE, {}),
    (FUNCTION, "lambda:InvokeFunction", OPERATE, {}),
    (JOB, "lambda:InvokeFunction", OPERATE, {}),
    (JOB, CHANGE_POLICY, POLICY.format("dev"), {}),
    (JOB, "secretsmanager:GetSecretValue", f"{SECRET}:game-login/dev/tokens-AbCdEf", {}),
    (JOB, "lambda:DeleteFunction", f"arn:aws:lambda:{PLACE}:function:game-login-dev-http", {}),
    (JOB, "lambda:InvokeFunction", MIGRATE.replace("dev", "prod"), {}),
]


@pytest.mark.parametrize(("who", "action", "resource", "context"), OWN)
def test_its_own(
    dev: Policies, who: tuple[str, ...], action: str, resource: str, context: Context
) -> None:
    """The role of a stage allows every call that this stage needs."""
    assert dev.allow(who, action, resource, context)


@pytest.mark.parametrize(("who", "action", "resource", "context"), OTHERS)
def test_nothing_else(
    dev: Policies, who: tuple[str, ...], action: str, resource: str, context: Context
) -> None:
    """The role reaches neither the other stage nor more rights for itself."""
    assert not dev.allow(who, action, resource, context)


@pytest.mark.parametrize(("who", "action", "resource", "context"), OWN)
def test_the_first_deployment(
    role: Template, who: tuple[str, ...], action: str, resource: str, context: Context
) -> None:
    """The first deployment can create the network and the API before their ids are known."""
    first = Policies(role, Stage="dev")
    assert first.allow(who, action, resource, context)
    assert first.allow(CLOUDFORMATION, "ec2:CreateVpc", network("vpc-new"), {})
    assert first.allow(CLOUDFORMATION, "apigateway:POST", f"{API}/apis", {})
