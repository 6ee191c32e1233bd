"""Connections through RDS Proxy, with the database itself in the proxy's place."""

import re

import msgspec
import pytest

from auth.external.connection import DatabaseSecret, Statement, connect, tls_context
from auth.external.database import Database
from auth.external.failures import DatabaseFailure
from auth.external.secret_store import SecretStore
from auth.settings import Settings
from local.stack import ROOT, Stack
from tests.play.containers import ask
from tests.play.engines import MYSQL, STATEMENT_LIMIT

VARIABLES = (
    *("time_zone", "sql_mode", "innodb_lock_wait_timeout", "lock_wait_timeout"),
    STATEMENT_LIMIT,
)


def said_by_proxy(engine: str) -> str:
    """Return the template's query by which the proxy prepares a connection to an engine."""
    query = re.search(
        r'InitQuery: "(.+)"', (ROOT / "deploy" / "infrastructure" / "proxy.yml").read_text()
    )
    database = (ROOT / "deploy" / "infrastructure" / "database" / f"{engine}.yml").read_text()
    limit = re.search(r"statementLimit: (.+)", database)
    assert query
    assert limit
    return query[1].replace("${self:custom.database.statementLimit}", limit[1])


@pytest.fixture
def secret(stack: Stack) -> DatabaseSecret:
    """Return the application's secret."""
    return SecretStore().read(stack.environment()["DATABASE_SECRET_ID"], DatabaseSecret)


@pytest.fixture
def proxied(
    stack: Stack, secret: DatabaseSecret, monkeypatch: pytest.MonkeyPatch
) -> DatabaseSecret:
    """Return a secret with an unreachable address; the proxy's port is the database's."""
    monkeypatch.setattr("auth.external.connection.PROXY_PORT", secret.port)
    return msgspec.structs.replace(secret, host="nowhere.invalid", port=1)


def test_the_proxy_says_what_the_application_would(
    stack: Stack, proxied: DatabaseSecret, secret: DatabaseSecret
) -> None:
    """The proxy prepares a connection with the same settings as the application does."""
    tls = tls_context(stack.environment()["DATABASE_CA_FILE"])
    names = list(VARIABLES)
    with connect(secret, tls) as straight, connect(secret, tls, proxy_host=secret.host) as through:
        version = straight.run(Statement("SELECT VERSION() AS v"), 4.0).rows[0]["v"]
        # MariaDB knows this name from 11.1 on; RDS Proxy comes with MariaDB 11.8.
        old = not MYSQL and tuple(int(number) for number in version.split(".")[:2]) < (11, 1)
        isolation = "tx_isolation" if old else "transaction_isolation"
        query = said_by_proxy(secret.engine).replace("transaction_isolation", isolation)
        sql = "SELECT " + ", ".join(f"@@{name} AS {name}" for name in [*names, isolation])
        wanted = straight.run(Statement(sql), 4.0).rows
        assert through.run(Statement(sql), 4.0).rows != wanted  # nothing is set yet
        through.run(Statement(query), 4.0)
        assert through.run(Statement(sql), 4.0).rows == wanted


def test_the_proxys_address_is_taken(
    stack: Stack, proxied: DatabaseSecret, secret: DatabaseSecret
) -> None:
    """With a proxy the secret's address is ignored; without a proxy it is used."""
    tls = tls_context(stack.environment()["DATABASE_CA_FILE"])
    with connect(proxied, tls, proxy_host=secret.host) as connection:
        assert connection.run(Statement("SELECT 1 AS one"), 4.0).rows == [{"one": 1}]
    with pytest.raises(DatabaseFailure, match="unreachable"):
        connect(proxied, tls)


def test_requests_go_through_it(
    stack: Stack, proxied: DatabaseSecret, secret: DatabaseSecret, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The setting reaches the connection that serves requests."""
    settings = Settings.from_environment(
        {**stack.environment(), "DATABASE_PROXY_HOST": secret.host}
    )
    assert settings.database_proxy_host == secret.host
    monkeypatch.setattr(SecretStore, "read", lambda *_: proxied)
    database = Database(
        SecretStore(),
        settings.database_secret_id,
        settings.database_ca_file,
        proxy_host=settings.database_proxy_host,
    )
    assert ask(database, "SELECT 1 AS one") == {"one": 1}
    database.close()
