"""Sessions: kept by refreshing, ended by the player or by a theft; `admission` opens them.

Refreshing replaces the refresh token (RFC 9700, section 4.14.2). It survives lost answers and
parallel calls, since the successor of a token is always the same, and it notices a copied token,
since a replaced one that turns up later ends the session.
"""

import hashlib
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from auth.credentials import access_tokens, refresh_tokens
from auth.credentials.access_tokens import Claims, Realm
from auth.credentials.refresh_tokens import InvalidRefreshToken, RefreshToken
from auth.credentials.signed_tokens import Subject
from auth.credentials.token_keys import TokenKeys
from auth.errors import (
    IdempotencyKeyReused,
    InvalidToken,
    NotFound,
    Reason,
    SessionEnded,
    Unavailable,
)
from auth.logs import note
from auth.store.events import new_event
from auth.store.records import MAX_SESSIONS, Account, EventKind, Profile, Session
from auth.store.sessions import SessionTable
from auth.times import Clock, id_text

logger = logging.getLogger(__name__)

IDLE_LIFETIME = timedelta(days=30)
LIFETIME = timedelta(days=180)
GRACE = timedelta(seconds=60)


@dataclass(frozen=True)
class SignedIn:
    """A session that was just opened or refreshed, with its tokens, which it never prints."""

    account: Profile
    session_id: bytes
    opened_at: datetime
    ends_at: datetime  # unless it is refreshed
    access_token: str
    refresh_token: str
    now: datetime
    expires_in: int = access_tokens.LIFETIME_SECONDS

    def __repr__(self) -> str:
        return f"SignedIn({self.account}, session={self.session_id.hex()})"


@dataclass(frozen=True)
class Caller:
    """The profile and the session of an access token that was accepted.

    `recovery_code_at`: when the account's recovery code was made; None: it has none.
    """

    account: Profile
    session_id: bytes
    recovery_code_at: datetime | None


@dataclass(frozen=True)
class CallingSession:
    """The account of an access token that was accepted, and the whole session."""

    account: Account
    session: Session


