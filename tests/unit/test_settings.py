"""The settings: each wrong variable is named, in one line."""

from pathlib import Path

import pytest

from auth.credentials import guessability
from auth.settings import LONGEST_WORD, MOST_WORD_BYTES, MOST_WORDS, SettingError, Settings

NAMES = ("DATABASE_SECRET_ID", "TOKEN_SECRET_ID", "TOKEN_ISSUER", "TOKEN_AUDIENCE")
FILES = ("DATABASE_CA_FILE", "LEAKED_PASSWORDS_FILE")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return an environment with every required variable."""
    file = tmp_path / "ca.pem"
    file.touch()
    return {**{name: name.lower() for name in NAMES}, **dict.fromkeys(FILES, str(file))}


def complaint(environment: dict[str, str]) -> str:
    """Return the error message for an environment."""
    with pytest.raises(SettingError) as caught:
        Settings.from_environment(environment)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    return text


def test_all_is_there(environment: dict[str, str]) -> None:
    """Each setting comes from its variable; one with a default may be left out."""
    settings = Settings.from_environment(environment)
    assert settings == Settings(
        database_secret_id="database_secret_id",
        token_secret_id="token_secret_id",
        token_issuer="token_issuer",
        token_audience="token_audience",
        database_ca_file=environment["DATABASE_CA_FILE"],
        leaked_passwords_file=environment["LEAKED_PASSWORDS_FILE"],
        rate_limit_scale=1.0,
    )


@pytest.mark.parametrize("name", [*NAMES, *FILES])
@pytest.mark.parametrize("value", [None, "", " ", "\t\n"])
def test_missing(name: str, value: str | None, environment: dict[str, str]) -> None:
    """A variable that is missing, empty or blank is named, and no other."""
    environment.pop(name)
    if value is not None:
        environment[name] = value
    text = complaint(environment)
    assert name in text
    assert not any(other in text for other in {*NAMES, *FILES} - {name})


@pytest.mark.parametrize("name", FILES)
def test_no_such_file(name: str, environment: dict[str, str], tmp_path: Path) -> None:
    """A file that does not exist, or is a folder, is named."""
    for path in (tmp_path / "none.pem", tmp_path):
        text = complaint({**environment, name: str(path)})
        assert name in text
        assert str(path) in text


@pytest.mark.parametrize(
    "value", ["0", "-1", "nan", "inf", "-inf", "1e999", "x", "1,5", "0x1", "1 2", " "]
)
def test_wrong_number(value: str, environment: dict[str, str]) -> None:
    """A rate limit's scale that is not a finite number above zero is named."""
    assert "RATE_LIMIT_SCALE" in complaint({**environment, "RATE_LIMIT_SCALE": value})


@pytest.mark.parametrize(
    ("value", "number"), [("20", 20.0), ("0.5", 0.5), ("1e3", 1000.0), ("", 1.0)]
)
def test_number(value: str, number: float, environment: dict[str, str]) -> None:
    """A rate limit's scale is any finite number above zero; empty means the default."""
    settings = Settings.from_environment({**environment, "RATE_LIMIT_SCALE": value})
    assert settings.rate_limit_scale == number


@pytest.mark.parametrize("name", ["SESSION_HISTORY_DAYS", "GUEST_DAYS"])
@pytest.mark.parametrize("value", ["-1", "1.5", "x", "1 2", "100000", "\u0661"])
def test_wrong_whole_number(name: str, value: str, environment: dict[str, str]) -> None:
    """A number of days that is not a whole number is named."""
    assert name in complaint({**environment, name: value})


@pytest.mark.parametrize(("name", "default"), [("SESSION_HISTORY_DAYS", 30), ("GUEST_DAYS", 365)])
def test_whole_number(name: str, default: int, environment: dict[str, str]) -> None:
    """A number of days may be 0; empty means the default."""
    for value, days in (("0", 0), ("90", 90), ("", default)):
        settings = Settings.from_environment({**environment, name: value})
        assert getattr(settings, name.lower()) == days


@pytest.mark.parametrize("value", ["29", "301", "0", "-60", "60.0"])
def test_wrong_ticket_seconds(value: str, environment: dict[str, str]) -> None:
    """A lifetime of tickets that is too short or too long is named."""
    assert "TICKET_SECONDS" in complaint({**environment, "TICKET_SECONDS": value})


