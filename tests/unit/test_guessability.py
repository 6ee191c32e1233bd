"""Passwords that are easy to guess: the same verdicts as zxcvbn, for less work."""

import random
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from zxcvbn import matching, scoring, time_estimates, zxcvbn

from auth.credentials import usernames
from auth.credentials.guessability import (
    JUDGED_LENGTH,
    LONGEST_WORD,
    MIN_SCORE,
    NO_REASON_GIVEN,
    l33t_readings,
    why_guessable,
)

NAME = "zorblax"
ALL_SIGNS = "".join(dict.fromkeys(chain.from_iterable(matching.L33T_TABLE.values())))


def why_zxcvbn_refuses(password: str, username: str = NAME) -> str | None:
    """Return zxcvbn's own reason, however long it takes."""
    verdict = zxcvbn(password[:JUDGED_LENGTH], user_inputs=[username])
    if verdict["score"] >= MIN_SCORE:
        return None
    reasons = [verdict["feedback"]["warning"], *verdict["feedback"]["suggestions"]]
    return " ".join(filter(None, reasons)) or NO_REASON_GIVEN


def l33t(chance: random.Random, word: str) -> str:
    """Return a word with some letters replaced, each letter always by the same sign."""
    signs = {letter: chance.choice(signs) for letter, signs in matching.L33T_TABLE.items()}
    return "".join(signs.get(it, it) if chance.random() < 0.6 else it for it in word)


def passwords(seed: int, count: int) -> list[str]:
    """Return passwords as people make them: words, l33t, dates, keys, and combinations."""
    chance = random.Random(seed)
    words = [word for ranks in matching.RANKED_DICTIONARIES.values() for word in list(ranks)[:3000]]
    made: list[str] = []
    while len(made) < count:
        one, two = chance.choice(words), chance.choice(words)
        year = str(chance.randint(1950, 2026))
        more = chance.choice(["", year, "!", "1!", "#", "12.3.1987", "qwert", "abc", "@4", "aaa"])
        password = chance.choice(
            [
                *(one + more, more + one, one + two, one[::-1] + more, one.title() + more),
                *(l33t(chance, one) + more, l33t(chance, one + two), l33t(chance, one) * 2 + more),
                *(l33t(chance, one).title() + more, one[:3] * 4 + more, more * 2 + one),
            ]
        )
        if 8 <= len(password) <= 40:
            made.append(password)
    return made


@pytest.mark.parametrize("seed", range(4))
def test_same_as_zxcvbn(seed: int) -> None:
    """Ordinary and l33t passwords are refused exactly if zxcvbn refuses them, for its reasons."""
    ours = {password: why_guessable(password, NAME) for password in passwords(seed, 150)}
    assert ours == {password: why_zxcvbn_refuses(password) for password in ours}
    assert 30 < sum(reason is None for reason in ours.values()) < 120


@pytest.mark.parametrize(
    "password",
    [
        *("12.3.1987", "31/12/1999", "1987-03-12", "x1987-03-12", "20480231", "31122048!"),
        *("xdr5tgbh", "poiuhgfd", "cftyhnji", "vgyhnji9", "BHU*ikm,", "aoeuidhtns", "/8520369"),
        *(
            "bcdefghijk",
            "zyxwvuts",
            "ACEGIKMO",
            "\u03b1\u03b2\u03b3\u03b4\u03b5\u03b6\u03b7\u03b8",
            "2468acegik",
        ),
        *(
            "\u30b2\u30b2\u30b2\u30b2\u30b2\u30b2\u30b2\u30b2",
            "q#q#q#q#q#",
            "8zp8zp8zp8zp",
            "drowssap",
            "seitrefil",
        ),
        *(
            "x2011y19",
            "2011!@Xq",
            "1999passw",
            "tr0ub4dor",
            "Tr0ub4dour&3",
            "correct!",
            "MONKEYbusiness",
        ),
    ],
)
def test_each_pattern(password: str) -> None:
    """Each pattern of zxcvbn gets zxcvbn's verdict."""
    assert why_guessable(password, NAME) == why_zxcvbn_refuses(password)


@pytest.mark.parametrize(
    "password",
    [
        *("z0rbl4x!", "20rb14%7", "xalbroz1987", "z0rb1axz0rb1ax", "Zorblax", "ZORBLAX"),
        *("xalbr0zxalbr0z", "$z0rblaxz0rblaxz0rblax"),
    ],
)
def test_username(password: str) -> None:
    """The username counts as a common word, also in l33t, reversed and repeated."""
    assert why_guessable(password, "Zorblax") == why_zxcvbn_refuses(password, "Zorblax")


