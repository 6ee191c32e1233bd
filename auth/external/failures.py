"""The kinds of database failures, by the server's error number.

The server's own text may quote values of a statement, so no error here keeps it.
"""

from enum import StrEnum

from pymysql.constants import ER


class FailureKind(StrEnum):
    """The meaning of a failure; several error numbers can share one."""

    UNREACHABLE = "unreachable"
    EXHAUSTED = "connections exhausted"
    REFUSED = "credentials refused"
    TLS = "TLS failed"  # docs/promises/security.md lists the causes
    LOST = "connection lost"
    READ_ONLY = "read-only"
    DEADLOCK = "deadlock"
    LOCK_WAIT = "lock wait"
    TOO_SLOW = "statement too slow"
    OTHER = "failed"


NUMBERS = {
    FailureKind.UNREACHABLE: (2002, 2003, 2005),
    FailureKind.EXHAUSTED: (1040, 1203, 1226),
    FailureKind.REFUSED: (1044, 1045, 1698),
    FailureKind.TLS: (2026,),
    # 0: PyMySQL's own number, for a connection that failed earlier.
    FailureKind.LOST: (0, 1053, *range(1152, 1162), 1317, 1927, 2006, 2013, 2055, 3169, 4031),
    FailureKind.READ_ONLY: (1290, 1792, 1836),
    FailureKind.DEADLOCK: (1213,),
    FailureKind.LOCK_WAIT: (1205,),
    FailureKind.TOO_SLOW: (1969, 3024),
}
_KIND_OF = {number: kind for kind, numbers in NUMBERS.items() for number in numbers}

DUPLICATE = 1062
NO_PARENT = 1452
OUT_OF_RANGE = 1690
NO_TABLE = 1146  # the migrations have not run yet
UNKNOWN_HOST = 2005
WRONG_CREDENTIALS = 1045
TLS_FAILED = 2026

# As MySQL and MariaDB name them in their manuals: 1062 is DUP_ENTRY.
ER_NAMES = {
    number: name for name, number in vars(ER).items() if name.isupper() and isinstance(number, int)
}


class DatabaseFailure(Exception):
    """A database operation failed. For the subclasses a retry does not help."""

    def __init__(self, number: int, key: str = "") -> None:
        self.number = number
        self.key = key
        self.kind = _KIND_OF.get(number, FailureKind.OTHER)
        super().__init__(f"{self.kind} ({number})")

    def in_full(self) -> str:
        """Return the error's number, its name in MySQL, and the key that the server names."""
        parts = f"error {self.number}", ER_NAMES.get(self.number), self.key and f"on key {self.key}"
        return " ".join(part for part in parts if part)


class Duplicate(DatabaseFailure):
    """A row violates a UNIQUE key; `key` is its name."""

    def __init__(self, key: str) -> None:
        super().__init__(DUPLICATE, key)


class MissingParent(DatabaseFailure):
    """The row that a foreign key refers to does not exist."""

    def __init__(self) -> None:
        super().__init__(NO_PARENT)


class OutOfRange(DatabaseFailure):
    """A number became too large, so nothing of the statement took effect."""

    def __init__(self) -> None:
        super().__init__(OUT_OF_RANGE)


class WrongStatement(DatabaseFailure):
    """The statement or one of its values is invalid: a bug, or a faulty migration."""
