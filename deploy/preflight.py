"""Asks AWS, before anything is made, for what it would refuse after a quarter of an hour.

`deploy/preflight.js` gives the stage, the region and the parameters as JSON on the standard input.
Each line on the standard output is a refusal, with the way out; without any, the deployment goes
on. If AWS does not answer a question, as when a role may not ask it, the standard error names it.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

CERTIFICATES = Path(__file__).parent / "certificates" / "rds.pem"
IN_LAMBDA = "/var/task/certificates/rds.pem"
PATIENCE = Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 2})
KEPT_FOR_OTHERS = 100  # runs that cannot be reserved, or all of them where the quota is smaller
# What AWS's free plan takes: https://github.com/yc-software/qm/issues/352 has the two refusals.
FREE_CLASSES = {"db.t3.micro", "db.t4g.micro"}
FREE_BACKUP_DAYS = 1
BUDGET = "AWS::Budgets::Budget"
SECRETS = {"DatabaseSecret": "database", "TokenSecret": "tokens", "TrustedProxySecret": "proxy"}

Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Target:
    """What is about to be deployed, and where."""

    stage: str
    region: str
    parameters: Parameters
    database: Mapping[str, str]  # engine, version and family, from deploy/infrastructure/database

    @property
    def stack(self) -> str:
        """Return the name of the stack."""
        return f"game-login-{self.stage}"

    @property
    def on_rds(self) -> bool:
        """Tell whether a database is made."""
        return str(self.parameters["database"]) != "existing"

    @property
    def engine(self) -> str:
        """Return the engine's name in RDS."""
        return (
            "aurora-mysql" if self.parameters["database"] == "aurora" else self.database["engine"]
        )

    @property
    def instance_class(self) -> str:
        """Return the class of the database's servers."""
        aurora = self.parameters["database"] == "aurora"
        return "db.serverless" if aurora else str(self.parameters["databaseClass"])

    @cached_property
    def deployed(self) -> Mapping[str, Any]:
        """Return the deployed template; an empty one before the first deployment."""
        try:
            answer = self.client("cloudformation").get_template(StackName=self.stack)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":  # that is: no such stack
                raise
            return {}
        body = answer["TemplateBody"]
        template: Mapping[str, Any] = json.loads(body) if isinstance(body, str) else body
        return template

    def client(self, service: str, region: str = "") -> Any:
        """Return a client of a service."""
        return boto3.client(service, region_name=region or self.region, config=PATIENCE)


def too_many_runs(parameters: Parameters, limit: int, free: int) -> Iterator[str]:
    """Lambda keeps 100 runs for functions that reserve none, or all where the quota is smaller."""
    wanted, most = int(parameters["concurrency"]), free - min(KEPT_FOR_OTHERS, limit)
    if str(parameters["reserveConcurrency"]).lower() == "true" and wanted > most:
        yield (
            f"concurrency is {wanted}, and of the {limit} concurrent runs of this account"
            f" {max(most, 0)} can be reserved: ask AWS for more (Service Quotas, Lambda, concurrent"
            " executions), or set reserveConcurrency: false until you have them"
        )


def on_the_free_plan(parameters: Parameters, plan: str) -> Iterator[str]:
    """AWS's free plan has small databases only, with a day of backups."""
    if plan != "FREE" or parameters["database"] not in ("mariadb", "mysql"):
        return
    wrong = []
    if parameters["databaseClass"] not in FREE_CLASSES:
        wrong.append(f"databaseClass {parameters['databaseClass']}")
    if int(parameters["backupDays"]) > FREE_BACKUP_DAYS:
        wrong.append(f"backupDays {parameters['backupDays']}")
    if wrong:
        yield (
            f"this account is on AWS's free plan, which refuses {' and '.join(wrong)}: upgrade it"
            " (`aws freetier upgrade-account-plan --account-plan-type PAID`) or give"
            f" db.t4g.micro and {FREE_BACKUP_DAYS} day"
        )


def no_such_engine(target: Target, versions: Sequence[str]) -> Iterator[str]:
    """RDS offers each version for a year or so."""
    wanted = target.database["version"]
    if not fitting(wanted, versions):
        yield (
            f"RDS has no {target.engine} {wanted} in {target.region}"
            f" (it has {', '.join(versions) or 'none of that family'}): name another version in"
            f" deploy/infrastructure/database/{target.parameters['database']}.yml"
        )


