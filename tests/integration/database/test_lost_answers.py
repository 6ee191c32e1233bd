"""Statements that lost their answer: the request looks up the outcome instead of guessing."""

import socket
from typing import Any

import pytest

from auth.external.connection import Connection, Statement
from auth.external.database import Database
from auth.store.records import MAX_SESSIONS
from local.stack import Stack
from tests.conftest import Tables
from tests.play.events import is_unavailable
from tests.play.players import PASSWORD, Player, call

KEY = "a-key-of-the-client-0001"
NEW_PASSWORD = "seven wooden ladders tonight"


class Wire:
    """Cuts the connection around statements that a test names, like a broken network.

    `answered`: the server runs the statement and its answer is lost; otherwise the connection is
    cut before the statement is sent.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cuts = 0
        self._monkeypatch = monkeypatch

    def cut_at(self, beginning: str, *, answered: bool, times: int = 1, after: int = 0) -> None:
        """Cut the connection at the next statements that begin like this, so many times.

        The first `after` of them pass.
        """
        query, passed = Connection.query, iter(range(after))

        def fragile_query(connection: Connection, sql: str, unbuffered: bool = False) -> int:  # noqa: FBT001, FBT002
            text = sql.decode(errors="replace") if isinstance(sql, bytes) else sql
            if (
                self.cuts >= times
                or not text.startswith(beginning)
                or next(passed, None) is not None
            ):
                return query(connection, sql, unbuffered)
            self.cuts += 1
            if not answered:
                _shut(connection)
                return query(connection, sql, unbuffered)
            query(connection, sql, unbuffered)
            _shut(connection)
            # Waits for an answer that never comes.
            return int(connection._read_query_result())  # type: ignore[attr-defined]  # noqa: SLF001

        self._monkeypatch.setattr(Connection, "query", fragile_query)


def _shut(connection: Connection) -> None:
    connection._sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]  # noqa: SLF001


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    """Return a connection to the database that a test can cut."""
    return Wire(monkeypatch)


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("key", [None, KEY])
def test_registration_loses_its_commit(
    warm: Database, tables: Tables, wire: Wire, *, answered: bool, key: str | None
) -> None:
    """A registration that lost its COMMIT's answer is never told that its own name is taken."""
    player = Player()
    wire.cut_at("COMMIT", answered=answered)
    answer = player.register(key=key)
    assert wire.cuts == 1
    assert answer.status == 201, answer.text
    assert tables.count("accounts") == 1
    assert tables.count("sessions") == 1
    assert player.me().status == 200
    assert player.refresh().status == 200


@pytest.mark.parametrize("answered", [True, False])
def test_registration_loses_every_commit(
    warm: Database, tables: Tables, wire: Wire, *, answered: bool
) -> None:
    """A registration with an unknown outcome gives 503 and can be repeated with its key."""
    player = Player()
    wire.cut_at("COMMIT", answered=answered, times=2)
    answer = player.register(key=KEY)
    assert answer.status == 201 if answered else is_unavailable(answer)
    assert player.register(key=KEY).status == 201
    assert player.me().status == 200
    assert tables.count("accounts") == 1


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("times", [1, 2])
def test_password_change_loses_its_answer(
    warm: Database, wire: Wire, *, answered: bool, times: int
) -> None:
    """A password change with an unknown outcome is looked up: 200 or 503, never 401."""
    player = Player()
    player.register()
    other = player.on_another_device()
    other.log_in()
    wire.cut_at("UPDATE accounts a JOIN sessions s", answered=answered, times=times)
    answer = player.change_password(NEW_PASSWORD, current=PASSWORD)
    assert wire.cuts == times
    assert answer.status == 200 if times == 1 else is_unavailable(answer)
    repeated = player.change_password(NEW_PASSWORD, current=PASSWORD)
    assert repeated.status == 200, repeated.text
    assert player.me().status == 200
    assert player.refresh().status == 200
    assert other.me().code == "invalid_token"
    assert player.on_another_device().log_in(NEW_PASSWORD).status == 200
    assert player.on_another_device().log_in(PASSWORD).status == 401


