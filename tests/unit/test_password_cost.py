"""Judging a password costs at most twice one verification by Argon2, whatever is sent.

The tests compare CPU time, each the least of several tries and both in the same run, because a busy
machine slows both down.
"""

import contextlib
import random
import time
import unicodedata
from collections.abc import Callable

import pytest
from zxcvbn import matching

from auth.credentials.leaked_passwords import LeakedPasswords
from auth.credentials.password_policy import MAX_CODE_POINTS, MAX_LENGTH, PasswordPolicy
from auth.credentials.passwords import Passwords
from auth.errors import WeakPassword
from auth.settings import MOST_WORDS
from local.leaked_passwords import FILE

MOST = 2.0  # verifications
SEARCH_SECONDS = 12  # of CPU

# For each part of zxcvbn: a password's pattern, repeated up to each length, and a username.
WORST = [
    *(("(!$79@+<15|647", "cislgat"), ("4@17|5$69+!", "cislgat"), ("17|4569@$+!x417|", "the")),
    *(("4@8({[<3691!|70$5+7%2abcdefghijk", "zal"), ("%2|!7165940838(+$[{<@", "elitist")),
    *(("1", "111"), ("1112", "1112"), ("19", "1991"), ("1.1.91", "abc"), ("1/1/1991", "abc")),
    *(("qazwsxedcrfvtgb", "qazwsx"), ("QaZ1@wSx", "qaz"), ("zaq12wsxcde34rfv", "abc")),
    *(("a", "aaa"), ("aab", "aab"), ("aabaabc", "aabaab"), ("aabbccddeeffgghh", "abc")),
    *(("abcdefgh", "abc"), ("acegikmo", "abc"), ("theandwas", "theandwas"), ("\u0130", "abc")),
    *(("\u03a3\u03c2", "abc"), ("\U0001f3ae\U0001f579", "abc"), ("e\u0301\u0323", "abc")),
]

# The pieces that the search combines: the characters that cost zxcvbn the most work.
ALPHABETS = [
    *("17|", "17|4569@$+!", "4@8({[<3691!|70$5+7%2", "0123456789", "1./-", "qazwsxedc", "aA"),
    *("abcdefghijklmnopqrstuvwxyz", "\u0130\u00df\u03a3e\u0301", "~!@#$%^&*()_+"),
]
LETTERS = "abcegilostxz0123456789"

# As many words of the game as may be set, of which the slow passwords are full.
GAME_WORDS = [f"{one}{two}" for one in "1a7i4qsl" for two in "1a7i4qs|"][:MOST_WORDS]
POLICY = PasswordPolicy(LeakedPasswords(str(FILE)), GAME_WORDS)


def cpu_time(work: Callable[[], object], tries: int = 3) -> float:
    """Return the least CPU time of several tries, in seconds."""

    def once() -> float:
        begun = time.thread_time()
        work()
        return time.thread_time() - begun

    return min(once() for _ in range(tries))


def judging(password: str, username: str) -> Callable[[], None]:
    """Return a function that judges a password as a new password of a player is judged."""

    def judge() -> None:
        with contextlib.suppress(WeakPassword):
            POLICY.check(password, username)
            POLICY.refuse_guessable(password, username)

    return judge


@pytest.fixture(scope="module")
def verify() -> Callable[[], object]:
    """Return one verification by Argon2, with the current parameters."""
    judging("loads zxcvbn", "ada")()
    passwords = Passwords()
    return lambda: passwords.verify(None, "correct horse battery staple")


@pytest.mark.parametrize(("pattern", "username"), WORST, ids=[ascii(it) for it, _ in WORST])
def test_known_worst(pattern: str, username: str, verify: Callable[[], object]) -> None:
    """Passwords made to be slow to judge cost at most two verifications, at every length."""
    most = MOST * cpu_time(verify)
    for length in (8, 14, 16, 22, 24, 28, 31, 32, 33, 64, MAX_LENGTH, MAX_CODE_POINTS):
        judge = judging((pattern * length)[:length], username)
        # Repeat with more tries before failing: another process may have interfered.
        assert cpu_time(judge) <= most or cpu_time(judge, 20) <= most, length


