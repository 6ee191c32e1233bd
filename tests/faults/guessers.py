"""Those who have no password, and one who only asks whether the service is there."""

from random import Random

from tests.faults.beliefs import Beliefs, Device
from tests.faults.history import Kind
from tests.faults.players import Player, new_name, new_password
from tests.faults.run import Run

ADDRESSES = ("192.0.2.1", "192.0.2.2")
PAUSE_SECONDS = 0.04
WATCH_SECONDS = 0.05


class Guesser:
    """Guesses the password of one account as fast as it is let."""

    def __init__(self, run: Run, seed: int) -> None:
        self._run = run
        self._random = Random(seed)
        self._victim = Player(run, Beliefs(), seed)

    def guess(self) -> None:
        """Guess from two addresses, and with a stolen access token, until the run ends."""
        name, password = new_name(), new_password()
        device = self._victim.register(name, password, keyless=0.0)
        if device is None:
            return
        while not self._run.stopping.wait(PAUSE_SECONDS):
            if self._random.random() < 0.3:
                self._guess_to_delete(device)
            else:
                self._guess_to_log_in(name)

    def _guess_to_log_in(self, name: str) -> None:
        password = new_password()
        self._run.call(
            Kind.LOG_IN,
            "POST",
            "/v1/login",
            {"username": name, "password": password},
            intent=self._run.new_intent(),
            address=self._random.choice(ADDRESSES),
            name=name,
            password=password,
        )

    def _guess_to_delete(self, device: Device) -> None:
        self._run.call(
            Kind.GUESS_TO_DELETE,
            "POST",
            "/v1/me/delete",
            {"password": new_password()},
            intent=self._run.new_intent(),
            bearer=device.access,
            address=ADDRESSES[0],
            account=device.account,
            session=device.session,
        )


def watch(run: Run) -> None:
    """Ask all the time whether the service is there."""
    while not run.stopping.wait(WATCH_SECONDS):
        run.call(Kind.HEALTH, "GET", "/v1/health", intent=run.new_intent(), address="192.0.2.3")
