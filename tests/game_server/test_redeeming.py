"""Redemptions as a game server sees them, with a backend in trouble."""

import base64
import logging

import pytest
import redeeming
from login_backend import LoginBackend
from redeeming import CannotRedeem, Redeemed, Redeemer, TicketRefused

from tests.game_server.scripted_backend import KEY, Scripted, ScriptedBackend, failure, wait_for
from tests.game_server.ticket_vectors import GOOD, SERVER

TICKET = GOOD["ES256"]
ACCOUNT = {"id": "account", "username": "Ada", "created_at": "2026-11-28T12:00:00Z"}
BODY = {"account": ACCOUNT, "session": {"id": "session"}, "fence": 1798761600042}
REDEEMED = Redeemed("account", "Ada", "session", 1798761600042, ACCOUNT)


def redeemer(backend: ScriptedBackend, *servers: str) -> Redeemer:
    """Return a redeemer that does not wait between its tries."""
    names = servers or (SERVER,)
    return Redeemer(LoginBackend(backend.url, KEY), names, sleep=lambda _: None)


def test_redeemed() -> None:
    """A good ticket brings the account, the session and the fence."""
    with ScriptedBackend(Scripted(200, BODY)) as backend:
        assert redeemer(backend).redeem(TICKET) == REDEEMED
    body = {"ticket": TICKET, "server": SERVER}
    assert backend.asked == [("/v1/server/redeem", f"Bearer {KEY}", body)]


def test_a_server_with_two_names() -> None:
    """The server gives the name that the ticket is for."""
    with ScriptedBackend(Scripted(200, BODY)) as backend:
        redeemer(backend, "eu-9", SERVER).redeem(TICKET)
    assert [body["server"] for _, _, body in backend.asked] == [SERVER]


def spelled(claims: str) -> str:
    """Return a text with these claims, in the form of a ticket."""
    return f"x.{base64.urlsafe_b64encode(claims.encode()).rstrip(b'=').decode()}.z"


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "x.y.z", TICKET + "x" * 2048, "x.\u0000\u20ac.z"),
        *map(spelled, ("7", "[]", "{}", '{"aud": ["server:eu-1"]}', '{"aud": "server:eu-2"}')),
        spelled("[" * 1500),
        *(GOOD["ES256"].replace(".", "..", 1),),
    ],
    ids=range(12),
)
def test_a_ticket_for_another_server(text: str) -> None:
    """The player of a ticket for none of our names is refused, and the backend is not asked."""
    with ScriptedBackend(Scripted(200, BODY)) as backend:
        with pytest.raises(TicketRefused, match="invalid_ticket"):
            redeemer(backend, "eu-1", SERVER).redeem(text)
        assert backend.asked == []


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "invalid_ticket"), (409, "ticket_used"), (410, "ticket_expired")],
)
def test_refused(status: int, code: str) -> None:
    """A ticket that lets nobody in is not tried again."""
    with (
        ScriptedBackend(failure(status, code)) as backend,
        pytest.raises(TicketRefused) as caught,
    ):
        redeemer(backend).redeem(TICKET)
    assert caught.value.code == code
    assert len(backend.asked) == 1


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        (401, "invalid_server_key", "python -m operate servers add LABEL"),
        (403, "wrong_server", "python -m operate servers add LABEL"),
        (404, "not_found", "does its version redeem tickets?"),
    ],
)
def test_a_refused_server(
    status: int, code: str, remedy: str, caplog: pytest.LogCaptureFixture
) -> None:
    """If the server itself is refused, no player is to blame, and the log says it once."""
    with ScriptedBackend(failure(status, code)) as backend:
        one = redeemer(backend)
        for _ in range(3):
            with pytest.raises(CannotRedeem, match=f"{status} {code}"):
                one.redeem(TICKET)
        (line,) = caplog.messages
        assert f"{status} {code}" in line
        assert remedy in line
        backend.answers = [Scripted(200, BODY), failure(status, code)]
        assert one.redeem(TICKET) == REDEEMED
        with pytest.raises(CannotRedeem):
            one.redeem(TICKET)
        assert len(caplog.messages) == 2


def test_a_refusal_without_a_code(caplog: pytest.LogCaptureFixture) -> None:
    """A refusal that is not the backend's own, such as a proxy's, asks for no other key."""
    with (
        ScriptedBackend(Scripted(403, "<html>")) as backend,
        pytest.raises(CannotRedeem, match="403"),
    ):
        redeemer(backend).redeem(TICKET)
    assert "key" not in caplog.text


def test_lost_answers(caplog: pytest.LogCaptureFixture) -> None:
    """The same ticket is sent again if the answer was lost, or the backend is busy."""
    caplog.set_level(logging.DEBUG)
    with ScriptedBackend(
        Scripted(0),
        failure(429, "rate_limited", Retry_After="1"),
        failure(503, "unavailable", Retry_After="1"),
        Scripted(502, "<html>"),
        Scripted(200, BODY),
    ) as backend:
        assert redeemer(backend).redeem(TICKET) == REDEEMED
    assert len({body["ticket"] for _, _, body in backend.asked}) == 1
    assert len(backend.asked) == 5
    assert "eyJ" not in caplog.text
    assert "kkkk" not in caplog.text


def test_trouble_that_lasts() -> None:
    """After a few seconds the server gives up, and at once if it shall wait for longer."""
    ticks = iter(range(0, 100, 3))
    with ScriptedBackend(failure(503, "unavailable")) as backend:
        one = redeemer(backend)
        one._monotonic = lambda: float(next(ticks))  # noqa: SLF001
        with pytest.raises(CannotRedeem, match="503 unavailable"):
            one.redeem(TICKET)
        assert len(backend.asked) == 3
        backend.answers = [failure(429, "rate_limited", Retry_After="30")]
        with pytest.raises(CannotRedeem, match="429"):
            redeemer(backend).redeem(TICKET)
        assert len(backend.asked) == 4


def test_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stuck request is given up, and the ticket sent again."""
    monkeypatch.setattr(redeeming, "ANSWER_SECONDS", 0.5)
    ticks = iter([0.0, 3.0, 6.0, 9.0])
    with ScriptedBackend(Scripted(200, BODY)) as backend:
        backend.may_answer.clear()
        one = redeemer(backend)
        one._monotonic = lambda: next(ticks)  # noqa: SLF001
        with pytest.raises(CannotRedeem, match="no answer"):
            one.redeem(TICKET)
        assert backend.answered == 0
        wait_for(lambda: len(backend.asked) == 3)  # a busy machine delivers them late


@pytest.mark.parametrize(
    "body",
    [
        {},
        BODY | {"account": None},
        BODY | {"account": {"id": "account", "username": None}},
        BODY | {"session": []},
        BODY | {"fence": "7"},
        BODY | {"fence": True},
    ],
)
def test_a_wrong_answer(body: object) -> None:
    """An answer that is none lets nobody in."""
    with ScriptedBackend(Scripted(200, body)) as backend, pytest.raises(CannotRedeem):
        redeemer(backend).redeem(TICKET)
