"""Game servers: they redeem tickets, poll the feed, and close the seats that it ends."""

import base64
import hashlib
import json
import threading
from typing import Any

from auth.credentials.server_keys import new_server_key
from auth.times import new_id, system_clock
from tests.faults.history import Action, Call
from tests.faults.run import Run
from tests.faults.seats import REPLACED, RESET, GameStore, Polled, Seat, Told

POLL_AFTER_SECONDS = 1
PATIENCE_SECONDS = 10.0
SENT_AGAIN = "ABCDEFGH"  # one ticket of eight is sent again, as if the answer had been lost
RETRY_SECONDS = 0.5  # after a poll that failed, whatever the answer says: the seats wait


class SeatServer:
    """A game server with a key for redeeming and polling."""

    def __init__(self, run: Run, store: GameStore, name: str, label: str) -> None:
        self.name = name
        self.polls: list[Polled] = []
        self._closed: list[Seat] = []
        self._run = run
        self._store = store
        self._label = label
        self._key = _add_key(run)
        self._open: dict[str, Seat] = {}  # by account
        self._known: dict[str, Told] = {}
        self._cursor = ""
        self._began: float | None = None  # of a poll whose last page is not read yet
        self._told: tuple[Told, ...] = ()  # by the pages before
        self._due = 0.0
        self._lock = threading.Lock()

    @property
    def seats(self) -> list[Seat]:
        """Return all seats that it has, and those that it had."""
        with self._lock:
            return [*self._closed, *self._open.values()]

    # Redeeming

    def redeem(self, ticket: str) -> Call:
        """Redeem a ticket; send the same again until the outcome is known."""
        intent = self._run.new_intent()
        while True:
            call = self._run.call(
                Action.REDEEM,
                "POST",
                "/v1/server/redeem",
                {"ticket": ticket, "server": self.name},
                intent=intent,
                bearer=self._key,
                address="192.0.2.210",
                server=self.name,
                redeemer=self._label,
                ticket=ticket,
            )
            if not call.failed or not self._run.wait_after(call):
                return call

    def admit(self, ticket: str) -> None:
        """Redeem a ticket and give the player a seat, unless it has ended already."""
        call = self.redeem(ticket)
        if not call.done:
            return
        if ticket[-2] in SENT_AGAIN:
            self.redeem(ticket)
        with self._lock:
            seat = _seat(self.name, ticket, call.gave_fence, self._run.now())
            ended = next((told for told in self._known.values() if seat.is_ended_by(told)), None)
            before = self._open.get(seat.account)
            if ended:
                self._closed.append(seat.until(seat.opened, ended))
            elif before and before.fence > seat.fence:
                self._closed.append(seat.until(seat.opened, REPLACED))
            else:
                if before:
                    self._closed.append(before.until(seat.opened, REPLACED))
                self._open[seat.account] = seat
                self._store.write(seat)

    # Polling

    def live(self) -> None:
        """Poll until the run ends."""
        pause = 0.0
        while not self._run.stopping.wait(pause):
            pause = self.poll()

    def poll(self) -> float:
        """Ask for the next page, close seats, and return the pause until the next poll."""
        with self._run.steps.no_step():
            query = f"server={self.name}" + (f"&after={self._cursor}" if self._cursor else "")
            call = self._run.call(
                *(Action.POLL, "GET", "/v1/server/events"),
                query=query,
                intent=self._run.new_intent(),
                bearer=self._key,
                address="192.0.2.211",
                server=self.name,
                redeemer=self._label,
            )
        if not call.done:
            return RETRY_SECONDS
        page = json.loads(call.answer)
        if self._began is None:
            self._began = call.began
        with self._lock:
            self._learn(page, call.ended)
        if page["more"]:
            return 0.0
        self._began = None
        self._due = call.ended + page["poll_after"]
        return float(page["poll_after"])

    def finish(self) -> None:
        """Poll twice, when all is over: what the first poll told is done before the second."""
        for _ in range(2):
            end = self._run.now() + PATIENCE_SECONDS
            while self.poll() != POLL_AFTER_SECONDS:
                assert self._run.now() < end, "the last poll fails"

    def _learn(self, page: Any, ended: float) -> None:
        """Keep what a page tells and is new, and close the seats that it ends."""
        assert self._began is not None
        self._cursor = page["cursor"]
        told = [_told(event) for event in page["events"]]
        new = tuple(one for one in told if self._known.get(one.id) != one)
        self._known |= {one.id: one for one in new}
        if page.get("reset"):
            for seat in list(self._open.values()):
                self._close(seat, RESET)
        for seat in list(self._open.values()):
            if cause := next((one for one in new if seat.is_ended_by(one)), None):
                self._close(seat, cause)
            else:
                self._store.write(seat)
        self._told += new
        if not page["more"]:
            late = max(0.0, self._began - self._due)
            pause = float(page["poll_after"])
            poll = Polled(self._label, self.name, self._began, ended, pause, late, self._told)
            self.polls.append(poll)
            self._told = ()

    def _close(self, seat: Seat, cause: Told | str) -> None:
        """Close a seat, after a last write: a server that stood still for a while does that."""
        self._store.write(seat)
        del self._open[seat.account]
        self._closed.append(seat.until(self._run.now(), cause))


def _add_key(run: Run) -> str:
    """Add a server key for all servers, as an operator does."""
    key_id = new_id(system_clock())
    text = new_server_key(key_id)
    digest = hashlib.sha256(text.encode()).hexdigest()
    run.database.run(
        "INSERT INTO server_keys (id, secret_hash, label, pattern, redeem_only, created_at)"
        f" VALUES (X'{key_id.hex()}', X'{digest}', 'a fault test', '*', 0, '2026-01-01')"
    )
    return text


def claims_of(ticket: str) -> dict[str, Any]:
    """Return the claims of a ticket of ours."""
    payload = ticket.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return claims


def _seat(server: str, ticket: str, fence: int, opened: float) -> Seat:
    claims = claims_of(ticket)
    account = claims["sub"].replace("-", "")
    return Seat(server, account, claims["sid"], claims["epoch"], fence, opened)


def _told(event: dict[str, Any]) -> Told:
    return Told(
        id=event["id"].replace("-", ""),
        type=event["type"],
        account=event.get("account_id", "").replace("-", ""),
        session=event.get("session_id", ""),
        epoch=event.get("epoch", 0),
        fence=event.get("fence", 0),
    )
