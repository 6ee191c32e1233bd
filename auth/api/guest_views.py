"""Views of guests: play without a name and a password, and choose both later."""

from typing import Annotated

from msgspec import Meta

from auth.api.answers import Created, SessionBody, session_body
from auth.api.forms import Device, Form, GuestSecret, Password, Username, check_device
from auth.api.reading import client_address
from auth.api.trusted_proxy import TrustedProxy
from auth.flows.guests import Guests, Upgrade, Upgrades, Visit
from auth.flows.sessions import CallingSession


class GuestVisit(Form):
    """A guest."""

    guest_secret: GuestSecret
    create: Annotated[
        bool | None,
        Meta(
            description="Whether to create a guest if no account has the secret: true only on a"
            " first start, so that no failure gives a returning player an empty account."
        ),
    ] = None
    device: Device = None

    def __post_init__(self) -> None:
        check_device(self.device)


class GuestUpgrade(Form):
    """The name and the password that a guest chooses."""

    username: Username
    password: Password
    guest_secret: Annotated[str, Meta(description="Of this guest; it is worth nothing afterwards.")]


class GuestViews:
    """The views, with the flows that they call."""

    def __init__(self, guests: Guests, upgrades: Upgrades, proxy: TrustedProxy) -> None:
        self._guests = guests
        self._upgrades = upgrades
        self._proxy = proxy

    def enter(self, form: GuestVisit) -> SessionBody | Created:
        """Sign in a guest, or create one.

        Store the secret before the call: then it is safe to repeat.
        """
        visit = Visit(form.guest_secret, client_address(self._proxy), form.device)
        signed_in, created = self._guests.enter(visit, create=bool(form.create))
        body = session_body(signed_in)
        return Created(body) if created else body

    def upgrade(self, calling: CallingSession, form: GuestUpgrade) -> SessionBody:
        """Give a guest a name and a password: the guest secret and every other session end.

        Safe to repeat: it gives the same refresh token until that one is used.
        """
        address = client_address(self._proxy)
        chosen = Upgrade(form.username, form.password, form.guest_secret, address)
        return session_body(self._upgrades.upgrade(calling, chosen))
