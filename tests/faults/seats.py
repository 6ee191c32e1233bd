"""What game servers record in a history: seats, polls of the feed, and writes to a game's store."""

import threading
from dataclasses import dataclass, replace

NEVER = float("inf")
RESET = "reset"
REPLACED = "replaced"  # by a newer seat of the same player on the same server


@dataclass(frozen=True)
class Told:
    """An event as a poll delivered it."""

    id: str
    type: str
    account: str
    session: str = ""
    epoch: int = 0
    fence: int = 0


@dataclass(frozen=True)
class Seat:
    """A player's place on a game server, from the answer to the redemption until it is closed.

    `cause`: the event that closed it, or `RESET`, or `REPLACED`; None while it is open.
    """

    server: str
    account: str
    session: str
    epoch: int
    fence: int
    opened: float
    closed: float = NEVER
    cause: Told | str | None = None

    def is_ended_by(self, told: Told) -> bool:
        """Tell whether an event ends it, as the feed's contract says."""
        if told.type == "session-revoked":
            return told.session == self.session
        if told.account != self.account:
            return False
        if told.type == "connection-superseded":
            return told.fence > self.fence
        if told.type == "credential-change":
            return told.epoch > self.epoch and told.session != self.session
        return told.type == "account-purged" or told.epoch > self.epoch

    def until(self, closed: float, cause: Told | str) -> "Seat":
        """Return the seat after it was closed."""
        return replace(self, closed=closed, cause=cause)


@dataclass(frozen=True)
class Polled:
    """A whole poll, all its pages together; `told` has the events that were new.

    `pause`: how long after it the next one is due, by the answer. `late`: how long after it was due
    it began, because no handler was idle or others had failed.
    """

    redeemer: str  # the game server, by its key
    server: str
    began: float
    ended: float
    pause: float
    late: float
    told: tuple[Told, ...] = ()


@dataclass(frozen=True)
class Wrote:
    """A write to a game's store, by the server that has, or had, a player with this fence."""

    account: str
    server: str
    fence: int
    accepted: bool


@dataclass(frozen=True)
class Fed:
    """An event in the database at the end that is news; `server`: which alone may see it."""

    id: str
    type: str
    account: str
    server: str = ""


class GameStore:
    """A game's own store: it refuses a write with a smaller fence than the last one's."""

    def __init__(self) -> None:
        self.writes: list[Wrote] = []  # in their order
        self._fences: dict[str, int] = {}
        self._lock = threading.Lock()

    def write(self, seat: Seat) -> None:
        """Write something of the player who has a seat."""
        with self._lock:
            accepted = self._fences.get(seat.account, 0) <= seat.fence
            if accepted:
                self._fences[seat.account] = seat.fence
            self.writes.append(Wrote(seat.account, seat.server, seat.fence, accepted))
