"""Answers to the questions of deploy/preflight.py that moto lacks.

The account is on the paid plan, may run a thousand functions at once, and its RDS has the engines
of the templates.
"""

import importlib
import json
from collections.abc import Mapping
from typing import Any

from moto.awslambda.models import lambda_backends
from moto.core.responses import ActionResult

from local.secrets_manager import REGION
from tests.rehearsal.configuration import ACCOUNT

LAMBDA_SETTINGS = "/2016-08-19/account-settings/"
PLAN = "AWSFreeTierService.GetAccountPlanState"
RUNS = 1000
VERSIONS = {"mariadb": "11.8.99", "mysql": "8.4.99", "aurora-mysql": "8.0.mysql_aurora.3.10.6"}


def install() -> None:
    """Have moto's RDS list engines and classes."""
    responses: Any = importlib.import_module("moto.rds.responses").RDSResponse
    responses.describe_db_engine_versions = _versions
    responses.describe_orderable_db_instance_options = _options


def answer(environ: Mapping[str, Any]) -> bytes | None:
    """Return the answer to a question that moto lacks, or None for any other."""
    if environ["PATH_INFO"] == LAMBDA_SETTINGS:
        functions = lambda_backends[ACCOUNT][REGION].list_functions()
        reserved = sum(int(function.reserved_concurrency or 0) for function in functions)
        free = {"ConcurrentExecutions": RUNS, "UnreservedConcurrentExecutions": RUNS - reserved}
        return json.dumps({"AccountLimit": free}).encode()
    if environ.get("HTTP_X_AMZ_TARGET") == PLAN:
        return json.dumps({"accountId": ACCOUNT, "accountPlanType": "PAID"}).encode()
    return None


def _versions(response: Any) -> Any:
    engine = response.params["Engine"]
    versions = [{"Engine": engine, "EngineVersion": VERSIONS[engine]}]
    return ActionResult({"DBEngineVersions": versions})


def _options(response: Any) -> Any:
    option = {
        name: response.params[name] for name in ("Engine", "EngineVersion", "DBInstanceClass")
    }
    return ActionResult({"OrderableDBInstanceOptions": [option]})
