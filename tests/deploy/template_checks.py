"""Checks of the compiled CloudFormation template that scanners do not make.

Each check yields the mistakes it finds, as `resource: mistake`.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from auth.api.routes import ROUTES
from auth.api.tutorial import TUTORIAL
from tests.deploy.database_checks import (
    blind_alarms,
    careless_production,
    loose_database,
    loose_proxy,
    unrepeatable,
)
from tests.deploy.operator_checks import open_commands
from tests.deploy.template_parts import Check, Template, listed, resources, values

__all__ = ["CHECKS", "Check", "Template", "careless_production"]

# AWS has no resource for these.
WITHOUT_ARN = {
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
}
PORTS = (443, 3306)
NOWHERE = "127.0.0.1/32"
THE_INTERNET = {"0.0.0.0/0", "::/0"}
INTERNET_ROUTES = {
    "AWS::EC2::NatGateway",
    "AWS::EC2::InternetGateway",
    "AWS::EC2::EgressOnlyInternetGateway",
    "AWS::EC2::VPCGatewayAttachment",
    "AWS::EC2::Route",
    "AWS::EC2::EIP",
}
SECRET_NAME = re.compile(r"password|secret|private.?key|token", re.IGNORECASE)
NOT_A_VALUE = re.compile(
    r"SECRET_ID|^TOKEN_(ISSUER|AUDIENCE)$|^ManageMasterUserPassword$|^ClientPasswordAuthType$"
    r"|^LEAKED_PASSWORDS_FILE$|^PASSWORD_WORDS$"
    r"|^Generate|^SecretStringTemplate$"  # literal_secrets checks the last
)
# The limited routes that need no access token: there, attackers guess.
OPEN_TO_GUESSES = tuple(
    f"{route.method} {route.path}"
    for route in (*ROUTES, *TUTORIAL)
    if route.limits and route.caller is None
)
# Throttled by themselves: a launch must not be held up by the players' share, nor hold it up.
FOR_GAME_SERVERS = tuple(f"{route.method} {route.path}" for route in ROUTES if route.has_server_key)
LOGGED = re.compile(r"\$context\.([\w.]+)")
LOGGABLE = {
    "requestId",
    "requestTime",
    "routeKey",
    "status",
    "responseLatency",
    "error.responseType",
    "integrationStatus",
    "integrationErrorMessage",
}


def open_ingress(template: Template) -> Iterator[str]:
    """Only the functions can connect to other resources."""
    types = ("AWS::EC2::SecurityGroup", "AWS::EC2::SecurityGroupIngress")
    for name, properties in resources(template, *types):
        rules = [*properties.get("SecurityGroupIngress", [])]
        if "GroupId" in properties:
            rules.append(properties)
        for rule in rules:
            if "SourceSecurityGroupId" not in rule or {"CidrIp", "CidrIpv6"} & rule.keys():
                yield f"{name}: allows traffic from addresses, not from a security group"
            if rule.get("FromPort") != rule.get("ToPort") or rule.get("FromPort") not in PORTS:
                yield f"{name}: allows traffic from outside to other ports than {PORTS}"
    for name, properties in resources(template):
        for path, value in values(properties):
            if value in THE_INTERNET:
                yield f"{name}: allows the whole internet at {path}"


def open_egress(template: Template) -> Iterator[str]:
    """The functions can connect to two resources, and other resources to none."""
    for name, properties in resources(template, "AWS::EC2::SecurityGroup"):
        rules = properties.get("SecurityGroupEgress")
        if not rules:
            yield f"{name}: no egress rule, so AWS allows all traffic"
        for rule in rules or []:
            if rule.get("CidrIp", NOWHERE) != NOWHERE or "CidrIpv6" in rule:
                yield f"{name}: allows traffic to addresses"
    for name, rule in resources(template, "AWS::EC2::SecurityGroupEgress"):
        if "DestinationSecurityGroupId" not in rule or {"CidrIp", "CidrIpv6"} & rule.keys():
            yield f"{name}: allows traffic to addresses"
        if rule.get("FromPort") != rule.get("ToPort") or rule.get("FromPort") not in PORTS:
            yield f"{name}: allows traffic to other ports than {PORTS}"


def internet_routes(template: Template) -> Iterator[str]:
    """The network has no route to the internet, and all functions are in it."""
    for name, _ in resources(template, *INTERNET_ROUTES):
        yield f"{name}: a route to the internet"
    for name, properties in resources(template, "AWS::EC2::Subnet"):
        if properties.get("MapPublicIpOnLaunch") is not False:
            yield f"{name}: assigns public addresses"
    for name, properties in resources(template, "AWS::Lambda::Function"):
        if not properties.get("VpcConfig", {}).get("SubnetIds"):
            yield f"{name}: outside the network"


def wide_rights(template: Template) -> Iterator[str]:
    """Every right is for named actions on named resources."""
    for name, properties in resources(template):
        for statement in _statements(properties):
            if statement["Effect"] != "Allow" or statement.get("Action") == "sts:AssumeRole":
                continue
            actions = {str(action) for action in listed(statement.get("Action", "*"))}
            if any("*" in action for action in actions):
                yield f"{name}: allows any action"
            for _, value in values(statement.get("Resource", "*")):
                if "*" in str(value) and not actions <= WITHOUT_ARN:
                    yield f"{name}: allows {sorted(actions)} on {value}"


def rights_elsewhere(template: Template) -> Iterator[str]:
    """Functions may use secrets only from inside their network."""
    for name, properties in resources(template, "AWS::IAM::Role"):
        if "lambda.amazonaws.com" not in str(properties["AssumeRolePolicyDocument"]):
            continue
        own = _networks(template, name)
        for statement in _statements(properties.get("Policies", [])):
            exact = statement.get("Condition", {}).get("StringEquals", {})
            bound = [exact.get("aws:SourceVpc")]
            if "secretsmanager:" in str(statement["Action"]) and bound != own:
                yield f"{name}: {statement['Action']} from outside {own}"


def _networks(template: Template, role: str) -> list[Any]:
    """Return the networks of the functions that have a role: those of their security groups."""
    groups = dict(resources(template, "AWS::EC2::SecurityGroup"))
    found: list[Any] = []
    for _, properties in resources(template, "AWS::Lambda::Function"):
        if properties["Role"] == {"Fn::GetAtt": [role, "Arn"]}:
            for group in properties.get("VpcConfig", {}).get("SecurityGroupIds", []):
                network = groups[group["Fn::GetAtt"][0]]["VpcId"]
                found += [network] if network not in found else []
    return found


def shared_rights(template: Template) -> Iterator[str]:
    """Every function has a role of its own, and no role has a policy from outside the template."""
    roles = [str(p.get("Role")) for _, p in resources(template, "AWS::Lambda::Function")]
    if len(set(roles)) < len(roles):
        yield "functions: two share one role"
    for name, properties in resources(template, "AWS::IAM::Role"):
        for policy in properties.get("ManagedPolicyArns", []):
            if "Ref" not in policy:
                yield f"{name}: a policy from outside the template"


def _statements(node: object) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "Effect" in node:
            yield node
        for value in node.values():
            yield from _statements(value)
    elif isinstance(node, list):
        for value in node:
            yield from _statements(value)


def open_cors(template: Template) -> Iterator[str]:
    """The web pages that may call the API are listed."""
    for name, properties in resources(template, "AWS::ApiGatewayV2::Api"):
        cors = properties.get("CorsConfiguration", {})
        for key in ("AllowOrigins", "AllowHeaders", "AllowMethods"):
            if any("*" in value for value in cors.get(key, [])):
                yield f"{name}: {key} contains a *"
        if cors.get("AllowCredentials"):
            yield f"{name}: cookies are allowed"


def two_addresses(template: Template) -> Iterator[str]:
    """An API with a domain of its own has no other address, and accepts no old TLS."""
    domains = list(resources(template, "AWS::ApiGatewayV2::DomainName"))
    for name, properties in domains:
        for configuration in properties.get("DomainNameConfigurations", [{}]):
            if configuration.get("SecurityPolicy") != "TLS_1_2":
                yield f"{name}: old TLS"
        if not any(
            mapping.get("DomainName") == {"Ref": name}
            for _, mapping in resources(template, "AWS::ApiGatewayV2::ApiMapping")
        ):
            yield f"{name}: no mapping to the API"
    for name, properties in resources(template, "AWS::ApiGatewayV2::Api"):
        if domains and properties.get("DisableExecuteApiEndpoint") is not True:
            yield f"{name}: AWS's own address is still enabled"
    told = str(template.get("Outputs", {}).get("BaseUrl", {}).get("Value"))
    names = [properties["DomainName"] for _, properties in domains] or ["execute-api"]
    if not any(name in told for name in names):
        yield f"output BaseUrl: {told}"


def plain_secrets(template: Template) -> Iterator[str]:
    """The template contains no secret: functions get names and references."""
    for name, properties in resources(template):
        for path, value in values(properties):
            key = path.rpartition("/")[2]
            if not isinstance(value, str):
                continue
            if SECRET_NAME.search(key) and not NOT_A_VALUE.search(key):
                yield f"{name}: a value at {path}"
            if "BEGIN " in value or "{{resolve:" in value:
                yield f"{name}: a secret at {path}"
    for name, output in template.get("Outputs", {}).items():
        if re.search(r"Secret|Password", str(output["Value"])):
            yield f"output {name}: refers to a secret"


def literal_secrets(template: Template) -> Iterator[str]:
    """A secret is generated inside AWS or stored later, never given in the template."""
    for name, properties in resources(template, "AWS::SecretsManager::Secret"):
        if "SecretString" in properties:
            yield f"{name}: its value is in the template"
        form = properties.get("GenerateSecretString", {}).get("SecretStringTemplate")
        if "password" in str(form):
            yield f"{name}: its password is in the template"


ALL_TO_ROTATE = {
    "DatabaseSecretAttachment",
    "DatabaseWriter",  # an Aurora cluster without a member accepts no connection
    "SecretsEndpoint",
    "SecretsEndpointFromFunctions",
    "DatabaseFromFunctions",
}


def standing_passwords(template: Template) -> Iterator[str]:
    """Our function rotates the database password, but not before the first migration."""
    rotated = set()
    for name, properties in resources(template, "AWS::SecretsManager::RotationSchedule"):
        rotated.add(properties["SecretId"].get("Ref"))
        if properties.get("RotateImmediatelyOnUpdate") is not False:
            yield f"{name}: rotates before the user exists"
        if not 0 < int(properties.get("RotationRules", {}).get("AutomaticallyAfterDays", 0)) <= 90:
            yield f"{name}: not every 90 days"
        if properties.get("RotationLambdaARN") != {"Fn::GetAtt": ["RotateLambdaFunction", "Arn"]}:
            yield f"{name}: not by our function"
        # Secrets Manager tries it at once. Nothing can be attached to an existing database.
        needed = {"RotationPermission"}
        needed |= ALL_TO_ROTATE & template["Resources"].keys()
        if not needed <= {*listed(template["Resources"][name].get("DependsOn", []))}:
            yield f"{name}: created before its dependencies"
    if rotated != {"DatabaseSecret"}:
        yield "DatabaseSecret: not rotated"
    form = template["Resources"]["DatabaseSecret"]["Properties"].get("GenerateSecretString", {})
    if not isinstance(form.get("SecretStringTemplate"), str):
        yield "DatabaseSecret: refers to a changing value, so each change makes a new password"


def open_functions(template: Template) -> Iterator[str]:
    """A service may call a function for one resource of this account only."""
    for name, properties in resources(template, "AWS::Lambda::Permission"):
        if "SourceArn" not in properties:
            yield f"{name}: for {properties.get('Principal')} of every account"
        if properties.get("Principal") == "secretsmanager.amazonaws.com":
            if properties.get("SourceArn") != {"Ref": "DatabaseSecret"}:
                yield f"{name}: for another secret"
            if properties.get("SourceAccount") != {"Ref": "AWS::AccountId"}:
                yield f"{name}: for another account"


ALARMED = {
    "RotateLambdaFunction": "Errors",
    "CleanUnderscoreupLambdaFunction": "Errors",
}


def silent_failures(template: Template) -> Iterator[str]:
    """An alarm reports each rotation or clean-up that fails or never runs."""
    watched = set()
    for _, properties in resources(template, "AWS::CloudWatch::Alarm"):
        if not properties.get("AlarmActions") or properties.get("Threshold") is None:
            continue
        metric = str(properties.get("MetricName"))
        if metric == "DatabasePasswordDays" and not properties.get("InsufficientDataActions"):
            yield "DatabaseSecret: no alarm if the age of its password is missing"
        watched.add(metric)
        for dimension in properties.get("Dimensions", []):
            watched.add(f"{metric} {dimension['Value']}")
    for function, metric in ALARMED.items():
        if f"{metric} { ({'Ref': function}) }" not in watched:
            yield f"{function}: no alarm on its {metric}"
    if "DatabasePasswordDays" not in watched:
        yield "DatabaseSecret: no alarm if it is not rotated"


GRID = 24  # columns of a dashboard


def hidden_panels(template: Template) -> Iterator[str]:
    """Every panel of the dashboard has a place of its own, within the grid."""
    taken: dict[tuple[int, int], str] = {}
    for name, properties in resources(template, "AWS::CloudWatch::Dashboard"):
        if "DashboardBody" not in properties:
            yield f"{name}: no panels"
            continue
        for number, panel in enumerate(
            json.loads(properties["DashboardBody"]["Fn::Sub"])["widgets"]
        ):
            title = panel["properties"].get("title", f"panel {number}")
            columns = range(panel["x"], panel["x"] + panel["width"])
            rows = range(panel["y"], panel["y"] + panel["height"])
            if columns.stop > GRID:
                yield f"{name}: {title} is outside the grid"
            places = [(column, row) for column in columns for row in rows]
            covered = {taken[place] for place in places if place in taken}
            yield from (f"{name}: {title} covers {other}" for other in sorted(covered))
            taken.update(dict.fromkeys(places, title))


def endless_bills(template: Template) -> Iterator[str]:
    """If there is a budget, it reports a growing bill, and the topic still accepts alarms."""
    told = {"SubscriptionType": "SNS", "Address": {"Ref": "Alarms"}}
    budgets = list(resources(template, "AWS::Budgets::Budget"))
    for name, properties in budgets:
        notes = properties["NotificationsWithSubscribers"]
        if not notes or any(told not in note["Subscribers"] for note in notes):
            yield f"{name}: does not notify the topic"
        if properties["Budget"].get("BudgetName") != {"Fn::GetAtt": ["Alarms", "TopicName"]}:
            yield f"{name}: its name may be taken, or is outside the deploy role's rights"
        if float(properties["Budget"]["BudgetLimit"]["Amount"]) <= 0:
            yield f"{name}: no limit"
    for name, properties in resources(template, "AWS::SNS::TopicPolicy"):
        asked = str(properties["PolicyDocument"]["Statement"])
        for service in ("budgets.amazonaws.com", "cloudwatch.amazonaws.com", "AWS:SourceOwner"):
            if service not in asked:
                yield f"{name}: refuses {service}"
        for statement in properties["PolicyDocument"]["Statement"]:
            if not statement.get("Condition", {}).get("StringEquals"):
                yield f"{name}: for every account"


def endless_logs(template: Template) -> Iterator[str]:
    """Every log expires, and every function's log is in the template."""
    groups = dict(resources(template, "AWS::Logs::LogGroup"))
    for name, properties in groups.items():
        if not properties.get("RetentionInDays"):
            yield f"{name}: kept for ever"
    names = {properties.get("LogGroupName") for properties in groups.values()}
    for name, properties in resources(template, "AWS::Lambda::Function"):
        if f"/aws/lambda/{properties['FunctionName']}" not in names:
            yield f"{name}: its log is not in the template"
        if properties.get("LoggingConfig", {}).get("LogFormat") != "JSON":
            yield f"{name}: its log is not JSON"


