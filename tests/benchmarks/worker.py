"""Runs in a measured process: `python -m tests.benchmarks.worker HASHING`.

It reads one JSON object per line (the task and its number of runs) and answers each with one line.
The players are those of the tests; only the time inside the handler is measured. HASHING is `real`,
or `cheap` for Argon2 with its lowest parameters, which leaves everything except the hash.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import serverless_wsgi
from argon2 import PasswordHasher
from flask import Flask

import handler
from auth.api.gateway import HEADERS_READ, checked
from auth.app import create_app
from auth.credentials.passwords import ITERATIONS, LANES, MEMORY_KIB, Passwords
from auth.external.connection import READ_SECONDS, Statement
from auth.settings import Settings
from tests.benchmarks import tutorial
from tests.play import players
from tests.play.events import http_event
from tests.play.game_servers import PollingServer
from tests.play.guests import Guest
from tests.play.players import Player, running
from tests.play.round_trips import round_trips

Clock = Callable[[], float]
Samples = list[float]

REGISTRATIONS = 100  # one in this many mixed requests is a registration
LOGINS = 10  # and one in this many a sign-in

LOGINS_EACH = 40

# Always these seven, so that the floor stays the same when accounts gain columns.
FLOOR_COLUMNS = (
    *("id", "username", "password_hash", "epoch"),
    *("suspended_until", "suspension_reason", "created_at"),
)
ACCOUNT_BY_ID = f"SELECT {', '.join(FLOOR_COLUMNS)} FROM accounts WHERE id = %s"


class Stopwatch:
    """Replaces `handler.http`, and measures each call."""

    def __init__(self) -> None:
        self._http = handler.http
        self.clock: Clock = time.process_time
        self.seconds = 0.0

    def __call__(self, event: object, context: object) -> dict[str, Any]:
        began = self.clock()
        answer = self._http(event, context)
        self.seconds = self.clock() - began
        return answer


class Workload:
    """The tasks of a measured process; each returns its seconds."""

    def __init__(self, hashing: str) -> None:
        memory_kib, iterations = (MEMORY_KIB, ITERATIONS) if hashing == "real" else (8, 1)
        if hashing == "cheap":
            handler.application = create_app(
                Settings.from_environment(os.environ), passwords=Passwords(memory_kib, iterations)
            )
        self._stopwatch = Stopwatch()
        handler.http = self._stopwatch
        self._hasher = PasswordHasher(
            time_cost=iterations, memory_cost=memory_kib, parallelism=LANES
        )
        self._hash = self._hasher.hash(players.PASSWORD)
        self._empty = Flask("empty")
        self._empty.add_url_rule("/", view_func=lambda: "")
        self._number = 0
        self._logins = 0
        self._player = self._new_player()
        self._guest_name: str | None = None
        self._game_server: PollingServer | None = None

    def login(self) -> float:
        """Sign in, as a player with few sessions: the fifty-first costs a statement more."""
        self._logins += 1
        if self._logins % LOGINS_EACH == 0:
            self._player = self._new_player()
        _expect(self._player.log_in().status, 200)
        return self._stopwatch.seconds

    def refresh(self) -> float:
        """Refresh the session."""
        _expect(self._player.refresh().status, 200)
        return self._stopwatch.seconds

    def me(self) -> float:
        """Fetch the account."""
        _expect(self._player.me().status, 200)
        return self._stopwatch.seconds

    def poll(self) -> float:
        """Poll for events as a game server does when there is none."""
        server = self._game_server = self._game_server or PollingServer()
        answer = server.page(server.cursor)
        _expect(answer.status, 200)
        server.cursor = answer.json["cursor"]
        return self._stopwatch.seconds

    def wrong(self) -> float:
        """Sign in with a wrong password; wall time, since an attacker measures that."""
        return self._refused(self._player.username)

    def unknown(self) -> float:
        """Sign in with an unknown name; wall time."""
        return self._refused(f"{self._player.username}-not")

    def guest_name(self) -> float:
        """Sign in with the generated name of a guest, who has no password; wall time."""
        if self._guest_name is None:
            guest = Guest(address=self._player.address)
            entered = guest.enter(create=True)
            _expect(entered.status, 201)
            self._guest_name = entered.json["account"]["username"]
        return self._refused(self._guest_name)

    def verification(self) -> float:
        """Verify a password, and nothing else."""
        began = time.process_time()
        self._hasher.verify(self._hash, players.PASSWORD)
        return time.process_time() - began

    def floor(self) -> float:
        """Read the columns of the account by its id: the least that a call can do."""
        connection = running().database._connection  # noqa: SLF001  # the application's own
        assert connection is not None
        statement = Statement(ACCOUNT_BY_ID, (self._account_id,))
        began = time.process_time()
        found = connection.run(statement, READ_SECONDS)
        seconds = time.process_time() - began
        _expect([tuple(row) for row in found.rows], [FLOOR_COLUMNS])
        return seconds

    def verification_and_select(self) -> float:
        """Verify a password and read the account by its id: the least that a login can do."""
        return self.verification() + self.floor()

    def register(self) -> float:
        """Register a player, who is not used any further."""
        self._registered()
        return self._stopwatch.seconds

    def empty(self) -> float:
        """Call an application that does nothing: the cost of Flask and the wrapper alone."""
        event = checked(http_event("GET", "/"), None, HEADERS_READ)
        began = time.process_time()
        answer = serverless_wsgi.handle_request(self._empty, event, None)
        seconds = time.process_time() - began
        _expect(answer["statusCode"], 200)
        return seconds

    def tutorial(self) -> float:
        """Sign in at the tutorial's own server."""
        body = json.dumps({"username": "Test", "password": "Test"})
        event = http_event("POST", "/login", body, {"Content-Type": "application/json"})
        began = time.process_time()
        answer = tutorial.http(event, None)
        seconds = time.process_time() - began
        _expect(json.loads(answer["body"]), {"status": True})
        return seconds

    def mixed(self) -> float:
        """Act like players: mostly fetch the account and refresh, sometimes sign in or register."""
        self._number += 1
        if self._number % REGISTRATIONS == 0:
            self._player = self._new_player()
        elif self._number % LOGINS == 0:
            self.login()
        elif self._number % 2:
            self.refresh()
        else:
            self.me()
        return self._stopwatch.seconds

    def in_turns(self, whats: list[str], times: int) -> dict[str, Samples]:
        """Run the tasks one after the other, again and again; return the seconds of each."""
        samples: dict[str, Samples] = {what: [] for what in whats}
        self._stopwatch.clock = time.process_time
        for _ in range(times):
            for what in whats:
                samples[what].append(getattr(self, what)())
        return samples

    def run(self, what: str, times: int, clock: str = "process_time") -> Samples:
        """Run a task so many times and return the seconds of each."""
        self._stopwatch.clock = getattr(time, clock)
        return [getattr(self, what)() for _ in range(times)]

    def username(self) -> str:
        """Return the name of a player that can sign in."""
        return self._player.username

    def round_trips(self, what: str) -> int:
        """Return the number of a task's round trips to the database."""
        with round_trips() as sent:
            getattr(self, what)()
            return len(sent)

    def memory(self) -> dict[str, float]:
        """Return the resident memory of this process in MB, and its parts."""
        fields = dict(
            line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines()
        )
        return {
            name: int(fields[name].split()[0]) * 1024 / 1e6
            for name in ("VmRSS", "RssAnon", "RssFile", "VmHWM")
        }

    def loaded(self) -> dict[str, str]:
        """Return the Python and the files that this process runs."""
        import _argon2_cffi_bindings

        return {
            "python": sys.version.split()[0],
            "handler": str(handler.__file__),
            "argon2": str(_argon2_cffi_bindings.__file__),
        }

    def _refused(self, username: str) -> float:
        self._stopwatch.clock = time.perf_counter
        stranger = Player(username, "not the password", self._player.address)
        _expect(stranger.log_in().status, 401)
        return self._stopwatch.seconds

    def _new_player(self) -> Player:
        """Register the player of the next tasks."""
        player, account = self._registered()
        self._account_id = bytes.fromhex(account["id"].replace("-", ""))
        return player

    def _registered(self) -> tuple[Player, dict[str, str]]:
        """Register from an address without earlier registrations; return the account, too."""
        number = int.from_bytes(os.urandom(3), "big")
        address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        player = Player(f"bench-{os.urandom(6).hex()}", address=address)
        answer = player.register()
        _expect(answer.status, 201)
        account: dict[str, str] = answer.json["account"]
        return player, account


def _expect(found: object, wanted: object) -> None:
    if found != wanted:
        raise RuntimeError(f"{found!r} instead of {wanted!r}")


def main() -> None:
    """Run one task per line until the input ends."""
    answers = sys.stdout
    sys.stdout = sys.stderr
    worker = Workload(sys.argv[1])
    for line in sys.stdin:
        order = json.loads(line)
        answer = getattr(worker, order.pop("do"))(**order)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
