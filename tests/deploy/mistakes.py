"""Mistakes to plant in production's compiled template, each with the check that finds it."""

import json
from collections.abc import Callable
from typing import Any

from tests.deploy.template_parts import Template


def put(path: str, value: object) -> Callable[[Template], None]:
    """Return a mistake: a value at a path below Resources."""

    def spoil(template: Template) -> None:
        node: Any = template["Resources"]
        *way, last = [int(step) if step.isdigit() else step for step in path.split("/")]
        for step in way:
            node = node.setdefault(step, {}) if isinstance(node, dict) else node[step]
        node[last] = value

    return spoil


def drop(path: str) -> Callable[[Template], None]:
    """Return a mistake: nothing at a path below Resources."""

    def spoil(template: Template) -> None:
        node: Any = template["Resources"]
        *way, last = path.split("/")
        for step in way:
            node = node[step]
        del node[last]

    return spoil


def panel(**place: int) -> Callable[[Template], None]:
    """Return a mistake: another panel on the dashboard."""

    def spoil(template: Template) -> None:
        properties = template["Resources"]["Dashboard"]["Properties"]
        body = json.loads(properties["DashboardBody"]["Fn::Sub"])
        body["widgets"].append({"type": "text", **place, "properties": {"markdown": ""}})
        properties["DashboardBody"]["Fn::Sub"] = json.dumps(body)

    return spoil


def throttled(route: str, settings: object) -> Callable[[Template], None]:
    """Return a mistake: other settings for a route of the gateway."""

    def spoil(template: Template) -> None:
        template["Resources"]["HttpApiStage"]["Properties"]["RouteSettings"][route] = settings

    return spoil