@pytest.mark.parametrize(("value", "seconds"), [("30", 30), ("300", 300), ("", 60)])
def test_ticket_seconds(value: str, seconds: int, environment: dict[str, str]) -> None:
    """Tickets last for 30 to 300 s; empty means the default."""
    settings = Settings.from_environment({**environment, "TICKET_SECONDS": value})
    assert settings.ticket_seconds == seconds


@pytest.mark.parametrize("value", ["0", "61", "-2", "2.0", "two"])
def test_wrong_poll_after_seconds(value: str, environment: dict[str, str]) -> None:
    """A time between polls that is too short or too long is named."""
    assert "POLL_AFTER_SECONDS" in complaint({**environment, "POLL_AFTER_SECONDS": value})


@pytest.mark.parametrize(("value", "seconds"), [("1", 1), ("60", 60), ("", 2)])
def test_poll_after_seconds(value: str, seconds: int, environment: dict[str, str]) -> None:
    """Game servers poll again after 1 to 60 s; empty means the default."""
    settings = Settings.from_environment({**environment, "POLL_AFTER_SECONDS": value})
    assert settings.poll_after_seconds == seconds


@pytest.mark.parametrize("value", ["yes", "no", "True", "FALSE", "1", "0", " true", " "])
def test_wrong_true_or_false(value: str, environment: dict[str, str]) -> None:
    """A choice about guests that is neither true nor false is named, with the valid values."""
    text = complaint({**environment, "GUESTS": value})
    assert text == f"GUESTS must be true or false, not {value!r}"


def test_true_or_false(environment: dict[str, str]) -> None:
    """Guests are on unless the setting says false; empty means the default."""
    for value, guests in (("true", True), ("false", False), ("", True)):
        assert Settings.from_environment({**environment, "GUESTS": value}).guests is guests


def test_words(environment: dict[str, str]) -> None:
    """The game's words are separated by commas or spaces, and kept in NFC; none are the default."""
    for value, words in (
        ("", ()),
        (" , ", ()),
        ("Dragonfall", ("Dragonfall",)),
        ("Dragonfall, Embervale,2048\tko", ("Dragonfall", "Embervale", "2048", "ko")),
        ("E\u0301lysee", ("\u00c9lysee",)),
        (" ".join(["x" * LONGEST_WORD] * MOST_WORDS), ("x" * LONGEST_WORD,) * MOST_WORDS),
    ):
        settings = Settings.from_environment({**environment, "PASSWORD_WORDS": value})
        assert settings.password_words == words


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("ab " * (MOST_WORDS + 1), "has 51 words: give at most 50"),
        ("dragon, x", "has the word 'x': give words of 2 to 24 characters"),
        ("x" * (LONGEST_WORD + 1), "give words of 2 to 24 characters"),
        (", " * (MOST_WORD_BYTES // 2) + "x", "has 2001 bytes: give at most 2000"),
        (("\u0410" * LONGEST_WORD + " ") * MOST_WORDS, "has 2450 bytes: give at most 2000"),
    ],
)
def test_wrong_words(value: str, problem: str, environment: dict[str, str]) -> None:
    """Too many words of the game, and one that is too short or too long, are named."""
    text = complaint({**environment, "PASSWORD_WORDS": value})
    assert text.startswith("PASSWORD_WORDS has ")
    assert text.endswith(problem)


def test_words_that_can_be_found() -> None:
    """No word of the game may be longer than those that guessing looks for."""
    assert LONGEST_WORD <= guessability.LONGEST_WORD


@pytest.mark.parametrize("value", ["x y", "x:", "\u00e9", "X-Forwarded-For", "x-forwarded-for"])
def test_wrong_header_name(value: str, environment: dict[str, str]) -> None:
    """An impossible header, or one that holds more than the caller's address, is named."""
    assert "TRUSTED_PROXY_HEADER" in complaint({**environment, "TRUSTED_PROXY_HEADER": value})


def test_header_name(environment: dict[str, str]) -> None:
    """A header's case does not matter; the default is CloudFront's."""
    for value, name in (
        ("CF-Connecting-IP", "cf-connecting-ip"),
        ("", "cloudfront-viewer-address"),
    ):
        settings = Settings.from_environment({**environment, "TRUSTED_PROXY_HEADER": value})
        assert settings.trusted_proxy_header == name


def test_settings_are_frozen(environment: dict[str, str]) -> None:
    """Settings are immutable."""
    settings = Settings.from_environment(environment)
    with pytest.raises(AttributeError):
        settings.token_issuer = "x"  # type: ignore[misc]
