"""The rotation of the application's database user, one step a call, as Secrets Manager asks.

Two users take turns: the one that waits gets a new password and becomes the one that serves; the
one that serves is never touched, so no request notices. Each step may be repeated, and may be the
first after a crash of any other. docs/decisions/0008 says why this is ours.
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

PASSWORD_LETTERS = string.ascii_letters + string.digits  # they need no quoting anywhere
# From a schedule, since Lambda puts a function to sleep that is not called for weeks.
WAKE = {"wake": True}
PASSWORD_LENGTH = 40  # 238 bits, as the deployment's first one


class RotationError(Exception):
    """The step was not done; says why, without a value of the secret."""


class RotationEvent(msgspec.Struct, frozen=True, rename="pascal"):
    """What Secrets Manager sends; more fields may come."""

    secret_id: str
    client_request_token: str
    step: Literal["createSecret", "setSecret", "testSecret", "finishSecret"]


@dataclass(frozen=True)
class Rotation:
    """One secret, and the way to the database it is for."""

    secret_store: SecretStore
    secret_id: str
    admin: Admin

    def run(self, raw: object) -> None:
        """Do the step that an event asks for, or nothing if it is only to keep the function awake.

        Raises:
            RotationError: it is no event of this secret's rotation, or comes at a wrong time.
            Unavailable, DatabaseFailure, UserError: Secrets Manager or the database does not do it.
        """
        if raw == WAKE:
            logger.info("rotation: awake", extra={"event": "rotation_awake"})
            return
        try:
            event = msgspec.convert(raw, RotationEvent)
        except msgspec.ValidationError:
            raise RotationError("this is no event of a rotation by Secrets Manager") from None
        if not self._is_due(event):
            logger.info("rotation: %s, done before", event.step, extra={"event": "rotation_step"})
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
        """Tell whether the version is the one being rotated in, and not in use already."""
        versions = self.secret_store.versions(self.secret_id)
        if event.secret_id not in (versions.arn, self.secret_id):
            raise RotationError(f"this is the rotation of another secret than {self.secret_id}")
        if not versions.rotates:
            raise RotationError(f"rotation is not turned on for {self.secret_id}")
        stages = versions.stages.get(event.client_request_token)
        if stages is None:
            raise RotationError(f"{self.secret_id} has no version of that token")
        if "AWSCURRENT" in stages:
            return False
        if "AWSPENDING" not in stages:
            raise RotationError(f"that version of {self.secret_id} is not AWSPENDING")
        return True

    def _create(self, version: str) -> None:
        """Put the other user, with a new password, into the version; only once."""
        if self.secret_store.has_value(self.secret_id, version):
            return
        current = self.secret_store.read(self.secret_id, dict[str, Any])
        user = self._read("AWSCURRENT")
        new = {"username": other_user(user.username), "password": new_password()}
        # All the rest stays as it is: AWS puts more there than we read.
        self.secret_store.put_pending(self.secret_id, version, {**current, **new})

    def _set(self, version: str) -> None:
        """Give the other user that password in the database."""
        with self.admin.connect(self._read("AWSCURRENT")) as admin, users_lock(admin):
            # Under the lock: a late repetition must not set a password that is out of date.
            set_password(admin, self._other(version)[1])

    def _test(self, version: str) -> None:
        """Sign in as the other user.

        Secrets Manager also asks this when a schedule is set that does not rotate at once, with a
        version that it takes away again. That is a copy of the current value, or has none; and in a
        first deployment its user does not exist yet. It tests the way, so that is what is tried.
        """
        current = self._read("AWSCURRENT")
        rehearsal = (
            not self.secret_store.has_value(self.secret_id, version)
            or self._read("AWSPENDING").username == current.username
        )
        if rehearsal:
            with self.admin.connect(current):
                logger.info("rotation: ready to rotate", extra={"event": "rotation_ready"})
            return
        sign_in(self._other(version)[1], self.admin.tls)

    def _finish(self, version: str) -> None:
        """Make the other user the one that serves."""
        before, other = self._other(version)
        sign_in(other, self.admin.tls)  # once more: from here on everybody depends on it
        self.secret_store.promote(self.secret_id, version, before)

    def _other(self, version: str) -> tuple[str, DatabaseSecret]:
        """Return which version is current, and the user to be rotated in, fit to take over."""
        versions = self.secret_store.versions(self.secret_id)
        before = versions.with_stage("AWSCURRENT")
        if before is None or versions.with_stage("AWSPENDING") != version:
            raise RotationError(f"another rotation of {self.secret_id} has overtaken this one")
        current, pending = self._read("AWSCURRENT"), self._read("AWSPENDING")
        if pending.username != other_user(current.username):
            raise RotationError("the pending version names a user who is not the one waiting")
        new = {"username": pending.username, "password": pending.password}
        if msgspec.structs.replace(current, **new) != pending:
            raise RotationError(
                "the database has another address than when this rotation began; take the label"
                " AWSPENDING away and rotate again (docs/run/rotation.md)"
            )
        return before, pending

    def _read(self, stage: str) -> DatabaseSecret:
        return self.secret_store.read(self.secret_id, DatabaseSecret, stage)


def new_password() -> str:
    """Return a password for a database user."""
    return "".join(secrets.choice(PASSWORD_LETTERS) for _ in range(PASSWORD_LENGTH))


def report_age(secret_store: SecretStore, secret_id: str, now: datetime) -> int:
    """Log how many days old the database password is, for the alarm of a rotation that never runs.

    Raises:
        Unavailable: the secret cannot be read.
    """
    days = (now - secret_store.created_at(secret_id)).days
    text = "the database password is %d days old"
    logger.info(text, days, extra={"event": "password_age", "age_days": days})
    return days
