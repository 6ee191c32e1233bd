"""The settings: read once from the environment, checked, then frozen.

Nothing here is secret: credentials and keys are in Secrets Manager, and only named here.
"""

import math
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MOST_WORDS = 50
SHORTEST_WORD, LONGEST_WORD = 2, 24
SHORTEST_TICKET, LONGEST_TICKET = 30, 300  # seconds
MOST_WORD_BYTES = 2000  # of all words: Lambda takes 4 KB for all variables


class SettingError(Exception):
    """A setting is missing or wrong; the text names the variable and its valid values."""


@dataclass(frozen=True)
class Settings:
    """The settings of one deployment."""

    database_secret_id: str
    token_secret_id: str
    token_issuer: str
    token_audience: str
    database_ca_file: str
    leaked_passwords_file: str
    rate_limit_scale: float
    database_proxy_host: str = ""  # requests connect to it instead of the secret's host
    session_history_days: int = 30  # how long a session that has ended is kept
    guests: bool = True  # whether new guests are taken; known ones sign in either way
    guest_days: int = 365  # how long an unused guest is kept; 0: forever
    ticket_seconds: int = 60  # for which a ticket is good
    poll_after_seconds: int = 2  # after which a game server asks for events again
    password_words: tuple[str, ...] = ()  # the game's own, which are easy to guess
    trusted_proxy_secret_id: str = ""  # of the one proxy that may name a caller's address
    trusted_proxy_header: str = "cloudfront-viewer-address"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the settings.

        Raises:
            SettingError: a variable is missing or has a value it cannot have.
        """
        return cls(
            database_secret_id=required(environment, "DATABASE_SECRET_ID"),
            token_secret_id=required(environment, "TOKEN_SECRET_ID"),
            token_issuer=required(environment, "TOKEN_ISSUER"),
            token_audience=required(environment, "TOKEN_AUDIENCE"),
            database_ca_file=existing_file(environment, "DATABASE_CA_FILE"),
            leaked_passwords_file=existing_file(environment, "LEAKED_PASSWORDS_FILE"),
            rate_limit_scale=positive_number(environment, "RATE_LIMIT_SCALE", default="1"),
            database_proxy_host=environment.get("DATABASE_PROXY_HOST", ""),
            session_history_days=whole_number(environment, "SESSION_HISTORY_DAYS", default="30"),
            guests=true_or_false(environment, "GUESTS", default="true"),
            guest_days=whole_number(environment, "GUEST_DAYS", default="365"),
            ticket_seconds=seconds_in(
                environment, "TICKET_SECONDS", range(SHORTEST_TICKET, LONGEST_TICKET + 1), "60"
            ),
            poll_after_seconds=seconds_in(environment, "POLL_AFTER_SECONDS", range(1, 61), "2"),
            password_words=words(environment, "PASSWORD_WORDS"),
            trusted_proxy_secret_id=environment.get("TRUSTED_PROXY_SECRET_ID", ""),
            trusted_proxy_header=header_name(
                environment, "TRUSTED_PROXY_HEADER", default="CloudFront-Viewer-Address"
            ),
        )


def required(environment: Mapping[str, str], name: str) -> str:
    """Return the variable's value, which must not be empty."""
    value = environment.get(name, "")
    if not value.strip():
        raise SettingError(f"{name} is not set")
    return value


def existing_file(environment: Mapping[str, str], name: str) -> str:
    """Return the variable's value, which must name a file."""
    path = required(environment, name)
    if not Path(path).is_file():
        raise SettingError(f"{name} names a file that does not exist: {path}")
    return path


def choice(environment: Mapping[str, str], name: str, values: Sequence[str]) -> str:
    """Return the variable, which must be one of these values."""
    text = required(environment, name)
    if text not in values:
        raise SettingError(f"{name} must be {', '.join(values)}, not {text!r}")
    return text


def true_or_false(environment: Mapping[str, str], name: str, default: str) -> bool:
    """Return the variable as a yes or no; other spellings are refused, lest one be misread."""
    text = environment.get(name) or default
    if text not in {"true", "false"}:
        raise SettingError(f"{name} must be true or false, not {text!r}")
    return text == "true"


def whole_number(environment: Mapping[str, str], name: str, default: str) -> int:
    """Return the variable as a whole number, 0 or more."""
    text = environment.get(name) or default
    if not re.fullmatch("[0-9]{1,5}", text):
        raise SettingError(f"{name} must be a whole number from 0 to 99999, not {text!r}")
    return int(text)


def seconds_in(environment: Mapping[str, str], name: str, valid: range, default: str) -> int:
    """Return the variable as a number of seconds, within these bounds."""
    seconds = whole_number(environment, name, default)
    if seconds not in valid:
        raise SettingError(f"{name} must be from {valid[0]} to {valid[-1]} seconds")
    return seconds


def words(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Return the words of the variable, separated by commas or spaces, in NFC."""
    value = environment.get(name, "")
    size = len(os.fsencode(value))
    if size > MOST_WORD_BYTES:
        raise SettingError(f"{name} has {size} bytes: give at most {MOST_WORD_BYTES}")
    text = unicodedata.normalize("NFC", value)
    found = tuple(text.replace(",", " ").split())
    if len(found) > MOST_WORDS:
        raise SettingError(f"{name} has {len(found)} words: give at most {MOST_WORDS}")
    for word in found:
        if not SHORTEST_WORD <= len(word) <= LONGEST_WORD:
            raise SettingError(
                f"{name} has the word {word!r}:"
                f" give words of {SHORTEST_WORD} to {LONGEST_WORD} characters"
            )
    return found


def header_name(environment: Mapping[str, str], name: str, default: str) -> str:
    """Return the variable as the name of an HTTP header, in lower case."""
    text = environment.get(name) or default
    if not re.fullmatch("[A-Za-z0-9-]+", text):
        raise SettingError(f"{name} must be the name of an HTTP header, not {text!r}")
    if text.lower() == "x-forwarded-for":
        raise SettingError(
            f"{name} cannot be X-Forwarded-For: API Gateway adds the proxy's own address to it;"
            " name a header that holds the caller's address alone"
        )
    return text.lower()


def positive_number(environment: Mapping[str, str], name: str, default: str) -> float:
    """Return the variable as a finite number above zero."""
    text = environment.get(name) or default
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (0 < number < math.inf):
        raise SettingError(f"{name} must be a number above 0, not {text!r}")
    return number