def fitting(wanted: str, versions: Sequence[str]) -> list[str]:
    """Return the versions that a version, or the beginning of one, stands for."""
    return [version for version in versions if f"{version}.".startswith(f"{wanted}.")]


def no_certificate(region: str, known: Sequence[str]) -> Iterator[str]:
    """The functions trust the databases of the regions whose certificates the package carries."""
    if region not in known:
        yield (
            f"deploy/certificates/rds.pem has no root certificate of RDS for {region}, so the"
            " functions would refuse the database: add it as the head of that file says, or choose"
            " another region"
        )


def regions_in(bundle: str) -> list[str]:
    """Return the regions of a bundle of RDS's certificates."""
    return sorted(set(re.findall(r"^# Amazon RDS (\S+) Root CA", bundle, re.MULTILINE)))


def left_over(name: str, *, deleted: bool) -> str:
    """Return what to do about a secret that is in the way."""
    if deleted:
        return (
            f"the secret {name} is deleted, and keeps its name for some days: `aws secretsmanager"
            f" delete-secret --secret-id {name} --force-delete-without-recovery` frees it, for good"
        )
    return (
        f"the secret {name} is there already, and belongs to no stack: docs/run/operate.md (The"
        " whole database is gone) says how to keep what is in it; if no one needs it, `aws"
        f" secretsmanager delete-secret --secret-id {name} --force-delete-without-recovery`"
    )


def another_database(wanted: str, template: Mapping[str, Any]) -> Iterator[str]:
    """CloudFormation would make a new, empty database and leave the players' behind."""
    deployed = deployed_database(template)
    if deployed and deployed != wanted:
        yield (
            f"database is {wanted}, and this stage was deployed with {deployed}: a change would"
            " begin with an empty database. Deploy another stage with it and move the players there"
            " (docs/run/parameters.md)"
        )


def deployed_database(template: Mapping[str, Any]) -> str:
    """Return the parameter `database` that a template was compiled with; "" before the first."""
    resources = template.get("Resources", {})
    if "HttpLambdaFunction" not in resources:
        return ""
    database = resources.get("Database")
    if database is None:
        return "existing"
    if database["Type"] == "AWS::RDS::DBCluster":
        return "aurora"
    return str(database["Properties"]["Engine"])


def deployed_engine(template: Mapping[str, Any]) -> tuple[str, str]:
    """Return the engine version and the class that were deployed; "" without a database."""
    database = template.get("Resources", {}).get("Database")
    if database is None:
        return "", ""
    properties = database["Properties"]
    aurora = database["Type"] == "AWS::RDS::DBCluster"
    size = "db.serverless" if aurora else properties["DBInstanceClass"]
    return str(properties["EngineVersion"]), str(size)


def _runs(target: Target) -> Iterator[str]:
    service = target.client("lambda")
    limits = service.get_account_settings()["AccountLimit"]
    try:
        function = service.get_function(FunctionName=f"{target.stack}-http")
    except service.exceptions.ResourceNotFoundException:
        function = {}
    own = function.get("Concurrency", {}).get("ReservedConcurrentExecutions", 0)
    free = limits["UnreservedConcurrentExecutions"] + own
    yield from too_many_runs(target.parameters, limits["ConcurrentExecutions"], free)


def _plan(target: Target) -> Iterator[str]:
    answer = target.client("freetier", "us-east-1").get_account_plan_state()
    yield from on_the_free_plan(target.parameters, answer["accountPlanType"])


