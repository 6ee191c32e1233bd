"""The rotation of the application's database user: Secrets Manager calls it for each step.

Two users alternate: the unused one gets a new password, and then replaces the other. The password
in use never changes, so no request fails. Every step is safe to repeat, and any step may follow a
crash of another one. docs/decisions/0008 explains why we do not use AWS's own function.
"""

import logging
import secrets
import string
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec

from auth.external.connection import DatabaseSecret
from auth.external.secret_store import SecretStore
from auth.jobs.admin import Admin
from auth.jobs.database_users import other_user, set_password, sign_in, users_lock

logger = logging.getLogger(__name__)

PASSWORD_LETTERS = string.ascii_letters + string.digits  # need no quoting anywhere
# Sent by a schedule, since Lambda deactivates a function that is not called for weeks.
WAKE = {"wake": True}
PASSWORD_LENGTH = 40  # 238 bits, like the first password that the deployment generates


class RotationError(Exception):
    """The step was not done; the text has the cause and no value of the secret."""


class RotationEvent(msgspec.Struct, frozen=True, rename="pascal"):
    """The event that Secrets Manager sends; unknown fields are ignored."""

    secret_id: str
    client_request_token: str
    step: Literal["createSecret", "setSecret", "testSecret", "finishSecret"]


@dataclass(frozen=True)
class Rotation:
    """One secret, and the administrator of the database that it belongs to."""

    secret_store: SecretStore
    secret_id: str
    admin: Admin

    def run(self, raw: object) -> None:
        """Do the step that an event requests; do nothing for an event that keeps Lambda awake.

        Raises:
            RotationError: the event is not for a rotation of this secret, or comes out of order.
            Unavailable, DatabaseFailure, UserError: Secrets Manager or the database failed.
        """
        if raw == WAKE:
            logger.info(
                "rotation: called to keep it awake; nothing to do",
                extra={"event": "rotation_awake"},
            )
            return
        try:
            event = msgspec.convert(raw, RotationEvent)
        except msgspec.ValidationError:
            raise RotationError("not a rotation event of Secrets Manager; did nothing") from None
        if not self._is_due(event):
            logger.info(
                "rotation: %s was already done", event.step, extra={"event": "rotation_step"}
            )
            return
        steps = {
            "createSecret": self._create,
            "setSecret": self._set,
            "testSecret": self._test,
            "finishSecret": self._finish,
        }
        steps[event.step](event.client_request_token)
        done = "rotated" if event.step == "finishSecret" else "rotation_step"
        logger.info("rotation: %s done", event.step, extra={"event": done})

    def _is_due(self, event: RotationEvent) -> bool:
        """Tell whether the version is being rotated in, and is not in use yet."""
        versions = self.secret_store.versions(self.secret_id)
        if event.secret_id not in (versions.arn, self.secret_id):
            raise RotationError(f"the event is for another secret, not for {self.secret_id}")
        if not versions.rotates:
            raise RotationError(f"rotation is not turned on for {self.secret_id}: deploy again")
        stages = versions.stages.get(event.client_request_token)
        if stages is None:
            raise RotationError(f"{self.secret_id} does not have the version that the event names")
        if "AWSCURRENT" in stages:
            return False
        if "AWSPENDING" not in stages:
            raise RotationError(
                f"the version of {self.secret_id} that the event names is not AWSPENDING"
            )
        return True

    def _create(self, version: str) -> None:
        """Store the other user with a new password in the version, unless that was done."""
        if self.secret_store.has_value(self.secret_id, version):
            return
        current = self.secret_store.read(self.secret_id, dict[str, Any])
        user = self._read("AWSCURRENT")
        new = {"username": other_user(user.username), "password": new_password()}
        # Keep all other fields: AWS stores more than we read.
        self.secret_store.put_pending(self.secret_id, version, {**current, **new})

    def _set(self, version: str) -> None:
        """Set the other user's new password in the database."""
        with self.admin.connect(self._read("AWSCURRENT")) as admin, users_lock(admin):
            # Read under the lock: a late repetition must not set an outdated password.
            set_password(admin, self._other(version)[1])

    def _test(self, version: str) -> None:
        """Sign in as the other user.

        Secrets Manager also requests this step when a schedule is set without an immediate
        rotation, with a temporary version: empty, or a copy of the current value. In a first
        deployment the user in that copy does not exist yet, so only the connection is tested.
        """
        current = self._read("AWSCURRENT")
        rehearsal = (
            not self.secret_store.has_value(self.secret_id, version)
            or self._read("AWSPENDING").username == current.username
        )
        if rehearsal:
            with self.admin.connect(current):
                logger.info(
                    "rotation: test only; the database accepts the administrator",
                    extra={"event": "rotation_ready"},
                )
            return
        sign_in(self._other(version)[1], self.admin.tls)

    def _finish(self, version: str) -> None:
        """Switch to the other user."""
        before, other = self._other(version)
        sign_in(other, self.admin.tls)  # again, because every request depends on it from now on
        self.secret_store.promote(self.secret_id, version, before)

    def _other(self, version: str) -> tuple[str, DatabaseSecret]:
        """Return the current version's id, and the pending user after checking it."""
        versions = self.secret_store.versions(self.secret_id)
        before = versions.with_stage("AWSCURRENT")
        if before is None or versions.with_stage("AWSPENDING") != version:
            raise RotationError(f"a newer rotation of {self.secret_id} has overtaken this one")
        current, pending = self._read("AWSCURRENT"), self._read("AWSPENDING")
        if pending.username != other_user(current.username):
            raise RotationError(
                "the pending version's user is not the one waiting to be rotated in: remove the"
                " label AWSPENDING and rotate again (docs/run/rotation.md)"
            )
        new = {"username": pending.username, "password": pending.password}
        if msgspec.structs.replace(current, **new) != pending:
            raise RotationError(
                "the database's address has changed since this rotation began: remove the label"
                " AWSPENDING and rotate again (docs/run/rotation.md)"
            )
        return before, pending

    def _read(self, stage: str) -> DatabaseSecret:
        return self.secret_store.read(self.secret_id, DatabaseSecret, stage)


def new_password() -> str:
    """Return a new password for a database user."""
    return "".join(secrets.choice(PASSWORD_LETTERS) for _ in range(PASSWORD_LENGTH))


def report_age(secret_store: SecretStore, secret_id: str, now: datetime) -> int:
    """Log the age of the database password in days, for the alarm about missed rotations.

    Raises:
        Unavailable: the secret cannot be read.
    """
    days = (now - secret_store.created_at(secret_id)).days
    text = "the database password is %d days old"
    logger.info(text, days, extra={"event": "password_age", "age_days": days})
    return days
