"""The composition root: the application and the jobs, put together from their parts.

Nothing else in the product constructs a secret store, a `Database` or a flow. Each job is imported
when it runs, since no player's request needs one.
"""

import logging
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from auth.api.account_views import AccountViews
from auth.api.application import Application
from auth.api.export_answers import export_body
from auth.api.game_server_views import GameServerViews
from auth.api.guest_views import GuestViews
from auth.api.recovery_views import RecoveryViews
from auth.api.request_log import RequestLog
from auth.api.routes import ROUTES
from auth.api.routing import Callers, blueprint
from auth.api.service_views import ServiceViews
from auth.api.session_views import SessionViews
from auth.api.ticket_views import TicketViews
from auth.api.trusted_proxy import TrustedProxy
from auth.api.tutorial import tutorial
from auth.credentials.access_tokens import Realm
from auth.credentials.leaked_passwords import LeakedPasswords
from auth.credentials.password_policy import PasswordPolicy
from auth.credentials.passwords import Passwords
from auth.credentials.token_keys import TokenKeys
from auth.external.connection import tls_context
from auth.external.database import Database
from auth.external.secret_store import SecretStore
from auth.flows.accounts import Accounts
from auth.flows.admission import Admission
from auth.flows.confirmation import Confirmations
from auth.flows.feed import Feed
from auth.flows.game_servers import Tickets
from auth.flows.guests import Guests, Upgrades
from auth.flows.history import AccountHistory
from auth.flows.password_change import PasswordChanges
from auth.flows.rate_limits import RateLimits
from auth.flows.recovery import Recoveries, RecoveryCodes
from auth.flows.redemptions import Redemptions
from auth.flows.renaming import Renamings
from auth.flows.renewal import Renewals
from auth.flows.server_keys import ServerKeys
from auth.flows.sessions import Sessions
from auth.flows.suspensions import Suspensions
from auth.settings import SettingError, Settings, choice, required
from auth.store.account_lists import AccountLists
from auth.store.accounts import AccountTable
from auth.store.connections import ConnectionTable
from auth.store.events import EventTable
from auth.store.feed import FeedTable
from auth.store.identities import IdentityTable
from auth.store.operations import OperationTable
from auth.store.rate_limits import BucketTable
from auth.store.recovery_codes import RecoveryCodeTable
from auth.store.renewals import RenewalTable
from auth.store.server_keys import ServerKeyTable
from auth.store.sessions import SessionTable
from auth.store.sign_ins import SignIns
from auth.times import Clock, system_clock

if TYPE_CHECKING:
    from auth.jobs.admin import Admin
    from auth.jobs.operate import Operate
    from auth.jobs.operator_events import Command

logger = logging.getLogger(__name__)

CLEAN_UP_SECONDS = 60.0
SPARE_SECONDS = 10.0  # of the time that Lambda gives to a run, not used
ROLES = ("view", "support", "own")  # of operators


def create_app(
    settings: Settings, clock: Clock = system_clock, passwords: Passwords | None = None
) -> Application:
    """Return the application.

    It connects to nothing yet: the first request asks for the database and the secrets. Everything
    else is made ready.

    Raises:
        SettingError: the CA file or the list of leaked passwords cannot be used.
    """
    secret_store = SecretStore()
    secret_store.prepare()
    database = _database(settings, secret_store)
    keys = TokenKeys(secret_store, settings.token_secret_id)
    realm = Realm(settings.token_issuer, settings.token_audience)
    sessions = Sessions(SessionTable(database), keys, realm, clock)
    limits = RateLimits(BucketTable(database), keys, settings.rate_limit_scale)
    flows = _Flows(settings, database, keys, sessions, limits, passwords or Passwords(), clock)
    proxy = TrustedProxy(
        secret_store, settings.trusted_proxy_secret_id, settings.trusted_proxy_header
    )
    views = (
        AccountViews(flows.accounts, flows.changes, flows.renamings, flows.history, proxy),
        GuestViews(flows.guests, flows.upgrades, proxy),
        RecoveryViews(flows.recovery_codes, flows.recoveries, proxy),
        SessionViews(sessions),
        TicketViews(Tickets(keys, settings.token_issuer, limits, settings.ticket_seconds, clock)),
        GameServerViews(
            Redemptions(ConnectionTable(database), keys, settings.token_issuer, clock),
            Feed(FeedTable(database), settings.poll_after_seconds, clock),
        ),
        ServiceViews(keys, database),
    )
    callers = Callers(sessions, ServerKeys(ServerKeyTable(database)))
    rules = (blueprint("api", ROUTES, callers, *views), tutorial(flows.accounts, callers, proxy))
    return Application(database, secret_store, proxy, RequestLog(limits, proxy), rules)