def _engine(target: Target) -> Iterator[str]:
    """A version that RDS has retired for new databases may stay in use: only changes are judged."""
    version, size = deployed_engine(target.deployed)
    unchanged = version == target.database["version"]
    if not target.on_rds or (unchanged and size == target.instance_class):
        return
    service = target.client("rds")
    found = service.get_paginator("describe_db_engine_versions").paginate(
        Engine=target.engine, DBParameterGroupFamily=target.database["family"]
    )
    versions = [one["EngineVersion"] for page in found for one in page["DBEngineVersions"]]
    if not unchanged:
        yield from no_such_engine(target, versions)
    if fits := fitting(target.database["version"], versions):
        options = service.describe_orderable_db_instance_options(
            Engine=target.engine,
            EngineVersion=fits[-1],
            DBInstanceClass=target.instance_class,
            Vpc=True,
        )["OrderableDBInstanceOptions"]
        if not options:
            yield (
                f"RDS has no {target.instance_class} for {target.engine} {fits[-1]} in"
                f" {target.region}: give another databaseClass, or choose another region"
            )


def _certificate(target: Target) -> Iterator[str]:
    if target.parameters["databaseCaFile"] == IN_LAMBDA:
        yield from no_certificate(target.region, regions_in(CERTIFICATES.read_text()))


def _secrets(target: Target) -> Iterator[str]:
    owned = _owned(target)
    service = target.client("secretsmanager")
    made = set(SECRETS)
    if str(target.parameters["trustedProxy"]).lower() != "true":
        made.remove("TrustedProxySecret")
    for logical_id, suffix in SECRETS.items():
        if logical_id in made - owned:
            name = f"game-login/{target.stage}/{suffix}"
            try:
                secret = service.describe_secret(SecretId=name)
            except service.exceptions.ResourceNotFoundException:
                continue
            yield left_over(name, deleted="DeletedDate" in secret)


def _owned(target: Target) -> set[str]:
    """Return what the stack has."""
    pages = target.client("cloudformation").get_paginator("list_stack_resources")
    try:
        return {
            one["LogicalResourceId"]
            for page in pages.paginate(StackName=target.stack)
            for one in page["StackResourceSummaries"]
            if one["ResourceStatus"] != "DELETE_COMPLETE"
        }
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":  # that is: no such stack
            raise
        return set()


def _database(target: Target) -> Iterator[str]:
    yield from another_database(str(target.parameters["database"]), target.deployed)


def _budget(target: Target) -> Iterator[str]:
    if float(target.parameters["monthlyBudget"]) == 0:
        return
    registry = target.client("cloudformation")
    try:
        registry.describe_type(Type="RESOURCE", TypeName=BUDGET)
    except registry.exceptions.TypeNotFoundException:
        yield (
            f"CloudFormation makes no budgets in {target.region}: set monthlyBudget: 0, and make"
            " one by hand (docs/run/deploy.md, Be told about money)"
        )
        return
    account = target.client("sts").get_caller_identity()["Account"]
    service = target.client("budgets", "us-east-1")
    try:
        service.describe_budgets(AccountId=account, MaxResults=1)
    except service.exceptions.AccessDeniedException:
        yield (
            "monthlyBudget makes a budget, and this user or role may not see the account's: have"
            " the root user switch on `IAM user and role access to Billing information` (Account),"
            " or set monthlyBudget: 0"
        )


QUESTIONS: Mapping[str, Callable[[Target], Iterator[str]]] = {
    "certificates of the region": _certificate,
    "account plan": _plan,
    "budget": _budget,
    "concurrent runs": _runs,
    "engine version and class": _engine,
    "change of database": _database,
    "secrets left over": _secrets,
}


def ask(target: Target) -> tuple[list[str], list[str]]:
    """Return the refusals, and the questions that were not answered."""
    refusals: list[str] = []
    unanswered: list[str] = []
    for name, question in QUESTIONS.items():
        try:
            refusals += question(target)
        except ClientError as error:
            unanswered.append(f"{name} ({error.response['Error']['Code']})")
        except (BotoCoreError, ResponseParserError) as error:
            unanswered.append(f"{name} ({type(error).__name__})")
    return refusals, unanswered


def main() -> None:
    """Read what is to be deployed, and say what speaks against it."""
    given = json.load(sys.stdin)
    target = Target(given["stage"], given["region"], given["parameters"], given["database"])
    refusals, unanswered = ask(target)
    sys.stdout.writelines(f"{line}{os.linesep}" for line in refusals)
    if unanswered:
        sys.stderr.write(f"not checked, AWS gave no answer: {', '.join(unanswered)}\n")


if __name__ == "__main__":
    main()
