"""Attackers without a password, and a monitor of the service."""

from random import Random

from tests.faults.beliefs import Beliefs, Device
from tests.faults.history import Action
from tests.faults.players import Actor, new_name, new_password
from tests.faults.run import Run

# Half of the guesses at one name come from the first address, and SPRAYING tries one name after
# another, so every limit of `guess_limits` is reached.
ADDRESSES = ("192.0.2.1",) * 8 + tuple(f"192.0.2.{number}" for number in range(2, 10))
SPRAYING = "192.0.2.100"
WATCHING = "192.0.2.200"
PAUSE_SECONDS = 0.02
WATCH_SECONDS = 0.05


class Guesser:
    """Guesses passwords without waiting for the limits."""

    def __init__(self, run: Run, seed: int) -> None:
        self._run = run
        self._random = Random(seed)
        self._victim = Actor(run, Beliefs(), seed)

    def guess(self) -> None:
        """Guess until the run ends: at one name, at many names, and with stolen tokens.

        A device with an empty bucket uses its account's, so the stolen device has another account.
        """
        name = new_name()
        victim = self._victim.register(name, new_password(), keyless=0.0)
        device = self._victim.register(new_name(), new_password(), keyless=0.0)
        if victim is None or device is None:
            return
        while not self._run.stopping.wait(PAUSE_SECONDS):
            way = self._random.random()
            if way < 0.4:
                self._guess_to_log_in(name, self._random.choice(ADDRESSES))
            elif way < 0.7:
                self._guess_to_log_in(new_name(), SPRAYING)
            elif way < 0.85:
                self._guess_from_device(device)
            else:
                self._guess_to_delete(device)

    def _guess_to_log_in(self, name: str, address: str) -> None:
        password = new_password()
        self._run.call(
            Action.LOG_IN,
            "POST",
            "/v1/login",
            {"username": name, "password": password},
            intent=self._run.new_intent(),
            address=address,
            name=name,
            password=password,
        )

    def _guess_from_device(self, device: Device) -> None:
        body = {"username": device.name, "password": new_password()}
        self._run.call(
            Action.GUESS_FROM_DEVICE,
            "POST",
            "/v1/login",
            {**body, "refresh_token": device.refresh},
            intent=self._run.new_intent(),
            address=self._random.choice(ADDRESSES),
            account=device.account,
        )

    def _guess_to_delete(self, device: Device) -> None:
        self._run.call(
            Action.GUESS_TO_DELETE,
            "POST",
            "/v1/me/delete",
            {"password": new_password()},
            intent=self._run.new_intent(),
            bearer=device.access,
            address=self._random.choice(ADDRESSES),
            account=device.account,
            session=device.session,
        )


def watch(run: Run) -> None:
    """Ask for the service's health all the time."""
    while not run.stopping.wait(WATCH_SECONDS):
        run.call(Action.HEALTH, "GET", "/v1/health", intent=run.new_intent(), address=WATCHING)
