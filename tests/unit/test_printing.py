"""What players write reaches an operator's terminal as harmless text."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operate.printing import plain, print_table

HARMFUL = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
texts = st.text(
    st.one_of(
        st.characters(),
        st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"]),
        st.sampled_from("\x1b[]\x07\x9b\0\r\n\u202e\u2066\u2028\u200b\ufeff\U000e0041"),
    )
)


@given(texts)
def test_nothing_harmful(text: str) -> None:
    """No control, bidi or format character survives, whatever the text."""
    shown = plain(text)
    assert {unicodedata.category(one) for one in shown} & HARMFUL == set()
    assert len(shown.splitlines()) == 1


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1))
def test_the_rest_stays(text: str) -> None:
    """Letters of every script, numbers, signs and emoji are shown as they are."""
    assert plain(text) == text


@given(st.lists(st.tuples(texts, texts), min_size=1))
def test_rows(rows: list[tuple[str, str]]) -> None:
    """A hostile cell adds no row to a table: what goes on below is indented."""
    with pytest.MonkeyPatch.context() as patch:
        said: list[str] = []
        patch.setattr("operate.printing.say", said.append)
        print_table(("name", "text"), [("x" + plain(one), plain(two)) for one, two in rows])
    assert sum(not line.startswith(" ") for line in said) == len(rows) + 1
