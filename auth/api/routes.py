"""The route table: each route of /v1, declared once.

Flask's rules, `docs/contract/openapi.json` and the contract tests derive from it. The tutorial's
two routes are in `tutorial`, in the same form.
"""

from auth.api.account_views import AccountViews, Deletion, NewAccount, PasswordChange, SignIn
from auth.api.answers import AccountBody, Done, Health, KeySet, SessionBody, SessionList
from auth.api.routing import Route
from auth.api.service_views import ServiceViews
from auth.api.session_views import Logout, Refresh, SessionViews
from auth.errors import (
    AccountSuspended,
    IdempotencyKeyReused,
    InvalidCredentials,
    InvalidUsername,
    NotFound,
    SessionEnded,
    UsernameTaken,
    WeakPassword,
    WrongCurrentPassword,
    WrongPassword,
)
from auth.flows.rate_limits import (
    LOGIN_BY_ACCOUNT,
    LOGIN_BY_ACCOUNT_AND_ADDRESS,
    LOGIN_BY_ADDRESS,
    LOGIN_FROM_KNOWN_DEVICE,
    PASSWORD_CHANGE_BY_ACCOUNT,
    PASSWORD_CHECK_BY_ACCOUNT,
    REGISTRATION_BY_ADDRESS,
    SESSIONS_BY_ACCOUNT,
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
        limits=(REGISTRATION_BY_ADDRESS, LOGIN_BY_ACCOUNT, SESSIONS_BY_ACCOUNT),
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
        *("GET", "/v1/me", AccountViews.me, AccountBody),
        success="The account.",
        caller=Sessions.caller,
    ),
    Route(
        *("PUT", "/v1/me/password", AccountViews.change_password, SessionBody),
        success="The password is changed.",
        body=PasswordChange,
        caller=Sessions.calling_session,
        errors=(WrongCurrentPassword, WeakPassword),
        limits=(PASSWORD_CHECK_BY_ACCOUNT, PASSWORD_CHANGE_BY_ACCOUNT),
    ),
    Route(
        *("POST", "/v1/me/delete", AccountViews.delete_account, Done),
        success="The account is gone.",
        body=Deletion,
        caller=Sessions.caller,
        errors=(WrongPassword,),
        limits=(PASSWORD_CHECK_BY_ACCOUNT,),
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
