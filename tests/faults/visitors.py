"""Players who start as guests, and upgrade; and the look at the end at what all players believe."""

import secrets
from dataclasses import dataclass
from typing import Any

from auth.credentials.guest_secrets import subject_of
from tests.faults.beliefs import Beliefs, BelievedAccount, BelievedGuest, Device, SavedCode
from tests.faults.history import Action, Call
from tests.faults.players import new_name, new_password
from tests.faults.recoverers import Recoverer
from tests.faults.run import Run


@dataclass(frozen=True)
class _Wish:
    """An upgrade, with what it sends and what the history notes of it."""

    name: str
    password: str
    secret: str
    intent: int

    @property
    def request(self) -> tuple[str, str, object]:
        """Return the method, the path and the body."""
        body = {"username": self.name, "password": self.password, "guest_secret": self.secret}
        return "POST", "/v1/me/upgrade", body

    @property
    def facts(self) -> dict[str, Any]:
        """Return what the history notes."""
        facts = {"name": self.name, "password": self.password, "secret": _digest(self.secret)}
        return {"intent": self.intent, **facts}


class Visitor(Recoverer):
    """A player who starts as a guest, often with two copies of the game at once.

    Whenever a player would change the password, a guest upgrades, and is a player from then on.
    """

    def __init__(self, run: Run, beliefs: Beliefs, seed: int) -> None:
        super().__init__(run, beliefs, seed)
        self._secret = ""  # "": of a player
        self._habits = (*self._habits, (self._new_password, 3))

    # Actions of a guest

    def enter(self, secret: str, *, create: bool, intent: int = 0) -> Device | None:
        """Sign in by a guest secret; None if no account has it."""
        call = self._until_known(
            Action.CREATE_GUEST if create else Action.ENTER,
            "POST",
            "/v1/guest",
            {"guest_secret": secret, "create": create},
            intent=intent or self.run.new_intent(),
            secret=_digest(secret),
        )
        return Device.of(call.gave_name, call) if call.done else None

    def move(self, saved: SavedCode, secret: str) -> tuple[Call, Device | None]:
        """Come back as a guest on another device, with its secret, as `recover` does."""

        def sign_in(intent: int) -> Device | None:
            return self.enter(secret, create=False, intent=intent)

        proof = {"guest_secret": secret}
        return self._come_back_by(saved, proof, sign_in, secret=_digest(secret))

    # Habits in which a guest differs

    def _start(self) -> None:
        secret = secrets.token_urlsafe(32)
        copies = [
            self.run.together.submit(self.enter, secret, create=True)
            for _ in range(self._random.randint(0, 2))
        ]
        devices = [self.enter(secret, create=True), *(copy.result() for copy in copies)]
        known = [device for device in devices if device]
        self._begin(known[0] if known else None)
        self._secret, self._devices = secret, known

    def _another_device(self) -> None:
        if not self._secret:
            super()._another_device()
        elif device := self.enter(self._secret, create=False):
            self._devices.append(device)

    def _change_password(self, changing: Device) -> None:
        if self._secret:
            self._upgrade(changing)
        else:
            super()._change_password(changing)

    def _delete(self, device: Device) -> None:
        if not self._secret:
            super()._delete(device)
            return
        body = {"guest_secret": self._secret}
        self._with_token(Action.DELETE, device, "POST", "/v1/me/delete", body)
        self._beliefs.dead_secrets.append(self._secret)

    def _remain(self) -> None:
        if self._secret:
            self._beliefs.guests.append(BelievedGuest(self._secret, tuple(self._devices)))
        else:
            super()._remain()

    def _recover(self) -> None:
        """Recover as a player; as a guest, move to another device, or to two at once."""
        if not self._secret:
            super()._recover()
            return
        if self._code is None:
            self._save_a_code()
        if self._code is None or not self._devices:
            return
        saved, other = self._code, secrets.token_urlsafe(32)
        if self._random.random() < 0.5:
            rival = self.run.together.submit(self.move, saved, other)
            self._recover_alone(saved)
            self._move_with(saved, other, rival.result())
        else:
            self._recover_alone(saved)

    def _recover_alone(self, saved: SavedCode) -> None:
        if not self._secret:
            super()._recover_alone(saved)
            return
        secret = secrets.token_urlsafe(32)
        self._move_with(saved, secret, self.move(saved, secret))

    def _move_with(
        self, saved: SavedCode, secret: str, outcome: tuple[Call, Device | None]
    ) -> None:
        """Go on with the secret of a recovery, if it was the one that used the code."""
        if self._has_come_back(saved, outcome):
            self._beliefs.dead_secrets.append(self._secret)
            self._secret = secret

    def _proof(self) -> object:
        return {"guest_secret": self._secret} if self._secret else super()._proof()

    def _secret_digest(self) -> str:
        return _digest(self._secret) if self._secret else ""

    # The upgrade

    def _upgrade(self, device: Device) -> None:
        """Upgrade; often while a rival asks for the name, a copy starts, or a second tap comes."""
        wish = _Wish(new_name(), new_password(), self._secret, self.run.new_intent())
        way, submit = self._random.random(), self.run.together.submit
        if way < 0.2:
            rival = submit(self._register_another, wish.name.upper())
            self._try_to_upgrade(device, wish)
            rival.result()
        elif way < 0.5:
            copy = submit(self.enter, wish.secret, create=False)
            self._try_to_upgrade(device, wish)
            self._end([entered] if (entered := copy.result()) else [])
        elif way < 0.8:
            tap = submit(self._tap, device, wish)
            self._try_to_upgrade(device, wish)
            tap.result()
        else:
            self._try_to_upgrade(device, wish)

    def _try_to_upgrade(self, device: Device, wish: _Wish) -> None:
        """Upgrade until the outcome is known; it may be that a rival has the name."""
        trying: Device | None = device
        while trying:
            call, left = self._with_token(Action.UPGRADE, trying, *wish.request, **wish.facts)
            if call.done:
                self._beliefs.replaced.append(trying)
                self._become(Device.of(wish.name, call), wish)
                return
            if call.failed:  # the run is over, and the outcome unknown
                self._begin(None)
            if left:
                return
            # The session has ended, perhaps by the first try, whose answer was lost.
            if upgraded := self.log_in(wish.name, wish.password, wish.intent):
                self._become(upgraded, wish)
                return
            trying = self.enter(wish.secret, create=False, intent=wish.intent)
            self._devices += [trying] if trying else []
        self._begin(None)  # suspended, or the run is over, and the outcome unknown

    def _tap(self, device: Device, wish: _Wish) -> None:
        """Send the upgrade as a second tap does, with the token of the first."""
        self._until_known(
            Action.UPGRADE,
            *wish.request,
            bearer=device.access,
            account=device.account,
            session=device.session,
            **wish.facts,
        )

    def _become(self, device: Device, wish: _Wish) -> None:
        """Go on as a player with a name and a password."""
        if self._code:
            self._spoil_code(SavedCode(wish.name, self._code.account, self._code.code))
        self._end([each for each in self._devices if each.session != device.session])
        self._beliefs.dead_secrets.append(wish.secret)
        self._secret = ""
        self._begin(device, wish.password)

    def _register_another(self, name: str) -> None:
        password = new_password()
        if device := self.register(name, password):
            self._beliefs.accounts.append(BelievedAccount(name, password, (device,)))