class Sessions:
    """Refreshes, checks, lists and ends sessions."""

    def __init__(self, table: SessionTable, keys: TokenKeys, realm: Realm, clock: Clock) -> None:
        self._table = table
        self._keys = keys
        self._realm = realm
        self._clock = clock

    def refresh(self, text: str, idempotency_key: str | None) -> SignedIn:
        """Replace a refresh token by its successor.

        Raises:
            SessionEnded: the token is not usable; a reused one ends its session.
            IdempotencyKeyReused: the key belongs to the refresh that made this very token.
            Unavailable: it cannot be decided now.
        """
        now = self._clock()
        token = self._authentic(text)
        successor = token.successor()
        rotation_key = _digest(token, idempotency_key)
        idle_expires_at = now + IDLE_LIFETIME
        if self._table.rotate(token, successor, rotation_key, now, idle_expires_at):
            return self._rotated(successor, now, idle_expires_at)
        found = self._table.find(token.session_id, token.account_id)
        if found is None:
            raise SessionEnded(Reason.GONE)
        session, account = found
        if reason := session.why_unusable(account, now):
            raise SessionEnded(reason)
        self._check_replay(session, token, successor, rotation_key, now)
        note("refreshed")
        return self.signed_in(account, successor, session.created_at, session.ends_at(), now)

    def _rotated(
        self, successor: RefreshToken, now: datetime, idle_expires_at: datetime
    ) -> SignedIn:
        found = self._table.rotated(successor)
        if found is None:
            raise SessionEnded(Reason.GONE)
        profile, opened_at, expires_at = found
        note("refreshed")
        return self.signed_in(profile, successor, opened_at, min(idle_expires_at, expires_at), now)

    def _authentic(self, text: str) -> RefreshToken:
        """Return the token of a text that we made, whether or not its session lasts.

        Raises:
            SessionEnded: we did not make it, or its key has been retired.
            Unavailable: its key cannot be looked up now.
        """
        try:
            token = refresh_tokens.decode(text, self._keys)
        except InvalidRefreshToken as error:
            raise SessionEnded(error.reason) from None
        _note_ids(token.account_id, token.session_id)
        return token

    def _check_replay(
        self,
        session: Session,
        token: RefreshToken,
        successor: RefreshToken,
        rotation_key: bytes | None,
        now: datetime,
    ) -> None:
        """Let the token pass that was replaced last, for a while or by its Idempotency-Key."""
        is_current = (session.counter, session.tail_hash) == (token.counter, token.tail_hash())
        is_parent = (session.counter, session.tail_hash) == (
            successor.counter,
            successor.tail_hash(),
        )
        if is_parent and (
            now - session.rotated_at <= GRACE
            or (rotation_key is not None and rotation_key == session.rotation_key)
        ):
            return
        if is_current and rotation_key is not None and rotation_key == session.rotation_key:
            raise IdempotencyKeyReused
        if is_current:
            raise Unavailable("the session changed while it was refreshed")
        if token.counter >= session.counter:
            # The database was restored from a backup: the token is newer than the row, not stolen.
            note("refresh_ahead")
            raise SessionEnded(Reason.AHEAD)
        event = new_event(EventKind.REFRESH_REUSED, session.account_id, now, session.id)
        self._table.end(session.id, session.account_id, now, event)
        note("refresh_reused")
        raise SessionEnded(Reason.REUSED)

    def claims(self, text: str) -> Claims:
        """Return the claims of an access token, whether or not its session is still usable.

        For signing out only; everything else asks for the caller.

        Raises:
            InvalidToken: the token itself is not valid.
            Unavailable: its key cannot be looked up now.
        """
        claims = access_tokens.verify(text, self._keys, self._realm, self._clock())
        _note_ids(claims.account_id, claims.session_id)
        return claims

    def caller(self, text: str) -> Caller:
        """Return the caller, by an access token of a usable session.

        Raises:
            InvalidToken: the token is not valid, or its session is not usable.
            Unavailable: it cannot be decided now.
        """
        claims = self.claims(text)
        found = self._table.usable_profile(claims.session_id, claims.account_id, self._clock())
        if found is None:
            raise InvalidToken(Reason.REVOKED)
        account, recovery_code_at = found
        return Caller(account, claims.session_id, recovery_code_at)

    def calling_session(self, text: str) -> CallingSession:
        """Return the caller with the whole session.

        Raises:
            InvalidToken, Unavailable: as for `caller`.
        """
        claims = self.claims(text)
        return self.usable_session(claims.session_id, claims.account_id)

    def end(self, claims: Claims, *, everywhere: bool) -> None:
        """End the session of a verified access token, or all sessions of its account.

        If that session has ended already, nothing happens.
        """
        account_id, session_id, now = claims.account_id, claims.session_id, self._clock()
        if everywhere:
            event = new_event(EventKind.SIGNED_OUT_EVERYWHERE, account_id, now, session_id)
            if self._table.end_all(account_id, session_id, now, event):
                note("signed_out_everywhere")
        elif self._end(session_id, account_id, now):
            note("signed_out")

    def end_by_token(self, text: str, *, everywhere: bool) -> None:
        """End the session of a refresh token of ours, which may have been replaced since.

        All sessions of the account end if `everywhere` and the token is the session's current one.

        Raises:
            SessionEnded: the token is not one of ours.
            Unavailable: it cannot be decided now.
        """
        token, now = self._authentic(text), self._clock()
        kind = EventKind.SIGNED_OUT_EVERYWHERE
        event = new_event(kind, token.account_id, now, token.session_id)
        if everywhere and self._table.end_all_by_token(token, now, event):
            note("signed_out_everywhere")
        elif self._end(token.session_id, token.account_id, now):
            note("signed_out")

    def end_one(self, account: Profile, session_id: bytes) -> None:
        """End one usable session of the account.

        Raises:
            NotFound: the account has no such session.
        """
        if self._table.usable_profile(session_id, account.id, self._clock()) is None:
            raise NotFound
        self._end(session_id, account.id, self._clock())
        note("session_revoked", revoked_session_id=id_text(session_id))

    def _end(self, session_id: bytes, account_id: bytes, now: datetime) -> bool:
        event = new_event(EventKind.SESSION_ENDED, account_id, now, session_id)
        return self._table.end(session_id, account_id, now, event)

    def list_usable(self, caller: Caller) -> list[Session]:
        """Return the account's usable sessions, the last used first, the caller's among them."""
        found = self._table.lasting(
            caller.account.id, caller.session_id, self._clock(), MAX_SESSIONS
        )
        return sorted(found, key=lambda session: session.rotated_at, reverse=True)

    def presented(self, text: str | None) -> RefreshToken | None:
        """Return the refresh token that a sign-in presents, if we made it.

        It only proves a known device, so one that is garbled or cannot be checked is ignored.
        """
        if text is None:
            return None
        try:
            return refresh_tokens.decode(text, self._keys)
        except (InvalidRefreshToken, Unavailable):
            return None

    def usable_session(self, session_id: bytes, account_id: bytes) -> CallingSession:
        """Return a session and its account, if the session is usable.

        Raises:
            InvalidToken: it is not.
        """
        found = self._table.find(session_id, account_id)
        if found is None:
            raise InvalidToken(Reason.GONE)
        session, account = found
        if reason := session.why_unusable(account, self._clock()):
            raise InvalidToken(reason)
        return CallingSession(account, session)

    def signed_in(
        self,
        account: Profile,
        token: RefreshToken,
        opened_at: datetime,
        ends_at: datetime,
        now: datetime,
    ) -> SignedIn:
        """Return a player's session with both tokens in the form that the player keeps."""
        ring = self._keys.ring()
        subject = subject_of(account, token.session_id)
        access_token = access_tokens.issue(ring, self._realm, subject, now)
        return SignedIn(
            account,
            token.session_id,
            opened_at,
            ends_at,
            access_token,
            refresh_tokens.encode(token, ring),
            now,
        )


def subject_of(account: Profile, session_id: bytes) -> Subject:
    """Return what a token says about a player."""
    return Subject(account.id, session_id, account.username, account.epoch, account.guest)


def _digest(token: RefreshToken, idempotency_key: str | None) -> bytes | None:
    if idempotency_key is None:
        return None
    return hashlib.sha256(token.session_id + idempotency_key.encode()).digest()[:16]


def _note_ids(account_id: bytes, session_id: bytes) -> None:
    note(account_id=id_text(account_id), session_id=id_text(session_id))
