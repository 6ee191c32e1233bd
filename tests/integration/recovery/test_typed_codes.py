"""Codes as players and attackers type them: any spelling is read, and nothing is a bug."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

import handler
from auth.app import create_app
from auth.credentials.crockford import ALPHABET, check_symbol
from auth.credentials.passwords import Passwords
from auth.credentials.recovery_codes import new_recovery_code, read_recovery_code, shown
from auth.errors import InvalidRequest
from auth.settings import Settings
from local.stack import Stack
from tests.conftest import Tables
from tests.play.crowd import NEW_PASSWORD, PASSWORD
from tests.play.events import Answer
from tests.play.players import Player, call

CODE = "7QF2-MXD9-K4TB-W8H3"
SPELLINGS = {"0": "0Oo", "1": "1IiLl"}
codes = st.text(ALPHABET, min_size=15, max_size=15).map(lambda code: code + check_symbol(code))
# Letters that lower or upper case, NFKC or `int` turn into a symbol, and what no one reads.
LOOKALIKES = (
    "\N{LATIN SMALL LETTER DOTLESS I}",
    "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}",
    "\N{KELVIN SIGN}",
    "\N{LATIN SMALL LETTER LONG S}",
    "\N{FULLWIDTH DIGIT SEVEN}",
    "\N{FULLWIDTH LATIN CAPITAL LETTER A}",
    "\N{ARABIC-INDIC DIGIT ONE}",
    "\N{CYRILLIC CAPITAL LETTER A}",
    "\N{SUPERSCRIPT ONE}",
    "\N{EN DASH}",
    "\N{NO-BREAK SPACE}",
    "\N{ZERO WIDTH SPACE}",
    "\N{PILE OF POO}",
    "\0",
    "\n",
    "\t",
    "U",
    "u",
)
HOSTILE: tuple[object, ...] = (
    "",
    "-",
    " " * 16,
    "U" * 16,
    "A" * 8000,
    "-" * 8000,
    f"{CODE}{CODE}",
    f"{CODE}\0",
    f"{CODE}\N{ZERO WIDTH SPACE}",
    "\N{PILE OF POO}" * 16,
    "' OR '1'='1",
    "%s",
    None,
    True,
    7,
    1e308,
    [],
    [CODE],
    {},
    {CODE: CODE},
)


def recover(code: object, name: str = "nobody-here") -> Answer:
    """Send a code in a recovery."""
    body = {"username": name, "recovery_code": code, "new_password": NEW_PASSWORD}
    return call("POST", "/v1/recover", body)


@pytest.fixture(scope="module")
def _quick(stack: Stack) -> Iterator[None]:
    """Let a container answer that hashes cheaply."""
    settings = Settings.from_environment(stack.environment())
    application = create_app(settings, passwords=Passwords(8, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handler, "application", application)
        yield
    application.close()


@given(codes, st.integers(0, 15), st.sampled_from(ALPHABET))
def test_one_wrong_symbol(code: str, place: int, symbol: str) -> None:
    """Any single wrong symbol is found, in any place, the check symbol included."""
    typed = code[:place] + symbol + code[place + 1 :]
    if symbol == code[place]:
        assert read_recovery_code(typed) == code
        return
    with pytest.raises(InvalidRequest):
        read_recovery_code(typed)


def test_every_wrong_symbol() -> None:
    """Of one code, each of the 496 codes with one wrong symbol is refused."""
    code = new_recovery_code()
    wrong = 0
    for place in range(len(code)):
        for symbol in ALPHABET.replace(code[place], ""):
            with pytest.raises(InvalidRequest):
                read_recovery_code(code[:place] + symbol + code[place + 1 :])
            wrong += 1
    assert wrong == 16 * 31


def spellings(code: str) -> st.SearchStrategy[str]:
    """Return the ways to type a code."""
    symbols = [st.sampled_from(SPELLINGS.get(symbol, symbol + symbol.lower())) for symbol in code]
    gaps = st.text("- ", max_size=2)
    parts = [part for symbol in symbols for part in (gaps, symbol)]
    return st.tuples(*parts, gaps).map("".join)


@given(codes.flatmap(lambda code: st.tuples(st.just(code), spellings(code))))
def test_every_spelling(typed: tuple[str, str]) -> None:
    """Case, spaces, hyphens, O for 0, and I and L for 1, do not matter."""
    code, text = typed
    assert read_recovery_code(text) == code
    assert read_recovery_code(shown(code)) == code


@pytest.mark.usefixtures("_quick")
def test_spelled_otherwise(tables: Tables) -> None:
    """A player gets in with a code that is typed in another way than it was shown."""
    player = Player(password=PASSWORD)
    assert player.register().status == 201
    code = player.saved_code()
    typed = f"  {code.lower().replace('-', ' - ').replace('0', 'o').replace('1', 'l')} "
    assert player.recover(typed, NEW_PASSWORD).status == 200


@pytest.mark.parametrize("code", HOSTILE, ids=lambda code: ascii(code)[:20])
@pytest.mark.usefixtures("_quick")
def test_hostile_codes(tables: Tables, code: object) -> None:
    """What is no code is a faulty call, and touches no limit."""
    answer = recover(code)
    assert (answer.status, answer.code) == (400, "invalid_request"), answer.text
    assert tables.count("rate_limits") == 0


@pytest.mark.usefixtures("_quick")
def test_huge_code(tables: Tables) -> None:
    """A body with a code of 10 kB is too large."""
    assert recover("7" * 10_000).code == "payload_too_large"


@pytest.mark.parametrize("letter", LOOKALIKES, ids=ascii)
@pytest.mark.usefixtures("_quick")
def test_lookalikes(tables: Tables, letter: str) -> None:
    """A letter that only looks like a symbol, or becomes one in another case, is none."""
    for place in (0, 8, len(CODE) - 1):
        answer = recover(CODE[:place] + letter + CODE[place + 1 :])
        assert (answer.status, answer.code) == (400, "invalid_request"), answer.text
    assert tables.count("rate_limits") == 0


@pytest.mark.usefixtures("_quick", "tables")
@examples(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@example("\ud800")
@given(st.text(max_size=40) | st.text(ALPHABET + "OIlu- ", min_size=14, max_size=18))
def test_any_text(text: str) -> None:
    """No text is a bug: it is refused as no code, as a wrong one, or by a limit."""
    answer = recover(text)
    assert (answer.status, answer.code) in {
        (400, "invalid_request"),
        (401, "invalid_credentials"),
        (429, "too_many_attempts"),
    }
