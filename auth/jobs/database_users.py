"""The application's two database users: the administrator creates them and sets their passwords.

The application uses one of them. The next rotation gives the other a new password and switches to
it. The secret names the user in use.
"""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from auth.external.connection import Connection, DatabaseSecret, Row, Statement, Value, connect
from auth.external.failures import DatabaseFailure

PRIVILEGES = "SELECT, INSERT, UPDATE, DELETE"
CLONE = "_clone"  # suffix of the second user, as in AWS's own rotation with alternating users
LOCK = "game_login_users"
LOCK_WAIT_SECONDS = 20
SECONDS = 30.0  # more than the wait for the lock
WRONG_PASSWORD = {1045, 1698}


class UserError(Exception):
    """A database user cannot be set up; the text has the cause and no value of a secret."""


def other_user(username: str) -> str:
    """Return the name of the user that alternates with this one."""
    return username.removesuffix(CLONE) if username.endswith(CLONE) else username + CLONE


def grant_application(admin: Connection, user: DatabaseSecret) -> None:
    """Create the user if it is missing, with privileges on rows only."""
    _run(
        admin,
        "CREATE USER IF NOT EXISTS %s@'%%' IDENTIFIED BY %s REQUIRE SSL",
        user.username,
        user.password,
    )
    # In a GRANT an unescaped underscore is a wildcard and would match other schemas.
    schema = user.dbname.replace("`", "``").replace("_", r"\_")
    _run(admin, f"GRANT {PRIVILEGES} ON `{schema}`.* TO %s@'%%'", user.username)


def set_password(admin: Connection, user: DatabaseSecret) -> None:
    """Set the user's password, after `grant_application`."""
    grant_application(admin, user)
    sql = "ALTER USER %s@'%%' IDENTIFIED BY %s REQUIRE SSL"
    _run(admin, sql, user.username, user.password)


def sign_in(user: DatabaseSecret, tls: ssl.SSLContext) -> None:
    """Sign in over verified TLS, and read from a table of the application.

    Raises:
        DatabaseFailure: signing in or reading failed.
    """
    with connect(user, tls) as connection:
        connection.run(Statement("SELECT 1 FROM accounts LIMIT 1"), SECONDS)


def let_in(
    admin: Connection,
    read: Callable[[], tuple[DatabaseSecret, DatabaseSecret | None]],
    tls: ssl.SSLContext,
) -> bool:
    """Make sure that the application can sign in; return whether its password had to be set.

    `read` returns the current secret and the pending one. A password that works is never changed.
    Neither is one that is about to become current: if the pending secret has the same user with a
    password that works, a rotation of that user is under way and will finish.

    Raises:
        UserError, DatabaseFailure: the application still cannot sign in.
    """
    with users_lock(admin):
        current, pending = read()  # under the lock, when no other job changes a user
        grant_application(admin, current)
        if _password_fits(current, tls):
            return False
        if pending is not None and pending.username == current.username:
            # With the current address: the pending secret may have an old one.
            same = msgspec.structs.replace(current, password=pending.password)
            if _password_fits(same, tls):
                return False
        set_password(admin, current)
        if not _password_fits(current, tls):
            raise UserError(
                f"the database refuses {current.username} with the password just set:"
                " it may have been changed meanwhile, so run it again"
            )
        return True


@contextmanager
def users_lock(admin: Connection) -> Iterator[None]:
    """Keep `migrate` and rotations from changing users at the same time."""
    (row,) = _run(admin, "SELECT GET_LOCK(%s, %s) AS locked", LOCK, LOCK_WAIT_SECONDS)
    if not row["locked"]:
        raise UserError(
            f"another job has been changing database users for {LOCK_WAIT_SECONDS} s:"
            " run it again later"
        )
    try:
        yield
    finally:
        if admin.open:
            _run(admin, "SELECT RELEASE_LOCK(%s)", LOCK)


def _password_fits(user: DatabaseSecret, tls: ssl.SSLContext) -> bool:
    try:
        sign_in(user, tls)
    except DatabaseFailure as failure:
        if failure.number in WRONG_PASSWORD:
            return False
        raise
    return True


def _run(admin: Connection, sql: str, *parameters: Value) -> list[Row]:
    return admin.run(Statement(sql, parameters), SECONDS).rows
