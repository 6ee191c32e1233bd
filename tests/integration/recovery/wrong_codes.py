"""Recoveries with a code that is well formed and nobody's."""

from auth.credentials.recovery_codes import new_recovery_code
from tests.play.events import Answer
from tests.play.players import call


def attempt(username: str, address: str = "203.0.113.7", **proof: str) -> Answer:
    """Try to recover an account with a code that is nobody's."""
    body = {"username": username, "recovery_code": new_recovery_code(), **proof}
    return call("POST", "/v1/recover", body, address=address)
