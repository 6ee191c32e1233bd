"""The bodies that routes take, one struct for each; `docs/openapi.json` is written from them."""

from typing import Annotated

import msgspec
from msgspec import Meta

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


class Credentials(Form):
    """A name and a password, as the tutorial's client sends them."""

    username: str
    password: str


class NewAccount(Form):
    """A registration."""

    username: Username
    password: Password
    device: Device = None


class SignIn(Form):
    """A login, with the token of an earlier session as proof of a known device."""

    username: str
    password: str
    device: Device = None
    refresh_token: Annotated[
        str | None,
        Meta(
            description="One of any earlier session of this account, as proof of a known device;"
            " a garbled one is ignored. The session whose current token it is ends."
        ),
    ] = None


class Refresh(Form):
    """A refresh of the session, without a password."""

    refresh_token: str


class Logout(Form):
    """The end of a session, of the access token unless there is a refresh token."""

    everywhere: Annotated[bool | None, Meta(description="End all sessions of the account.")] = None
    refresh_token: Annotated[
        str | None,
        Meta(
            description="Any refresh token of the session. If it is there it decides, and the"
            " header is not read; `everywhere` then needs the current one."
        ),
    ] = None


class PasswordChange(Form):
    """A new password."""

    current_password: str
    new_password: Password


class Deletion(Form):
    """The end of an account."""

    password: str
