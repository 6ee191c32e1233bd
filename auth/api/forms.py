"""The base of forms, and the fields that several share; each form stands beside its view.

A form is the body that a route takes; `make openapi` describes it.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from auth.errors import InvalidRequest
from auth.texts import without_controls

MAX_DEVICE_LENGTH = 64

# Described once in the contract; `credentials` has their rules, since a struct cannot say them all.
Username = Annotated[str, Meta(extra_json_schema={"$ref": "#/components/schemas/NewUsername"})]
Password = Annotated[str, Meta(extra_json_schema={"$ref": "#/components/schemas/NewPassword"})]
Device = Annotated[
    Annotated[str, Meta(max_length=MAX_DEVICE_LENGTH)] | None,
    Meta(extra_json_schema={"$ref": "#/components/schemas/Device"}),
]


class Form(msgspec.Struct):
    """A body; it never prints its values."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"


def check_device(label: str | None) -> None:
    """Check the label that a player gave to a device, which the list of sessions shows.

    Raises:
        InvalidRequest: it has control characters.
    """
    if label is not None and label != without_controls(label):
        raise InvalidRequest(fields={"device": "Control characters are not allowed."})