class _Flows:
    """The flows on accounts, put together from the tables and from each other."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        keys: TokenKeys,
        sessions: Sessions,
        limits: RateLimits,
        passwords: Passwords,
        clock: Clock,
    ) -> None:
        accounts, session_table = AccountTable(database), SessionTable(database)
        sign_ins, identities = SignIns(database), IdentityTable(database)
        admission = Admission(accounts, session_table, sessions, limits, clock)
        confirmations = Confirmations(identities, limits, passwords, clock)
        renewals = Renewals(sessions, keys, passwords, clock)
        renewal_table, events = RenewalTable(database), EventTable(database)
        codes = RecoveryCodeTable(database)
        leaked = LeakedPasswords(settings.leaked_passwords_file)
        policy = PasswordPolicy(leaked, settings.password_words)
        self.accounts = Accounts(
            accounts,
            sign_ins,
            sessions,
            admission,
            confirmations,
            limits,
            passwords,
            policy,
            clock,
        )
        self.changes = PasswordChanges(renewal_table, renewals, limits, passwords, policy, clock)
        self.renamings = Renamings(accounts, confirmations, clock)
        self.history = AccountHistory(
            events,
            OperationTable(database),
            identities,
            codes,
            session_table,
            ConnectionTable(database),
            confirmations,
            clock,
        )
        self.guests = Guests(
            identities, sign_ins, admission, limits, passwords, clock, enabled=settings.guests
        )
        self.upgrades = Upgrades(renewal_table, renewals, confirmations, limits, policy, clock)
        self.recovery_codes = RecoveryCodes(codes, confirmations, passwords, clock)
        self.recoveries = Recoveries(
            codes, identities, sign_ins, admission, limits, passwords, policy, clock
        )


def migrate(environment: Mapping[str, str]) -> list[str]:
    """Prepare the database for this version; return the names of the migrations that were applied.

    Raises:
        SettingError: a setting is missing.
        MigrationError, UserError, DatabaseFailure, Unavailable: as `Preparation.run`.
    """
    from auth.jobs.preparation import Preparation

    secret_store = SecretStore()
    admin = _admin(environment, secret_store)
    database_secret_id = required(environment, "DATABASE_SECRET_ID")
    token_secret_id = required(environment, "TOKEN_SECRET_ID")
    return Preparation(secret_store, admin, database_secret_id, token_secret_id).run()


def seconds_left(context: object) -> float:
    """Return for how many seconds a run of a function may work; 60 without Lambda's context."""
    left = getattr(context, "get_remaining_time_in_millis", None)
    return left() / 1000 - SPARE_SECONDS if left else CLEAN_UP_SECONDS


def clean_up(environment: Mapping[str, str], seconds: float) -> dict[str, int]:
    """Delete expired rows for at most about `seconds`; return how many of each table.

    Raises:
        Unavailable: the database cannot be reached.
        SettingError: a setting is missing.
    """
    from auth.jobs.cleaning import clean_up as delete_expired
    from auth.jobs.rotation import report_age

    settings = Settings.from_environment(environment)
    secret_store = SecretStore()
    database = _database(settings, secret_store)
    try:
        done = delete_expired(
            database,
            system_clock,
            seconds,
            history_days=settings.session_history_days,
            guest_days=settings.guest_days,
        )
    finally:
        database.close()
    completed = {f"{table}_completed": value for table, value in done.completed.items()}
    fields = {"event": "cleaned_up", **done.deleted, **completed}
    logger.info("cleaned up: %s", done.deleted, extra=fields)
    report_age(secret_store, settings.database_secret_id, system_clock())
    return done.deleted


