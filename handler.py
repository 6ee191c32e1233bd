"""The Lambda entry points: `http`, `migrate`, `clean_up`, `rotate`.

`http` never raises: an exception would reach the player as an answer without our headers, and
under `serverless offline` as a request that hangs. The others do, so that the deployment, the
schedule or Secrets Manager that called them sees it fail.
"""

import gc

gc.disable()  # until all is loaded: looking for garbage where there is none takes longer than that

import base64
import binascii
import json
import logging
import os
import re
import ssl
from functools import partial
from typing import Any

import msgspec
import serverless_wsgi

from auth.api.answers import error_body
from auth.api.request_log import METHODS
from auth.app import HEADERS, create_app
from auth.credentials.keys import new_token_secret
from auth.errors import ApiError, InternalError, InvalidRequest, NotFound, Unavailable
from auth.external.connection import Connection, Credentials, DatabaseSecret, connect, tls_context
from auth.external.database import Database
from auth.external.resuming import wait_for
from auth.external.secret_store import SecretStore
from auth.external.snapshot import prepare_for_snapshot
from auth.jobs.cleaning import clean_up as delete_expired
from auth.jobs.database_users import let_in
from auth.jobs.migrate import FOLDER, migrations_in
from auth.jobs.migrate import migrate as apply_migrations
from auth.jobs.rotation import Rotation, report_age
from auth.logs import begin_request, configure_logging, request_id, where
from auth.settings import SettingError, Settings, required
from auth.times import system_clock

logger = logging.getLogger("auth.handler")

# The headers that reach the application, beside those of a trusted proxy. The rest, such as
# X-Forwarded-For, is the caller's to invent; Transfer-Encoding would make Werkzeug see no body.
HEADERS_READ = ("authorization", "content-type", "idempotency-key")
MIGRATION_SECONDS = 600.0
ROTATION_SECONDS = 30.0
CLEAN_UP_SECONDS = 60.0
REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
SPARE_SECONDS = 10.0  # left unused of what Lambda gives to a run

configure_logging()
try:
    application = create_app(Settings.from_environment(os.environ))
    start_error = ""
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
        prepare_for_snapshot(application.extensions["secret_store"])
except SettingError as setting_error:
    start_error = str(setting_error)  # logged by each request, and shown by the local stack
gc.freeze()  # what is loaded stays, and is never looked through
gc.enable()


def http(event: object, context: object) -> dict[str, Any]:
    """Answer one request of an API Gateway HTTP API (payload format 2.0)."""
    begin_request("")
    try:
        answer = _answered(event, context)
    except ApiError as error:
        answer = _refused(event, error)
    except Exception as error:  # noqa: BLE001  # the last line of defence
        answer = _refused(event, InternalError(), bug=where(error))
    if _gateway(event).get("method") == "HEAD":
        answer["body"] = ""
    return answer


def migrate(event: object, context: object) -> dict[str, Any]:
    """Bring the schema up to date, and see that the application can sign in and has its token keys.

    Raises:
        MigrationError, UserError, Failure, Unavailable, SettingError: it did not work; the schema
            as it was goes on serving.
    """
    secret_store = SecretStore()
    database_secret_id = required(os.environ, "DATABASE_SECRET_ID")
    user = secret_store.read(database_secret_id, DatabaseSecret)

    def users() -> tuple[DatabaseSecret, DatabaseSecret | None]:
        current = secret_store.read(database_secret_id, DatabaseSecret)
        try:
            return current, secret_store.read(database_secret_id, DatabaseSecret, "AWSPENDING")
        except Unavailable:
            return current, None  # no rotation is under way, or it has only begun

    tls = tls_context(required(os.environ, "DATABASE_CA_FILE"))
    with _admin(secret_store, tls, user, MIGRATION_SECONDS) as connection:
        applied = apply_migrations(connection, migrations_in(FOLDER))
        if let_in(connection, users, tls):
            logger.warning(
                "no password fitted: set that of the secret", extra={"event": "password_set"}
            )
    if secret_store.fill(required(os.environ, "TOKEN_SECRET_ID"), new_token_secret):
        logger.info("made the first token keys", extra={"event": "token_keys_made"})
    return {"applied": applied}


def clean_up(event: object, context: Any) -> dict[str, int]:
    """Delete expired sessions and full rate-limit buckets, as long as the run's time allows.

    Raises:
        Unavailable, SettingError: the database is out of reach, or a setting is missing.
    """
    settings = Settings.from_environment(os.environ)
    secret_store = SecretStore()
    database = Database(
        secret_store,
        settings.database_secret_id,
        settings.database_ca_file,
        proxy_host=settings.database_proxy_host,
    )
    seconds = CLEAN_UP_SECONDS
    if hasattr(context, "get_remaining_time_in_millis"):
        seconds = context.get_remaining_time_in_millis() / 1000 - SPARE_SECONDS
    try:
        deleted = delete_expired(
            database, system_clock, seconds, history_days=settings.session_history_days
        )
    finally:
        database.close()
    logger.info("cleaned up: %s", deleted, extra={"event": "cleaned_up", **deleted})
    secret_store.start_request()
    report_age(secret_store, settings.database_secret_id, system_clock())
    return deleted


