"""Estimates how easy a password is to guess, with zxcvbn's patterns, in a limited time.

zxcvbn looks for the cheapest way to build a password from words, dates, keyboard walks and other
patterns. A third part adds at least 10^8 guesses. A password is refused below 10^6 guesses, so only
patterns at its beginning or its end can matter, and only these are scored here.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import chain, product
from typing import Any

from zxcvbn import feedback, matching, scoring, time_estimates

MIN_SCORE = 2  # zxcvbn's scores go from 0 to 4; 2 means that it takes 10^6 guesses or more
JUDGED_LENGTH = 32
LONGEST_WORD = 24  # of zxcvbn's dictionaries, and the longest username
NO_REASON_GIVEN = "This is easy to guess. Add another word or two; uncommon words are better."

# The letters that a digit or sign may replace: i and l for "1".
_LETTERS = {
    sign: [letter for letter, signs in matching.L33T_TABLE.items() if sign in signs]
    for sign in chain.from_iterable(matching.L33T_TABLE.values())
}
# "aabaab" repeats "a" if its shortest part is taken, "aab" if its longest is.
_SHORTEST_PART = re.compile(r"(.+?)\1+")
_LONGEST_PART = re.compile(r"(.+)\1+")

Match = dict[str, Any]
Dictionaries = dict[str, dict[str, int]]


def why_guessable(password: str, username: str, words: Iterable[str] = ()) -> str | None:
    """Return the reason why a password is easy to guess; None: it is hard to guess.

    The username and the game's own `words` count as the most common ones, in any order.
    """
    ours = dict.fromkeys((word.lower() for word in (username, *words)), 1)
    dictionaries = {**matching.RANKED_DICTIONARIES, "user_inputs": ours}
    estimate = _estimate(password[:JUDGED_LENGTH], dictionaries)
    score = time_estimates.guesses_to_score(estimate["guesses"])
    if score >= MIN_SCORE:
        return None
    advice = feedback.get_feedback(score, estimate["sequence"])
    return " ".join(filter(None, [advice["warning"], *advice["suggestions"]])) or NO_REASON_GIVEN


def l33t_readings(text: str) -> list[str]:
    """Return the text in lower case, with digits and signs read as letters in every way.

    zxcvbn lets only one sign at a time replace a letter, which gives up to thousands of readings.
    Here several signs may replace the same letter together, so there are at most 288 readings.
    """
    present = [sign for sign in _LETTERS if sign in text]
    if not present:
        return []
    meanings = (_meanings(sign, present) for sign in present)
    tables = (str.maketrans("".join(present), "".join(letters)) for letters in product(*meanings))
    return [text.translate(table).lower() for table in tables]


def _meanings(sign: str, present: list[str]) -> list[str]:
    """Return the letters for a sign; a digit may stay itself if other signs have its letters.

    In "wr!nk731" the 1 may stay, since "!" may be the i and 7 the l. Other signs never stay, since
    only two dozen common passwords contain one.
    """
    letters = _LETTERS[sign]
    elsewhere = {letter for other in present if other != sign for letter in _LETTERS[other]}
    may_stay = sign.isdigit() and elsewhere.issuperset(letters)
    return [*letters, sign] if may_stay else letters


def _estimate(text: str, dictionaries: Dictionaries) -> dict[str, Any]:
    """Return zxcvbn's estimate if it is below 10^8 guesses, otherwise some higher number."""
    cheapest: dict[tuple[int, int], Match] = {}
    for match in _matches(text, dictionaries):
        span = first, last = match["i"], match["j"]
        if first == 0 or last == len(text) - 1:
            guesses = scoring.estimate_guesses(match, text)
            if span not in cheapest or guesses < cheapest[span]["guesses"]:
                cheapest[span] = match
    estimate: dict[str, Any] = scoring.most_guessable_match_sequence(text, cheapest.values())
    return estimate


def _matches(text: str, dictionaries: Dictionaries) -> Iterator[Match]:
    """Find zxcvbn's patterns, but l33t words and repetitions only at the ends."""
    yield from matching.dictionary_match(text, dictionaries)
    yield from matching.reverse_dictionary_match(text, dictionaries)
    yield from _l33t_matches(text, dictionaries)
    yield from matching.spatial_match(text)
    yield from _repeat_matches(text, dictionaries)
    yield from matching.sequence_match(text)
    yield from matching.regex_match(text)
    yield from matching.date_match(text)


def _l33t_matches(text: str, dictionaries: Dictionaries) -> Iterator[Match]:
    """Find words at the ends that appear in a reading of the text, but not in the text itself."""
    readings = l33t_readings(text)
    plain = text.lower()
    for first, end in _end_spans(len(text)):
        spelled = plain[first:end]
        words = {reading[first:end] for reading in readings} - {spelled}
        for name, ranks in dictionaries.items():
            for word in words & ranks.keys():
                pairs = zip(spelled, word, strict=True)
                yield {
                    "pattern": "dictionary",
                    "i": first,
                    "j": end - 1,
                    "token": text[first:end],
                    "matched_word": word,
                    "rank": ranks[word],
                    "dictionary_name": name,
                    "reversed": False,
                    "l33t": True,
                    "sub": {sign: letter for sign, letter in pairs if sign != letter},
                }


def _end_spans(length: int) -> Iterator[tuple[int, int]]:
    """Return the spans at either end that may be a word: two characters or more."""
    for size in range(2, min(length, LONGEST_WORD) + 1):
        yield 0, size
        if size < length:
            yield length - size, length


def _repeat_matches(text: str, dictionaries: Dictionaries) -> Iterator[Match]:
    """Find repetitions at the text's ends, from left to right and without overlaps."""
    start = 0
    while longest := _LONGEST_PART.search(text, start):
        shortest = _SHORTEST_PART.search(text, start)
        assert shortest  # a repeated text has a longest and a shortest part
        found = max(longest, shortest, key=re.Match.end)
        start = found.end()
        if found.start() == 0 or found.end() == len(text):
            yield _repeat_match(found, dictionaries)


def _repeat_match(found: re.Match[str], dictionaries: Dictionaries) -> Match:
    whole = found[0]
    shortest = _SHORTEST_PART.fullmatch(whole)
    assert shortest  # it was found as a repetition
    part = shortest[1]
    return {
        "pattern": "repeat",
        "i": found.start(),
        "j": found.end() - 1,
        "token": whole,
        "base_token": part,
        "base_guesses": _estimate(part, dictionaries)["guesses"],
        "repeat_count": len(whole) / len(part),
    }
