"""Sessions: opened by signing in, kept by refreshing, ended by the player or by a theft.

Refreshing replaces the refresh token (RFC 9700, section 4.14.2). It survives lost answers and
parallel calls, since the successor of a token is always the same, and it notices a copied token,
since a replaced one that turns up later ends the session.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from auth import access_tokens, refresh_tokens
from auth.access_tokens import AccessToken, Realm
from auth.errors import IdempotencyKeyReused, InvalidToken, NotFound, SessionEnded, Unavailable
from auth.keys import TokenKeys
from auth.logs import note
from auth.records import Account, Session
from auth.refresh_tokens import InvalidRefreshToken, RefreshToken
from auth.store import Store
from auth.times import Clock, id_text, new_id

IDLE_LIFETIME = timedelta(days=30)
LIFETIME = timedelta(days=180)
GRACE = timedelta(seconds=60)
MAX_LISTED = 100


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

    def open(self, account: Account, device: str | None) -> SignedIn:
        """Open a session and store it.

        Raises:
            MissingParent: the account is gone.
        """
        now = self._clock()
        session, token = new_session(account, device, now)
        self._store.add_session(session)
        return self.signed_in(account, session, token, now)

    def refresh(self, text: str, idempotency_key: str | None) -> SignedIn:
        """Replace a refresh token by its successor.

        Raises:
            SessionEnded: the token is not usable; a reused one ends its session.
            IdempotencyKeyReused: the key belongs to the refresh that made this very token.
            Unavailable: it cannot be decided now.
        """
        now = self._clock()
        try:
            token = refresh_tokens.decode(text, self._keys)
        except InvalidRefreshToken:
            raise SessionEnded("not a refresh token of ours") from None
        successor = token.successor()
        rotation_key = _digest(token, idempotency_key)
        rotated = self._store.rotate(token, successor, rotation_key, now, now + IDLE_LIFETIME)
        found = self._store.session(token.session_id, token.account_id)
        if found is None:
            raise SessionEnded("no such session")
        session, account = found
        if not session.is_alive(account, now):
            raise SessionEnded("the session is not alive")
        if not rotated:
            self._check_replay(session, token, successor, rotation_key, now)
        _note("refreshed", session)
        return self.signed_in(account, session, successor, now)

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
            # A restored backup: the token is younger than the row. Nobody's theft.
            _note("refresh_ahead", session)
            raise SessionEnded("the token is ahead of its session")
        self._store.end_session(session.id, session.account_id, now)
        _note("refresh_reused", session)
        raise SessionEnded("a replaced token was used again")

    def verify(self, text: str) -> AccessToken:
        """Return what an access token says, without asking whether its session still lives.

        Raises:
            InvalidToken: the token itself is not valid.
        """
        return access_tokens.verify(text, self._keys, self._realm, self._clock())

    def authenticate(self, text: str) -> tuple[AccessToken, Account]:
        """Return what an access token says, and its account, if its session is alive.

        Raises:
            InvalidToken: the token is not valid, or its session has ended.
        """
        claims = self.verify(text)
        account = self._store.account_of_session(
            claims.session_id, claims.account_id, self._clock()
        )
        if account is None:
            raise InvalidToken("the session is not alive")
        return claims, account

    def session_of(self, text: str) -> tuple[Session, Account]:
        """Return the living session of an access token, and its account.

        Raises:
            InvalidToken: as for `authenticate`.
        """
        claims = self.verify(text)
        found = self._store.session(claims.session_id, claims.account_id)
        if found is None or not found[0].is_alive(found[1], self._clock()):
            raise InvalidToken("the session is not alive")
        return found

    def renew(self, session: Session, account: Account, new_hash: str | None) -> SignedIn:
        """Give a session a refresh token that no earlier one leads to, so that none has any grace.

        With `new_hash` this is also the moment when the account's password changes and all its
        other sessions end.

        Raises:
            InvalidToken: the session or the account has ended meanwhile.
            Unavailable: the account has changed meanwhile, or the outcome is unknown.
        """
        tail = refresh_tokens.new_tail()
        tail_hash, now = refresh_tokens.hash_of(tail), self._clock()
        if new_hash is None:
            self._store.renew_tail(session, tail_hash, now, now + IDLE_LIFETIME)
        else:
            self._store.change_password(
                session, account, new_hash, tail_hash, now, now + IDLE_LIFETIME
            )
        # Read what came of it: the answer to the statement may have been lost and it sent twice.
        found = self._store.session(session.id, account.id)
        if found is None or not found[0].is_alive(found[1], now):
            raise InvalidToken("the session ended meanwhile")
        session, account = found
        if session.tail_hash != tail_hash:
            raise Unavailable("the account changed while its password was changed")
        token = RefreshToken(account.id, session.id, session.counter, tail)
        return self.signed_in(account, session, token, now)

    def end(self, claims: AccessToken, *, everywhere: bool) -> None:
        """End the session of a verified access token, or all sessions of its account.

        Where that session has ended already, nothing happens.
        """
        if everywhere:
            self._store.end_sessions_of(claims.account_id, claims.session_id, self._clock())
        else:
            self._store.end_session(claims.session_id, claims.account_id, self._clock())

    def end_one(self, account: Account, session_id: bytes) -> None:
        """End one living session of the account.

        Raises:
            NotFound: the account has no such session.
        """
        found = self._store.session(session_id, account.id)
        if found is None or not found[0].is_alive(found[1], self._clock()):
            raise NotFound
        self._store.end_session(session_id, account.id, self._clock())

    def living(self, account: Account) -> list[Session]:
        """Return the account's living sessions, the last used first, a hundred at most."""
        return self._store.live_sessions(account.id, self._clock(), MAX_LISTED)

    def known_account_id(self, text: str | None) -> bytes | None:
        """Return the account a refresh token was once given to, if we did give it.

        This proves a known device to the rate limits and does nothing else, so the token may have
        been replaced and its session have ended long ago.
        """
        if text is None:
            return None
        try:
            return refresh_tokens.decode(text, self._keys).account_id
        except (InvalidRefreshToken, Unavailable):
            return None

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


def _note(event: str, session: Session) -> None:
    note(event, account_id=id_text(session.account_id), session_id=id_text(session.id))
