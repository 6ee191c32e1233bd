"""A simple model of accounts and sessions, and a state machine that compares the API with it.

The model is written from docs/contract/http-api.md. The machine makes random calls as several
players while time passes, and compares each answer with the model's. It counts the kinds of
answers, since a run in which every call was refused would find nothing.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import seed
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, multiple, rule

from auth.external.database import Database
from auth.jobs.cleaning import clean_up
from tests.conftest import Tables
from tests.play.events import Answer
from tests.play.players import call

NAMES = ("Ada", "ada", "Grace")
WEAK = ("short", "qwertyuiop[]", "password1234")
PASSWORDS = ("correct horse battery staple", "quite another passphrase", "the third of all words")
KEYS = (None, "key-0123456789abc", "key-of-another-day")
ACCESS = timedelta(minutes=10)
GRACE = timedelta(seconds=60)
IDLE, LIFETIME = timedelta(days=30), timedelta(days=180)
SECOND = timedelta(seconds=1)
STEPS = (SECOND, SECOND, 30 * SECOND, GRACE, ACCESS, timedelta(days=10), timedelta(days=29))
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(eq=False)
class ModelAccount:
    """The model's view of an account."""

    name: str
    password: str
    key: str | None
    deleted: bool = False
    suspended_until: datetime | None = None
    sessions: list["ModelSession"] = field(default_factory=list)


@dataclass(eq=False)
class ModelSession:
    """The model's view of a session, with every refresh token that it ever issued."""

    account: ModelAccount
    id: str
    created_at: datetime
    used_at: datetime
    tokens: list[str]
    key: str | None = None  # the Idempotency-Key that made the last token
    renewed_at: int = 0  # the number of the last token issued by a password change
    ended: bool = False

    def ends_at(self) -> datetime:
        """Return the time at which it expires."""
        return min(self.used_at + IDLE, self.created_at + LIFETIME)


@dataclass(frozen=True)
class ModelRefreshToken:
    """A refresh token that a player holds."""

    session: ModelSession
    number: int


@dataclass(frozen=True)
class ModelAccessToken:
    """An access token that a player holds."""

    session: ModelSession
    text: str
    expires_at: datetime


Tokens = tuple[ModelRefreshToken, ModelAccessToken]

# Whether the player signs in again first: most tokens of a long story have ended.
sign_in_first = st.sampled_from((True, True, True, False))


class OurSideFailed(Exception):
    """An answer that shows no decision of the API, because the server failed."""


