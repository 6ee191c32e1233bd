"""Players who write a recovery code down, and come back with it.

In a module of their own because they follow codes, and the other habits follow sessions.
"""

from collections.abc import Callable

from tests.faults.beliefs import Beliefs, Device, SavedCode
from tests.faults.history import Action, Call
from tests.faults.players import Actor, new_password
from tests.faults.run import Run


class Recoverer(Actor):
    """A player who also makes recovery codes, and loses the password."""

    def __init__(self, run: Run, beliefs: Beliefs, seed: int) -> None:
        super().__init__(run, beliefs, seed)
        self._habits = (*self._habits, (self._save_a_code, 1), (self._recover, 2))

    def recover(self, saved: SavedCode, password: str) -> tuple[Call, Device | None]:
        """Come back with a code and a new password; signing in shows an unknown outcome.

        Returns the last answer and the device, or None if refused.
        """

        def sign_in(intent: int) -> Device | None:
            return self.log_in(saved.name, password, intent)

        return self._come_back_by(saved, {"new_password": password}, sign_in, password=password)

    def _come_back_by(
        self,
        saved: SavedCode,
        proof: dict[str, str],
        sign_in: Callable[[int], Device | None],
        *,
        password: str = "",
        secret: str = "",
    ) -> tuple[Call, Device | None]:
        intent = self.run.new_intent()
        body = {"username": saved.name, "recovery_code": saved.code, **proof}
        while True:
            call = self.run.call(
                *(Action.RECOVER, "POST", "/v1/recover", body),
                intent=intent,
                address=self._address(),
                name=saved.name.lower(),
                account=saved.account,
                recovery=saved.code,
                password=password,
                secret=secret,
            )
            if call.done:
                return call, Device.of(saved.name, call)
            if not (call.failed or call.status == 429) or not self.run.wait_after(call):
                return call, None
            if call.failed and (known := sign_in(intent)):
                return call, known

    # Habits

    def _save_a_code(self) -> None:
        self._make_code(self._any_device())

    def _recover(self) -> None:
        """Lose the password, often while another device refreshes or two screens send the code."""
        if self._code is None:
            self._save_a_code()
        if self._code is None or not self._devices:
            return
        saved, way, submit = self._code, self._random.random(), self.run.together.submit
        password, other = new_password(), new_password()
        if way < 0.4:
            rival = submit(self.recover, saved, other)
            self._return_with(saved, password, self.recover(saved, password))
            self._return_with(saved, other, rival.result())
        elif way < 0.7:
            refreshing = submit(self.refresh, self._any_device())
            self._return_with(saved, password, self.recover(saved, password))
            self._end([device] if (device := refreshing.result()) else [])
        else:
            self._recover_alone(saved)

    def _try_another_way(self) -> None:
        if self._code:
            self._recover_alone(self._code)

    # Steps of the habits

    def _recover_alone(self, saved: SavedCode) -> None:
        password = new_password()
        self._return_with(saved, password, self.recover(saved, password))

    def _make_code(self, device: Device) -> None:
        """Make a code in place of the earlier one, and write it down."""
        body = self._proof()
        call, _ = self._with_token(
            *(Action.MAKE_CODE, device, "POST", "/v1/me/recovery-code", body),
            secret=self._secret_digest(),
        )
        if call.done or call.failed:
            self._spoil_code()
        if call.done:
            self._code = SavedCode(device.name, call.account, call.gave_recovery)

    def _proof(self) -> object:
        """Return the body that confirms a call."""
        return {"password": self._password}

    def _secret_digest(self) -> str:
        """Return what the history notes of a guest secret; "": there is none."""
        return ""

    def _return_with(
        self, saved: SavedCode, password: str, outcome: tuple[Call, Device | None]
    ) -> None:
        """Go on with the password of a recovery, if it was the one that used the code."""
        if self._has_come_back(saved, outcome):
            self._password = password

    def _has_come_back(self, saved: SavedCode, outcome: tuple[Call, Device | None]) -> bool:
        """Go on with the session of a recovery, if it was the one that used the code."""
        call, device = outcome
        if device:
            self._end(self._devices)
            self._spoil_code(saved)
            self._devices = [device]
            if call.done:
                self._code = SavedCode(saved.name, saved.account, call.gave_recovery)
        elif call.failed:  # the run is over, and the outcome unknown
            self._begin(None)
        return device is not None

    def _spoil_code(self, saved: SavedCode | None = None) -> None:
        """Take a code, by default the present one, for used or replaced."""
        dead = saved or self._code
        self._beliefs.dead_codes += [dead] if dead else []
        self._code = None
