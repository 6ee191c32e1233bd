"""The rules for a new password, and its hash."""

import unicodedata

import pytest
from argon2 import extract_parameters
from argon2.low_level import Type
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from zxcvbn import matching

from auth.credentials.leaked_passwords import LeakedPasswords
from auth.credentials.password_policy import MIN_LENGTH, PasswordPolicy
from auth.credentials.passwords import Passwords
from auth.errors import WeakPassword
from local.leaked_passwords import FILE

GOOD = "correct horse battery staple"
POLICY = PasswordPolicy(LeakedPasswords(str(FILE)))


def check(password: str, username: str) -> None:
    """Check a password in both ways that a chosen password is checked."""
    POLICY.check(password, username)
    POLICY.refuse_guessable(password, username)


@pytest.fixture(scope="module")
def passwords() -> Passwords:
    """Return a hasher with minimal effort."""
    return Passwords(memory_kib=8, iterations=1)


def reason(password: str, username: str = "ada-lovelace") -> str:
    """Return the reason for which a password is refused."""
    with pytest.raises(WeakPassword) as caught:
        check(password, username)
    assert set(caught.value.fields) == {"password"}
    return caught.value.fields["password"]


@pytest.mark.parametrize(
    "password",
    [
        GOOD,
        "xK9#mQ2$",
        "Zu fünft im Wald",
        "🎮🕹🎲🃏🀄🎯🎳🎱",
        "пароль для игры",
        GOOD.ljust(128, "x"),
    ],
)
def test_good_passwords(password: str) -> None:
    """A password that is hard to guess is accepted, whatever its characters."""
    check(password, "ada-lovelace")


@pytest.mark.parametrize(
    "password",
    [
        *("password", "12345678", "qwertyuiop", "aaaaaaaa", "abcdefgh", "iloveyou", "letmein1"),
        *("P@ssw0rd", "11111111111111111111", "qwerty123", "baseball1", "        "),
    ],
)
def test_guessable_passwords(password: str) -> None:
    """Common words, keyboard walks and sequences are refused, with a reason that helps."""
    assert len(reason(password)) > 10


def test_most_common_passwords() -> None:
    """The 3000 most common passwords that are long enough are refused (OWASP ASVS 5.0, 6.2.4)."""
    ranked = matching.RANKED_DICTIONARIES["passwords"]  # the most common first
    common = [word for word in ranked if len(word) >= MIN_LENGTH][:3000]
    assert len(common) == 3000
    for password in common:
        with pytest.raises(WeakPassword):
            check(password, "ada-lovelace")


@pytest.mark.parametrize("password", ["", "x", "xK9#mQ2"])
def test_too_short(password: str) -> None:
    """Fewer than eight characters are refused."""
    assert "8" in reason(password)


def test_too_long() -> None:
    """128 characters are accepted, and no more."""
    check(GOOD.ljust(128, "x"), "ada")
    assert "128" in reason(GOOD.ljust(129, "x"))
    assert "128" in reason("x" * 8000)


def test_length_counts_after_normalising() -> None:
    """A letter and its accent count as one character, because passwords are normalised."""
    assert "8" in reason("e\u0301" * 7)
    check(unicodedata.normalize("NFD", "éèüöäßç" * 18), "ada")


@pytest.mark.parametrize("character", ["\0", "\t", "\n", "\r", "\x1b", "\x7f", "\x85"], ids=ascii)
def test_control_characters(character: str) -> None:
    """Control characters are refused in any position."""
    for password in (GOOD + character, character + GOOD, GOOD[:9] + character + GOOD[9:]):
        assert "control" in reason(password)


def test_words_of_the_game() -> None:
    """A password that is easy to guess from the game's own words is refused, with advice."""
    policy = PasswordPolicy(LeakedPasswords(str(FILE)), ("Dragonfall",))
    check("dragonfall1", "ada")
    with pytest.raises(WeakPassword) as caught:
        policy.refuse_guessable("dragonfall1", "ada")
    assert "Add another word" in caught.value.fields["password"]
    policy.refuse_guessable("dragonfall is my third home", "ada")


def test_username_in_it() -> None:
    """A password that contains the username is refused, in any case and with anything around it."""
    for password in ("xx-Ada-Lovelace-77", "ADA-LOVELACE!?", "ada-lovelace"):
        assert "username" in reason(password)
    check("ada is not lovelace here", "ada-lovelace")


@examples(max_examples=50, deadline=None)
@given(st.text(max_size=140))
def test_any_password(password: str) -> None:
    """Any text is either accepted or refused with a non-empty reason."""
    told: WeakPassword | None = None
    try:
        check(password, "somebody")
    except WeakPassword as error:
        told = error
    assert told is None or told.fields["password"].strip()


def test_hash(passwords: Passwords) -> None:
    """A hash matches its password and no other, and no two hashes are equal."""
    first, second = passwords.hash(GOOD), passwords.hash(GOOD)
    assert first != second
    assert GOOD not in first
    assert passwords.verify(first, GOOD)
    assert passwords.verify(second, GOOD)
    for wrong in ("", GOOD + " ", GOOD.upper(), GOOD[:-1], "\0" + GOOD, GOOD + "\0"):
        assert not passwords.verify(first, wrong)


@examples(max_examples=50, deadline=None)
@given(first=st.text(max_size=20), second=st.text(max_size=20))
def test_any_two_passwords(first: str, second: str) -> None:
    """Two passwords match each other's hash exactly if they are equal after NFC."""
    hasher = Passwords(memory_kib=8, iterations=1)
    same = unicodedata.normalize("NFC", first) == unicodedata.normalize("NFC", second)
    assert hasher.verify(hasher.hash(first), first)
    assert hasher.verify(hasher.hash(first), second) == same


def test_two_keyboards(passwords: Passwords) -> None:
    """A password typed composed and decomposed is one password; NFKC is not applied."""
    assert passwords.verify(passwords.hash("caf\u00e9 au lait"), "cafe\u0301 au lait")
    assert not passwords.verify(passwords.hash("\ufb01sch und brot"), "fisch und brot")


def test_missing_account(passwords: Passwords) -> None:
    """For a missing account no password matches, not even the dummy's own."""
    for password in ("", GOOD, "a password without an account"):
        assert not passwords.verify(None, password)


def test_parameters() -> None:
    """The parameters are OWASP's: Argon2id, 19 MiB, two iterations, one lane."""
    parameters = extract_parameters(Passwords().hash(GOOD))
    assert parameters.type is Type.ID
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (19456, 2, 1)


def test_rehash(passwords: Passwords) -> None:
    """A hash with outdated parameters needs a rehash, and still matches until then."""
    stronger = Passwords(memory_kib=16, iterations=1)
    old = passwords.hash(GOOD)
    assert stronger.verify(old, GOOD)
    assert stronger.needs_rehash(old)
    assert not passwords.needs_rehash(old)


@pytest.mark.parametrize("password_hash", ["", "x", "$2b$12$saltsaltsaltsaltsaltsu", "!"])
def test_no_password_fits_a_foreign_hash(passwords: Passwords, password_hash: str) -> None:
    """An empty hash, or one of another kind, matches no password."""
    for password in ("", password_hash, GOOD, "a password without an account"):
        assert passwords.verify(password_hash, password) is False