# Without a seed the stories depend on this class's source, its docstrings included.
@seed(7)
class Machine(RuleBasedStateMachine):
    """Random calls of several players, each checked against the model."""

    tables: Tables  # set by the test
    database: Database
    clock: "Clock"
    seen: Counter[str]  # how often each outcome occurred: route, status and code, or a description

    answers: Bundle[Tokens] = Bundle("answers")

    def __init__(self) -> None:
        super().__init__()
        self.tables.empty()
        self.clock.now = BEGIN
        self.accounts: list[ModelAccount] = []

    @initialize(target=answers, key=st.sampled_from(KEYS), number=st.integers(0, 2))
    def begin(self, key: str | None, number: int) -> Any:
        """Start with one player and up to three sessions."""
        first = self.register("Ada", PASSWORDS[0], key)
        return multiple(first, *(self.log_in("Ada", None) for _ in range(number)))

    # The model's state

    def owner(self, name: str) -> ModelAccount | None:
        """Return the account that has a name."""
        found = [one for one in self.accounts if one.name.lower() == name.lower()]
        return next((one for one in found if not one.deleted), None)

    def suspended(self, account: ModelAccount) -> bool:
        """Tell whether an account is currently suspended."""
        return account.suspended_until is not None and account.suspended_until > self.clock.now

    def lives(self, session: ModelSession) -> bool:
        """Tell whether a session is currently usable."""
        account = session.account
        gone = session.ended or account.deleted or self.suspended(account)
        return not gone and session.ends_at() > self.clock.now

    def accepts(self, token: ModelAccessToken) -> bool:
        """Tell whether an access token is currently accepted."""
        return token.expires_at > self.clock.now and self.lives(token.session)

    def call(self, method: str, path: str, body: object = None, **more: Any) -> Answer:
        """Send a request and count its outcome."""
        answer = call(method, path, body, **more)
        if answer.status >= 500:
            raise OurSideFailed(answer)
        route = re.sub("(?<=/sessions/).+", "<id>", path)
        self.seen[f"{method} {route} {answer.status} {answer.code}".rstrip()] += 1
        return answer

    def at_hand(self, tokens: Tokens, *, first: bool) -> Any:
        """Return these tokens or fresh ones, from another account if theirs cannot sign in."""
        if not first:
            return tokens
        for account in (tokens[0].session.account, *self.accounts):
            if not account.deleted and not self.suspended(account):
                return self.log_in(account.name, None)
        free = [name for name in NAMES if self.owner(name) is None]
        return self.register(free[0], PASSWORDS[0], None) if free else tokens

    def opened(self, account: ModelAccount, answer: Answer, status: int = 200) -> Tokens:
        """Check that a session was opened and return its tokens."""
        assert answer.status == status, answer
        assert answer.json["account"]["username"] == account.name
        now = self.clock.now
        session = ModelSession(account, answer.json["session"]["id"], now, now, [])
        account.sessions.append(session)
        return self.kept(session, answer)

    def kept(self, session: ModelSession, answer: Answer) -> Tokens:
        """Check the tokens of a session that was just used and return them."""
        body, now = answer.json, self.clock.now
        assert body["session"]["id"] == session.id
        assert body["session"]["expires_at"] == f"{session.ends_at():%Y-%m-%dT%H:%M:%SZ}"
        assert body["refresh_token"] not in session.tokens
        session.tokens.append(body["refresh_token"])
        fresh = ModelAccessToken(session, body["access_token"], now + ACCESS)
        return ModelRefreshToken(session, len(session.tokens) - 1), fresh

    def refused(self, answer: Answer, status: int, code: str) -> Any:
        """Check that the answer is this error; it gives no tokens."""
        assert (answer.status, answer.code) == (status, code), answer
        return multiple()

    # Time and the operator

    @rule(step=st.sampled_from(STEPS))
    def wait(self, step: timedelta) -> None:
        """Let time pass."""
        self.clock.now += step

    @rule(target=answers, tokens=answers, days=st.sampled_from((0, 0, 1, 40)))
    def suspend(self, tokens: Tokens, days: int) -> Any:
        """Suspend an account for some days, as an operator does; zero days lift it."""
        account = tokens[0].session.account
        if account.deleted:
            return multiple()
        until = self.clock.now + timedelta(days=days) if days else None
        account.suspended_until = until
        if until:
            for session in account.sessions:
                session.ended = True
        self.tables.run(
            "UPDATE accounts SET epoch = epoch + %s, suspended_until = %s,"
            " suspension_reason = 'Cheating' WHERE username_key = %s",
            1 if until else 0,
            until,
            account.name.lower().encode(),
        )
        if until:
            self.log_in(account.name, None)
        return self.register(account.name, account.password, account.key)  # no way around it

    @rule(days=st.sampled_from((0, 30)))
    def clean(self, days: int) -> None:
        """Delete sessions that ended some days ago; no player may notice."""
        clean_up(self.database, self.clock, 10.0, history_days=days)

    # Players

    @rule(
        target=answers,
        name=st.sampled_from(NAMES),
        password=st.sampled_from(PASSWORDS[:2]),
        key=st.sampled_from(KEYS),
    )
    def register(self, name: str, password: str, key: str | None) -> Any:
        """Register, possibly a second time."""
        answer = self.call(
            "POST", "/v1/register", {"username": name, "password": password}, key=key
        )
        keyed = [one for one in self.accounts if key and one.key == key and not one.deleted]
        if keyed:
            account = keyed[0]
            if account.name.lower() != name.lower() or account.password != password:
                return self.refused(answer, 409, "idempotency_key_reused")
            if self.suspended(account):
                return self.refused(answer, 403, "account_suspended")
            return self.opened(account, answer, 201)
        if self.owner(name):
            return self.refused(answer, 409, "username_taken")
        if any(one.name.lower() == name.lower() for one in self.accounts):
            self.seen["a deleted name"] += 1
        account = ModelAccount(name, password, key)
        self.accounts.append(account)
        return self.opened(account, answer, 201)

    @rule(tokens=answers, password=st.sampled_from(WEAK), first=sign_in_first)
    def choose_a_weak_password(self, tokens: Tokens, password: str, *, first: bool) -> None:
        """Register and change the password, with one that is too short or too common."""
        answer = self.call("POST", "/v1/register", {"username": "Grace", "password": password})
        self.refused(answer, 422, "weak_password")
        token = self.at_hand(tokens, first=first)[1]
        body = {"current_password": token.session.account.password, "new_password": password}
        answer = self.call("PUT", "/v1/me/password", body, token=token.text)
        if self.accepts(token):
            self.refused(answer, 422, "weak_password")
        else:
            self.refused(answer, 401, "invalid_token")

    @rule(target=answers, name=st.sampled_from(NAMES), guess=st.sampled_from((None, *PASSWORDS)))
    def log_in(self, name: str, guess: str | None) -> Any:
        """Sign in, with the right password or a guess."""
        account = self.owner(name)
        password = guess or (account.password if account else PASSWORDS[0])
        answer = self.call("POST", "/v1/login", {"username": name, "password": password})
        if account is None or account.password != password:
            return self.refused(answer, 401, "invalid_credentials")
        if self.suspended(account):
            return self.refused(answer, 403, "account_suspended")
        return self.opened(account, answer)

    @rule(target=answers, tokens=answers)
    def log_in_again(self, tokens: Tokens) -> Any:
        """Sign in on the device that holds these tokens: it then has one session, not two."""
        token, account = tokens[0], tokens[0].session.account
        if account.deleted or self.suspended(account):
            return multiple()
        session = token.session
        body = {"username": account.name, "password": account.password}
        answer = self.call(
            "POST", "/v1/login", {**body, "refresh_token": session.tokens[token.number]}
        )
        if self.lives(session) and token.number == len(session.tokens) - 1:
            session.ended = True
            self.seen["a session replaced by the next sign-in"] += 1
        fresh = self.opened(account, answer)
        self.look(fresh)
        return fresh

    @rule(tokens=answers, everywhere=st.booleans(), first=sign_in_first)
    def log_out_by_refresh_token(self, tokens: Tokens, *, everywhere: bool, first: bool) -> None:
        """Sign out by any refresh token of a session; only the current one can end all sessions."""
        tokens = self.at_hand(tokens, first=first)
        token, session = tokens[0], tokens[0].session
        body = {"refresh_token": session.tokens[token.number], "everywhere": everywhere}
        answer = self.call("POST", "/v1/logout", body)
        assert (answer.status, answer.json) == (200, {})
        is_current = token.number == len(session.tokens) - 1
        if everywhere and is_current and self.lives(session):
            self.seen["signed out everywhere by refresh token"] += 1
            for one in session.account.sessions:
                one.ended = True
        session.ended = True
        self.look(tokens)

    @rule(target=answers, tokens=answers, key=st.sampled_from(KEYS))
    def refresh(self, tokens: Tokens, key: str | None) -> Any:
        """Refresh with any token that the session ever issued."""
        return self._refresh(tokens[0], key)

    @rule(target=answers, tokens=answers, keys=st.sampled_from((KEYS[1:], KEYS[1:2] * 2)))
    def refresh_twice(self, tokens: Tokens, keys: tuple[str, str]) -> Any:
        """Refresh twice in a row, possibly with the same key."""
        session = self.at_hand(tokens, first=True)[0].session
        self._refresh(ModelRefreshToken(session, len(session.tokens) - 1), keys[0])
        return self._refresh(ModelRefreshToken(session, len(session.tokens) - 1), keys[1])

    @rule(
        target=answers,
        tokens=answers,
        key=st.sampled_from(KEYS[:2]),
        step=st.sampled_from((GRACE, GRACE - SECOND, GRACE + SECOND)),
    )
    def lose_an_answer(self, tokens: Tokens, key: str | None, step: timedelta) -> Any:
        """Refresh, lose the answer, wait, and send the same token again, with its key first."""
        token = self.at_hand(tokens, first=True)[0]
        self._refresh(token, key)
        self.clock.now += ACCESS if key else step
        if key:
            self._refresh(token, key)
        return self._refresh(token, None)

    @rule(target=answers, tokens=answers, times=st.sampled_from((1, 2, 7, 7)), first=sign_in_first)
    def stay(self, tokens: Tokens, times: int, *, first: bool) -> Any:
        """Refresh every 29 days, for longer than a session can last."""
        result: Any = self.at_hand(tokens, first=first)
        for _ in range(times):
            session = result[0].session
            self.clock.now += timedelta(days=29)
            result = self._refresh(ModelRefreshToken(session, len(session.tokens) - 1), None)
            if not self.lives(session):
                break
        return result

    def _refresh(self, token: ModelRefreshToken, key: str | None) -> Any:
        session, now = token.session, self.clock.now
        body = {"refresh_token": session.tokens[token.number]}
        answer = self.call("POST", "/v1/refresh", body, key=key)
        newest = len(session.tokens) - 1
        if not self.lives(session):
            self._count_why_it_ended(session)
            return self.refused(answer, 401, "session_ended")
        if token.number == newest and key is not None and key == session.key:
            return self.refused(answer, 409, "idempotency_key_reused")
        if token.number == newest:
            assert answer.status == 200, answer
            session.used_at, session.key = now, key
            return self.kept(session, answer)
        is_parent = token.number == newest - 1 and session.renewed_at != newest
        again = now - session.used_at <= GRACE or (key is not None and key == session.key)
        if is_parent and again:
            in_time = now - session.used_at <= GRACE
            self.seen["replaced just now" if in_time else "replaced earlier, by its key"] += 1
            assert answer.status == 200, answer
            assert answer.json["refresh_token"] == session.tokens[newest]
            fresh = ModelAccessToken(session, answer.json["access_token"], now + ACCESS)
            return ModelRefreshToken(session, newest), fresh
        session.ended = True
        renewed = token.number == newest - 1 and not is_parent and again
        self.seen["stolen, from before a new password" if renewed else "stolen"] += 1
        return self.refused(answer, 401, "session_ended")

    def _count_why_it_ended(self, session: ModelSession) -> None:
        if session.ended or session.account.deleted:
            self.seen["a session that was ended"] += 1
        elif session.created_at + LIFETIME <= self.clock.now < session.used_at + IDLE:
            self.seen["a session after 180 days"] += 1
        elif session.ends_at() <= self.clock.now:
            self.seen["a session after 30 days"] += 1

    @rule(
        target=answers,
        tokens=answers,
        off=st.sampled_from((0 * SECOND, 0 * SECOND, -SECOND, SECOND)),
        of_session=st.booleans(),
        first=sign_in_first,
    )
    def come_at_the_end(
        self, tokens: Tokens, off: timedelta, *, of_session: bool, first: bool
    ) -> Any:
        """Use tokens close to their own expiry or that of their session."""
        tokens = self.at_hand(tokens, first=first)
        end = tokens[0].session.ends_at() if of_session else tokens[1].expires_at
        self.clock.now = max(self.clock.now, end + off)
        self.look(tokens)
        return self._refresh(tokens[0], None) if of_session else multiple()

    @rule(tokens=answers)
    def look(self, tokens: Tokens) -> None:
        """Fetch the account and the list of its sessions."""
        token = tokens[1]
        me = self.call("GET", "/v1/me", token=token.text)
        listed = self.call("GET", "/v1/sessions", token=token.text)
        if not self.accepts(token):
            old = token.expires_at <= self.clock.now
            self.seen["an expired access token" if old else "an ended session's token"] += 1
            self.refused(me, 401, "invalid_token")
            self.refused(listed, 401, "invalid_token")
            return
        account = token.session.account
        assert me.json["account"]["username"] == account.name
        living = {one.id for one in account.sessions if self.lives(one)}
        assert {one["id"] for one in listed.json["sessions"]} == living
        current = [one["id"] for one in listed.json["sessions"] if one["current"]]
        assert current == [token.session.id]

    @rule(tokens=answers, everywhere=st.booleans(), first=sign_in_first)
    def log_out(self, tokens: Tokens, *, everywhere: bool, first: bool) -> None:
        """Sign out, here or everywhere; a session that has ended ends nothing else."""
        tokens = self.at_hand(tokens, first=first)
        token = tokens[1]
        answer = self.call("POST", "/v1/logout", {"everywhere": everywhere}, token=token.text)
        if token.expires_at <= self.clock.now:
            self.refused(answer, 401, "invalid_token")
            return
        assert (answer.status, answer.json) == (200, {})
        if not everywhere:
            token.session.ended = True
        elif self.lives(token.session):
            for session in token.session.account.sessions:
                session.ended = True
        self.look(tokens)

    @rule(tokens=answers, others=answers, first=sign_in_first, own=st.sampled_from((True, False)))
    def end_one(self, tokens: Tokens, others: Tokens, *, first: bool, own: bool) -> None:
        """End a session that the player just opened, or any other, possibly another player's."""
        token = self.at_hand(tokens, first=first)[1]
        other = (self.at_hand(tokens, first=True) if own else others)[0]
        answer = self.call("DELETE", f"/v1/sessions/{other.session.id}", token=token.text)
        if not self.accepts(token):
            self.refused(answer, 401, "invalid_token")
        elif other.session.account is token.session.account and self.lives(other.session):
            assert (answer.status, answer.json) == (200, {})
            other.session.ended = True
        else:
            self.refused(answer, 404, "not_found")

    @rule(
        target=answers,
        tokens=answers,
        current=st.sampled_from((None, *PASSWORDS)),
        new=st.sampled_from(PASSWORDS),
        first=sign_in_first,
    )
    def change_password(self, tokens: Tokens, current: str | None, new: str, *, first: bool) -> Any:
        """Change the password, with the right current password or a guess."""
        return self._change_password(self.at_hand(tokens, first=first), current, new)

    @rule(
        target=answers,
        tokens=answers,
        new=st.sampled_from(PASSWORDS),
        step=st.sampled_from((SECOND, SECOND, GRACE, ACCESS)),
        lost=st.sampled_from((False, False, True)),
    )
    def change_password_with_two_devices(
        self, tokens: Tokens, new: str, step: timedelta, *, lost: bool
    ) -> Any:
        """Change the password on one device, then use the old tokens of both devices."""
        here, there = (self.at_hand(tokens, first=True) for _ in range(2))
        old = here[0].session.account.password
        changed = self._change_password(here, None, new)
        if lost:
            self._change_password(here, old, new)
        self.clock.now += step
        self.look(there)
        self._refresh(there[0], None)
        self._refresh(here[0], None)
        return changed

    def _change_password(self, tokens: Tokens, current: str | None, new: str) -> Any:
        token, session, account = tokens[1], tokens[1].session, tokens[1].session.account
        body = {"current_password": current or account.password, "new_password": new}
        answer = self.call("PUT", "/v1/me/password", body, token=token.text)
        if not self.accepts(token):
            return self.refused(answer, 401, "invalid_token")
        if body["current_password"] == new:
            return self.refused(answer, 422, "weak_password")
        if account.password != body["current_password"]:
            return self._change_password_again(answer, session, new)
        account.password = new
        others = [one for one in account.sessions if one is not session and self.lives(one)]
        self.seen["a new password, and others signed in"] += bool(others)
        for other in account.sessions:
            other.ended = other.ended or other is not session
        assert answer.status == 200, answer
        session.used_at, session.key = self.clock.now, None
        session.renewed_at = len(session.tokens)
        fresh = self.kept(session, answer)
        self.look(fresh)  # its list no longer has the other sessions
        return fresh

    def _change_password_again(self, answer: Answer, session: ModelSession, new: str) -> Any:
        """Check a repeated change: it returns the same token unless that token has been used."""
        newest = len(session.tokens) - 1
        if session.account.password != new or not newest or session.renewed_at != newest:
            return self.refused(answer, 401, "invalid_credentials")
        self.seen["a new password once more"] += 1
        assert answer.status == 200, answer
        assert answer.json["refresh_token"] == session.tokens[newest]
        fresh = ModelAccessToken(session, answer.json["access_token"], self.clock.now + ACCESS)
        return ModelRefreshToken(session, newest), fresh

    @rule(tokens=consumes(answers), right=st.booleans(), first=sign_in_first)
    def delete(self, tokens: Tokens, *, right: bool, first: bool) -> None:
        """Delete the account, with the right password or a wrong one."""
        tokens = self.at_hand(tokens, first=first)
        token = tokens[1]
        account = token.session.account
        password = account.password if right else "not the password"
        answer = self.call("POST", "/v1/me/delete", {"password": password}, token=token.text)
        if not self.accepts(token):
            self.refused(answer, 401, "invalid_token")
        elif right:
            assert (answer.status, answer.json) == (200, {})
            account.deleted = True
            self.look(tokens)
        else:
            self.refused(answer, 401, "invalid_credentials")


class Clock:
    """A clock that moves only when told to."""

    def __init__(self) -> None:
        self.now = BEGIN

    def __call__(self) -> datetime:
        return self.now
