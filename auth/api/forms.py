"""The base of forms, and the fields that several share; each form stands beside its view.

A form is the body that a route takes; `make openapi` describes it.
"""

import re
from typing import Annotated

import msgspec
from msgspec import Meta

from auth.credentials.tickets import SERVER_NAME
from auth.errors import InvalidRequest
from auth.flows.confirmation import Confirmation
from auth.texts import without_controls

MAX_DEVICE_LENGTH = 64

# Described once in the contract; `credentials` has their rules, since a struct cannot say them all.
Username = Annotated[str, Meta(extra_json_schema={"$ref": "#/components/schemas/NewUsername"})]
Password = Annotated[str, Meta(extra_json_schema={"$ref": "#/components/schemas/NewPassword"})]
GuestSecret = Annotated[
    str, Meta(extra_json_schema={"$ref": "#/components/schemas/NewGuestSecret"})
]
RecoveryCodeText = Annotated[
    str, Meta(extra_json_schema={"$ref": "#/components/schemas/RecoveryCode"})
]
ServerName = Annotated[
    str,
    Meta(
        description="The game server's own name for itself, such as `eu-1:7777`.",
        extra_json_schema={"pattern": f"^{SERVER_NAME}$"},
    ),
]
Device = Annotated[
    Annotated[str, Meta(max_length=MAX_DEVICE_LENGTH)] | None,
    Meta(extra_json_schema={"$ref": "#/components/schemas/Device"}),
]


class Form(msgspec.Struct):
    """A body; it never prints its values."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"


class Confirmed(Form):
    """A form with the owner's confirmation: the password, or the guest secret of a guest."""

    password: Annotated[str | None, Meta(description="Of an account that has one.")] = None
    guest_secret: Annotated[str | None, Meta(description="Of a guest, instead.")] = None

    def confirmation(self) -> Confirmation | None:
        """Return the confirmation, if there is one.

        Raises:
            InvalidRequest: there are two.
        """
        if self.password is not None and self.guest_secret is not None:
            raise InvalidRequest(fields={"guest_secret": "Send either this or password."})
        if self.password is None and self.guest_secret is None:
            return None
        return Confirmation(self.password, self.guest_secret)

    def required_confirmation(self) -> Confirmation:
        """Return the confirmation.

        Raises:
            InvalidRequest: there is none, or there are two.
        """
        confirmation = self.confirmation()
        if confirmation is None:
            raise InvalidRequest(fields={"password": "This field is missing."})
        return confirmation


def check_device(label: str | None) -> None:
    """Check the label that a player gave to a device, which the list of sessions shows.

    Raises:
        InvalidRequest: it has control characters.
    """
    if label is not None and label != without_controls(label):
        raise InvalidRequest(fields={"device": "Control characters are not allowed."})


def check_server_name(name: str | None) -> None:
    """Check the name of a game server.

    Raises:
        InvalidRequest: it has a wrong length or character.
    """
    if name is not None and not re.fullmatch(SERVER_NAME, name):
        raise InvalidRequest(fields={"server": "Use 1 to 64 characters of a-z, 0-9 and . : _ -"})
