"""Checks of deploy/infrastructure/deploy-role.yml that cfn-lint does not make.

Each check yields the mistakes it finds, as `resource/statement: mistake`.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cfnlint

from tests.deploy.template_parts import Template, listed, values

Statement = dict[str, Any]
Check = Callable[[Template], Iterator[str]]

SUBJECT = "repo:${Repository}:environment:${Stage}"
ISSUER = "token.actions.githubusercontent.com"
# Actions that change nothing, or for which AWS has no resource.
ANY_RESOURCE = re.compile(
    r"ec2:(Describe\w+|(Create|Delete)NetworkInterface|(Unassign|Assign)PrivateIpAddresses)|"
    r"cloudformation:(DescribeType|ListExports|ValidateTemplate)|lambda:GetAccountSettings|"
    r"freetier:GetAccountPlanState|rds:Describe(DBEngineVersions|OrderableDBInstanceOptions)|"
    r"secretsmanager:GetRandomPassword|"
    r"logs:(Create|Delete|Get|List|Update)LogDeliver(y|ies)|"
    r"logs:(Describe(LogGroups|ResourcePolicies)|PutResourcePolicy)"
)
OURS = ("game-login-${Stage}", "game-login/${Stage}/")
# Resources that AWS names: they may end in a * without our prefix.
NAMED_BY_AWS = re.compile(
    r":ec2:.*:(security-group|security-group-rule|subnet|vpc|vpc-endpoint)/\*$|"
    r":apigateway:.*::/(apis/\$\{ApiId\}/\*|tags/\*)$|"
    r":secret:rds!\*$|:og:default:\*$|:route53:::hostedzone/\*$|:kms:.*:key/\*$|:role/aws-service-role/[a-z.]+\.amazonaws\.com/\*$"
)
# Actions that are allowed on the secret of any database; all others only on the stage's own.
TO_ADMIN_SECRETS = {"createsecret", "describesecret", "tagresource"}
OWN_DATABASE = "secretsmanager:ResourceTag/aws:rds:primaryDBInstanceArn"
OWN_CLUSTER = "secretsmanager:ResourceTag/aws:rds:primaryDBClusterArn"
OWN = {OWN_DATABASE: ":db:game-login-${Stage}-*", OWN_CLUSTER: ":cluster:game-login-${Stage}-*"}
LOOKING = re.compile(r"(rds|cloudwatch):Describe\w+|budgets:ViewBudget")
GITHUB_MAY = {"cloudformation", "iam", "s3", "lambda", "apigateway"}
# Further calls of deploy/preflight.py; none of these changes anything.
GITHUB_ASKS = {
    "freetier:getaccountplanstate",
    "rds:describedbengineversions",
    "rds:describeorderabledbinstanceoptions",
    "secretsmanager:describesecret",
    "budgets:viewbudget",
    "billing:getbillingviewdata",
}
WIDENING = {"iam:attachrolepolicy", "iam:createrole", "iam:putrolepolicy"}
WIDENING |= {"iam:putrolepermissionsboundary"}


def statements(template: Template) -> Iterator[tuple[str, str, Statement]]:
    """Yield every policy statement, with its resource and its name."""
    for name, resource in template["Resources"].items():
        properties = resource["Properties"]
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        documents += [properties[key] for key in ("PolicyDocument",) if key in properties]
        for document in documents:
            for statement in document["Statement"]:
                yield name, f"{name}/{statement['Sid']}", statement


def actions(statement: Statement) -> set[str]:
    """Return the actions of a statement, in lower case since AWS ignores case."""
    return {action.lower() for action in listed(statement["Action"])}


def any_action(template: Template) -> Iterator[str]:
    """Every action is named in full."""
    for _, name, statement in statements(template):
        if statement["Effect"] == "Allow" and "Action" not in statement:
            yield f"{name}: allows all actions but some"
        yield from (
            f"{name}: allows {action}"
            for action in listed(statement.get("Action", []))
            if "*" in action or "?" in action
        )


def any_resource(template: Template) -> Iterator[str]:
    """A right is limited to resources with this stage's names, if AWS supports that."""
    for _, name, statement in statements(template):
        asked = listed(statement["Action"])
        for _, resource in values(statement.get("Resource", "*")):
            text = str(resource)
            if text == "*":
                for action in asked:
                    if not ANY_RESOURCE.fullmatch(action):
                        yield f"{name}: {action} on every resource"
            elif "*" in text and not any(each in text for each in OURS):
                looking = all(LOOKING.fullmatch(action) for action in asked)
                if not looking and not NAMED_BY_AWS.search(text):
                    yield f"{name}: {text} includes resources of others"


