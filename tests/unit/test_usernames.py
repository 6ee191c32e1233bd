"""The rules for usernames, and which spellings are the same name."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.credentials.usernames import RESERVED, check_username, username_key
from auth.errors import InvalidUsername

ALLOWED = set(string.ascii_letters + string.digits + "_-.")


@pytest.mark.parametrize("name", ["Ada", "a1b", "123", "a" * 24, "a_b-c.d", "x--y", "A.b.C", "000"])
def test_good_names(name: str) -> None:
    """Three to 24 letters, digits and _ - . with a letter or digit at both ends are accepted."""
    check_username(name)


BAD = (
    *("", "a", "ab", "a" * 25, "a b", " abc", "abc ", "_abc", "abc_", "-abc", "abc.", ".abc"),
    *(
        "abc\n",
        "\nabc",
        "a\0bc",
        "a\tbc",
        "àdmin",
        "Ädam",
        "abc\u200b",
        "\u212aate",
        "\uff41\uff42\uff43",
    ),
    *("a/b", "a@b", "a%b", "a'b", "<b>", "😀😀😀", "a\u0301bc", "\u0660\u0661\u0662", "ab\u0131"),
)


@pytest.mark.parametrize("name", BAD, ids=ascii)
def test_bad_names(name: str) -> None:
    """Any other name is refused, with a reason at the field; nothing is trimmed or folded."""
    with pytest.raises(InvalidUsername) as caught:
        check_username(name)
    assert set(caught.value.fields) == {"username"}
    assert caught.value.fields["username"]


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_reserved_names(name: str) -> None:
    """A reserved name is refused in any spelling."""
    for spelling in (name, name.upper(), name.title()):
        with pytest.raises(InvalidUsername):
            check_username(spelling)


def test_names_of_the_contract_are_reserved() -> None:
    """The names that the contract lists are reserved, in the form used for lookups."""
    listed = {"admin", "root", "system", "moderator", "support", "null", "undefined", "me"}
    assert listed <= RESERVED
    assert all(username_key(name) == name.encode() for name in RESERVED)


@pytest.mark.parametrize("name", ["adminx", "x-root", "meme", "Nullable"])
def test_names_like_reserved_ones(name: str) -> None:
    """Only the whole name is reserved."""
    check_username(name)


def test_one_name_in_two_spellings() -> None:
    """Spellings that differ in the case of ASCII letters are one name, and no others are."""
    assert username_key("Ada") == username_key("aDA") == b"ada"
    for other in ("\u00e0da", "ada ", "ada\0", "\u212aada", "ad\u0430", "Ad\u0041\u0301"):
        assert username_key(other) != username_key("ada")
    assert username_key("\u212a") != username_key("k")
    assert username_key("\u0130") != username_key("i")


@given(st.text())
def test_any_text(name: str) -> None:
    """Any text has a key, and a text that passes the check consists of allowed characters."""
    key = username_key(name)
    assert username_key(key.decode()) == key
    try:
        check_username(name)
    except InvalidUsername:
        return
    assert set(name) <= ALLOWED
    assert 3 <= len(name) <= 24
    assert key == name.lower().encode()


@given(st.text(sorted(ALLOWED), min_size=1, max_size=30))
def test_rule_as_the_contract_has_it(name: str) -> None:
    """A text of allowed characters passes exactly if its length, ends and words are right."""
    ends = string.ascii_letters + string.digits
    right = 3 <= len(name) <= 24 and name[0] in ends and name[-1] in ends
    right = right and name.lower() not in RESERVED
    try:
        check_username(name)
        passed = True
    except InvalidUsername:
        passed = False
    assert passed == right