@pytest.mark.parametrize(
    "password",
    [
        *("dragonfall1", "Dragonfall!", "EMBERVALE1", "3mb3rv@le7", "elavrebme1", "embervale99"),
        *("embervaleembervale", "2048dragonfall"),
    ],
)
def test_words_of_the_game(password: str) -> None:
    """The game's own words count as common words, in any order, but only where they are set."""
    words = [*(f"word{number}" for number in range(48)), "Dragonfall", "EMBERVALE"]
    assert why_guessable(password, NAME, words)
    assert why_guessable(password, NAME, words[::-1])
    assert why_guessable(password, NAME, words[:48]) is None


@pytest.mark.parametrize(
    "password", ["dragonfall is my third home", "rK9#dragonfall", "embervaleQz7!x"]
)
def test_words_of_the_game_and_more(password: str) -> None:
    """A word of the game with enough around it is accepted."""
    assert why_guessable(password, NAME, ["dragonfall", "embervale"]) is None


# The parts of patterns, including case changes that lengthen a text.
PIECES = st.sampled_from(
    [
        *("a", "1", "17", "!", "|", "4", "@", "$5", "69", "([{<", "qaz", "7890", "19", "1.1.", "/"),
        *("İ", "ß", "Σ", "ς", "é", "🎮", "пароль", "abc", "the", "pass", "w0rd", "word", " ", "Q"),
    ]
)


@examples(max_examples=150, deadline=None, derandomize=True)
@given(
    parts=st.lists(PIECES, min_size=1, max_size=10),
    times=st.integers(min_value=1, max_value=4),
    username=st.sampled_from(["the", "pass1", "a17", "cislgat", NAME]),
)
def test_nothing_guessable_passes(parts: list[str], times: int, username: str) -> None:
    """Every password that zxcvbn refuses is refused."""
    password = ("".join(parts) * times)[:20]
    if len(password) >= 8 and why_zxcvbn_refuses(password, username):
        assert why_guessable(password, username)


@pytest.mark.parametrize("password", ["b4n@nas", "$ucce55ful", "p4r@digm!", "Wi1|iams"])
def test_stricter_than_zxcvbn(password: str) -> None:
    """Known difference: a word with two signs for the same letter is refused only here."""
    assert why_guessable(password, NAME)
    assert why_zxcvbn_refuses(password) is None


@pytest.mark.parametrize("password", ["1q@2!q@2|", "[star7]{"])
def test_weaker_than_zxcvbn(password: str) -> None:
    """Known difference: in l33t, a common password that itself contains a sign passes only here."""
    assert why_guessable(password, NAME) is None
    assert why_zxcvbn_refuses(password)


def test_digits_that_stay() -> None:
    """A digit of a common password stays a digit if other signs stand for its letters."""
    assert why_guessable("Wrink731!", NAME)
    assert why_zxcvbn_refuses("Wrink731!")


def test_readings_are_few() -> None:
    """A text has at most 288 readings, and one without digits and signs has none."""
    assert len(l33t_readings(ALL_SIGNS)) == len(set(l33t_readings(ALL_SIGNS))) == 288
    assert l33t_readings("correct horse") == []


def test_what_is_known_of_zxcvbn() -> None:
    """This version has no word beyond LONGEST_WORD; a third part means enough guesses to pass."""
    words = chain.from_iterable(matching.RANKED_DICTIONARIES.values())
    assert max(map(len, words)) <= LONGEST_WORD
    assert usernames.MAX_LENGTH <= LONGEST_WORD
    third_part = scoring.MIN_GUESSES_BEFORE_GROWING_SEQUENCE**2
    assert time_estimates.guesses_to_score(third_part) >= MIN_SCORE


def test_username_of_one_judgement() -> None:
    """A username counts, even repeated, in the judgement it was given to, and in no other."""
    matching.RANKED_DICTIONARIES["user_inputs"] = {"somebody": 1}  # zxcvbn itself leaves one there
    for password in ("Quxwibble1987", "qu%w1bbl3qu%w1bbl3qu%w1bbl3"):
        assert why_guessable(password, "quxwibble")
        assert why_guessable(password, NAME) is None
    assert matching.RANKED_DICTIONARIES["user_inputs"] == {"somebody": 1}
