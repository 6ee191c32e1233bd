"""Views of the account: register, sign in, change the password or the name, export, delete."""

from typing import Annotated

from msgspec import Meta

from auth.api.answers import (
    AccountBody,
    Done,
    EventList,
    OwnAccountBody,
    SessionBody,
    account_body,
    event_list,
    own_account_body,
    session_body,
)
from auth.api.export_answers import ExportBody, export_body
from auth.api.forms import Confirmed, Device, Form, Password, Username, check_device
from auth.api.reading import client_address
from auth.api.trusted_proxy import TrustedProxy
from auth.flows.accounts import Accounts, Attempt
from auth.flows.history import AccountHistory
from auth.flows.password_change import PasswordChanges
from auth.flows.renaming import Renaming, Renamings
from auth.flows.sessions import Caller, CallingSession


class NewAccount(Form):
    """A registration."""

    username: Username
    password: Password
    device: Device = None

    def __post_init__(self) -> None:
        check_device(self.device)


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

    def __post_init__(self) -> None:
        check_device(self.device)


class PasswordChange(Form):
    """A new password."""

    current_password: str
    new_password: Password


class Rename(Confirmed, kw_only=True):
    """Another name. A generated one is replaced without confirmation."""

    username: Username


class ExportRequest(Confirmed):
    """A request for everything that is stored."""


class Deletion(Confirmed):
    """The end of an account."""


class AccountViews:
    """The views, with the flows that they call."""

    def __init__(
        self,
        accounts: Accounts,
        changes: PasswordChanges,
        renamings: Renamings,
        history: AccountHistory,
        proxy: TrustedProxy,
    ) -> None:
        self._accounts = accounts
        self._changes = changes
        self._renamings = renamings
        self._history = history
        self._proxy = proxy

    def register(self, form: NewAccount, key: str | None) -> SessionBody:
        """Open an account and sign in.

        The same Idempotency-Key, name and password give the same account again.
        """
        return session_body(self._accounts.register(self._attempt(form), key))

    def log_in(self, form: SignIn) -> SessionBody:
        """Sign in."""
        return session_body(self._accounts.log_in(self._attempt(form), form.refresh_token))

    def me(self, caller: Caller) -> OwnAccountBody:
        """Fetch the account."""
        return own_account_body(caller.account, caller.recovery_code_at)

    def change_password(self, calling: CallingSession, form: PasswordChange) -> SessionBody:
        """Change the password: new tokens for this session, and every other session ends.

        Safe to repeat: it gives the same refresh token until that one is used.
        """
        changed = self._changes.change(calling, form.current_password, form.new_password)
        return session_body(changed)

    def rename(self, calling: CallingSession, form: Rename) -> AccountBody:
        """Rename the account; the old name is free again at once.

        Once in 30 days, except for another spelling or a generated name.
        """
        address = client_address(self._proxy)
        wanted = Renaming(form.username, form.confirmation(), address)
        return account_body(self._renamings.rename(calling, wanted))

    def events(self, caller: Caller) -> EventList:
        """List what happened to the account."""
        return event_list(self._history.newest_events(caller.account))

    def export(self, calling: CallingSession, form: ExportRequest) -> ExportBody:
        """Fetch everything that is stored about the player."""
        return export_body(self._history.export(calling.account, form.required_confirmation()))

    def delete_account(self, calling: CallingSession, form: Deletion) -> Done:
        """Delete the account; its name is free again."""
        self._accounts.delete(calling.account, form.required_confirmation())
        return Done()

    def _attempt(self, form: NewAccount | SignIn) -> Attempt:
        address = client_address(self._proxy)
        return Attempt(form.username, form.password, address, form.device)
