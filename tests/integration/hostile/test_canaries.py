"""Secrets that must not leak, searched for in every log line, every output and every error."""

import base64
import itertools
import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

import handler
from auth.app import create_app
from auth.credentials.guest_secrets import subject_of
from auth.credentials.recovery_codes import new_recovery_code, shown
from auth.flows.accounts import Attempt
from auth.flows.admission import new_session
from auth.flows.confirmation import Confirmation
from auth.flows.recovery import Recovered, RecoveryAttempt
from auth.flows.sessions import SignedIn
from auth.settings import Settings
from auth.store.records import Account, RecoveryCode
from auth.store.recovery_codes import Recovery
from local.stack import ROOT, Stack
from tests.conftest import FakeClock, Tables
from tests.play.containers import Serve
from tests.play.events import Answer, http_event
from tests.play.game_servers import PollingServer
from tests.play.guests import Guest, new_secret
from tests.play.players import PASSWORD, Player, call
from tests.play.sources import created_tables

CANARY = "canary-4711"
_numbers = itertools.count(1)


@dataclass
class Watch:
    """Secrets that must stay hidden, and the output to search for them."""

    caplog: pytest.LogCaptureFixture
    capsys: pytest.CaptureFixture[str]
    secrets: set[str] = field(default_factory=lambda: {CANARY})
    answers: list[str] = field(default_factory=list)

    def hide(self, *secrets: str) -> None:
        """Search for these from now on."""
        for secret in secrets:
            assert len(secret) >= 8
            self.secrets.add(secret)

    def hide_tokens(self, player: Player) -> None:
        """Search for a player's tokens, whole and in parts."""
        if player.refresh_token:
            raw = base64.urlsafe_b64decode(player.refresh_token.removeprefix("glrt_") + "==")
            tail = raw[41:57]
            self.hide(player.refresh_token, player.refresh_token[-20:], tail.hex(), str(tail)[2:-1])
            self.hide(base64.b64encode(tail).decode(), base64.urlsafe_b64encode(tail).decode())
        if player.access_token:
            head, payload, signature = player.access_token.split(".")
            self.hide(player.access_token, f"{head}.{payload}", payload, signature)

    def hide_code(self, code: str) -> None:
        """Search for a recovery code and its halves, in the usual spellings."""
        symbols = code.replace("-", "")
        for form in (code, symbols, code[:9], symbols[:8], symbols[8:]):
            self.hide(form, form.lower())

    def refused(self, answer: Answer) -> Answer:
        """Keep an error for the search."""
        self.answers.append(f"{answer.headers} {answer.text}")
        return answer

    def check(self) -> None:
        """Check that no secret appeared."""
        output = self.capsys.readouterr()
        seen = [output.out, output.err, *self.answers]
        for record in self.caplog.records:
            members = vars(record)
            seen += [record.getMessage(), *(f"{name}={members[name]!r}" for name in members)]
        assert self.caplog.records
        assert "Logging error" not in output.err
        assert " INFO " in output.err or " ERROR " in output.err or " WARNING " in output.err
        for secret in self.secrets:
            found = [text for text in seen if secret in text]
            assert not found, f"{secret[:30]} is in {found[0][:300]}"


class Stderr:
    """The current stderr; a logging handler keeps the one that it was created with."""

    def write(self, text: str) -> None:
        """Write to it."""
        sys.stderr.write(text)

    def flush(self) -> None:
        """Flush it."""
        sys.stderr.flush()


