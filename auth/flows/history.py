"""What a player may read about the account: its events, and everything that is stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from auth.flows.confirmation import Confirmation, Confirmations
from auth.logs import note
from auth.store.connections import ConnectionTable
from auth.store.events import EventTable
from auth.store.identities import IdentityTable
from auth.store.operations import OperationTable
from auth.store.records import (
    Account,
    Event,
    Identity,
    Operation,
    Profile,
    RecoveryCode,
    Redemption,
    Session,
)
from auth.store.recovery_codes import RecoveryCodeTable
from auth.store.sessions import SessionTable
from auth.times import Clock

NEWEST = 100
EXPORTED = 1000  # events, and operations; the clean-up keeps no more events of one account


@dataclass(frozen=True)
class Export:
    """Everything that is stored about a player."""

    account: Account
    code: RecoveryCode | None
    identities: Sequence[Identity]
    sessions: Sequence[Session]
    events: Sequence[Event]
    operations: Sequence[Operation]
    connection: Redemption | None
    generated_at: datetime


class AccountHistory:
    """Reads a player's own data."""

    def __init__(
        self,
        events: EventTable,
        operations: OperationTable,
        identities: IdentityTable,
        codes: RecoveryCodeTable,
        sessions: SessionTable,
        connections: ConnectionTable,
        confirmations: Confirmations,
        clock: Clock,
    ) -> None:
        self._events = events
        self._operations = operations
        self._identities = identities
        self._codes = codes
        self._sessions = sessions
        self._connections = connections
        self._confirmations = confirmations
        self._clock = clock

    def newest_events(self, account: Profile) -> list[Event]:
        """Return the newest events of an account, the newest first."""
        return self._events.newest(account.id, NEWEST)

    def export(self, account: Account, confirmation: Confirmation) -> Export:
        """Return everything that is stored about a player.

        Raises:
            TooManyAttempts, WrongPassword, WrongGuestSecret.
        """
        with self._confirmations.change(account, confirmation):
            exported = self.everything(account)
        note("exported")
        return exported

    def everything(self, account: Account) -> Export:
        """Return everything that is stored about a player, without a confirmation."""
        return Export(
            account,
            self._codes.find(account.id),
            self._identities.of_account(account.id),
            self._sessions.all_of(account.id),
            self._events.newest(account.id, EXPORTED),
            self._operations.newest(account.id, EXPORTED),
            self._connections.last(account.id),
            self._clock(),
        )
