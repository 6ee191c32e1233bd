"""Players: they register, sign in and out, and retry unanswered calls as the contract says.

Each player is a thread that uses one account after another. At the end every player retries until
it knows all outcomes, and all their beliefs are tested.
"""

import itertools
import secrets
from collections.abc import Callable, Iterator
from random import Random

from tests.faults.beliefs import Beliefs, BelievedAccount, Device, SavedCode
from tests.faults.history import Action, Call
from tests.faults.run import Run

_numbers = itertools.count(1)


class Actor:
    """A player who plays until the run ends."""

    def __init__(self, run: Run, beliefs: Beliefs, seed: int) -> None:
        self.run = run
        self._beliefs = beliefs
        self._random = Random(seed)
        self._name = self._password = ""
        self._devices: list[Device] = []
        self._code: SavedCode | None = None  # of a `Recoverer`
        self.is_watched = False  # an operator is busy with the account
        self._habits: tuple[tuple[Callable[[], None], int], ...] = (
            (self._look, 6),
            (self._come_back, 6),
            (self._come_back_twice, 2),
            (self._another_device, 4),
            (self._new_password, 2),
            (self._leave, 2),
            (self._leave_everywhere, 1),
            (self._end_another, 1),
            (self._end_during_refresh, 2),
        )

    @property
    def devices(self) -> tuple[Device, ...]:
        """Return the devices as they are now, for another thread."""
        return tuple(self._devices)

    def live(self) -> None:
        """Use one account after another."""
        while not self.run.stopping.is_set():
            self._start()
            for habit in self._plan():
                self.run.stopping.wait(self._random.uniform(0.005, 0.03))
                if self.run.stopping.is_set() or not self._name:
                    break
                if not self._devices:
                    self._another_device()
                if self._devices:
                    habit()
                else:
                    self._try_another_way()
            if self._name:
                self._part()

    def _plan(self) -> Iterator[Callable[[], None]]:
        """Yield some habits, and more of them while an operator is busy with the account."""
        habits, weights = zip(*self._habits, strict=True)
        yield from self._random.choices(habits, weights, k=self._random.randint(2, 7))
        while self.is_watched:
            yield from self._random.choices(habits, weights)

    def _start(self) -> None:
        """Get an account."""
        if self._random.random() < 0.3:
            self._race_for_a_name()
        else:
            name, password = new_name(), new_password()
            self._begin(self.register(name, password), password)

    def _try_another_way(self) -> None:
        """Try what is left to a player who cannot sign in, such as a suspended one."""

    # Actions of a player

    def register(self, name: str, password: str, *, keyless: float = 0.5) -> Device | None:
        """Open an account; without an Idempotency-Key, signing in shows the outcome."""
        run, intent, address = self.run, self.run.new_intent(), self._address()
        key = "" if self._random.random() < keyless else secrets.token_urlsafe(16)
        body = {"username": name, "password": password}
        facts = {"name": name.lower(), "password": password}
        is_unknown = False
        while True:
            call = run.call(
                Action.REGISTER,
                "POST",
                "/v1/register",
                body,
                intent=intent,
                key=key,
                address=address,
                **facts,
            )
            is_unknown = is_unknown or call.failed
            if call.done:
                return Device.of(name, call)
            if is_unknown and not key and call.status != 429:
                if call.failed and not run.wait_after(call):
                    return None
                known = self.log_in(name, password, intent=intent)
                if known or call.code == "username_taken":
                    return known
            elif not (call.failed or call.status == 429) or not run.wait_after(call):
                return None

    def log_in(self, name: str, password: str, intent: int = 0) -> Device | None:
        """Sign in; None if refused."""
        call = self._until_known(
            Action.LOG_IN,
            "POST",
            "/v1/login",
            {"username": name, "password": password},
            intent=intent or self.run.new_intent(),
            name=name.lower(),
            password=password,
        )
        return Device.of(name, call) if call.done else None

    def refresh(self, device: Device, key: str | None = None) -> Device | None:
        """Refresh a session with a key: a new one by default, none if "". None if it has ended."""
        call = self._until_known(
            Action.REFRESH,
            "POST",
            "/v1/refresh",
            {"refresh_token": device.refresh},
            intent=self.run.new_intent(),
            key=secrets.token_urlsafe(16) if key is None else key,
            account=device.account,
            session=device.session,
            token=device.refresh,
        )
        return Device.of(device.name, call) if call.done else None

    def me(self, device: Device) -> Call:
        """Fetch the account."""
        return self._until_known(
            Action.ME,
            "GET",
            "/v1/me",
            intent=self.run.new_intent(),
            bearer=device.access,
            account=device.account,
            session=device.session,
        )

    # Habits

    def _look(self) -> None:
        device = self._any_device()
        if self.me(device).code == "invalid_token":  # it has expired
            self._keep(device, self.refresh(device))

    def _come_back(self) -> None:
        """Refresh, sometimes without a key: retries come within the grace period of 60 s."""
        device = self._any_device()
        self._keep(device, self.refresh(device, "" if self._random.random() < 0.3 else None))

    def _come_back_twice(self) -> None:
        """Have two copies of the game refresh one session at once, with one key."""
        device, key = self._any_device(), secrets.token_urlsafe(16)
        other = self.run.together.submit(self.refresh, device, key)
        self._keep(device, self.refresh(device, key))
        other.result()

    def _another_device(self) -> None:
        device = self.log_in(self._name, self._password)
        if device:
            self._devices.append(device)

    def _new_password(self) -> None:
        self._change_password(self._any_device())

    def _leave(self) -> None:
        device = self._any_device()
        self._log_out(device)
        self._end([device])

    def _leave_everywhere(self) -> None:
        self._log_out(self._any_device(), everywhere=True)
        self._end(self._devices)

    def _end_another(self) -> None:
        if len(self._devices) > 1:
            device, other = self._random.sample(self._devices, 2)
            path = f"/v1/sessions/{other.session}"
            self._with_token(Action.END_SESSION, device, "DELETE", path, session=other.session)
            self._end([other])

    def _end_during_refresh(self) -> None:
        """Have one device refresh at the moment when another ends its session."""
        if len(self._devices) < 2:
            self._another_device()
        if len(self._devices) < 2:
            return
        device, other = self._random.sample(self._devices, 2)
        refreshing = self.run.together.submit(self.refresh, other)
        if self._random.random() < 0.5:
            self._change_password(device)
        else:
            self._log_out(device, everywhere=True)
            self._end(self._devices)
        self._end([refreshing.result() or other])

    def _race_for_a_name(self) -> None:
        """Have several players register one name, in different spellings, at the same moment."""
        name, rivals = new_name(), self._random.randint(2, 4)
        spellings = [name, name.upper(), name.title(), name.swapcase()]
        passwords = [new_password() for _ in range(rivals)]
        tries = [
            self.run.together.submit(self.register, spelling, password)
            for spelling, password in zip(spellings, passwords, strict=False)
        ]
        devices = [each.result() for each in tries]
        self._begin(None)
        for device, password in zip(devices, passwords, strict=True):
            if device:
                self._begin(device, password)

    def _part(self) -> None:
        """Delete the account, or keep it for the checks at the end."""
        if self._devices and self._random.random() < 0.35:
            device = self._any_device()
            self._delete(device)
            self._end(self._devices)
        else:
            self._remain()
        self._begin(None)

    def _delete(self, device: Device) -> None:
        body = {"password": self._password}
        self._with_token(Action.DELETE, device, "POST", "/v1/me/delete", body)

    def _remain(self) -> None:
        account = BelievedAccount(self._name, self._password, tuple(self._devices), self._code)
        self._beliefs.accounts.append(account)

    # Steps of the habits

    def _change_password(self, changing: Device) -> None:
        device: Device | None = changing
        new, intent = new_password(), self.run.new_intent()
        body = {"current_password": self._password, "new_password": new}
        while device:
            call, left = self._with_token(
                Action.CHANGE_PASSWORD,
                device,
                "PUT",
                "/v1/me/password",
                body,
                intent=intent,
                password=new,
            )
            if call.done:
                mine = Device.of(device.name, call)
                self._beliefs.replaced.append(device)
                self._end([each for each in self._devices if each.session != mine.session])
                self._devices, self._password = [mine], new
                return
            if left:  # refused, or the run is over
                return
            if changed := self.log_in(self._name, new, intent):  # an operator ended the session
                self._end(self._devices)
                self._devices, self._password = [changed], new
                return
            device = self.log_in(self._name, self._password, intent)
        self._begin(None)  # suspended, or the run is over, and the outcome unknown

    def _log_out(self, device: Device, *, everywhere: bool = False) -> None:
        kind = Action.LOG_OUT_EVERYWHERE if everywhere else Action.LOG_OUT
        body = {"everywhere": everywhere}
        self._with_token(kind, device, "POST", "/v1/logout", body)

    def _with_token(
        self,
        kind: Action,
        device: Device,
        method: str,
        path: str,
        body: object = None,
        intent: int = 0,
        **facts: str,
    ) -> tuple[Call, Device | None]:
        """Send a request with an access token, with a new one if it has expired.

        Returns the last answer and the device, or None if its session has ended.
        """
        intent = intent or self.run.new_intent()
        left: Device | None = device
        while True:
            call = self._until_known(
                kind,
                method,
                path,
                body,
                intent=intent,
                bearer=device.access,
                **{"account": device.account, "session": device.session, **facts},
            )
            if call.code != "invalid_token":
                return call, left
            left = self.refresh(device)
            if left is None:
                return call, None
            self._keep(device, left)
            device = left

    def _until_known(
        self, kind: Action, method: str, path: str, body: object = None, **facts: object
    ) -> Call:
        """Send a request until its outcome is known."""
        while True:
            call = self.run.call(kind, method, path, body, address=self._address(), **facts)  # type: ignore[arg-type]
            if not (call.failed or call.status == 429) or not self.run.wait_after(call):
                return call

    def _begin(self, device: Device | None, password: str = "") -> None:
        """Switch to another account, or to none."""
        self._devices = [device] if device else []
        self._name = device.name if device else ""
        self._password = password
        self._code = None

    def _any_device(self) -> Device:
        return self._random.choice(self._devices)

    def _keep(self, old: Device, new: Device | None) -> None:
        """Replace a device by its refreshed one, or remove it if None."""
        rest = [each for each in self._devices if each != old]
        self._devices = [*rest, new] if new else rest

    def _end(self, devices: list[Device]) -> None:
        self._beliefs.ended += devices
        gone = {device.session for device in devices}
        self._devices = [each for each in self._devices if each.session not in gone]

    def _address(self) -> str:
        return ".".join(["10", *(str(self._random.randint(1, 254)) for _ in range(3))])


def new_name() -> str:
    """Return a name that was never used."""
    return f"tester-{next(_numbers)}"


def new_password() -> str:
    """Return a password that cannot be guessed and whose strength is quick to estimate."""
    return secrets.token_urlsafe(9)
