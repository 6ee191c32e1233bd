"""Views of sessions: refresh, sign out, list them, end one."""

from typing import Annotated

from msgspec import Meta

from auth.api.answers import Done, SessionBody, SessionList, session_body, session_list
from auth.api.forms import Form
from auth.api.reading import bearer_token
from auth.errors import NotFound
from auth.flows.sessions import Caller, Sessions
from auth.times import parse_id


class Refresh(Form):
    """A refresh of the session, without a password."""

    refresh_token: str


class Logout(Form):
    """The end of a session, of the access token unless there is a refresh token."""

    everywhere: Annotated[bool | None, Meta(description="End all sessions of the account.")] = None
    refresh_token: Annotated[
        str | None,
        Meta(
            description="Any refresh token of the session. If it is there it decides, and the"
            " header is not read; `everywhere` then needs the current one."
        ),
    ] = None


class SessionViews:
    """The views, with the flow that they call."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def refresh(self, form: Refresh, key: str | None) -> SessionBody:
        """Come back without a password: the same session with new tokens."""
        return session_body(self._sessions.refresh(form.refresh_token, key))

    def log_out(self, form: Logout) -> Done:
        """End this session, or all of them.

        Takes the access token, or a refresh token in the body. A session that has ended gets 200
        too.
        """
        everywhere = bool(form.everywhere)
        if form.refresh_token is not None:
            self._sessions.end_by_token(form.refresh_token, everywhere=everywhere)
        else:
            # Claims are enough: a session that has ended already is signed out, too.
            self._sessions.end(self._sessions.claims(bearer_token()), everywhere=everywhere)
        return Done()

    def list_sessions(self, caller: Caller) -> SessionList:
        """List the sessions in which the player is signed in."""
        return session_list(self._sessions.list_usable(caller), caller.session_id)

    def end_session(self, caller: Caller, session_id: str) -> Done:
        """End one session of the player."""
        try:
            identifier = parse_id(session_id)
        except ValueError:
            raise NotFound from None
        self._sessions.end_one(caller.account, identifier)
        return Done()
