"""The settings: read once from the environment, checked, then frozen.

Nothing here is secret: credentials and keys are in Secrets Manager, and only named here.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class SettingError(Exception):
    """A setting is missing or wrong; the text names the variable and what it takes."""


@dataclass(frozen=True)
class Settings:
    """What the application needs to know of where it runs."""

    database_secret_id: str
    token_secret_id: str
    token_issuer: str
    token_audience: str
    database_ca_file: str
    rate_limit_scale: float
    database_proxy_host: str = ""  # where requests connect to instead of the secret's host

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
            rate_limit_scale=positive_number(environment, "RATE_LIMIT_SCALE", default="1"),
            database_proxy_host=environment.get("DATABASE_PROXY_HOST", ""),
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
