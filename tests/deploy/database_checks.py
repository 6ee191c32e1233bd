"""Checks of the database in the compiled template, of any kind, and of the resources around it.

They yield mistakes as those in `template_checks` do.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.deploy.template_parts import Template, resources

SERVER, CLUSTER = "AWS::RDS::DBInstance", "AWS::RDS::DBCluster"
GROUPS = {
    "DBParameterGroupName": "AWS::RDS::DBParameterGroup",
    "DBClusterParameterGroupName": "AWS::RDS::DBClusterParameterGroup",
}
# RDS withdraws a full version after a year or so, and refuses downgrades. With Aurora, only a full
# version stays on a long-term release.
VERSION = re.compile(r"\d+\.\d+")
AURORA_VERSION = re.compile(r"8\.0\.mysql_aurora\.\d+\.\d+\.\d+")
PARAMETERS = {
    "require_secure_transport": {"1", "ON"},
    "innodb_flush_log_at_trx_commit": {"1"},
    "wait_timeout": {"240"},
    "max_connect_errors": {"1000000"},
    "time_zone": {"UTC"},
    "character_set_server": {"utf8mb4"},
}
SPARE_CONNECTIONS = 10
OUT_OF_ROOM = {"DBInstanceIdentifier": "FreeStorageSpace", "DBClusterIdentifier": "ACUUtilization"}
OF_SERVERS = {"FreeStorageSpace", "CPUCreditBalance", "ReadLatency", "WriteLatency"}
OF_CLUSTERS = {"ACUUtilization", "ServerlessDatabaseCapacity", "SelectLatency", "DMLLatency"}
AMAZON = "/var/task/certificates/amazon.pem"
AFTER_THE_FIRST = {"Fn::If": ["LiveAliasIsNew", False, True]}  # deploy/protection.js
# The session settings that auth/external/connection.py sends itself if there is no proxy.
SAID_BY_PROXY = (
    "time_zone = '+00:00'",
    "sql_mode = 'TRADITIONAL'",
    "transaction_isolation = 'READ-COMMITTED'",
    " innodb_lock_wait_timeout = 2",
    " lock_wait_timeout = 2",
)


def loose_database(template: Template) -> Iterator[str]:
    """The database is private, encrypted and backed up, and RDS manages its password."""
    databases = [*_alone(template), *resources(template, CLUSTER)]
    if not databases and list(resources(template, "AWS::EC2::VPC")):
        yield "there is no database"
    for name, properties in databases:
        for key in ("StorageEncrypted", "ManageMasterUserPassword"):
            if properties.get(key) is not True:
                yield f"{name}: {key} is not True"
        if not properties.get("BackupRetentionPeriod"):
            yield f"{name}: no backups"
        version = AURORA_VERSION if properties["Engine"] == "aurora-mysql" else VERSION
        if not version.fullmatch(str(properties.get("EngineVersion"))):
            yield f"{name}: an EngineVersion that RDS withdraws or upgrades to another release"
        yield from _loose_parameters(template, name, properties)
    for name, properties in resources(template, SERVER):
        if properties.get("PubliclyAccessible") is not False:
            yield f"{name}: PubliclyAccessible is not False"
    if any("DBClusterIdentifier" not in properties for _, properties in _members(template)):
        yield "a member without a cluster"
    yield from _too_many_functions(template)


def _alone(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, properties in resources(template, SERVER):
        if "DBClusterIdentifier" not in properties:
            yield name, properties


def _members(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, properties in resources(template, SERVER):
        if properties.get("DBInstanceClass") == "db.serverless":
            yield name, properties


def _loose_parameters(template: Template, name: str, properties: dict[str, Any]) -> Iterator[str]:
    groups = [properties, *(member for _, member in _members(template))]
    names = {group[key]["Ref"] for group in groups for key in GROUPS if key in group}
    parameters: dict[str, str] = {}
    for group in names:
        parameters |= template["Resources"].get(group, {}).get("Properties", {})["Parameters"]
    for parameter, texts in PARAMETERS.items():
        if parameters.get(parameter) not in texts:
            yield f"{name}: {parameter} is none of {sorted(texts)}"
    if "STRICT_" not in parameters.get("sql_mode", ""):
        yield f"{name}: sql_mode is not strict"
    if str(parameters.get("max_connections")) != str(_connections(template)):
        yield f"{name}: max_connections is not the {_connections(template)} of its alarm"


def _connections(template: Template) -> int:
    metrics = template["Resources"]["ConnectionsAlarm"]["Properties"]["Metrics"]
    return int(metrics[0]["Expression"].rpartition("/ ")[2])


def _too_many_functions(template: Template) -> Iterator[str]:
    http = template["Resources"]["HttpLambdaFunction"]["Properties"]
    reserved = http.get("ReservedConcurrentExecutions", 0)
    connections = _connections(template)
    limit = (connections - SPARE_CONNECTIONS) / 2  # two versions overlap during a deploy
    if reserved != {"Ref": "AWS::NoValue"} and not 0 < int(reserved) <= limit:
        yield f"HttpLambdaFunction: more concurrent runs than {limit} of {connections} connections"


def careless_production(template: Template) -> Iterator[str]:
    """In production, the data survive a mistake. For `prod` only."""
    members = list(_members(template))
    databases = [*_alone(template), *resources(template, CLUSTER)]
    for name, properties in databases:
        resource = template["Resources"][name]
        if {resource.get("DeletionPolicy"), resource.get("UpdateReplacePolicy")} != {"Snapshot"}:
            yield f"{name}: deleted without a snapshot"
        if properties.get("DeletionProtection") not in (True, AFTER_THE_FIRST):
            yield f"{name}: no deletion protection"
        if properties.get("MultiAZ") is not True and len(members) < 2:
            yield f"{name}: in one zone only"
        if int(properties.get("BackupRetentionPeriod", 0)) < 7:
            yield f"{name}: less than a week of backups"
        if properties.get("ServerlessV2ScalingConfiguration", {}).get("MinCapacity") == 0:
            yield f"{name}: pauses when idle"
    if template["Resources"]["TokenSecret"].get("DeletionPolicy") != "RetainExceptOnCreate":
        yield "TokenSecret: deleted with the stack, or kept when a first deployment fails"


def unrepeatable(template: Template) -> Iterator[str]:
    """A first deployment that fails removes all that it made, so that it can be repeated."""
    if "LiveAliasIsNew" not in template.get("Conditions", {}):
        return  # a variant compiled without deploy/plugin.js, which ensures this
    for name, resource in template["Resources"].items():
        if resource.get("DeletionPolicy") == "Retain":
            yield f"{name}: kept if its first deployment fails, and then part of no stack"
    for name, properties in resources(template, SERVER, CLUSTER):
        if properties.get("DeletionProtection") is True:
            yield f"{name}: protected before the first deployment has succeeded"


def loose_proxy(template: Template) -> Iterator[str]:
    """A proxy requires TLS, has one user, and is used only by the functions that serve players."""
    proxies = dict(resources(template, "AWS::RDS::DBProxy"))
    for name, properties in proxies.items():
        if properties.get("RequireTLS") is not True:
            yield f"{name}: accepts connections without TLS"
        if [auth.get("SecretArn") for auth in properties["Auth"]] != [{"Ref": "DatabaseSecret"}]:
            yield f"{name}: has another user than the application's"
        if properties.get("DebugLogging") is not False:
            yield f"{name}: logs statements"
    yield from _silent_proxy(template)
    for name, properties in resources(template, "AWS::Lambda::Function"):
        variables = properties["Environment"]["Variables"]
        through = name in {"HttpLambdaFunction", "CleanUnderscoreupLambdaFunction"}
        if ("DATABASE_PROXY_HOST" in variables) is not (through and bool(proxies)):
            yield f"{name}: takes the wrong route to the database"
        if (variables.get("DATABASE_CA_FILE") == AMAZON) is not (
            "DATABASE_PROXY_HOST" in variables
        ):
            yield f"{name}: trusts the wrong certificates"


def _silent_proxy(template: Template) -> Iterator[str]:
    for name, properties in resources(template, "AWS::RDS::DBProxyTargetGroup"):
        said = properties["ConnectionPoolConfigurationInfo"].get("InitQuery", "")
        missing = [words for words in SAID_BY_PROXY if words not in said]
        if not re.search(r"max_(statement_time = 3|execution_time = 3000)\b", said):
            missing.append("a limit for statements")
        if missing:
            yield f"{name}: InitQuery lacks {missing}"


def blind_alarms(template: Template) -> Iterator[str]:
    """The watched metrics are those that CloudWatch has for this kind of database."""
    alarms = [
        (name, metric["MetricName"], [(it["Name"], it["Value"]) for it in metric["Dimensions"]])
        for name, properties in resources(template, "AWS::CloudWatch::Alarm")
        for metric in _metrics(properties)
    ]
    body = json.loads(template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])
    shown = [
        ("Dashboard", metric[1], [(metric[2], metric[3])])
        for widget in body["widgets"]
        for metric in widget["properties"].get("metrics", [])
        if metric[0] == "AWS/RDS"
    ]
    for name, metric, dimensions in [*alarms, *shown]:
        yield from _blind(template, name, metric, dimensions)
    made = [*_alone(template), *resources(template, CLUSTER)]
    for name, metric in OUT_OF_ROOM.items():
        if (
            made
            and (name, _kind(template, made[0][0])) in KINDS
            and metric not in {alarm[1] for alarm in alarms}
        ):
            yield f"{made[0][0]}: no alarm on {metric}"


KINDS = {("DBInstanceIdentifier", SERVER), ("DBClusterIdentifier", CLUSTER)}


def _blind(
    template: Template, name: str, metric: str, dimensions: list[tuple[str, Any]]
) -> Iterator[str]:
    if len(dimensions) != 1:
        yield f"{name}: {metric} has {len(dimensions)} dimensions"
    for dimension, value in dimensions:
        reference = value["Ref"] if isinstance(value, dict) else value
        reference = reference.removeprefix("${").removesuffix("}")
        if reference in template["Resources"]:
            if (dimension, _kind(template, reference)) not in KINDS:
                yield f"{name}: {metric} of a {dimension}, but {reference} is none"
        elif list(resources(template, SERVER, CLUSTER)):
            yield f"{name}: {metric} of another database"
        others = OF_SERVERS if dimension == "DBClusterIdentifier" else OF_CLUSTERS
        if metric in others:
            yield f"{name}: a {dimension} has no {metric}"


def _kind(template: Template, name: str) -> str:
    kind: str = template["Resources"][name]["Type"]
    return kind


def _metrics(properties: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if properties.get("Namespace") == "AWS/RDS":
        yield properties
    for query in properties.get("Metrics", []):
        metric = query.get("MetricStat", {}).get("Metric", {})
        if metric.get("Namespace") == "AWS/RDS":
            yield metric
