"""Recovery codes: random, readable, and with a check symbol that finds a typing error."""

import json
import re

import pytest

from auth.credentials import recovery_codes
from auth.credentials.crockford import ALPHABET
from auth.credentials.recovery_codes import new_recovery_code, read_recovery_code, shown
from auth.errors import InvalidRequest
from tests.play.sources import ROOT

VECTORS = json.loads((ROOT / "clients/conformance/recovery_codes.json").read_text())
SHOWN = re.compile(f"(?:[{ALPHABET}]{{4}}-){{3}}[{ALPHABET}]{{4}}")


def test_random() -> None:
    """A code has 75 random bits, as 15 symbols of 32, and no two are the same."""
    assert (recovery_codes.SYMBOLS, len(ALPHABET)) == (15, 32)
    codes = {new_recovery_code() for _ in range(2000)}
    assert len(codes) == 2000
    for place in range(recovery_codes.SYMBOLS + 1):
        assert {code[place] for code in codes} == set(ALPHABET)


def test_shown() -> None:
    """A player reads groups of four, and can type what is shown."""
    code = new_recovery_code()
    assert SHOWN.fullmatch(shown(code))
    assert read_recovery_code(shown(code)) == code


@pytest.mark.parametrize("vector", VECTORS["good"], ids=lambda vector: vector["typed"])
def test_spellings(vector: dict[str, str]) -> None:
    """Case, spaces and hyphens do not matter; letters that look like digits are read as such."""
    assert read_recovery_code(vector["typed"]) == vector["code"]


@pytest.mark.parametrize("vector", VECTORS["bad"], ids=lambda vector: vector["reason"])
def test_no_codes(vector: dict[str, str]) -> None:
    """Everything else is refused, with a reason for the player."""
    with pytest.raises(InvalidRequest) as refused:
        read_recovery_code(vector["typed"])
    assert refused.value.fields["recovery_code"]
