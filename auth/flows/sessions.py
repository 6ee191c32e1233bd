"""Sessions: opened by signing in, kept by refreshing, ended by the player or by a theft.

Refreshing replaces the refresh token (RFC 9700, section 4.14.2). It survives lost answers and
parallel calls, since the successor of a token is always the same, and it notices a copied token,
since a replaced one that turns up later ends the session.
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from auth.credentials import access_tokens, refresh_tokens
from auth.credentials.access_tokens import AccessToken, Realm
from auth.credentials.keys import TokenKeys
from auth.credentials.refresh_tokens import InvalidRefreshToken, RefreshToken
from auth.errors import (
    IdempotencyKeyReused,
    InvalidToken,
    NotFound,
    Reason,
    SessionEnded,
    Unavailable,
)
from auth.logs import note
from auth.store.records import MAX_SESSIONS, Account, Session, SignInRow
from auth.store.store import Store
from auth.times import Clock, id_text, new_id

logger = logging.getLogger(__name__)

IDLE_LIFETIME = timedelta(days=30)
LIFETIME = timedelta(days=180)
GRACE = timedelta(seconds=60)
TRIES = 3  # of a password change that meets refreshes of the same session


@dataclass(frozen=True)
class SignedIn:
    """A player who has just signed in or refreshed; it never prints its tokens."""

    account: Account
    session: Session
    access_token: str
    refresh_token: str
    now: datetime
    expires_in: int = access_tokens.LIFETIME_SECONDS

    def __repr__(self) -> str:
        return f"SignedIn({self.account}, session={self.session.id.hex()})"


class Sessions:
    """Opens, refreshes, checks and ends sessions."""

    def __init__(self, store: Store, keys: TokenKeys, realm: Realm, clock: Clock) -> None:
        self._store = store
        self._keys = keys
        self._realm = realm
        self._clock = clock

    def open(
        self, sign_in: SignInRow, device: str | None, presented: RefreshToken | None = None
    ) -> SignedIn:
        """Open a session and store it.

        If `presented` is the current token of a living session, that session ends: the device has
        one session, not two. It ends after the new one is stored.

        Raises:
            MissingParent: the account is gone.
            Unavailable: the database did not do it.
        """
        now, account = self._clock(), sign_in.account
        session, token = new_session(account, device, now)
        self._store.add_session(session)
        try:
            self._end_presented(sign_in, presented, now)
            self._make_room(sign_in, session, now)
        except Unavailable as error:  # the player is signed in all the same
            logger.warning("old sessions are left: %s", error, extra={"event": "sessions_kept"})
        return self.signed_in(account, session, token, now)

    def _end_presented(
        self, sign_in: SignInRow, presented: RefreshToken | None, now: datetime
    ) -> None:
        if presented is None or not sign_in.session_goes_on:
            return
        if self._store.end_session_of_token(presented, now):
            note(replaced_session_id=id_text(presented.session_id))

    def _make_room(self, sign_in: SignInRow, session: Session, now: datetime) -> None:
        """Keep the number of an account's sessions bounded.

        Sign-ins at the same time find the same sessions in excess, so none takes more than that.
        """
        account_id = sign_in.account.id
        if sign_in.sessions > MAX_SESSIONS:
            excess = self._store.excess_sessions(account_id, session.id, now)
        elif sign_in.sessions == MAX_SESSIONS and sign_in.least_used is not None:
            excess = [sign_in.least_used]
        else:
            return
        self._store.delete_sessions(account_id, excess, unused_since=now)

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
        rotated = self._store.rotate(token, successor, rotation_key, now, now + IDLE_LIFETIME)
        found = self._store.session(token.session_id, token.account_id)
        if found is None:
            raise SessionEnded(Reason.GONE)
        session, account = found
        if refusal := session.refusal(account, now):
            raise SessionEnded(refusal)
        if not rotated:
            self._check_replay(session, token, successor, rotation_key, now)
        note("refreshed")
        return self.signed_in(account, session, successor, now)

    def _authentic(self, text: str) -> RefreshToken:
        """Return the token of a text that we made, whether or not its session is alive.

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
        self._store.end_session(session.id, session.account_id, now)
        note("refresh_reused")
        raise SessionEnded(Reason.REUSED)

    def verify(self, text: str) -> AccessToken:
        """Return what an access token says, without asking whether its session still lives.

        Raises:
            InvalidToken: the token itself is not valid.
            Unavailable: its key cannot be looked up now.
        """
        claims = access_tokens.verify(text, self._keys, self._realm, self._clock())
        _note_ids(claims.account_id, claims.session_id)
        return claims

    def authenticate(self, text: str) -> tuple[AccessToken, Account]:
        """Return what an access token says, and its account, if its session is alive.

        Raises:
            InvalidToken: the token is not valid, or its session has ended.
            Unavailable: it cannot be decided now.
        """
        claims = self.verify(text)
        account = self._store.account_of_session(
            claims.session_id, claims.account_id, self._clock()
        )
        if account is None:
            raise InvalidToken(Reason.REVOKED)
        return claims, account

    def session_of(self, text: str) -> tuple[Session, Account]:
        """Return the living session of an access token, and its account.

        Raises:
            InvalidToken, Unavailable: as for `authenticate`.
        """
        claims = self.verify(text)
        return self._living(claims.session_id, claims.account_id)

    def change_password(
        self, session: Session, account: Account, new_hash: str, fits: Callable[[str], bool]
    ) -> SignedIn:
        """Store a new password: this session goes on with a new token, all others end.

        Two parallel calls with the same password agree on the hash that was stored first, and
        answer with the same token.

        Args:
            fits: tells whether the new password fits another hash than `new_hash`.

        Raises:
            InvalidToken: the session or the account has ended meanwhile.
            Unavailable: the account has changed meanwhile, or the outcome is unknown.
        """
        old_hash = account.password_hash
        for _ in range(TRIES):
            now, key = self._clock(), self._keys.ring().current_mac
            tail = refresh_tokens.renewed_tail(key, session.id, session.counter + 1, new_hash)
            self._store.change_password(
                session, account, new_hash, refresh_tokens.hash_of(tail), now, now + IDLE_LIFETIME
            )
            # Read the outcome: the statement may have been sent twice, or another was faster.
            session, account = self._living(session.id, account.id)
            if account.password_hash != old_hash:
                break  # the password has changed; otherwise a refresh moved the session on
        stored = account.password_hash
        renewed = self.renewed(session, account, now)
        if renewed is None or not (stored == new_hash or (stored != old_hash and fits(stored))):
            raise Unavailable("the account changed while its password was changed")
        return renewed

    def renewed(self, session: Session, account: Account, now: datetime) -> SignedIn | None:
        """Return the session with the token of its last password change, unless that was used."""
        for key in self._keys.ring().mac_keys.values():
            tail = refresh_tokens.renewed_tail(
                key, session.id, session.counter, account.password_hash
            )
            if refresh_tokens.hash_of(tail) == session.tail_hash:
                token = RefreshToken(account.id, session.id, session.counter, tail)
                return self.signed_in(account, session, token, now)
        return None

    def end(self, claims: AccessToken, *, everywhere: bool) -> None:
        """End the session of a verified access token, or all sessions of its account.

        If that session has ended already, nothing happens.
        """
        account_id, session_id, now = claims.account_id, claims.session_id, self._clock()
        if everywhere:
            if self._store.end_sessions_of(account_id, session_id, now):
                note("signed_out_everywhere")
        elif self._store.end_session(session_id, account_id, now):
            note("signed_out")

    def end_by_token(self, text: str, *, everywhere: bool) -> None:
        """End the session of a refresh token of ours, which may have been replaced since.

        All sessions of the account end if `everywhere` and the token is the session's current one.

        Raises:
            SessionEnded: the token is not one of ours.
            Unavailable: it cannot be decided now.
        """
        token, now = self._authentic(text), self._clock()
        if everywhere and self._store.end_sessions_by_token(token, now):
            note("signed_out_everywhere")
        elif self._store.end_session(token.session_id, token.account_id, now):
            note("signed_out")

    def end_one(self, account: Account, session_id: bytes) -> None:
        """End one living session of the account.

        Raises:
            NotFound: the account has no such session.
        """
        found = self._store.session(session_id, account.id)
        if found is None or not found[0].is_alive(found[1], self._clock()):
            raise NotFound
        self._store.end_session(session_id, account.id, self._clock())
        note("session_revoked", revoked_session_id=id_text(session_id))

    def living(self, account: Account, current_id: bytes) -> list[Session]:
        """Return the account's living sessions, the last used first, the current one among them."""
        found = self._store.live_sessions(account.id, current_id, self._clock(), MAX_SESSIONS)
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

    def _living(self, session_id: bytes, account_id: bytes) -> tuple[Session, Account]:
        found = self._store.session(session_id, account_id)
        if found is None:
            raise InvalidToken(Reason.GONE)
        if refusal := found[0].refusal(found[1], self._clock()):
            raise InvalidToken(refusal)
        return found

    def signed_in(
        self, account: Account, session: Session, token: RefreshToken, now: datetime
    ) -> SignedIn:
        """Return a player's session with both tokens in the form that the player keeps."""
        ring = self._keys.ring()
        claims = AccessToken(account.id, session.id)
        access_token = access_tokens.issue(ring, self._realm, claims, account.username, now)
        return SignedIn(account, session, access_token, refresh_tokens.encode(token, ring), now)


def new_session(
    account: Account, device: str | None, now: datetime
) -> tuple[Session, RefreshToken]:
    """Return a session that is not stored yet, and its first refresh token.

    It carries the epoch that was read together with the password: when the password changes before
    the session is stored, or all sessions are ended, it is born dead.
    """
    session_id = new_id(now)
    token = RefreshToken(account.id, session_id, 0, refresh_tokens.new_tail())
    session = Session(
        id=session_id,
        account_id=account.id,
        tail_hash=token.tail_hash(),
        counter=token.counter,
        rotation_key=None,
        epoch=account.epoch,
        device=device,
        created_at=now,
        rotated_at=now,
        idle_expires_at=now + IDLE_LIFETIME,
        expires_at=now + LIFETIME,
        ended_at=None,
    )
    return session, token


def _digest(token: RefreshToken, idempotency_key: str | None) -> bytes | None:
    if idempotency_key is None:
        return None
    return hashlib.sha256(token.session_id + idempotency_key.encode()).digest()[:16]


def _note_ids(account_id: bytes, session_id: bytes) -> None:
    note(account_id=id_text(account_id), session_id=id_text(session_id))
