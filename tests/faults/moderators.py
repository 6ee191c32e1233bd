"""An operator who suspends players, lifts suspensions and signs players out.

Each command is repeated until its outcome is known, often by two processes at once.
"""

import uuid
from collections.abc import Sequence
from functools import partial
from random import Random
from typing import Any

from tests.faults.beliefs import Beliefs, Device
from tests.faults.history import Action, Call
from tests.faults.players import Actor
from tests.faults.run import Run

COMMANDS = {Action.SUSPEND: "suspend", Action.LIFT: "lift", Action.SIGN_OUT: "sign-out"}
ENDS = ({"for_good": True}, {"for": "4w"})  # longer than the clock is ever set ahead
ASKED_AGAIN = 20  # commands, when the run ends


class Moderator:
    """An operator who works on the players' accounts until the run ends."""

    def __init__(self, run: Run, players: Sequence[Actor], seed: int) -> None:
        self._run = run
        self._players = players
        self._random = Random(seed)
        self._someone = Actor(run, Beliefs(), seed)
        self._suspended: list[str] = []
        self._sent: list[partial[Call]] = []

    def work(self) -> None:
        """Work until the run ends; then lift half of what is left, and repeat the last commands."""
        while not self._run.stopping.wait(self._random.uniform(0.05, 0.3)):
            player = self._random.choice(self._players)
            player.is_watched = True
            if devices := player.devices:
                self._moderate(self._random.choice(devices))
            player.is_watched = False
        for account in self._suspended[::2]:
            self._order(Action.LIFT, account)
        for send in self._sent[-ASKED_AGAIN:]:
            send()

    def _moderate(self, device: Device) -> None:
        """Do something to an account, and try a session that was there before."""
        way, account = self._random.random(), device.account
        if way < 0.35:
            done = self._order(Action.SIGN_OUT, account).done
        elif way < 0.45:
            lifting = self._run.together.submit(self._order, Action.LIFT, account)
            done = self._suspend(account).done
            lifting.result()
            self._suspended.append(account)
        else:
            done = self._suspend(account).done
            if way < 0.55:
                self._suspend(account, replace=self._random.random() < 0.5)
            if done:
                self._try_session(device)
            self._run.stopping.wait(self._random.uniform(0.0, 0.4))
            if way < 0.9:
                self._order(Action.LIFT, account)
            else:
                self._suspended.append(account)
        if done:
            self._try_session(device)

    def _suspend(self, account: str, *, replace: bool = False) -> Call:
        end = self._random.choice(ENDS)
        more = {"player_reason": "Cheating", "replace": replace, **end}
        return self._order(Action.SUSPEND, account, **more)

    def _try_session(self, device: Device) -> None:
        """Use a session that must have ended; the checker judges the answers."""
        self._someone.me(device)
        self._someone.refresh(device)

    def _order(self, kind: Action, account: str, **arguments: Any) -> Call:
        """Send a command until its outcome is known, and sometimes once more."""
        event = {
            "command": COMMANDS[kind],
            "command_id": str(uuid.uuid4()),
            "reason": "a fault test",
            "operator": {"arn": "arn:aws:sts::123456789012:assumed-role/Support/kim"},
            "arguments": {"account": str(uuid.UUID(account)), **arguments},
        }
        send = partial(self._until_known, kind, event, self._run.new_intent(), account)
        self._sent.append(send)
        way = self._random.random()
        twin = self._run.together.submit(send) if way < 0.4 else None
        call = send()
        if twin:
            twin.result()
        elif way < 0.6:
            call = send()
        return call

    def _until_known(self, kind: Action, event: dict[str, Any], intent: int, account: str) -> Call:
        while True:
            call = self._run.operate(kind, event, intent=intent, account=account)
            if not call.failed or not self._run.wait_after(call):
                return call