@pytest.fixture
def watch(
    stack: Stack,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Watch:
    """Watch the log, stdout and stderr for every secret in the secret store."""
    caplog.set_level(logging.INFO)
    watch = Watch(caplog, capsys)
    watch.hide(stack.database.application.password, stack.database.admin.password)
    answer = stack.secrets_manager.client().get_secret_value(
        SecretId=stack.environment()["TOKEN_SECRET_ID"]
    )
    tokens = json.loads(answer["SecretString"])
    for mac_key in tokens["mac_keys"].values():
        raw = base64.b64decode(mac_key)
        watch.hide(mac_key, mac_key.rstrip("="), raw.hex(), str(raw)[2:-1])
    for pem in tokens["signing_keys"].values():
        watch.hide(*(line for line in pem.splitlines() if len(line) > 40))
    streams = [one for one in logging.getLogger().handlers if type(one) is logging.StreamHandler]
    assert streams
    for stream in streams:
        monkeypatch.setattr(stream, "stream", Stderr())
    return watch


@pytest.fixture
def use(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Return a function that makes the handler use other settings."""
    made = []

    def use(**other: Any) -> None:
        application = create_app(replace(settings, **other))
        made.append(application)
        monkeypatch.setattr(handler, "application", application)

    yield use
    for application in made:
        application.close()


def test_a_whole_life(watch: Watch, clock: FakeClock, tables: Tables) -> None:
    """No log line or error contains a secret of a player, whether the calls succeed or fail."""
    refused = watch.refused
    player = Player(password=f"{CANARY} first password")
    watch.hide("first password", "second password", "wrong password")
    assert player.register(device=f"device {CANARY}", key=f"{CANARY}-key-0123456789").status == 201
    watch.hide_tokens(player)
    refused(player.register())
    refused(player.register(key=f"{CANARY}-other-0123456789"))
    watch.hide(*(row["password_hash"] for row in tables.run("SELECT * FROM accounts")))
    watch.hide(*(row["tail_hash"].hex() for row in tables.run("SELECT * FROM sessions")))

    assert player.log_in(device=CANARY, refresh_token=player.refresh_token).status == 200
    watch.hide_tokens(player)
    assert refused(player.log_in(f"{CANARY} wrong password")).status == 401
    assert refused(Player("nobody-here", f"{CANARY} wrong password").log_in()).status == 401
    body = {"username": player.username, "password": player.password}
    assert call("POST", "/login", body).json == {"status": True}
    refused(call("POST", "/login", {**body, "password": f"{CANARY} wrong password"}))
    refused(call("POST", "/login", {"username": CANARY}))

    first = player.refresh_token
    assert player.refresh(first, key=f"{CANARY}-rotation-012345").status == 200
    watch.hide_tokens(player)
    assert refused(player.refresh(key=f"{CANARY}-rotation-012345")).status == 409
    clock.advance(seconds=61)
    assert player.refresh().status == 200
    watch.hide_tokens(player)
    assert refused(player.refresh(first)).code == "session_ended"
    assert refused(player.me()).code == "invalid_token"

    assert player.log_in().status == 200
    watch.hide_tokens(player)
    assert refused(player.change_password(f"{CANARY} x", "wrong password")).status == 401
    assert refused(player.change_password(CANARY[:6])).status == 422
    assert player.change_password(f"{CANARY} second password").status == 200
    watch.hide_tokens(player)
    watch.hide(*(row["password_hash"] for row in tables.run("SELECT * FROM accounts")))
    assert player.sessions()
    clock.advance(minutes=11)
    assert refused(player.me()).code == "invalid_token"
    assert player.refresh().status == 200
    watch.hide_tokens(player)
    assert refused(player.delete(f"{CANARY} wrong password")).status == 401
    assert player.delete().status == 200
    assert refused(player.refresh()).code == "session_ended"
    for _ in range(8):
        refused(player.log_in(f"{CANARY} wrong password"))
    assert refused(player.log_in()).status == 429
    watch.check()


def test_suspended_player(watch: Watch, player: Player, tables: Tables) -> None:
    """A suspended player learns of the suspension, but nothing else about the account."""
    watch.hide_tokens(player)
    watch.hide(player.password)
    tables.run(
        "UPDATE accounts SET suspended_until = '9999-12-31', suspension_reason = 'cheating',"
        " registration_key = %s",
        CANARY.ljust(16)[:16].encode(),
    )
    assert watch.refused(player.log_in()).json["error"]["reason"] == "cheating"
    assert watch.refused(player.refresh()).status == 401
    watch.check()


def test_bad_requests(watch: Watch, player: Player) -> None:
    """No log line or error contains a caller's path, query, headers or body."""
    watch.hide_tokens(player)
    json_type = {"Content-Type": "application/json"}
    for method, path in (
        ("GET", "/"),
        ("POST", "/v1/login"),
        ("DELETE", "/v1/sessions/"),
        ("", ""),
    ):
        event = http_event(method, f"{path}{CANARY}?{CANARY}", CANARY, json_type)
        event["rawQueryString"] = f"password={CANARY}"
        event["queryStringParameters"] = {"password": CANARY}
        event["cookies"] = [f"session={CANARY}"]
        event["headers"].update({"cookie": CANARY, "user-agent": CANARY, "referer": CANARY})
        watch.refused(Answer.of(handler.http(event, None)))
    for value in (
        f"Bearer {CANARY}",
        f"Basic {CANARY}",
        CANARY,
        f"Bearer {CANARY}\n",
        f"B {CANARY}é",
    ):
        for name in ("Authorization", "Content-Type", "Idempotency-Key"):
            event = http_event("POST", "/v1/me/delete", CANARY, {**json_type, name: value})
            watch.refused(Answer.of(handler.http(event, None)))
            event = http_event(
                "POST", "/v1/refresh", f'{{"x": "{CANARY}"}}', {**json_type, name: value}
            )
            watch.refused(Answer.of(handler.http(event, None)))
    bodies: tuple[object, ...] = (
        CANARY,
        [CANARY],
        {"username": [CANARY], "password": CANARY},
        {"username": {CANARY: CANARY}, "password": 1},
        {"username": "nobody-here", "password": [CANARY]},
        {"username": CANARY * 3, "password": CANARY, "device": CANARY * 9},
        {"refresh_token": CANARY, CANARY: CANARY},
        {"refresh_token": "glrt_" + CANARY},
        {"refresh_token": player.refresh_token[:-3] + "AAA"},
        {"everywhere": CANARY},
    )
    for body in bodies:
        for path in ("/v1/register", "/v1/login", "/v1/refresh", "/login", "/v1/me/delete"):
            watch.refused(call("POST", path, body, token=player.access_token))
            watch.refused(call("POST", path, body, token=CANARY, key=CANARY))
    watch.refused(call("DELETE", f"/v1/sessions/{CANARY}", token=player.access_token))
    others: tuple[object, ...] = (CANARY, [CANARY], {"version": CANARY}, {CANARY: CANARY})
    for other in others:
        watch.refused(Answer.of(handler.http(other, None)))
    watch.check()


def test_guest_secrets(watch: Watch, tables: Tables, settings: Settings, serve: Serve) -> None:
    """No log line and no error contains a guest secret, right, wrong or weak."""
    serve(replace(settings, rate_limit_scale=100.0))
    guest, wrong = Guest(), new_secret()
    watch.hide(guest.secret, wrong, subject_of(guest.secret).hex(), PASSWORD)
    assert guest.enter(create=True).status == 201
    watch.hide_tokens(guest)
    confirmed = (
        ("PUT", "/v1/me/username"),
        ("POST", "/v1/me/export"),
        ("POST", "/v1/me/delete"),
    )
    for secret in (wrong, f"{CANARY}{guest.secret}", CANARY, guest.secret[:-1]):
        watch.refused(Guest(secret=secret).enter())
        watch.refused(guest.upgrade("Ada", guest_secret=secret))
        for method, path in confirmed:
            watch.refused(guest.ask(method, path, {"username": "Ada", "guest_secret": secret}))
    for create in (CANARY, [guest.secret], {guest.secret: 1}):
        watch.refused(guest.enter(create=create))  # type: ignore[arg-type]
    watch.refused(call("POST", "/v1/guest", {guest.secret: guest.secret}))
    assert guest.upgrade("Bea").status == 200
    watch.hide_tokens(guest)
    watch.refused(guest.upgrade("Ada"))
    watch.check()


def everything_in(tables: Tables) -> str:
    """Return all rows of all tables that players fill, as text."""
    rows = [row for table in created_tables() for row in tables.run(f"SELECT * FROM {table}")]
    values = [value for row in rows for value in row.values()]
    return "\n".join(
        value.decode(errors="replace") if isinstance(value, bytes) else str(value)
        for value in values
    )


def test_recovery_codes(watch: Watch, tables: Tables, settings: Settings, serve: Serve) -> None:
    """No log line, error or row has a recovery code, right, wrong, used or mistyped."""
    serve(replace(settings, rate_limit_scale=100.0))
    player, guest, there = Player(password=f"{CANARY} first"), Guest(), Guest()
    assert player.register().status == guest.enter(create=True).status == 201
    codes = [player.saved_code(), guest.saved_code()]
    watch.hide(f"{CANARY} second", guest.secret, there.secret)
    mistyped = codes[0][:-1] + ("A" if codes[0][-1] != "A" else "B")
    wrong = shown(new_recovery_code())
    for code in (*codes, mistyped, wrong):
        watch.hide_code(code)
    watch.hide(*(row["hash"] for row in tables.run("SELECT hash FROM recovery_codes")))
    for name in (player.username, guest.name(), "nobody-here"):
        for text in (wrong, mistyped, f"{codes[0]} {CANARY}", f"{CANARY}{codes[0]}"):
            watch.refused(Player(name).recover(text, f"{CANARY} second"))
            watch.refused(there.move(name, text))
    watch.refused(Player(guest.name()).recover(codes[1], f"{CANARY} second"))
    watch.refused(there.move(player.username, codes[0]))
    watch.refused(player.on_another_device().recover(codes[0], CANARY[:6]))
    for body in ({codes[0]: 1}, {"username": codes[0]}, {"recovery_code": [codes[0]]}):
        watch.refused(call("POST", "/v1/recover", body))
        watch.refused(player.ask("POST", "/v1/me/recovery-code", body))
    watch.refused(player.make_recovery_code(password=codes[0]))
    back = player.recover(codes[0], f"{CANARY} second")
    moved = there.move(guest.name(), codes[1])
    assert back.status == moved.status == 200
    for given in (back, moved):
        codes.append(given.json["recovery_code"])
        watch.hide_code(codes[-1])
    for one in (player, there):
        watch.hide_tokens(one)
    watch.hide(*(row["hash"] for row in tables.run("SELECT hash FROM recovery_codes")))
    watch.refused(player.on_another_device().recover(codes[0], f"{CANARY} second"))
    rows = everything_in(tables)
    assert "$argon2id$" in rows
    for code in codes:
        assert code not in rows
        assert code.replace("-", "") not in rows
    watch.check()


def test_bug_in_a_recovery(watch: Watch, player: Player, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug with a code in its text, its cause and its local variables reveals none of it."""
    code = player.saved_code()
    watch.hide_code(code)
    watch.hide(player.password, f"{CANARY} second")

    def broken(*values: object, **_: object) -> None:
        secret = f"{CANARY} {code} {values}"
        raise RuntimeError(secret) from KeyError(secret)

    def recover() -> Answer:
        return player.on_another_device().recover(code, f"{CANARY} second")

    table = "auth.store.recovery_codes.RecoveryCodeTable"
    for place, ask in (
        (f"{table}.set_password", recover),
        (f"{table}.by_username_key", recover),
        ("auth.flows.recovery.new_recovery_code", player.make_recovery_code),
        (f"{table}.replace", player.make_recovery_code),
        ("auth.flows.recovery.shown", player.make_recovery_code),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(place, broken)
            assert watch.refused(ask()).status == 500
    watch.check()


def test_game_servers(watch: Watch, player: Player) -> None:
    """Neither a server key nor a ticket is logged, good or bad, and no name of a made-up server."""
    server = PollingServer(CANARY.replace("_", "-"))
    ticket = player.ticket(server.name)
    watch.hide(server.key, server.key.split("_", 2)[2], ticket, *ticket.split("."))
    watch.hide_tokens(player)
    assert server.redeem(ticket).status == 200
    watch.refused(server.redeem(ticket[:-9] + "AAAA" + ticket[-5:]))
    watch.refused(server.redeem(CANARY))
    watch.refused(server.redeem(player.access_token))
    watch.refused(server.redeem(ticket, f"{CANARY}-2"))
    watch.refused(PollingServer(key=server.key[:-1]).redeem(ticket))
    server.poll()
    watch.refused(server.page(after=CANARY))
    watch.refused(server.page(server=f"{CANARY} and more"))
    watch.check()


def test_made_up_method(watch: Watch) -> None:
    """A method made up by a caller is not logged verbatim."""
    for path in ("/", "/v1/login", "/nowhere"):
        watch.refused(Answer.of(handler.http(http_event(CANARY.upper(), path), None)))
    watch.hide(CANARY.upper())
    watch.check()


def test_bug(watch: Watch, player: Player, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug with a secret in its text, its cause and its local variables reveals none of it."""

    def broken(*values: object, **_: object) -> None:
        secret = f"{CANARY} {values}"
        raise RuntimeError(secret) from KeyError(secret)

    watch.hide(player.password)
    for place in (
        "sign_ins.SignIns.by_username_key",
        "sessions.SessionTable.rotated",
        "sessions.SessionTable.usable_profile",
    ):
        monkeypatch.setattr(f"auth.store.{place}", broken)
    assert watch.refused(player.log_in()).status == 500
    assert watch.refused(player.refresh()).status == 500
    assert watch.refused(player.me()).status == 500
    watch.check()


def secret_name(stack: Stack, value: Any) -> str:
    """Store a secret and return its name."""
    name = f"broken/{next(_numbers)}"
    stack.secrets_manager.put(name, value)
    return name


BROKEN_TOKEN_SECRETS: tuple[dict[str, Any], ...] = (
    {"mac_keys": {"mac-1": CANARY + "!"}},
    {"mac_keys": {"mac-1": CANARY + "ü"}},
    {"mac_keys": {"mac-1": base64.b64encode(CANARY.encode()).decode()}},
    {"mac_keys": CANARY},
    {"mac_keys": [CANARY]},
    {"mac_keys": {"mac-1": [CANARY]}},
    {"signing_keys": {"signing-1": CANARY}},
    {"signing_keys": {"signing-1": f"-----BEGIN {'PRIVATE KEY'}-----\n{CANARY}\n"}},
    {"signing_keys": {}},
    {"current": CANARY},
    {"current": {"mac": "mac-1", "signing": 4711}},
)


@pytest.mark.parametrize("broken", BROKEN_TOKEN_SECRETS, ids=str)
def test_broken_token_secret(
    broken: dict[str, Any], watch: Watch, stack: Stack, player: Player, use: Callable[..., None]
) -> None:
    """An unusable token secret gives 503, and none of its values appears."""
    watch.hide_tokens(player)
    watch.hide(player.password, base64.b64encode(CANARY.encode()).decode())
    answer = stack.secrets_manager.client().get_secret_value(
        SecretId=stack.environment()["TOKEN_SECRET_ID"]
    )
    use(token_secret_id=secret_name(stack, {**json.loads(answer["SecretString"]), **broken}))
    for refused in (
        player.log_in(),
        player.me(),
        player.refresh(),
        call("GET", "/.well-known/jwks.json"),
    ):
        assert watch.refused(refused).code == "unavailable"
        assert refused.headers["retry-after"].isdigit()
    watch.check()


def test_database_refuses(
    watch: Watch, stack: Stack, player: Player, use: Callable[..., None]
) -> None:
    """A wrong database password gives 503, without password, user or host."""
    right = stack.database.application
    value = {"username": right.username, "password": f"{CANARY} database", "engine": "mariadb"}
    place: dict[str, Any] = {"host": right.host, "port": right.port, "dbname": right.dbname}
    watch.hide_tokens(player)
    watch.hide(player.password, "canary-user")
    for wrong in (
        {},
        {"username": "canary-user"},
        {"port": 1},
        {"port": CANARY},
        {"host": [CANARY]},
        {"dbname": f"{CANARY}-database"},
    ):
        use(database_secret_id=secret_name(stack, {**value, **place, **wrong}))
        for refused in (player.log_in(), player.me(), player.refresh()):
            assert watch.refused(refused).status == 503, wrong
            assert refused.headers["retry-after"] == str(refused.json["error"]["retry_after"])
        body = {"username": player.username, "password": player.password}
        tutorial = watch.refused(call("POST", "/login", body))
        assert (tutorial.status, tutorial.json) == (503, {"status": False})
        assert tutorial.headers["retry-after"]
    watch.check()


def test_secret_that_is_no_json(
    watch: Watch, stack: Stack, player: Player, use: Callable[..., None]
) -> None:
    """A secret that is not JSON or is missing gives 503, and none of its content appears."""
    name = f"broken/{next(_numbers)}"
    stack.secrets_manager.client().create_secret(Name=name, SecretString=f'{{"password": {CANARY}')
    for secret_id in (name, "there/is/none"):
        use(database_secret_id=secret_id)
        assert watch.refused(player.log_in()).status == 503
        use(token_secret_id=secret_id)
        assert watch.refused(player.log_in()).status == 503
    watch.check()


def test_verbose_logging(watch: Watch, player: Player, use: Callable[..., None]) -> None:
    """Even at log level DEBUG no library logs a secret."""
    watch.caplog.set_level(logging.DEBUG)
    watch.hide_tokens(player)
    use()  # its first request reads the secrets
    assert player.log_in().status == 200
    watch.hide_tokens(player)
    assert player.refresh().status == 200
    watch.hide(player.password)
    watch.check()


def test_values_do_not_print_themselves(stack: Stack) -> None:
    """Values that hold secrets do not print them."""
    now = datetime.now(UTC)
    account = Account(id=bytes(16), username="Ada", password_hash=CANARY, epoch=0, created_at=now)
    session, token = new_session(account, None, now)
    code = RecoveryCode(account_id=account.id, hash=CANARY, created_at=now)
    printed = [
        repr(Attempt("Ada", CANARY, "address")),
        repr(account),
        repr(token),
        repr(SignedIn(account, session.id, now, now, CANARY, CANARY, now)),
        repr(msgspec.structs.replace(stack.database.application, password=CANARY)),
        repr(RecoveryAttempt("Ada", CANARY, CANARY, CANARY, "address", None)),
        repr(Recovered(SignedIn(account, session.id, now, now, CANARY, CANARY, now), CANARY)),
        repr(code),
        repr(Recovery(account, code, CANARY, now)),
        repr(Confirmation(CANARY, CANARY)),
    ]
    for secret in (CANARY, token.tail.hex(), repr(token.tail)):
        assert not any(secret in text for text in printed)


# Forbidden in the repository; assembled here so that this file does not match.
PATTERNS = {
    "private key": re.compile(rb"-----BEGIN [A-Z ]*PRIVATE " + rb"KEY-----\s+[A-Za-z0-9+/=]{20}"),
    "AWS access key": re.compile(rb"\b(AKIA|ASIA)[0-9A-Z]{16}\b"),
    "AWS secret key": re.compile(rb"(?i)aws_?secret_?access_?key\W{1,5}[A-Za-z0-9/+]{40}\b"),
    "refresh token": re.compile(rb"glrt_[A-Za-z0-9_-]{60,}"),
    "access token": re.compile(
        rb"\beyJ[A-Za-z0-9_-]{20,}\.eyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{40}"
    ),
    "password hash": re.compile(rb"\$argon2id\$v=19\$m=19456[^\s]{40}"),
}


def test_repository() -> None:
    """No file tracked by git contains a key, a token or a password hash.

    Except for the examples of tickets, good and forged, made with a key of the tests.
    """
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    paths = [ROOT / name.decode() for name in listed.stdout.split(b"\0") if name]
    assert ROOT / "handler.py" in paths
    found = [
        f"{path.relative_to(ROOT)}: {kind}"
        for path in paths
        if path.is_file()
        for kind, pattern in PATTERNS.items()
        if pattern.search(path.read_bytes())
    ]
    tickets = "clients/conformance/tickets.json"
    assert found == [f"{tickets}: refresh token", f"{tickets}: access token"]
    examples = json.loads((ROOT / tickets).read_text())
    assert examples["issuer"] == "game-login-test"


def test_patterns_find_something() -> None:
    """Each pattern matches an example of its kind."""
    pem = f"-----BEGIN RSA PRIVATE {'KEY'}-----\n{'MII' * 10}"
    examples = {
        "private key": pem,
        "AWS access key": "AKIA" + "IOSFODNN7" + "EXAMPLE",
        "AWS secret key": "aws_secret_access_key = " + "w" * 40,
        "refresh token": "glrt_" + "A" * 122,
        "access token": "eyJ" + "a" * 30 + ".eyJ" + "b" * 30 + "." + "c" * 50,
        "password hash": "$argon2id$v=19$" + "m=19456,t=2,p=1$" + "a" * 60,
    }
    assert set(examples) == set(PATTERNS)
    for kind, text in examples.items():
        assert PATTERNS[kind].search(text.encode()), kind
