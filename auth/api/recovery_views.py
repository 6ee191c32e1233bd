"""Views of recovery: make a code while signed in, and come back with it later."""

from auth.api.answers import RecoveredBody, RecoveryCodeBody, recovered_body
from auth.api.forms import (
    Confirmed,
    Device,
    Form,
    GuestSecret,
    Password,
    RecoveryCodeText,
    check_device,
)
from auth.api.reading import client_address
from auth.api.trusted_proxy import TrustedProxy
from auth.errors import InvalidRequest
from auth.flows.recovery import Recoveries, RecoveryAttempt, RecoveryCodes
from auth.flows.sessions import CallingSession
from auth.times import rfc3339


class RecoveryCodeRequest(Confirmed):
    """A request for a recovery code."""


class RecoveryByCode(Form):
    """A recovery code, and exactly one new proof: a password, or the guest secret of a device."""

    username: str
    recovery_code: RecoveryCodeText
    new_password: Password | None = None
    guest_secret: GuestSecret | None = None
    device: Device = None

    def __post_init__(self) -> None:
        check_device(self.device)
        if (self.new_password is None) == (self.guest_secret is None):
            reason = "Send either new_password or guest_secret."
            raise InvalidRequest(fields={"new_password": reason})


class RecoveryViews:
    """The views, with the flows that they call."""

    def __init__(self, codes: RecoveryCodes, recoveries: Recoveries, proxy: TrustedProxy) -> None:
        self._codes = codes
        self._recoveries = recoveries
        self._proxy = proxy

    def make_recovery_code(
        self, calling: CallingSession, form: RecoveryCodeRequest
    ) -> RecoveryCodeBody:
        """Make a recovery code; the earlier one is worth nothing from now on."""
        code, created_at = self._codes.make(calling, form.required_confirmation())
        return RecoveryCodeBody(code, rfc3339(created_at))

    def recover(self, form: RecoveryByCode) -> RecoveredBody:
        """Come back with a recovery code: set a password, or move a guest to this device.

        Every session ends, and the next code is in the answer. If the answer is lost or 503, sign
        in with what was sent.
        """
        attempt = RecoveryAttempt(
            form.username,
            form.recovery_code,
            form.new_password,
            form.guest_secret,
            client_address(self._proxy),
            form.device,
        )
        return recovered_body(self._recoveries.recover(attempt))
