"""An unknown name and a wrong password are indistinguishable, by answer and by work."""

import json
from collections.abc import Callable

import argon2
import pytest

import handler
from auth.external.connection import Connection, Result, Statement
from tests.conftest import FakeClock, Tables
from tests.play.events import Answer, http_event
from tests.play.players import Player, call

# Names that no account can have, but that a client may still send.
IMPOSSIBLE = [
    "",
    "x",
    "admin",
    "a name with spaces",
    "-dash-",
    "x" * 25,
    "x" * 4000,
    "\N{LATIN SMALL LETTER A WITH GRAVE}da",
    "\N{KELVIN SIGN}elvin",
    "\N{PILE OF POO}",
    "nul\x00l",
    "' OR '1'='1",
    "%s",
    "player\n",
]


class Work:
    """Records a request's database statements and Argon2 calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.statements: list[str] = []
        self.verified = 0
        self.hashed = 0
        run, verify, hash_it = (
            Connection.run,
            argon2.PasswordHasher.verify,
            argon2.PasswordHasher.hash,
        )

        def run_noted(connection: Connection, statement: Statement, seconds: float) -> Result:
            self.statements.append(statement.sql)
            return run(connection, statement, seconds)

        def verify_noted(hasher: argon2.PasswordHasher, hashed: str, password: str) -> bool:
            self.verified += 1
            return verify(hasher, hashed, password)

        def hash_noted(hasher: argon2.PasswordHasher, password: str) -> str:
            self.hashed += 1
            return hash_it(hasher, password)

        monkeypatch.setattr(Connection, "run", run_noted)
        monkeypatch.setattr(argon2.PasswordHasher, "verify", verify_noted)
        monkeypatch.setattr(argon2.PasswordHasher, "hash", hash_noted)

    def of(self, request: Callable[[], Answer]) -> tuple[Answer, list[str], int, int]:
        """Return a request's answer, its statements, its verifications and its hashes."""
        self.statements, self.verified, self.hashed = [], 0, 0
        return request(), self.statements, self.verified, self.hashed


@pytest.fixture
def work(clock: FakeClock, player: Player, monkeypatch: pytest.MonkeyPatch) -> Work:
    """Return a record of the work that requests cause in a warm container."""
    return Work(monkeypatch)


def log_in(username: str, path: str = "/v1/login") -> Answer:
    """Try to sign in with a wrong password."""
    return call("POST", path, {"username": username, "password": "not the password"})


@pytest.mark.parametrize("path", ["/v1/login", "/login"])
@pytest.mark.parametrize("name", ["nobody-here", *IMPOSSIBLE])
def test_unknown_name(work: Work, player: Player, tables: Tables, path: str, name: str) -> None:
    """An unknown name, possible or not, causes exactly the work of a wrong password.

    The same statements in the same order, one Argon2 verification, the same answer to the byte.
    """
    wrong = work.of(lambda: log_in(player.username, path))
    unknown = work.of(lambda: log_in(name, path))
    assert unknown == wrong
    answer, statements, verified, hashed = wrong
    assert answer.status == (401 if path == "/v1/login" else 200)
    assert len(statements) >= 2
    assert (verified, hashed) == (1, 0)


@pytest.mark.parametrize("path", ["/v1/login", "/login"])
def test_empty_bucket(work: Work, player: Player, path: str) -> None:
    """Further guesses are refused alike for both, at the same guess and without extra work."""
    wrong = [work.of(lambda: log_in(player.username, path)) for _ in range(7)]
    unknown = [work.of(lambda: log_in("nobody-here", path)) for _ in range(7)]
    assert [done[0].status for done in unknown] == [done[0].status for done in wrong]
    assert [done[1:] for done in unknown] == [done[1:] for done in wrong]
    assert wrong[-1][0].status == 429
    assert wrong[-1][2:] == (0, 0)  # refused before any hashing


def test_suspended_account(work: Work, player: Player, tables: Tables) -> None:
    """A suspension is shown only after the right password."""
    tables.run("UPDATE accounts SET suspended_until = '9999-01-01', suspension_reason = 'cheating'")
    suspended = work.of(lambda: log_in(player.username))
    unknown = work.of(lambda: log_in("nobody-here"))
    assert suspended == unknown
    assert player.log_in().code == "account_suspended"


def test_proof_of_another_device(work: Work, player: Player) -> None:
    """A valid refresh token reveals nothing about another player's name."""
    other = Player()
    assert other.register().status == 201
    proof = {"password": "not the password", "refresh_token": player.refresh_token}
    wrong = work.of(lambda: call("POST", "/v1/login", {"username": other.username, **proof}))
    unknown = work.of(lambda: call("POST", "/v1/login", {"username": "nobody-here", **proof}))
    assert wrong == unknown
    assert wrong[0].status == 401


def test_only_the_request_id_differs(work: Work, player: Player) -> None:
    """Two answers differ only in the request id, which is the gateway's."""
    answers = []
    for number, name in enumerate((player.username, "nobody-here")):
        body = json.dumps({"username": name, "password": "not the password"})
        event = http_event("POST", "/v1/login", body, {"Content-Type": "application/json"})
        identifier = f"request-{number}"
        event["requestContext"]["requestId"] = identifier
        raw = json.dumps(handler.http(event, None))
        assert raw.count(identifier) == 2  # in the header and in the body
        answers.append(raw.replace(identifier, "..."))
    assert answers[0] == answers[1]