def test_statements_of_a_password_change_run_late(
    warm: Database, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Statements that were retried and then also run late sign no player out."""
    player = Player()
    player.register()
    run, sent = Connection.run, []

    def run_and_note(connection: Connection, statement: Statement, seconds: float) -> Any:
        sent.append(statement)
        return run(connection, statement, seconds)

    monkeypatch.setattr(Connection, "run", run_and_note)
    assert player.change_password(NEW_PASSWORD, current=PASSWORD).status == 200
    assert player.change_password(NEW_PASSWORD, current=PASSWORD).status == 200  # repeated
    monkeypatch.undo()
    late = [each for each in sent if each.sql.startswith("UPDATE") and "tail_hash" in each.sql]
    assert len(late) == 1  # the repetition changes nothing
    with stack.database.connect() as connection:
        for statement in late:
            connection.run(statement, 5.0)
    assert player.refresh().status == 200
    assert player.on_another_device().log_in(NEW_PASSWORD).status == 200


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("times", [1, 2])
def test_ending_the_session_before_loses_its_answer(
    warm: Database,
    tables: Tables,
    wire: Wire,
    caplog: pytest.LogCaptureFixture,
    *,
    answered: bool,
    times: int,
) -> None:
    """A sign-in succeeds even if it stays unknown whether the device's old session ended."""
    player = Player()
    player.register()
    before = player.refresh_token
    ending = "UPDATE sessions s JOIN accounts a ON a.id = s.account_id SET s.ended_at"
    wire.cut_at(ending, answered=answered, times=times)
    assert player.log_in(refresh_token=before).status == 200
    assert wire.cuts == times
    assert player.me().status == 200
    ended = answered or times == 1
    assert (player.on_another_device().refresh(before).code == "session_ended") is ended
    assert ("sessions_kept" in {vars(each).get("event") for each in caplog.records}) is (times == 2)


@pytest.mark.parametrize("answered", [True, False])
def test_making_room_loses_its_answer(
    warm: Database, tables: Tables, wire: Wire, *, answered: bool
) -> None:
    """A sign-in replaces one session, however often the statement is sent."""
    player = Player()
    player.register()
    for _ in range(MAX_SESSIONS - 1):
        assert player.log_in().status == 200
    wire.cut_at("DELETE FROM sessions", answered=answered)
    assert player.log_in().status == 200
    assert wire.cuts == 1
    assert tables.count("sessions") == MAX_SESSIONS


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("times", [1, 2])
def test_deletion_loses_its_answer(
    warm: Database, tables: Tables, wire: Wire, *, answered: bool, times: int
) -> None:
    """A deletion with an unknown outcome is looked up: 200 or 503, never 401."""
    player = Player()
    player.register()
    wire.cut_at("DELETE FROM accounts", answered=answered, times=times)
    answer = player.delete()
    assert wire.cuts == times
    assert answer.status == 200 if times == 1 else is_unavailable(answer)
    if tables.count("accounts"):
        assert player.delete().status == 200
    assert tables.count("accounts") == 0
    assert Player(player.username).register().status == 201


@pytest.mark.parametrize("answered", [True, False])
def test_refresh_loses_its_answer(warm: Database, wire: Wire, *, answered: bool) -> None:
    """A refresh with an unknown outcome gives the one successor and signs no player out."""
    player = Player()
    player.register()
    wire.cut_at("UPDATE sessions s JOIN accounts a", answered=answered)
    assert player.refresh().status == 200
    assert wire.cuts == 1
    assert player.refresh().status == 200


@pytest.mark.parametrize("answered", [True, False])
def test_login_loses_its_answer(
    warm: Database, tables: Tables, wire: Wire, *, answered: bool
) -> None:
    """A sign-in with an unknown outcome opens one session."""
    player = Player()
    player.register()
    tables.run("DELETE FROM sessions")
    wire.cut_at("INSERT INTO sessions", answered=answered)
    assert player.log_in().status == 200
    assert wire.cuts == 1
    assert tables.count("sessions") == 1
    assert player.me().status == 200


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("everywhere", [True, False])
def test_log_out_loses_its_answer(
    warm: Database, wire: Wire, *, answered: bool, everywhere: bool
) -> None:
    """A sign-out with an unknown outcome is repeated: a 200 means that no token works."""
    player = Player()
    player.register()
    wire.cut_at("UPDATE ", answered=answered)
    assert player.log_out(everywhere=everywhere).status == 200
    assert wire.cuts == 1
    assert player.me().code == "invalid_token"
    assert player.refresh().code == "session_ended"


@pytest.mark.parametrize("route", ["/login", "/v1/login"])
def test_refund_is_never_sent_twice(warm: Database, tables: Tables, wire: Wire, route: str) -> None:
    """A refund that lost its answer is made at most once."""
    player = Player()
    player.register()
    assert player.log_in("not the password").status == 401  # charged once and not refunded
    before = tables.run("SELECT bucket, tat FROM rate_limits ORDER BY bucket")
    body = {"username": player.username, "password": player.password}
    if route == "/login":  # which opens no session
        wire.cut_at("UPDATE rate_limits", answered=True)
    else:
        wire.cut_at("INSERT INTO rate_limits", answered=True, after=1)
    assert call("POST", route, body, address=player.address).status in (200, 503)
    assert wire.cuts == 1
    rows = tables.run("SELECT bucket, tat FROM rate_limits ORDER BY bucket")
    charged = {row["bucket"] for row in before}
    after = [row for row in rows if row["bucket"] in charged]
    assert len(rows) == len(before) + (0 if route == "/login" else 1)
    assert [row["bucket"] for row in after] == [row["bucket"] for row in before]
    assert all(old["tat"] <= new["tat"] for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize("answered", [True, False])
def test_opened_sessions_are_charged(
    warm: Database, tables: Tables, wire: Wire, *, answered: bool
) -> None:
    """If the refund's answer is lost, the session that opens is charged all the same."""
    player = Player()
    player.register()
    before = tables.count("rate_limits")
    wire.cut_at("INSERT INTO rate_limits", answered=answered, after=1)
    assert player.log_in().status == 200
    assert wire.cuts == 1
    assert tables.count("rate_limits") == before + 4


@pytest.mark.parametrize(
    "statement", ["SELECT a.id", "INSERT INTO rate_limits", "INSERT INTO sessions"]
)
def test_failed_sign_ins_cost_no_guess(warm: Database, wire: Wire, statement: str) -> None:
    """A player whose sign-in failed five times for our fault is not told to wait."""
    player = Player()
    player.register()
    wire.cut_at(statement, answered=False, times=10)
    for _ in range(5):
        assert is_unavailable(player.log_in())
    assert wire.cuts == 10
    assert player.log_in().status == 200


def test_failed_deletions_cost_no_guess(warm: Database, wire: Wire) -> None:
    """A player whose deletion failed five times for our fault is not told to wait."""
    player = Player()
    player.register()
    wire.cut_at("DELETE FROM accounts", answered=False, times=10)
    for _ in range(5):
        assert is_unavailable(player.delete())
    assert player.delete().status == 200


def test_failed_password_changes_cost_no_guess(warm: Database, wire: Wire) -> None:
    """A player whose password change failed five times for our fault is not told to wait."""
    player = Player()
    player.register()
    wire.cut_at("UPDATE accounts a JOIN sessions s", answered=False, times=10)
    for _ in range(5):
        assert is_unavailable(player.change_password(NEW_PASSWORD))
    assert player.change_password(NEW_PASSWORD).status == 200