def look_at_the_end(run: Run, beliefs: Beliefs, most: int) -> None:
    """Test the players' beliefs: valid passwords and guest secrets, living sessions, ended ones.

    Tests at most `most` of each. The checker judges the answers.
    """
    someone = Visitor(run, beliefs, seed=0)

    def look_at(account: BelievedAccount) -> None:
        someone.log_in(account.name, account.password)
        for device in account.devices:
            someone.refresh(device)

    def look_at_guest(guest: BelievedGuest) -> None:
        someone.enter(guest.secret, create=False)
        for device in guest.devices:
            someone.refresh(device)

    def look_for_guest(secret: str) -> None:
        someone.enter(secret, create=False)

    def try_code(saved: SavedCode) -> None:
        password = new_password()
        someone.recover(saved, password)
        someone.log_in(saved.name, password)

    list(run.together.map(look_at, beliefs.accounts[-most:]))
    list(run.together.map(look_at_guest, beliefs.guests[-most:]))
    list(run.together.map(look_for_guest, beliefs.dead_secrets[-most:]))
    list(run.together.map(someone.me, beliefs.ended[-most:]))
    list(run.together.map(someone.refresh, beliefs.ended[-most:]))
    # A token issued before the new password counts as stolen, so these come last.
    list(run.together.map(someone.refresh, beliefs.replaced[-most:]))
    # Codes come after the sessions that they would end: the dead ones first, then the living.
    list(run.together.map(try_code, beliefs.dead_codes[-most:]))
    living = [account.code for account in beliefs.accounts if account.code]
    list(run.together.map(try_code, living[-most:]))


def _digest(secret: str) -> str:
    return subject_of(secret).hex()