def admins_of_others(template: Template) -> Iterator[str]:
    """The admin secret is readable for the stage's own database only: RDS names all alike."""
    for _, name, statement in statements(template):
        if "rds!" not in str(statement.get("Resource")):
            continue
        tags = statement.get("Condition", {}).get("ArnLike", {})
        if not any(own in str(tags.get(tag, "")) for tag, own in OWN.items()):
            wide = {action.split(":")[1] for action in actions(statement)} - TO_ADMIN_SECRETS
            yield from (
                f"{name}: {action} on the secret of any database" for action in sorted(wide)
            )


def foreign_trust(template: Template) -> Iterator[str]:
    """Only the environment of this repository and CloudFormation may assume a role."""
    for name, resource in template["Resources"].items():
        if resource["Type"] != "AWS::IAM::Role":
            continue
        for statement in resource["Properties"]["AssumeRolePolicyDocument"]["Statement"]:
            if statement["Principal"] != {"Service": "cloudformation.amazonaws.com"}:
                yield from _trust(name, statement)
    pattern = template["Parameters"]["Repository"]["AllowedPattern"]
    for guess in ("*", "owner/*", "owner/na?e", "owner/name:ref:refs/heads/main", "owner"):
        if re.fullmatch(pattern, guess):
            yield f"Repository: accepts {guess}"


def _trust(name: str, statement: Statement) -> Iterator[str]:
    if statement["Action"] != "sts:AssumeRoleWithWebIdentity":
        yield f"{name}: {statement['Action']} by {statement['Principal']}"
    condition = statement.get("Condition", {})
    if set(condition) != {"StringEquals"}:
        yield f"{name}: trusts by {sorted(condition)}, not by StringEquals"
    exact = condition.get("StringEquals", {})
    if exact.get(f"{ISSUER}:sub") != {"Fn::Sub": SUBJECT}:
        yield f"{name}: trusts another subject than {SUBJECT}"
    if exact.get(f"{ISSUER}:aud") != "sts.amazonaws.com":
        yield f"{name}: trusts tokens for another audience"


def github_rights(template: Template) -> Iterator[str]:
    """GitHub starts and watches a deployment; only CloudFormation changes resources."""
    for resource, name, statement in statements(template):
        if resource != "DeployRole":
            continue
        services = {action.split(":")[0] for action in actions(statement) - GITHUB_ASKS}
        if services - GITHUB_MAY:
            yield f"{name}: GitHub may call {sorted(services - GITHUB_MAY)}"
        if "iam" in services and actions(statement) != {"iam:passrole"}:
            yield f"{name}: GitHub changes roles"
        if "cloudformation:createchangeset" in actions(statement):
            role = statement.get("Condition", {}).get("StringEquals", {})
            if "cloudformation:RoleArn" not in role:
                yield f"{name}: a deployment without CloudFormation's role"


def escalation(template: Template) -> Iterator[str]:
    """A deployment cannot give a function, or itself, more than the boundary allows."""
    for resource, name, statement in statements(template):
        exact = statement.get("Condition", {}).get("StringEquals", {})
        if "iam:passrole" in actions(statement) and "iam:PassedToService" not in exact:
            yield f"{name}: passes roles to any service"
        if "iam:deleterolepermissionsboundary" in actions(statement):
            yield f"{name}: removes the boundary"
        bounded = exact.get("iam:PermissionsBoundary") == {"Ref": "Boundary"}
        if WIDENING & actions(statement) and not bounded:
            yield f"{name}: creates roles without the boundary"
        if resource == "Boundary" and any(each.startswith("iam:") for each in actions(statement)):
            yield f"{name}: functions change roles"
    for name, resource in template["Resources"].items():
        for key in ("RoleName", "ManagedPolicyName"):
            own = resource["Properties"].get(key, {}).get("Fn::Sub", "")
            if own.startswith("game-login-${Stage}"):
                yield f"{name}: its name lets a deployment change it"


CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        any_action,
        any_resource,
        admins_of_others,
        foreign_trust,
        github_rights,
        escalation,
    )
}


def allowed(template: Template, *resources: str) -> set[str]:
    """Return the actions that the statements of some resources allow."""
    return {
        action
        for resource, _, statement in statements(template)
        if resource in resources
        for action in actions(statement)
    }


