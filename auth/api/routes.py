"""The route table: each route of /v1, declared once.

Flask's rules, `docs/contract/openapi.json` and the contract tests derive from it. The tutorial's
two routes are in `tutorial`, in the same form.
"""

from auth.api.account_views import (
    AccountViews,
    Deletion,
    ExportRequest,
    NewAccount,
    PasswordChange,
    Rename,
    SignIn,
)
from auth.api.answers import (
    AccountBody,
    Done,
    EventList,
    Health,
    KeySet,
    OwnAccountBody,
    RecoveredBody,
    RecoveryCodeBody,
    SessionBody,
    SessionList,
    TicketBody,
)
from auth.api.export_answers import ExportBody
from auth.api.game_server_answers import FeedBody, RedeemedBody
from auth.api.game_server_views import FeedQuery, GameServerViews, RedeemRequest
from auth.api.guest_views import GuestUpgrade, GuestViews, GuestVisit
from auth.api.recovery_views import RecoveryByCode, RecoveryCodeRequest, RecoveryViews
from auth.api.routing import Route
from auth.api.service_views import ServiceViews
from auth.api.session_views import Logout, Refresh, SessionViews
from auth.api.ticket_views import TicketRequest, TicketViews
from auth.errors import (
    AccountSuspended,
    GuestsDisabled,
    GuestSecretInUse,
    IdempotencyKeyReused,
    InvalidCredentials,
    InvalidTicket,
    InvalidUsername,
    NoPassword,
    NotAGuest,
    NotFound,
    RenamedRecently,
    SessionEnded,
    TicketExpired,
    TicketUsed,
    UnknownGuest,
    UsernameTaken,
    WeakGuestSecret,
    WeakPassword,
    WrongCurrentPassword,
    WrongGuestSecret,
    WrongPassword,
    WrongRecoveryCode,
    WrongServer,
)
from auth.flows.rate_limits import (
    CHANGE_BY_ACCOUNT,
    GUEST_BY_ADDRESS,
    LOGIN_BY_ACCOUNT,
    LOGIN_BY_ACCOUNT_AND_ADDRESS,
    LOGIN_BY_ADDRESS,
    LOGIN_FROM_KNOWN_DEVICE,
    NAME_BY_ADDRESS,
    PASSWORD_CHECK_BY_ACCOUNT,
    RECOVERY_BY_ACCOUNT_AND_ADDRESS,
    RECOVERY_BY_ADDRESS,
    SESSIONS_BY_ACCOUNT,
    TICKETS_BY_ACCOUNT,
)
from auth.flows.sessions import Sessions

JWKS_CACHE = "public, max-age=300"

