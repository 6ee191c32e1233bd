"""Renaming: a name may change once in 30 days, and the old one is free again at once.

A generated name is replaced without limit of time, and another spelling of one's own name is free.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from auth.credentials.usernames import check_username, username_key
from auth.errors import InvalidRequest, RenamedRecently, Unavailable, UsernameTaken
from auth.external.failures import Duplicate
from auth.flows.confirmation import Confirmation, Confirmations
from auth.flows.rate_limits import NAME_BY_ADDRESS, network_of
from auth.flows.sessions import CallingSession
from auth.logs import note
from auth.store.accounts import AccountTable
from auth.store.events import new_event
from auth.store.records import Account, EventKind
from auth.times import Clock

INTERVAL = timedelta(days=30)


@dataclass(frozen=True)
class Renaming:
    """The name that a player wants, with the confirmation, if there is one."""

    username: str
    confirmation: Confirmation | None
    address: str


class Renamings:
    """Renames accounts."""

    def __init__(self, table: AccountTable, confirmations: Confirmations, clock: Clock) -> None:
        self._table = table
        self._confirmations = confirmations
        self._clock = clock

    def rename(self, calling: CallingSession, wanted: Renaming) -> Account:
        """Give an account another name; return the account.

        Raises:
            InvalidRequest: a chosen name changes only with a confirmation.
            InvalidUsername: the name cannot be used.
            RenamedRecently: the name was changed less than 30 days ago.
            TooManyAttempts, WrongPassword, WrongGuestSecret.
            UsernameTaken: another account has the name.
        """
        account = calling.account
        if wanted.username == account.username:
            return account  # the repetition of a call whose answer was lost
        if wanted.confirmation is None and not account.generated_name:
            raise InvalidRequest(fields={"password": "This field is missing."})
        check_username(wanted.username)
        now = self._clock()
        respelled = username_key(wanted.username) == username_key(account.username)
        if not respelled and account.renamed_at and now < account.renamed_at + INTERVAL:
            raise RenamedRecently(account.renamed_at + INTERVAL)
        confirmation = None if account.generated_name else wanted.confirmation
        also = () if respelled else ((NAME_BY_ADDRESS, (network_of(wanted.address),)),)
        with self._confirmations.change(account, confirmation, also):
            renamed_at = account.renamed_at if respelled or account.generated_name else now
            return self._renamed(calling, wanted.username, renamed_at, now)

    def rename_by_operator(self, account: Account, username: str) -> bool:
        """Give an account another name, whoever chose the old one, and whenever.

        False: the account changed since it was read.

        Raises:
            InvalidUsername: the name cannot be used.
            UsernameTaken: another account has the name.
        """
        check_username(username)
        now = self._clock()
        return self._rename(account, None, username, now, now) is not None

    def _renamed(
        self, calling: CallingSession, username: str, renamed_at: datetime | None, now: datetime
    ) -> Account:
        renamed = self._rename(calling.account, calling.session.id, username, renamed_at, now)
        if renamed is None:
            raise Unavailable("the account changed while it was renamed")
        note("renamed")
        return renamed

    def _rename(
        self,
        account: Account,
        session_id: bytes | None,
        username: str,
        renamed_at: datetime | None,
        now: datetime,
    ) -> Account | None:
        """Return the renamed account; None: it changed since it was read."""
        names = {"username": username, "former": account.username}
        event = new_event(EventKind.RENAMED, account.id, now, session_id, **names)
        try:
            self._table.rename(account, username, username_key(username), renamed_at, event)
        except Duplicate:
            raise UsernameTaken from None
        renamed = self._table.find(account.id)  # the statement may have run twice
        return renamed if renamed and renamed.username == username else None
