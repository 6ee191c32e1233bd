"""The one way in for players: every proof of an account ends here, in a session.

Nothing else in the product opens sessions. An account has a bounded number of them, and a device
that presents its last session's token has one session, not two.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from auth.credentials import refresh_tokens
from auth.credentials.refresh_tokens import RefreshToken
from auth.credentials.usernames import username_key
from auth.errors import AccountSuspended, InvalidCredentials, Unavailable
from auth.external.failures import MissingParent
from auth.flows.rate_limits import SESSIONS_BY_ACCOUNT, RateLimits
from auth.flows.sessions import IDLE_LIFETIME, LIFETIME, Sessions, SignedIn
from auth.logs import note
from auth.store.accounts import AccountTable
from auth.store.events import new_event
from auth.store.rate_limits import Charge
from auth.store.records import MAX_SESSIONS, Account, EventKind, Identity, Session, SignInRow
from auth.store.sessions import SessionTable, Surplus
from auth.times import Clock, id_text, new_id

logger = logging.getLogger(__name__)

FOR_GOOD = 9999  # an account with `suspended_until` in this year is suspended without an end


class Admission:
    """Refuses suspended accounts, opens sessions, and notes it for the log."""

    def __init__(
        self,
        account_table: AccountTable,
        session_table: SessionTable,
        sessions: Sessions,
        rate_limits: RateLimits,
        clock: Clock,
    ) -> None:
        self._account_table = account_table
        self._session_table = session_table
        self._sessions = sessions
        self._rate_limits = rate_limits
        self._clock = clock

    def admit(
        self,
        sign_in: SignInRow,
        device: str | None,
        charges: Sequence[Charge],
        presented: RefreshToken | None = None,
    ) -> SignedIn:
        """Sign in a player, after the proof, whose `charges` are refunded.

        If `presented` is the current token of a session that lasts, that session ends, after the
        new one is stored.

        Raises:
            AccountSuspended: the account is suspended.
            TooManyAttempts: the account opens sessions too fast.
            InvalidCredentials: the account was deleted meanwhile.
            Unavailable: the database did not do it.
        """
        self.refuse_suspended(sign_in.account)  # again: a flow may have forgotten
        now, account = self._clock(), sign_in.account
        self._rate_limits.exchange(charges, SESSIONS_BY_ACCOUNT, account.id, now=now)
        session, token = new_session(account, device, now)
        try:
            self._session_table.add(session)
        except MissingParent:
            raise InvalidCredentials("the account was deleted meanwhile") from None
        self._tidy(sign_in, session, presented, now)
        note("signed_in")
        return self._admitted(account, session, token)

    def admit_recovered(
        self, sign_in: SignInRow, device: str | None, use: Callable[[Session], bool]
    ) -> SignedIn | None:
        """Sign in a player by a recovery code, which `use` spends; None: it did not.

        `sign_in` has the account as it is afterwards. Each session takes a code of its own, so no
        limit applies: whoever knew the old password could have used it up.

        Raises:
            AccountSuspended: the account is suspended.
            Unavailable: the database did not do it.
        """
        self.refuse_suspended(sign_in.account)  # again: a flow may have forgotten
        now = self._clock()
        session, token = new_session(sign_in.account, device, now)
        if not use(session):
            return None
        note("recovered")
        self._tidy(sign_in, session, None, now)
        return self._admitted(sign_in.account, session, token)

    def admit_new(
        self,
        account: Account,
        device: str | None,
        *,
        registration_key: bytes | None = None,
        identity: Identity | None = None,
    ) -> SignedIn:
        """Store a new account and sign it in.

        Raises:
            Duplicate: the name, the registration key or the identity is taken.
            Unavailable: the database did not do it.
        """
        session, token = new_session(account, device, account.created_at)
        self._account_table.add(
            account,
            session,
            new_event(EventKind.REGISTERED, account.id, account.created_at, session.id),
            username_key=username_key(account.username),
            registration_key=registration_key,
            identity=identity,
        )
        if account.guest:
            note("guest_created")
        else:
            note("registered")
        return self._admitted(account, session, token)

    def refuse_suspended(self, account: Account) -> None:
        """Refuse an account that is suspended.

        Raises:
            AccountSuspended: it is, until when and why.
        """
        if account.suspended_until is not None and account.is_suspended(self._clock()):
            for_good = account.suspended_until.year == FOR_GOOD
            note("suspended_sign_in")
            raise AccountSuspended(
                None if for_good else account.suspended_until, account.suspension_reason or ""
            )

    def _admitted(self, account: Account, session: Session, token: RefreshToken) -> SignedIn:
        note(account_id=id_text(account.id), session_id=id_text(session.id))
        return self._sessions.signed_in(
            account, token, session.created_at, session.ends_at(), session.created_at
        )

    def _tidy(
        self, sign_in: SignInRow, session: Session, presented: RefreshToken | None, now: datetime
    ) -> None:
        try:
            replaced = self._end_presented(sign_in, presented, now)
            self._make_room(sign_in, session, replaced, now)
        except Unavailable as error:  # the player is signed in all the same
            logger.warning("old sessions are left: %s", error, extra={"event": "sessions_kept"})

    def _end_presented(
        self, sign_in: SignInRow, presented: RefreshToken | None, now: datetime
    ) -> bytes | None:
        """End the session that the device had before; return its id."""
        if presented is None or not sign_in.session_goes_on:
            return None
        if self._session_table.end_replaced(presented, now):
            note(replaced_session_id=id_text(presented.session_id))
        return presented.session_id

    def _make_room(
        self, sign_in: SignInRow, session: Session, replaced: bytes | None, now: datetime
    ) -> None:
        """Keep the number of an account's sessions bounded.

        Sign-ins at the same time find the same sessions in excess, so none takes more than that.
        """
        account = sign_in.account
        if sign_in.sessions > MAX_SESSIONS:
            surplus = self._session_table.surplus(account.id, session.id, now)
        elif sign_in.sessions == MAX_SESSIONS and sign_in.least_used is not None:
            lasts = sign_in.least_used_lasts and sign_in.least_used != replaced
            one, none = [sign_in.least_used], list[bytes]()
            lasting, ended = (one, none) if lasts else (none, one)
            surplus = Surplus(account.id, account.epoch, lasting, ended)
        else:
            return
        self._session_table.remove(surplus, now)


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