ROUTES = (
    Route(
        *("POST", "/v1/register", AccountViews.register, SessionBody),
        success="The account is open, and the player signed in.",
        status=201,
        body=NewAccount,
        has_idempotency_key=True,
        errors=(
            InvalidCredentials,
            AccountSuspended,
            UsernameTaken,
            IdempotencyKeyReused,
            InvalidUsername,
            WeakPassword,
        ),
        limits=(NAME_BY_ADDRESS, LOGIN_BY_ACCOUNT, SESSIONS_BY_ACCOUNT),
    ),
    Route(
        *("POST", "/v1/login", AccountViews.log_in, SessionBody),
        success="The player is signed in.",
        body=SignIn,
        errors=(InvalidCredentials, AccountSuspended),
        limits=(
            LOGIN_BY_ADDRESS,
            LOGIN_BY_ACCOUNT_AND_ADDRESS,
            LOGIN_BY_ACCOUNT,
            LOGIN_FROM_KNOWN_DEVICE,
            SESSIONS_BY_ACCOUNT,
        ),
    ),
    Route(
        *("POST", "/v1/guest", GuestViews.enter, SessionBody),
        success="The guest is signed in.",
        created="The guest is created and signed in.",
        body=GuestVisit,
        errors=(WeakGuestSecret, UnknownGuest, GuestsDisabled, AccountSuspended),
        limits=(GUEST_BY_ADDRESS, SESSIONS_BY_ACCOUNT),
    ),
    Route(
        *("POST", "/v1/recover", RecoveryViews.recover, RecoveredBody),
        success="The player is signed in; the code is used, and every other session has ended.",
        body=RecoveryByCode,
        errors=(
            WrongRecoveryCode,
            AccountSuspended,
            NoPassword,
            NotAGuest,
            GuestSecretInUse,
            WeakPassword,
            WeakGuestSecret,
        ),
        limits=(RECOVERY_BY_ACCOUNT_AND_ADDRESS, RECOVERY_BY_ADDRESS),
    ),
    Route(
        *("POST", "/v1/refresh", SessionViews.refresh, SessionBody),
        success="The player is signed in.",
        body=Refresh,
        has_idempotency_key=True,
        errors=(SessionEnded, IdempotencyKeyReused),
    ),
    Route(
        *("POST", "/v1/logout", SessionViews.log_out, Done),
        success="The session has ended.",
        body=Logout,
        may_have_bearer=True,
        errors=(SessionEnded,),
    ),
    Route(
        *("GET", "/v1/sessions", SessionViews.list_sessions, SessionList),
        success="The living sessions, 50 at most, this one among them.",
        caller=Sessions.caller,
    ),
    Route(
        *("DELETE", "/v1/sessions/<session_id>", SessionViews.end_session, Done),
        success="The session has ended.",
        caller=Sessions.caller,
        errors=(NotFound,),
    ),
    Route(
        *("GET", "/v1/me", AccountViews.me, OwnAccountBody),
        success="The account.",
        caller=Sessions.caller,
    ),
    Route(
        *("GET", "/v1/me/events", AccountViews.events, EventList),
        success="The newest 100 events.",
        caller=Sessions.caller,
    ),
    Route(
        *("POST", "/v1/me/upgrade", GuestViews.upgrade, SessionBody),
        success="The account has a name and a password.",
        body=GuestUpgrade,
        caller=Sessions.calling_session,
        errors=(WrongGuestSecret, NotAGuest, UsernameTaken, InvalidUsername, WeakPassword),
        limits=(PASSWORD_CHECK_BY_ACCOUNT, NAME_BY_ADDRESS),
    ),
    Route(
        *("PUT", "/v1/me/username", AccountViews.rename, AccountBody),
        success="The account has the name.",
        body=Rename,
        caller=Sessions.calling_session,
        errors=(
            WrongPassword,
            WrongGuestSecret,
            RenamedRecently,
            UsernameTaken,
            InvalidUsername,
        ),
        limits=(PASSWORD_CHECK_BY_ACCOUNT, CHANGE_BY_ACCOUNT, NAME_BY_ADDRESS),
    ),
    Route(
        *("PUT", "/v1/me/password", AccountViews.change_password, SessionBody),
        success="The password is changed.",
        body=PasswordChange,
        caller=Sessions.calling_session,
        errors=(WrongCurrentPassword, NoPassword, WeakPassword),
        limits=(PASSWORD_CHECK_BY_ACCOUNT, CHANGE_BY_ACCOUNT),
    ),
    Route(
        *("POST", "/v1/me/recovery-code", RecoveryViews.make_recovery_code, RecoveryCodeBody),
        success="The new code.",
        body=RecoveryCodeRequest,
        caller=Sessions.calling_session,
        errors=(WrongPassword, WrongGuestSecret),
        limits=(PASSWORD_CHECK_BY_ACCOUNT, CHANGE_BY_ACCOUNT),
    ),
    Route(
        *("POST", "/v1/me/export", AccountViews.export, ExportBody),
        success="Everything that is stored.",
        body=ExportRequest,
        caller=Sessions.calling_session,
        errors=(WrongPassword, WrongGuestSecret),
        limits=(PASSWORD_CHECK_BY_ACCOUNT, CHANGE_BY_ACCOUNT),
    ),
    Route(
        *("POST", "/v1/me/delete", AccountViews.delete_account, Done),
        success="The account is gone.",
        body=Deletion,
        caller=Sessions.calling_session,
        errors=(WrongPassword, WrongGuestSecret),
        limits=(PASSWORD_CHECK_BY_ACCOUNT,),
    ),
    Route(
        *("POST", "/v1/tickets", TicketViews.get_ticket, TicketBody),
        success="The ticket.",
        status=201,
        body=TicketRequest,
        caller=Sessions.caller,
        limits=(TICKETS_BY_ACCOUNT,),
    ),
    Route(
        *("POST", "/v1/server/redeem", GameServerViews.redeem, RedeemedBody),
        success="The player may connect.",
        body=RedeemRequest,
        has_server_key=True,
        errors=(InvalidTicket, WrongServer, TicketUsed, TicketExpired),
    ),
    Route(
        *("GET", "/v1/server/events", GameServerViews.server_events, FeedBody),
        success="The events after the cursor, 1000 at most.",
        query=FeedQuery,
        has_server_key=True,
        errors=(WrongServer,),
    ),
    Route(
        *("GET", "/.well-known/jwks.json", ServiceViews.public_keys, KeySet),
        success="The keys, to be cached for 300 s.",
        cache=JWKS_CACHE,
    ),
    Route(
        *("GET", "/v1/health", ServiceViews.health, Health),
        success="It does.",
    ),
)
