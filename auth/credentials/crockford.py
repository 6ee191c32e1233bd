"""Crockford's base 32: digits and letters that people rarely confuse, and a check symbol.

The alphabet has no I, L, O and U; readers take I and L for 1, and O for 0.
"""

import secrets

# https://www.crockford.com/base32.html
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

_READ = str.maketrans("abcdefghjkmnpqrstvwxyzOoIiLl", "ABCDEFGHJKMNPQRSTVWXYZ001111", " -")


def random_symbols(count: int) -> str:
    """Return random symbols, five bits each."""
    return "".join(secrets.choice(ALPHABET) for _ in range(count))


def read_symbols(text: str) -> str | None:
    """Return the symbols of a text; None: it has others. Spaces and hyphens are left out."""
    symbols = text.translate(_READ)
    return symbols if set(symbols) <= set(ALPHABET) else None


def check_symbol(symbols: str) -> str:
    """Return the check symbol, by Luhn's algorithm modulo 32: it finds every single wrong symbol.

    ISO/IEC 7812-1 has the algorithm for decimal digits.
    """
    total = 0
    for place, symbol in enumerate(reversed(symbols)):
        value = ALPHABET.index(symbol)
        total += sum(divmod(2 * value, 32)) if place % 2 == 0 else value
    return ALPHABET[-total % 32]
