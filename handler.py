"""The Lambda entry points: `http`, `migrate`, `clean_up`, `rotate`, `operate`.

`http` and `operate` never raise. The others do, so that their caller sees the failure: the
deployment, the schedule or Secrets Manager.
"""

import gc

gc.disable()  # while importing: there is nothing to collect yet, and each pass costs start-up time

import os
from typing import Any

from auth import app
from auth.api import gateway
from auth.api.application import Application
from auth.external.snapshot import prepare_for_snapshot
from auth.logs import configure_logging
from auth.settings import SettingError, Settings

configure_logging()
application: Application | None = None
start_error = ""
try:
    application = app.create_app(Settings.from_environment(os.environ))
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
        prepare_for_snapshot(application.secret_store)
except SettingError as setting_error:
    start_error = str(setting_error)  # logged by each request, and shown by the local stack
gc.freeze()  # the imported modules stay, so no later pass looks through them
gc.enable()


def http(event: object, context: object) -> dict[str, Any]:
    """Answer one request of an API Gateway HTTP API (payload format 2.0)."""
    return gateway.answer(application, start_error, event, context)


def migrate(event: object, context: object) -> dict[str, Any]:
    """Bring the schema up to date before players reach a new version."""
    return {"applied": app.migrate(os.environ)}


def clean_up(event: object, context: Any) -> dict[str, int]:
    """Delete expired sessions and full rate-limit buckets, as long as the run's time allows."""
    return app.clean_up(os.environ, app.seconds_left(context))


def rotate(event: object, context: object) -> None:
    """Do one step of the rotation of the application's database user."""
    app.rotate(os.environ, event)


def operate(event: object, context: Any) -> dict[str, Any]:
    """Run a command of an operator; OPERATOR_ROLE says for which role."""
    return app.operate(os.environ, event, getattr(context, "aws_request_id", ""))