WORLD = {"IpProtocol": "tcp", "FromPort": 3306, "ToPort": 3306, "CidrIp": "0.0.0.0/0"}
STATEMENTS = "HttpRole/Properties/Policies/0/PolicyDocument/Statement"
ROTATE_STATEMENTS = "RotateRole/Properties/Policies/0/PolicyDocument/Statement"
SCHEDULE = "DatabaseSecretRotation/Properties"
VIEW = "OperateUnderscoreviewLambdaFunction"
SUPPORT = "OperateUnderscoresupportLambdaFunction"
OWN = "OperateUnderscoreownLambdaFunction"
COMMANDS = "Properties/PolicyDocument/Statement"
OPERATOR_RIGHTS = "Properties/Policies/0/PolicyDocument/Statement"
DATABASE = "Database/Properties"
STAGE = "HttpApiStage/Properties"
MISTAKES = [
    ("open_ingress", put("DatabaseSecurityGroup/Properties/SecurityGroupIngress", [WORLD])),
    ("open_ingress", put("DatabaseFromFunctions/Properties/CidrIpv6", "::/0")),
    ("open_ingress", put("DatabaseFromFunctions/Properties/ToPort", 65535)),
    ("open_egress", put("FunctionsSecurityGroup/Properties/SecurityGroupEgress", [])),
    ("open_egress", put("FunctionsSecurityGroup/Properties/SecurityGroupEgress/0", WORLD)),
    ("internet_routes", put("Nat", {"Type": "AWS::EC2::NatGateway"})),
    ("internet_routes", put("PrivateSubnetA/Properties/MapPublicIpOnLaunch", True)),  # noqa: FBT003
    ("internet_routes", put("HttpLambdaFunction/Properties/VpcConfig", {})),
    ("wide_rights", put(f"{STATEMENTS}/1/Action", "secretsmanager:*")),
    ("wide_rights", put(f"{STATEMENTS}/1/Resource", "*")),
    ("wide_rights", put(f"{STATEMENTS}/1/Resource/0", {"Fn::Sub": "arn:aws:x:*"})),
    ("rights_elsewhere", put(f"{STATEMENTS}/1/Condition", {})),
    ("rights_elsewhere", put(f"{STATEMENTS}/1/Condition/StringEquals/aws:SourceVpc", "vpc-other")),
    ("rights_elsewhere", put("FunctionsSecurityGroup/Properties/VpcId", "vpc-other")),
    ("rights_elsewhere", put(f"{ROTATE_STATEMENTS}/2/Condition/StringEquals", {})),
    (
        "shared_rights",
        put("HttpLambdaFunction/Properties/Role", {"Fn::GetAtt": ["MigrateRole", "Arn"]}),
    ),
    (
        "shared_rights",
        put("HttpRole/Properties/ManagedPolicyArns", ["arn:aws:iam::aws:policy/Any"]),
    ),
    ("open_cors", put("HttpApi/Properties/CorsConfiguration/AllowOrigins", ["*"])),
    ("open_cors", put("HttpApi/Properties/CorsConfiguration/AllowOrigins", ["https://*.example"])),
    ("loose_database", put(f"{DATABASE}/PubliclyAccessible", True)),  # noqa: FBT003
    ("loose_database", put(f"{DATABASE}/StorageEncrypted", False)),  # noqa: FBT003
    ("loose_database", put(f"{DATABASE}/ManageMasterUserPassword", False)),  # noqa: FBT003
    ("loose_database", put(f"{DATABASE}/EngineVersion", "11.8.9")),
    (
        "loose_database",
        put("DatabaseParameters/Properties/Parameters/require_secure_transport", "0"),
    ),
    ("loose_database", put("HttpLambdaFunction/Properties/ReservedConcurrentExecutions", 101)),
    ("loose_database", put("DatabaseParameters/Properties/Parameters/max_connections", "500")),
    (
        "loose_proxy",
        put("HttpLambdaFunction/Properties/Environment/Variables/DATABASE_PROXY_HOST", "x"),
    ),
    ("blind_alarms", put("StorageAlarm/Properties/MetricName", "ACUUtilization")),
    ("blind_alarms", put("StorageAlarm/Properties/Dimensions/0/Name", "DBClusterIdentifier")),
    ("blind_alarms", put("StorageAlarm/Properties/MetricName", "FreeableMemory")),
    ("blind_alarms", put("StorageAlarm/Properties/Dimensions/0/Value", "another")),
    (
        "two_addresses",
        put("Domain", {"Type": "AWS::ApiGatewayV2::DomainName", "Properties": {"DomainName": "x"}}),
    ),
    ("careless_production", put("Database/DeletionPolicy", "Delete")),
    ("careless_production", put(f"{DATABASE}/DeletionProtection", False)),  # noqa: FBT003
    ("careless_production", put("TokenSecret/DeletionPolicy", "Delete")),
    ("careless_production", put("TokenSecret/DeletionPolicy", "Retain")),
    ("unrepeatable", put("TokenSecret/DeletionPolicy", "Retain")),
    ("unrepeatable", put(f"{DATABASE}/DeletionProtection", True)),  # noqa: FBT003
    ("plain_secrets", put(f"{DATABASE}/MasterUserPassword", "hunter22")),
    ("literal_secrets", put("TokenSecret/Properties/SecretString", "{}")),
    (
        "plain_secrets",
        put("HttpLambdaFunction/Properties/Environment/Variables/DB_PASSWORD", "hunter22"),
    ),
    (
        "literal_secrets",
        put(
            "DatabaseSecret/Properties/GenerateSecretString/SecretStringTemplate",
            '{"password": "hunter22"}',
        ),
    ),
    ("standing_passwords", put(f"{SCHEDULE}/RotateImmediatelyOnUpdate", True)),  # noqa: FBT003
    ("standing_passwords", put(f"{SCHEDULE}/RotationRules/AutomaticallyAfterDays", 365)),
    ("standing_passwords", put(f"{SCHEDULE}/SecretId", {"Ref": "TokenSecret"})),
    ("standing_passwords", put("DatabaseSecretRotation/DependsOn", ["RotationPermission"])),
    (
        "standing_passwords",
        put("DatabaseSecretRotation/Type", "AWS::SNS::Topic"),
    ),
    (
        "standing_passwords",
        put(f"{SCHEDULE}/RotationLambdaARN", {"Fn::GetAtt": ["HttpLambdaFunction", "Arn"]}),
    ),
    (
        "standing_passwords",
        put(
            "DatabaseSecret/Properties/GenerateSecretString/SecretStringTemplate",
            {"Fn::Join": ["", ["{", {"Fn::GetAtt": ["Database", "Endpoint.Address"]}, "}"]]},
        ),
    ),
    ("open_functions", put("RotationPermission/Properties/SourceAccount", None)),
    ("open_functions", put("RotationPermission/Properties/SourceArn", {"Ref": "TokenSecret"})),
    ("open_functions", put("RotationPermission/Properties", {"Principal": "s3.amazonaws.com"})),
    ("open_commands", drop(VIEW)),
    ("open_commands", drop("OperateOwnPolicy")),
    ("open_commands", put(f"{OWN}/Properties/Environment/Variables/OPERATOR_ROLE", "view")),
    ("open_commands", put(f"{VIEW}/Properties/Handler", "handler.migrate")),
    (
        "open_commands",
        put(f"{VIEW}/Properties/Role", {"Fn::GetAtt": ["OperateOwnRole", "Arn"]}),
    ),
    ("open_commands", put(f"{SUPPORT}/Properties/ReservedConcurrentExecutions", 5)),
    ("open_commands", put(f"{OWN}/Properties/SnapStart", {"ApplyOn": "PublishedVersions"})),
    (
        "open_commands",
        put("RotationPermission/Properties/FunctionName", {"Fn::GetAtt": [SUPPORT, "Arn"]}),
    ),
    ("open_commands", put("RotationPermission/Properties/FunctionName", {"Ref": OWN})),
    (
        "open_commands",
        put("RotationPermission/Properties/FunctionName", "game-login-prod-operate_own"),
    ),
    (
        "open_commands",
        put(
            "HttpApiIntegrationHttp/Properties/IntegrationUri",
            {"Fn::Sub": f"arn:aws:lambda:::${{{VIEW}.Arn}}"},
        ),
    ),
    (
        "open_commands",
        put(
            "Url",
            {
                "Type": "AWS::Lambda::Url",
                "Properties": {"AuthType": "NONE", "TargetFunctionArn": {"Ref": VIEW}},
            },
        ),
    ),
    (
        "open_commands",
        put(
            "Queue",
            {
                "Type": "AWS::Lambda::EventSourceMapping",
                "Properties": {"FunctionName": {"Ref": SUPPORT}},
            },
        ),
    ),
    ("open_commands", put(f"OperateViewPolicy/{COMMANDS}/0/Resource", "*")),
    (
        "open_commands",
        put(
            f"OperateViewPolicy/{COMMANDS}/0/Resource",
            [{"Fn::GetAtt": [VIEW, "Arn"]}, {"Fn::GetAtt": [OWN, "Arn"]}],
        ),
    ),
    (
        "open_commands",
        put(f"OperateViewPolicy/{COMMANDS}/0/Resource", {"Fn::GetAtt": [SUPPORT, "Arn"]}),
    ),
    ("open_commands", put(f"OperateSupportPolicy/{COMMANDS}/0/Action", "lambda:*")),
    ("open_commands", put("OperateOwnPolicy/Properties/Users", ["kim"])),
    (
        "open_commands",
        put("HttpRole/Properties/ManagedPolicyArns/0", {"Ref": "OperateOwnPolicy"}),
    ),
    (
        "open_commands",
        put(
            f"OperateOwnRole/{OPERATOR_RIGHTS}/1/Resource",
            [{"Ref": "DatabaseSecret"}, {"Ref": "TokenSecret"}],
        ),
    ),
    (
        "open_commands",
        put(
            f"OperateSupportRole/{OPERATOR_RIGHTS}/1/Resource/1",
            {"Fn::GetAtt": ["Database", "MasterUserSecret.SecretArn"]},
        ),
    ),
    (
        "open_commands",
        put(
            f"OperateViewRole/{OPERATOR_RIGHTS}/1/Action",
            ["secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"],
        ),
    ),
    ("open_commands", put(f"OperateViewRole/{OPERATOR_RIGHTS}/0/Action", "logs:DeleteLogGroup")),
    (
        "open_commands",
        put(
            f"OperateViewRole/{OPERATOR_RIGHTS}/0/Resource",
            {"Fn::GetAtt": ["OperateUnderscoreownLogGroup", "Arn"]},
        ),
    ),
    ("hidden_panels", panel(x=7, y=5, width=2, height=2)),
    ("hidden_panels", panel(x=20, y=90, width=8, height=6)),
    ("silent_failures", put("RotationFailedAlarm/Properties/AlarmActions", [])),
    ("silent_failures", put("RotationFailedAlarm/Properties/MetricName", "Invocations")),
    ("silent_failures", put("RotationMissingAlarm/Properties/MetricName", "Errors")),
    ("silent_failures", put("RotationMissingAlarm/Properties/InsufficientDataActions", [])),
    ("silent_failures", put("CleanUpAlarm/Type", "AWS::CloudWatch::Dashboard")),
    ("wide_rights", put(f"{ROTATE_STATEMENTS}/2/Action", "secretsmanager:*")),
    ("wide_rights", put(f"{ROTATE_STATEMENTS}/2/Resource", "*")),
    (
        "shared_rights",
        put("RotateLambdaFunction/Properties/Role", {"Fn::GetAtt": ["MigrateRole", "Arn"]}),
    ),
    ("internet_routes", put("RotateLambdaFunction/Properties/VpcConfig", {})),
    ("endless_logs", put("RotateLogGroup/Properties/RetentionInDays", None)),
    ("endless_logs", put("HttpLogGroup/Properties/RetentionInDays", None)),
    ("endless_logs", put("MigrateLogGroup/Properties/LogGroupName", "/aws/lambda/other")),
    ("talkative_gateway", put(f"{STAGE}/AccessLogSettings/Format", "$context.identity.sourceIp")),
    ("talkative_gateway", put(f"{STAGE}/RouteSettings", {})),
    ("talkative_gateway", throttled("POST /v1/server/redeem", {})),
    ("talkative_gateway", throttled("GET /v1/server/events", {"ThrottlingRateLimit": 0})),
    ("talkative_gateway", throttled("GET /v1/server/events", {"ThrottlingRateLimit": 500})),
    ("early_stage", put("HttpApiStage/DependsOn", ["HttpApiLogGroup"])),
    ("early_stage", put(f"{STAGE}/RouteSettings", {"POST /v1/no-such-route": {}})),
    (
        "talkative_gateway",
        put("HttpApiLogGroup/Properties/LogGroupName", "/aws/http-api/game-login-prod"),
    ),
]
