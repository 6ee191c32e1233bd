"""Adds the tutorial's test player, so that the tutorial's client has an account to sign in with."""

import os

from auth.credentials.passwords import Passwords
from auth.credentials.usernames import username_key
from auth.external.database import REQUEST_SECONDS, Database
from auth.external.failures import Duplicate
from auth.external.secret_store import SecretStore
from auth.flows.accounts import new_account
from auth.flows.admission import new_session
from auth.settings import Settings
from auth.store.accounts import AccountTable
from auth.store.events import new_event
from auth.store.records import EventKind
from auth.times import system_clock

USERNAME = "Test"
PASSWORD = "Test"  # noqa: S105  # the tutorial's password; registration would refuse it


def add_test_player() -> None:
    """Add the test player, unless it exists."""
    settings = Settings.from_environment(os.environ)
    database = Database(SecretStore(), settings.database_secret_id, settings.database_ca_file)
    now = system_clock()
    account = new_account(USERNAME, Passwords().hash(PASSWORD), now)
    session, _ = new_session(account, "seed", now)
    event = new_event(EventKind.REGISTERED, account.id, now, session.id)
    try:
        with database.budget(REQUEST_SECONDS):
            AccountTable(database).add(account, session, event, username_key=username_key(USERNAME))
    except Duplicate:
        return
    finally:
        database.close()
