"""Views of sessions: refresh, sign out, list them, end one."""

from auth.api.answers import Done, SessionBody, SessionList, session_body, session_list
from auth.api.forms import Logout, Refresh
from auth.api.reading import bearer_token
from auth.api.routing import Flows
from auth.errors import NotFound
from auth.flows.sessions import Caller
from auth.times import parse_id


def refresh(flows: Flows, form: Refresh, key: str | None) -> SessionBody:
    """Come back without a password: the same session with new tokens."""
    return session_body(flows.sessions.refresh(form.refresh_token, key))


def log_out(flows: Flows, form: Logout) -> Done:
    """End this session, or all of them.

    Takes the access token, or a refresh token in the body. A session that has ended gets 200 too.
    """
    everywhere = bool(form.everywhere)
    if form.refresh_token is not None:
        flows.sessions.end_by_token(form.refresh_token, everywhere=everywhere)
    else:
        # Claims are enough: a session that has ended already is signed out, too.
        flows.sessions.end(flows.sessions.claims(bearer_token()), everywhere=everywhere)
    return Done()


def list_sessions(flows: Flows, caller: Caller) -> SessionList:
    """List the sessions in which the player is signed in."""
    usable = flows.sessions.usable(caller)
    return session_list(usable, caller.session_id)


def end_session(flows: Flows, caller: Caller, session_id: str) -> Done:
    """End one session of the player."""
    try:
        identifier = parse_id(session_id)
    except ValueError:
        raise NotFound from None
    flows.sessions.end_one(caller.account, identifier)
    return Done()