def test_accents(verify: Callable[[], object]) -> None:
    """Thousands of accents in the wrong order cost almost nothing: they are not reordered."""
    accents = "".join(accent * 1000 for accent in "\u0345\u0301\u0327\u0334")
    assert cpu_time(judging(accents, "ada")) < 0.1 * cpu_time(verify)
    passwords = Passwords()
    assert cpu_time(lambda: passwords.verify(None, accents), 5) < 1.5 * cpu_time(verify, 5)
    within = accents[:: len(accents) // MAX_CODE_POINTS + 1]
    assert cpu_time(judging(within, "ada")) <= MOST * cpu_time(verify)


def test_long_text_is_no_password() -> None:
    """A text with more code points than are normalised would also be too long in NFC."""
    most = max(
        len(unicodedata.normalize("NFD", character))
        for character in map(chr, range(0x110000))
        if unicodedata.is_normalized("NFC", character)
    )
    assert most * MAX_LENGTH == MAX_CODE_POINTS
    longest = "\u1f82" * MAX_LENGTH
    POLICY.check(unicodedata.normalize("NFD", longest), "ada")
    with pytest.raises(WeakPassword):
        POLICY.check(unicodedata.normalize("NFD", longest) + "x", "ada")


def test_no_worse_is_found(verify: Callable[[], object]) -> None:
    """A search for costlier passwords and usernames finds none above two verifications."""
    chance = random.Random(19456)
    known = [((pattern * 32)[:32], username) for pattern, username in WORST]
    found = sorted(((cpu_time(judging(*it)), *it) for it in known), reverse=True)[:8]
    begun = time.thread_time()
    while time.thread_time() - begun < SEARCH_SECONDS:
        cost, password, username = chance.choice(found)
        changed = changed_password(chance, password), changed_username(chance, username)
        if cpu_time(judging(*changed), 1) > cost:
            found = sorted([*found, (cpu_time(judging(*changed)), *changed)], reverse=True)[:8]
    _, password, username = found[0]
    ratio = cpu_time(judging(password, username), 9) / cpu_time(verify, 9)
    assert ratio <= MOST, (password, username)
    assert ratio > 0.1, "the search measures nothing"


def changed_password(chance: random.Random, password: str) -> str:
    """Return a password with a piece replaced, inserted or removed, or repeated as a whole."""
    at, end = sorted(chance.choices(range(len(password) + 1), k=2))
    piece = "".join(chance.choices(chance.choice(ALPHABETS), k=chance.randint(1, 6)))
    unit = chance.randint(1, 16)
    changed = chance.choice(
        [
            password[:at] + piece + password[at + len(piece) :],
            password[:at] + piece + password[at:],
            password[:at] + password[end:],
            password[:at] + l33t_word(chance) + password[at:],
            password[:unit] * (32 // unit),
        ]
    )
    return (changed + password)[: chance.choice([32, 32, 32, 31, 28, MAX_LENGTH])]


def changed_username(chance: random.Random, username: str) -> str:
    """Return the username, or sometimes another one of 3 to 24 characters."""
    if chance.random() < 0.8:
        return username
    letters = chance.choice([LETTERS, LETTERS[:3], "abcdefghijklmnopqrstuvwxyz"])
    return "".join(chance.choices(letters, k=chance.randint(3, 24)))


def l33t_word(chance: random.Random) -> str:
    """Return a common word with signs in place of some letters."""
    word = chance.choice(COMMON)
    return "".join(chance.choice(matching.L33T_TABLE.get(letter, [letter])) for letter in word)


COMMON = [word for ranks in matching.RANKED_DICTIONARIES.values() for word in list(ranks)[:1000]]
