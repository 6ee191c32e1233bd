"""The check of the operators' functions: one for each role, to which only IAM leads."""

from collections.abc import Iterator
from typing import Any

from tests.deploy.template_parts import Template, listed, resources, values

# The secrets that each role needs: keys of rate limits are MACs, made with the token secret.
READABLE = {
    "view": {"DatabaseSecret", "TokenSecret"},
    "support": {"DatabaseSecret", "TokenSecret"},
    "own": {"DatabaseSecret"},
}
LOGGING = {"logs:CreateLogStream", "logs:PutLogEvents"}
READING = {"secretsmanager:GetSecretValue"}


def open_commands(template: Template) -> Iterator[str]:
    """Only IAM leads to the operators' functions, by one policy each, and they read few secrets."""
    for role, secrets in READABLE.items():
        function, name = f"OperateUnderscore{role}LambdaFunction", f"Operate{role.title()}"
        if not {function, f"{name}Role", f"{name}Policy"} <= template["Resources"].keys():
            yield f"{function}: this, its role or its policy is missing"
            continue
        yield from _wrong_function(template, function, role)
        yield from _other_ways(template, function, f"{name}Policy")
        yield from _wrong_policy(template, function, f"{name}Policy")
        yield from _other_rights(template, role, secrets)


def _wrong_function(template: Template, function: str, role: str) -> Iterator[str]:
    properties = template["Resources"][function]["Properties"]
    variables = properties.get("Environment", {}).get("Variables", {})
    if properties["Handler"] != "handler.operate" or variables.get("OPERATOR_ROLE") != role:
        yield f"{function}: does not run the commands of {role}"
    if properties["Role"] != {"Fn::GetAtt": [f"Operate{role.title()}Role", "Arn"]}:
        yield f"{function}: has the rights of another function"
    if "ReservedConcurrentExecutions" in properties:
        yield f"{function}: takes concurrent runs from the players"
    if properties.get("SnapStart", {}).get("ApplyOn", "None") != "None":
        yield f"{function}: costs money for a start that nobody waits for"


def _other_ways(template: Template, function: str, policy: str) -> Iterator[str]:
    """Yield each resource, apart from versions and the policy, that leads to a function."""
    called = template["Resources"][function]["Properties"]["FunctionName"]
    for name, properties in resources(template):
        kind = template["Resources"][name]["Type"]
        if name in (function, policy) or kind in ("AWS::Lambda::Version", "AWS::Logs::LogGroup"):
            continue
        if any(way in str(text) for _, text in values(properties) for way in (function, called)):
            yield f"{name}: leads to {function}"
        if {"Ref": policy} in properties.get("ManagedPolicyArns", []):
            yield f"{name}: has the policy for people"


def _wrong_policy(template: Template, function: str, policy: str) -> Iterator[str]:
    properties = template["Resources"][policy]["Properties"]
    invoke = {
        "Effect": "Allow",
        "Action": "lambda:InvokeFunction",
        "Resource": {"Fn::GetAtt": [function, "Arn"]},
    }
    if properties["PolicyDocument"]["Statement"] != [invoke]:
        yield f"{policy}: more than the invocation of {function}"
    if {"Users", "Groups", "Roles"} & properties.keys():
        yield f"{policy}: attached by the template, not by an administrator"
    if template["Outputs"].get(f"{policy}Arn", {}).get("Value") != {"Ref": policy}:
        yield f"{policy}: in no output"


def _other_rights(template: Template, role: str, secrets: set[str]) -> Iterator[str]:
    name = f"Operate{role.title()}Role"
    log = {"Fn::GetAtt": [f"OperateUnderscore{role}LogGroup", "Arn"]}
    read: set[str] = set()
    for statement in _statements(template["Resources"][name]["Properties"]):
        rights = set(listed(statement["Action"]))
        if rights == READING:
            read |= {str(one.get("Ref", one)) for one in listed(statement["Resource"])}
        elif not (rights <= LOGGING and statement["Resource"] == log):
            yield f"{name}: allows {sorted(rights)} on {statement['Resource']}"
    if read != secrets:
        yield f"{name}: reads {sorted(read)}"


def _statements(properties: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for policy in properties["Policies"]:
        yield from policy["PolicyDocument"]["Statement"]
