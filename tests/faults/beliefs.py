"""What players hold and believe: their devices, their accounts, and what should be dead by now."""

from dataclasses import dataclass

from tests.faults.history import Call


@dataclass(frozen=True)
class Device:
    """A session, as the one who is signed in holds it."""

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
class BelievedAccount:
    """An account that is left at the end, with its password and its living sessions."""

    name: str
    password: str
    devices: tuple[Device, ...]


class Beliefs:
    """What all players believe, to be put to the test at the end."""

    def __init__(self) -> None:
        self.accounts: list[BelievedAccount] = []
        self.ended: list[Device] = []
        self.replaced: list[Device] = []  # living sessions, with a token from before a new password