def rotate(environment: Mapping[str, str], event: object) -> None:
    """Do one step of the rotation of the application's database user.

    Raises:
        SettingError: a setting is missing.
        RotationError, Unavailable, DatabaseFailure, UserError: as `Rotation.run`.
    """
    from auth.jobs.rotation import Rotation

    secret_store = SecretStore()
    admin = _admin(environment, secret_store)
    Rotation(secret_store, required(environment, "DATABASE_SECRET_ID"), admin).run(event)


def operate(environment: Mapping[str, str], event: object, request_id: str) -> dict[str, Any]:
    """Run a command of an operator and return its answer; it never raises."""
    from auth.jobs.operator_events import failed

    try:
        settings = Settings.from_environment(environment)
        role = choice(environment, "OPERATOR_ROLE", ROLES)
        return _kept_operate(settings, role).answer(event, request_id)
    except SettingError as error:
        logger.critical("cannot start: %s", error, extra={"event": "setting_wrong"})
        return failed("internal_error", "The function cannot start; the log says why.")


@lru_cache(maxsize=len(ROLES))  # a container has one
def _kept_operate(settings: Settings, role: str) -> "Operate":
    """Return what runs the commands, made once in a container."""
    return create_operate(settings, role)


def create_operate(settings: Settings, role: str, clock: Clock = system_clock) -> "Operate":
    """Return what runs the commands of one role of operators.

    Raises:
        SettingError: a setting is missing or wrong.
    """
    from auth.jobs.operate import Operate
    from auth.jobs.operator_events import Role

    secret_store = SecretStore()
    database = _database(settings, secret_store)
    commands = {one.name: one for one in _commands(settings, secret_store, database, clock)}
    accounts, operations = AccountTable(database), OperationTable(database)
    return Operate(Role(role), commands, database, accounts, operations, clock)


def _commands(
    settings: Settings, secret_store: SecretStore, database: Database, clock: Clock
) -> Iterator["Command"]:
    """Yield the commands of all roles."""
    from auth.jobs.operator_commands import OperatorCommands
    from auth.jobs.operator_views import OperatorViews
    from auth.jobs.server_commands import ServerCommands

    keys = TokenKeys(secret_store, settings.token_secret_id)
    accounts, sessions = AccountTable(database), SessionTable(database)
    lists, codes = AccountLists(database), RecoveryCodeTable(database)
    limits = RateLimits(BucketTable(database), keys, settings.rate_limit_scale)
    realm = Realm(settings.token_issuer, settings.token_audience)
    session_flow = Sessions(sessions, keys, realm, clock)
    passwords = Passwords()
    flows = _Flows(settings, database, keys, session_flow, limits, passwords, clock)
    yield from OperatorCommands(
        lists,
        accounts,
        sessions,
        codes,
        Suspensions(accounts, clock),
        flows.renamings,
        flows.accounts,
        flows.history,
        Feed(FeedTable(database), settings.poll_after_seconds, clock),
        limits,
        passwords,
        lambda export: msgspec.to_builtins(export_body(export)),
        clock,
    ).all()
    events, operations = EventTable(database), OperationTable(database)
    views = OperatorViews(accounts, lists, sessions, events, codes, operations, limits, clock)
    yield from views.all()
    yield from ServerCommands(ServerKeyTable(database), clock).all()


def _database(settings: Settings, secret_store: SecretStore) -> Database:
    return Database(
        secret_store,
        settings.database_secret_id,
        settings.database_ca_file,
        proxy_host=settings.database_proxy_host,
    )


def _admin(environment: Mapping[str, str], secret_store: SecretStore) -> "Admin":
    from auth.jobs.admin import Admin

    tls = tls_context(required(environment, "DATABASE_CA_FILE"))
    return Admin(secret_store, required(environment, "DATABASE_ADMIN_SECRET_ID"), tls)
