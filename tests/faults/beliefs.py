"""The state players expect: their devices, their accounts, and the sessions that have ended."""

from dataclasses import dataclass

from tests.faults.history import Call


@dataclass(frozen=True)
class Device:
    """A session as its player's device holds it."""

    name: str
    account: str
    session: str
    access: str
    refresh: str

    @classmethod
    def of(cls, name: str, call: Call) -> "Device":
        """Return the device that an answer signed in."""
        tokens = (call.gave_access, call.gave_token)
        return cls(name, call.gave_account, call.gave_session, *tokens)


@dataclass(frozen=True)
class SavedCode:
    """A recovery code as its player has written it down."""

    name: str
    account: str
    code: str


@dataclass(frozen=True)
class BelievedAccount:
    """An account that exists at the end, with its password, living sessions and recovery code."""

    name: str
    password: str
    devices: tuple[Device, ...]
    code: SavedCode | None = None


@dataclass(frozen=True)
class BelievedGuest:
    """A guest that exists at the end, with its living sessions."""

    secret: str
    devices: tuple[Device, ...]


class Beliefs:
    """The beliefs of all players, tested at the end."""

    def __init__(self) -> None:
        self.accounts: list[BelievedAccount] = []
        self.guests: list[BelievedGuest] = []
        self.dead_secrets: list[str] = []
        self.dead_codes: list[SavedCode] = []
        self.ended: list[Device] = []
        self.replaced: list[Device] = []  # living sessions, with the token before a new password
