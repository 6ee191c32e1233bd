"""What goes out: JSON objects as the contract names them, and errors.

Rendering only; nothing is looked up or decided here.
"""

import msgspec
from flask import Response

from auth.errors import ApiError
from auth.flows.sessions import SignedIn
from auth.store.records import Account, Session
from auth.texts import without_controls
from auth.times import id_text, rfc3339


def json_answer(body: object, status: int = 200) -> Response:
    """Return an answer with a JSON body."""
    return Response(msgspec.json.encode(body), status, mimetype="application/json")


def account_body(account: Account) -> dict[str, object]:
    """Return an account as its owner sees it."""
    return {
        "id": id_text(account.id),
        "username": account.username,
        "created_at": rfc3339(account.created_at),
    }


def session_body(signed_in: SignedIn) -> dict[str, object]:
    """Return the session body, which registering, signing in and refreshing share."""
    session, now = signed_in.session, signed_in.now
    return {
        "account": account_body(signed_in.account),
        "session": {
            "id": id_text(session.id),
            "created_at": rfc3339(session.created_at),
            "expires_at": rfc3339(session.ends_at()),
        },
        "access_token": signed_in.access_token,
        "token_type": "Bearer",
        "expires_in": signed_in.expires_in,
        "refresh_token": signed_in.refresh_token,
        "refresh_expires_in": int((session.ends_at() - now).total_seconds()),
        "server_time": rfc3339(now),
    }


def listed_session(session: Session, current_id: bytes) -> dict[str, object]:
    """Return a session as the list of sessions shows it."""
    return {
        "id": id_text(session.id),
        # Labels from before they were checked are still stored.
        "device": None if session.device is None else without_controls(session.device),
        "created_at": rfc3339(session.created_at),
        "last_used_at": rfc3339(session.rotated_at),
        "expires_at": rfc3339(session.ends_at()),
        "current": session.id == current_id,
    }


def error_body(error: ApiError, request_id: str) -> dict[str, object]:
    """Return the body of an error: its code and its fixed message, never what the log reads."""
    members = {"code": error.code, "message": error.message, "request_id": request_id}
    return {"error": {**members, **error.details()}}


def error_answer(error: ApiError, request_id: str) -> Response:
    """Return an error as the contract has it."""
    answer = json_answer(error_body(error, request_id), error.status)
    answer.headers.update(error.headers())
    return answer