# Actions in CloudFormation's own lists for features that the templates do not use.
UNUSED = {
    "file systems": r"elasticfilesystem:|s3files:",
    "other databases": r"docdb-elastic:|redshift(-serverless)?:",
    "gradual deployments by CodeDeploy": r"codedeploy:",
    "customer-managed keys": r"kms:(Encrypt|Decrypt|GenerateDataKey)$|logs:(Disa|A)ssociateKmsKey",
    "networks between accounts, other tenancy": r"vpc-lattice:|vpce:|ec2:ModifyVpcTenancy",
    "encryption between machines": r"ec2:CreateVpcEncryptionControl",
    "IPv6": r"ec2:(Disa|A)ssociateSubnetCidrBlock",
    "users and groups": r"iam:(At|De)tach(User|Group)Policy",
    "removing a boundary: never": r"iam:DeleteRolePermissionsBoundary",
    "roles of a database": r"iam:ListRoles|rds:(Add|Remove)Role\w+",
    "provisioned capacity": r"lambda:\w*(ProvisionedConcurrency|FunctionScaling|CapacityProvider)",
    "signed code, layers": r"lambda:\w*(CodeSigningConfig|LayerVersion)",
    "choosing a runtime's patch": r"lambda:(AssociateRuntimeAlias|PutRuntimeManagementConfig)",
    "functions that call themselves": r"lambda:PutFunctionRecursionConfig",
    "forwarded logs": r"firehose:|s3:REST\.PUT\.OBJECT",
    "masked, indexed, protected logs": r"logs:(Put|Delete)(DataProtection|Index)Policy|"
    r"logs:Put(BearerTokenAuthentication|LogGroupDeletionProtection)|logs:DeleteResourcePolicy",
    "copies and restores of a database": r"rds:(Promote|Restore|Start|Stop)\w+|"
    r"rds:CreateDBInstanceReadReplica",
    "tables and other ways to use a bucket": r"s3tables:|s3:\w*(Analytics|Metadata|Abac|Website|"
    r"Cors|CORS|Lifecycle|Metrics|Replication|Accelerate|Acl|Logging|Notification|ObjectLock|"
    r"Ownership|Versioning|Tiering|Inventory)\w*$|s3:DeleteBucketEncryption|s3:DeleteObject$",
    "masked messages": r"sns:PutDataProtectionPolicy",
    "copies of a secret": r"secretsmanager:\w*Replica\w+",
    "tags that the gateway sets by other actions": r"apigateway:(Tag|Untag)Resource",
    "an action that IAM does not have: PutBucketTagging covers it": r"s3:DeleteBucketTagging",
}


def needed(resource_type: str) -> set[str]:
    """Return the actions that CloudFormation's schema lists for a type of resource."""
    schemas = Path(cfnlint.__file__).parent / "data" / "schemas"
    names = json.loads((schemas / "providers" / "us-east-1.json").read_text())
    schema = json.loads((schemas / "resources" / f"{names[resource_type]}.json").read_text())
    unused = re.compile("|".join(f"(?:{pattern})" for pattern in UNUSED.values()))
    # Serverless tags the stack, so CloudFormation tags every resource that supports tags.
    tagging = schema.get("tagging", {}).get("permissions", [])
    handlers = [schema["handlers"].get(what, {}) for what in ("create", "read", "update", "delete")]
    listed_actions = [action for each in handlers for action in each.get("permissions", [])]
    return {action for action in [*listed_actions, *tagging] if not unused.match(action)}


def uncovered(role: Template, compiled: Template) -> Iterator[str]:
    """CloudFormation has every right that the resources of the compiled template need."""
    rights = allowed(role, "NetworkAndData", "Service", "Watching")
    for resource_type in sorted({each["Type"] for each in compiled["Resources"].values()}):
        for action in sorted(needed(resource_type)):
            if action.lower() not in rights:
                yield f"{resource_type}: {action} is missing in deploy-role.yml"


def cut_off(role: Template, compiled: Template) -> Iterator[str]:
    """The boundary allows the functions every action of their own roles.

    Policies that no role has are for people, whom the boundary does not concern.
    """
    rights = allowed(role, "Boundary")
    resources = compiled["Resources"]
    roles = {name for name, one in resources.items() if one["Type"] == "AWS::IAM::Role"}
    attached = {
        policy["Ref"]
        for name in roles
        for policy in resources[name]["Properties"].get("ManagedPolicyArns", [])
        if isinstance(policy, dict)
    }
    for name, resource in resources.items():
        if name not in roles | attached:
            continue
        properties = resource["Properties"]
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        documents += [properties[key] for key in ("PolicyDocument",) if key in properties]
        for document in documents:
            for statement in document["Statement"]:
                if statement["Effect"] == "Allow":
                    for action in sorted(actions(statement) - rights):
                        yield f"{name}: {action} is beyond the boundary in deploy-role.yml"
