"""Players who connect to game servers: to two at once, and with tickets that two of them redeem."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from tests.faults.beliefs import Device
from tests.faults.history import Action
from tests.faults.players import Actor
from tests.faults.run import Run
from tests.faults.seat_servers import SeatServer
from tests.faults.seats import GameStore

NAMES = ("eu-1:7777", "us-1:7777")
TAKERS = (55, 56)  # their seeds


class SeatTaker:
    """Takes seats for the players, who do something else meanwhile, until the run ends.

    `rival`: a server with the name of the first one and another key, which redeems its tickets too.
    """

    def __init__(
        self,
        run: Run,
        players: Sequence[Actor],
        servers: Sequence[SeatServer],
        rival: SeatServer,
        seed: int,
    ) -> None:
        self._run = run
        self._players = players
        self._servers = servers
        self._rival = rival
        self._random = Random(seed)

    def live(self) -> None:
        """Take one seat after another."""
        while not self._run.stopping.wait(self._random.uniform(0.02, 0.2)):
            if devices := self._random.choice(self._players).devices:
                self._connect(self._random.choice(devices))

    def _connect(self, device: Device) -> None:
        way, submit = self._random.random(), self._run.together.submit
        here, there = self._random.sample(self._servers, 2)
        if way < 0.35:
            self._sit(device, here)
        elif way < 0.65:
            other = submit(self._sit, device, there)
            self._sit(device, here)
            other.result()
        elif way < 0.95:
            first = self._servers[0]
            if ticket := self._ticket(device, first):
                rival = submit(self._rival.redeem, ticket)
                first.admit(ticket)
                rival.result()
        elif ticket := self._ticket(device, here):
            there.redeem(ticket)

    def _sit(self, device: Device, server: SeatServer) -> None:
        """Get a ticket and show it to the server, which redeems it now or a little later."""
        if ticket := self._ticket(device, server):
            self._run.stopping.wait(self._random.choice((0.0, 0.0, 0.1)))
            server.admit(ticket)

    def _ticket(self, device: Device, server: SeatServer) -> str:
        """Return a ticket; "": the player gets none."""
        return self._run.call(
            *(Action.TICKET, "POST", "/v1/tickets", {"server": server.name}),
            intent=self._run.new_intent(),
            bearer=device.access,
            address="192.0.2.212",
            account=device.account,
            session=device.session,
            server=server.name,
        ).gave_ticket


class GameServers:
    """The game servers of a run, with the players who connect to them."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._store = GameStore()
        self._servers = [SeatServer(run, self._store, name, name) for name in NAMES]
        self._rival = SeatServer(run, self._store, NAMES[0], "rival")

    def parts(self, players: Sequence[Actor]) -> list[Callable[[], None]]:
        """Return what they do until the run ends."""
        takers = [
            SeatTaker(self._run, players, self._servers, self._rival, seed) for seed in TAKERS
        ]
        pollers = [*self._servers, self._rival]
        return [*(server.live for server in pollers), *(taker.live for taker in takers)]

    def finish(self) -> None:
        """Poll for the last time."""
        for server in (*self._servers, self._rival):
            server.finish()

    def observed(self) -> dict[str, Any]:
        """Return what they recorded so far, by the names of the history."""
        every = [*self._servers, self._rival]
        return {
            "seats": tuple(seat for server in every for seat in server.seats),
            "polls": tuple(poll for server in every for poll in tuple(server.polls)),
            "writes": tuple(self._store.writes),
        }
