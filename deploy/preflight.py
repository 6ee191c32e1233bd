"""Asks AWS before a deployment whether it would fail, usually after a quarter of an hour.

`deploy/preflight.js` passes the stage, the region and the parameters as JSON on standard input.
Each line on standard output is a reason to stop, with its remedy; without any, the deployment
continues. If AWS does not answer a question, for example for lack of permission, standard error
names it.
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
KEPT_FOR_OTHERS = 100  # runs that cannot be reserved; with a smaller quota, all of them
# The limits of AWS's free plan: https://github.com/yc-software/qm/issues/352 has both refusals.
FREE_CLASSES = {"db.t3.micro", "db.t4g.micro"}
FREE_BACKUP_DAYS = 1
BUDGET = "AWS::Budgets::Budget"
SECRETS = {"DatabaseSecret": "database", "TokenSecret": "tokens", "TrustedProxySecret": "proxy"}

Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Target:
    """The deployment that is about to start."""

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
        """Tell whether the deployment creates a database."""
        return str(self.parameters["database"]) != "existing"

    @property
    def engine(self) -> str:
        """Return the engine's name in RDS."""
        return (
            "aurora-mysql" if self.parameters["database"] == "aurora" else self.database["engine"]
        )

    @property
    def instance_class(self) -> str:
        """Return the instance class of the database."""
        aurora = self.parameters["database"] == "aurora"
        return "db.serverless" if aurora else str(self.parameters["databaseClass"])

    @cached_property
    def deployed(self) -> Mapping[str, Any]:
        """Return the deployed template; {} before the first deployment."""
        try:
            answer = self.client("cloudformation").get_template(StackName=self.stack)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":  # means: no such stack
                raise
            return {}
        body = answer["TemplateBody"]
        template: Mapping[str, Any] = json.loads(body) if isinstance(body, str) else body
        return template

    def client(self, service: str, region: str = "") -> Any:
        """Return a client for a service."""
        return boto3.client(service, region_name=region or self.region, config=PATIENCE)


def too_many_runs(parameters: Parameters, limit: int, free: int) -> Iterator[str]:
    """Lambda keeps 100 runs for functions without a reservation; of a smaller quota, all."""
    wanted, most = int(parameters["concurrency"]), free - min(KEPT_FOR_OTHERS, limit)
    if str(parameters["reserveConcurrency"]).lower() == "true" and wanted > most:
        yield (
            f"concurrency is {wanted}, but of this account's {limit} concurrent runs only"
            f" {max(most, 0)} can be reserved: ask AWS for more (Service Quotas, Lambda, concurrent"
            " executions), or set reserveConcurrency: false until you have them"
        )


def on_the_free_plan(parameters: Parameters, plan: str) -> Iterator[str]:
    """AWS's free plan allows only small databases, with one day of backups."""
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
            " (`aws freetier upgrade-account-plan --account-plan-type PAID`), or set databaseClass:"
            f" db.t4g.micro and backupDays: {FREE_BACKUP_DAYS}"
        )


def no_such_engine(target: Target, versions: Sequence[str]) -> Iterator[str]:
    """RDS offers each version for about a year."""
    wanted = target.database["version"]
    if not fitting(wanted, versions):
        yield (
            f"RDS has no {target.engine} {wanted} in {target.region}"
            f" (it has {', '.join(versions) or 'none of that family'}): set another version in"
            f" deploy/infrastructure/database/{target.parameters['database']}.yml"
        )


def fitting(wanted: str, versions: Sequence[str]) -> list[str]:
    """Return the versions that match a version number or the beginning of one."""
    return [version for version in versions if f"{version}.".startswith(f"{wanted}.")]


def no_certificate(region: str, known: Sequence[str]) -> Iterator[str]:
    """The functions trust only databases of regions with a root certificate in the package."""
    if region not in known:
        yield (
            f"deploy/certificates/rds.pem has no root certificate of RDS for {region}, so the"
            " functions would refuse the database: add it as the head of that file describes, or"
            " choose another region"
        )


def regions_in(bundle: str) -> list[str]:
    """Return the regions in a bundle of RDS's certificates."""
    return sorted(set(re.findall(r"^# Amazon RDS (\S+) Root CA", bundle, re.MULTILINE)))


def left_over(name: str, *, deleted: bool) -> str:
    """Return the remedy for a secret that exists although the stack does not have it."""
    delete = (
        f"`aws secretsmanager delete-secret --secret-id {name} --force-delete-without-recovery`"
    )
    if deleted:
        return (
            f"the secret {name} is deleted, and keeps its name for some days: to delete it"
            f" irrevocably and free the name now, run {delete}"
        )
    return (
        f"the secret {name} is there already, and belongs to no stack: to keep its value, see"
        " docs/run/restore.md (The whole database is gone); if it is not needed, delete it with"
        f" {delete}"
    )


def another_database(wanted: str, template: Mapping[str, Any]) -> Iterator[str]:
    """CloudFormation would create a new, empty database without the players' accounts."""
    deployed = deployed_database(template)
    if deployed and deployed != wanted:
        yield (
            f"database is {wanted}, but this stage was deployed with {deployed}: the change would"
            " start with an empty database. Deploy another stage with the new database and move"
            " the players there (docs/run/parameters.md)"
        )


def deployed_database(template: Mapping[str, Any]) -> str:
    """Return a template's value of the parameter `database`; "" before the first deployment."""
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
    """Return the deployed engine version and instance class; "" without a database."""
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
    """Only changes are checked: a version that RDS has retired may stay in use."""
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
                f" {target.region}: set another databaseClass, or choose another region"
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
    """Return the logical ids of the stack's resources."""
    pages = target.client("cloudformation").get_paginator("list_stack_resources")
    try:
        return {
            one["LogicalResourceId"]
            for page in pages.paginate(StackName=target.stack)
            for one in page["StackResourceSummaries"]
            if one["ResourceStatus"] != "DELETE_COMPLETE"
        }
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":  # means: no such stack
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
            f"CloudFormation makes no budgets in {target.region}: set monthlyBudget: 0, and create"
            " one by hand (docs/run/deploy.md, Set a budget)"
        )
        return
    account = target.client("sts").get_caller_identity()["Account"]
    service = target.client("budgets", "us-east-1")
    try:
        service.describe_budgets(AccountId=account, MaxResults=1)
    except service.exceptions.AccessDeniedException:
        yield (
            "monthlyBudget creates a budget, but this user or role may not see the account's"
            " budgets: as the root user, turn on `IAM user and role access to Billing information`"
            " (Account), or set monthlyBudget: 0"
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
    """Return the reasons to stop, and the questions that AWS did not answer."""
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
    """Read the deployment from standard input, and print the reasons to stop it."""
    given = json.load(sys.stdin)
    target = Target(given["stage"], given["region"], given["parameters"], given["database"])
    refusals, unanswered = ask(target)
    sys.stdout.writelines(f"{line}{os.linesep}" for line in refusals)
    if unanswered:
        sys.stderr.write(f"not checked, since AWS gave no answer: {', '.join(unanswered)}\n")


if __name__ == "__main__":
    main()
