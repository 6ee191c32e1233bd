"""Recovery codes: 75 random bits that a player writes down, the way back in without the password.

The database has only a hash, made like a password's. The check symbol tells a typing error from a
wrong code, before anything is charged or hashed.
"""

from auth.credentials.crockford import check_symbol, random_symbols, read_symbols
from auth.errors import InvalidRequest

SYMBOLS = 15  # NIST SP 800-63B-4, section 4.2.1.1: at least 64 bits
GROUP = 4


def new_recovery_code() -> str:
    """Return a new code in the form that `read_recovery_code` returns."""
    symbols = random_symbols(SYMBOLS)
    return symbols + check_symbol(symbols)


def shown(code: str) -> str:
    """Return a code in groups, as a player reads it: 7QF2-MXD9-K4TB-W8H3."""
    return "-".join(code[start : start + GROUP] for start in range(0, len(code), GROUP))


def read_recovery_code(text: str) -> str:
    """Return the symbols of a code that a player has typed.

    Raises:
        InvalidRequest: it is no recovery code, or it has a typing error.
    """
    code = read_symbols(text)
    if code is None or len(code) != SYMBOLS + 1:
        reason = f"A recovery code has {SYMBOLS + 1} letters and digits, and no U."
        raise InvalidRequest(fields={"recovery_code": reason})
    if check_symbol(code[:SYMBOLS]) != code[SYMBOLS]:
        reason = "A letter or digit is mistyped. Compare it with your copy."
        raise InvalidRequest(fields={"recovery_code": reason})
    return code
