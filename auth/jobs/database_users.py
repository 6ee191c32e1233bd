"""The application's users of the database: the admin creates them and sets their passwords.

There are two. One serves; the other waits for the next rotation, which gives it a new password and
makes it the one that serves. The secret says which is which.
"""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from auth.external.connection import Connection, DatabaseSecret, Row, Statement, Value, connect
from auth.external.failures import DatabaseFailure

PRIVILEGES = "SELECT, INSERT, UPDATE, DELETE"
CLONE = "_clone"  # the second user's name, as AWS's own rotation for alternating users has it
LOCK = "game_login_users"
LOCK_WAIT_SECONDS = 20
SECONDS = 30.0  # more than the wait for the lock
WRONG_PASSWORD = {1045, 1698}


class UserError(Exception):
    """A user of the database is not as it should be; says why, without a value of a secret."""


def other_user(username: str) -> str:
    """Return the name of the user who takes turns with this one."""
    return username.removesuffix(CLONE) if username.endswith(CLONE) else username + CLONE


def grant_application(admin: Connection, user: DatabaseSecret) -> None:
    """Create the user, if it is missing, with rights to rows and no more."""
    _run(
        admin,
        "CREATE USER IF NOT EXISTS %s@'%%' IDENTIFIED BY %s REQUIRE SSL",
        user.username,
        user.password,
    )
    # In a GRANT the underscore is a wildcard for other schemas' names.
    schema = user.dbname.replace("`", "``").replace("_", r"\_")
    _run(admin, f"GRANT {PRIVILEGES} ON `{schema}`.* TO %s@'%%'", user.username)


def set_password(admin: Connection, user: DatabaseSecret) -> None:
    """Give the user this password, and all else that `grant_application` gives."""
    grant_application(admin, user)
    sql = "ALTER USER %s@'%%' IDENTIFIED BY %s REQUIRE SSL"
    _run(admin, sql, user.username, user.password)


def sign_in(user: DatabaseSecret, tls: ssl.SSLContext) -> None:
    """Sign in over verified TLS, and read what the application reads.

    Raises:
        DatabaseFailure: it does not work.
    """
    with connect(user, tls) as connection:
        connection.run(Statement("SELECT 1 FROM accounts LIMIT 1"), SECONDS)


def let_in(
    admin: Connection,
    read: Callable[[], tuple[DatabaseSecret, DatabaseSecret | None]],
    tls: ssl.SSLContext,
) -> bool:
    """See that the application can sign in; tell whether its password had to be set.

    `read` returns the current secret and the pending one. A password that fits is never touched,
    nor is one that somebody is about to make the current one: where the pending secret has the same
    user with a password that fits, a rotation of that user is under way and will end by itself.

    Raises:
        UserError, DatabaseFailure: it cannot sign in after all.
    """
    with users_lock(admin):
        current, pending = read()  # now, when nobody else changes a user
        grant_application(admin, current)
        if _password_fits(current, tls):
            return False
        if pending is not None and pending.username == current.username:
            # At today's address: the pending secret may be that of a database that has moved.
            same = msgspec.structs.replace(current, password=pending.password)
            if _password_fits(same, tls):
                return False
        set_password(admin, current)
        if not _password_fits(current, tls):
            raise UserError(f"{current.username} cannot sign in with the password just set")
        return True


@contextmanager
def users_lock(admin: Connection) -> Iterator[None]:
    """Let nobody else change a user meanwhile: neither `migrate` nor a rotation."""
    (row,) = _run(admin, "SELECT GET_LOCK(%s, %s) AS locked", LOCK, LOCK_WAIT_SECONDS)
    if not row["locked"]:
        raise UserError(f"somebody else has been changing users for {LOCK_WAIT_SECONDS} s")
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
