"""Views of the account: register, sign in, change the password, delete."""

from auth.api.answers import AccountBody, Done, SessionBody, account_body, session_body
from auth.api.forms import Deletion, NewAccount, PasswordChange, SignIn
from auth.api.reading import client_address, device_label
from auth.api.routing import Flows
from auth.flows.accounts import Attempt
from auth.flows.sessions import Caller, CallingSession


def register(flows: Flows, form: NewAccount, key: str | None) -> SessionBody:
    """Open an account and sign in.

    The same Idempotency-Key, name and password give the same account again.
    """
    return session_body(flows.accounts.register(_attempt(flows, form), key))


def log_in(flows: Flows, form: SignIn) -> SessionBody:
    """Sign in."""
    return session_body(flows.accounts.log_in(_attempt(flows, form), form.refresh_token))


def me(_: Flows, caller: Caller) -> AccountBody:
    """Fetch the account."""
    return account_body(caller.account)


def change_password(flows: Flows, calling: CallingSession, form: PasswordChange) -> SessionBody:
    """Change the password: new tokens for this session, and every other session ends.

    Safe to repeat: it gives the same refresh token until that one is used.
    """
    return session_body(
        flows.password_changes.change(calling, form.current_password, form.new_password)
    )


def delete_account(flows: Flows, caller: Caller, form: Deletion) -> Done:
    """Delete the account; its name is free again."""
    flows.accounts.delete(caller.account, form.password)
    return Done()


def _attempt(flows: Flows, form: NewAccount | SignIn) -> Attempt:
    device = device_label(form.device)
    return Attempt(form.username, form.password, client_address(flows.proxy), device)