def early_stage(template: Template) -> Iterator[str]:
    """The stage comes after each route that it throttles: API Gateway refuses unknown ones."""
    routes = {
        properties["RouteKey"]: name
        for name, properties in resources(template, "AWS::ApiGatewayV2::Route")
    }
    for name, properties in resources(template, "AWS::ApiGatewayV2::Stage"):
        earlier = listed(template["Resources"][name].get("DependsOn", []))
        for throttled in properties.get("RouteSettings", {}):
            if routes.get(throttled) not in earlier:
                yield f"{name}: may be created before the route {throttled}"


def talkative_gateway(template: Template) -> Iterator[str]:
    """The gateway throttles guesses and game servers by themselves, and logs no caller's data."""
    for name, properties in resources(template, "AWS::ApiGatewayV2::Stage"):
        default = properties.get("DefaultRouteSettings", {}).get("ThrottlingRateLimit", 0)
        for route in OPEN_TO_GUESSES:
            settings = properties.get("RouteSettings", {}).get(route, {})
            if not 0 < settings.get("ThrottlingRateLimit", 0) < default:
                yield f"{name}: {route} is not throttled more than the rest"
        for route in FOR_GAME_SERVERS:
            settings = properties.get("RouteSettings", {}).get(route, {})
            if not 0 < settings.get("ThrottlingRateLimit", 0) < default:
                yield f"{name}: {route}, for game servers, has no throttle of its own"
        group = properties["AccessLogSettings"]["DestinationArn"]["Fn::GetAtt"][0]
        log = template["Resources"][group]["Properties"]["LogGroupName"]
        if not log.startswith("/aws/vendedlogs/"):
            yield f"{name}: its log uses up space in the account's policy for logs"
        logged = set(LOGGED.findall(properties.get("AccessLogSettings", {}).get("Format", "")))
        if not logged or logged - LOGGABLE:
            yield f"{name}: logs {sorted(logged - LOGGABLE) or 'nothing'}"


CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        open_ingress,
        open_egress,
        internet_routes,
        wide_rights,
        rights_elsewhere,
        shared_rights,
        open_cors,
        loose_database,
        loose_proxy,
        unrepeatable,
        blind_alarms,
        two_addresses,
        plain_secrets,
        literal_secrets,
        standing_passwords,
        open_functions,
        open_commands,
        silent_failures,
        hidden_panels,
        endless_bills,
        endless_logs,
        early_stage,
        talkative_gateway,
    )
}