def rotate(event: object, context: object) -> None:
    """Do one step of the rotation of the application's database user.

    Raises:
        RotationError: this is no event of its rotation.
        Unavailable, Failure, UserError, SettingError: the step failed; it may be repeated.
    """
    secret_store = SecretStore()
    tls = tls_context(required(os.environ, "DATABASE_CA_FILE"))
    secret_id = required(os.environ, "DATABASE_SECRET_ID")
    rotation = Rotation(secret_store, secret_id, partial(_admin, secret_store, tls), tls)
    rotation.run(event)


def _admin(
    secret_store: SecretStore,
    tls: ssl.SSLContext,
    user: DatabaseSecret,
    read_seconds: float = ROTATION_SECONDS,
) -> Connection:
    """Return a connection of the database's admin.

    RDS manages that secret, and puts no address there: it is the same database as the user's.
    """
    admin = secret_store.read(required(os.environ, "DATABASE_ADMIN_SECRET_ID"), Credentials)
    as_admin = msgspec.structs.replace(user, username=admin.username, password=admin.password)
    return wait_for(partial(connect, as_admin, tls, read_seconds=read_seconds, statement_seconds=0))


def _answered(event: object, context: object) -> dict[str, Any]:
    if start_error:
        logger.critical("cannot start: %s", start_error, extra={"event": "setting_wrong"})
        raise InternalError
    request = _checked(event, context)
    answer: dict[str, Any] = serverless_wsgi.handle_request(application, request, context)
    return answer


def _checked(event: object, context: object) -> dict[str, Any]:
    """Return what counts of an event, in a form that nothing downstream can stumble over.

    Raises:
        InvalidRequest: it is not an HTTP request, or its body is not what it says it is.
        NotFound: Werkzeug would take the path for another one.
    """
    if not isinstance(event, dict) or event.get("version") != "2.0":
        raise InvalidRequest("This is no request of an HTTP API (payload format 2.0).")
    gateway, headers, path = _gateway(event), event.get("headers"), event.get("rawPath")
    method = gateway.get("method")
    if not (isinstance(method, str) and isinstance(path, str)):
        raise InvalidRequest("This is no HTTP request.")
    begin_request(_request_id(event["requestContext"].get("requestId"), context))
    # The gateway has decoded the path already and serverless-wsgi decodes it once more, so that
    # /v1/%6cogin would be a login that the gateway's limit on logins never saw.
    if not path.startswith("/") or path.startswith("//") or "?" in path or "%" in path:
        raise NotFound
    return {
        "version": "2.0",
        "rawPath": _encodable(path),
        "headers": _headers(headers if isinstance(headers, dict) else {}),
        "body": _body(event),
        "requestContext": {
            "http": {
                "method": _encodable(method),
                "sourceIp": _encodable(str(gateway.get("sourceIp"))),
            }
        },
    }


def _gateway(event: object) -> dict[str, Any]:
    """Return what API Gateway says of the HTTP request, or nothing where it is none."""
    context = event.get("requestContext") if isinstance(event, dict) else None
    http = context.get("http") if isinstance(context, dict) else None
    return http if isinstance(http, dict) else {}


def _encodable(text: str) -> str:
    """Return the text with lone surrogates, which nothing can encode, replaced."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def _request_id(gateway_id: object, context: object) -> str:
    """Return API Gateway's id of the request, or else Lambda's."""
    for candidate in (gateway_id, getattr(context, "aws_request_id", None)):
        if isinstance(candidate, str) and REQUEST_ID.fullmatch(candidate):
            return candidate
    return ""


def _headers(headers: dict[Any, Any]) -> dict[str, str]:
    """Return the headers that are read, by their names in lower case."""
    named = {str(name).lower(): value for name, value in headers.items()}
    names = (*HEADERS_READ, *application.extensions["trusted_proxy"].headers())
    read = {name: named[name] for name in names if isinstance(named.get(name), str)}
    for name, value in read.items():
        if not value.isprintable():
            raise InvalidRequest(fields={name: "Control characters are not allowed."})
    return read


def _body(event: dict[str, Any]) -> bytes:
    """Return the body as bytes, whichever way the gateway passed it on."""
    body = event.get("body") or ""
    if not isinstance(body, str):
        raise InvalidRequest("The body is not text.")
    if not event.get("isBase64Encoded"):
        return body.encode(errors="surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest("The body is not the base64 that it says it is.") from None


def _refused(event: object, error: ApiError, bug: str = "") -> dict[str, Any]:
    """Answer and log, as the application does, a request that does not reach it."""
    method = _gateway(event).get("method")
    fields = {
        "event": "bug" if bug else "request",
        "method": method if isinstance(method, str) and method in METHODS else "(other)",
        "route": "(no route)",
        "status": error.status,
        "code": error.code,
    }
    text = f"{fields['method']} (no route) {error.status} {error.code}"
    if bug:
        logger.error("%s: %s", text, bug, extra=fields)
    else:
        logger.info(text, extra=fields)
    return {
        "statusCode": error.status,
        "headers": {
            **HEADERS,
            **error.headers(),
            "Content-Type": "application/json",
            "X-Request-Id": request_id.get(),
        },
        "body": json.dumps(error_body(error, request_id.get())),
        "isBase64Encoded": False,
    }
