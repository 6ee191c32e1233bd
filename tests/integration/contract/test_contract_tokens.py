"""The HTTP contract: access tokens at this API and at a game server."""

import json

import jwt
import pytest

import handler
from auth.settings import Settings
from tests.conftest import FakeClock, Tables
from tests.integration.contract.contract import (
    BEARER,
    JSON,
    SOME_ID,
    ContractLine,
    check_error,
    check_headers,
    every,
    form,
    send,
)
from tests.play.events import Answer, http_event
from tests.play.players import Player, call

# Access tokens

CLAIMS = {"iss", "aud", "sub", "sid", "name", "epoch", "iat", "exp", "jti"}


def forged(token: str) -> str:
    """Return the token with one character of its signature changed."""
    head, _, signature = token.rpartition(".")
    middle = len(signature) // 2
    other = "A" if signature[middle] != "A" else "B"
    return f"{head}.{signature[:middle]}{other}{signature[middle + 1 :]}"


@every(*BEARER)
def test_without_token(route: ContractLine, player: Player) -> None:
    """Without an access token a bearer route says so first, and gives no error code (RFC 6750)."""
    for body in (None, "{}", json.dumps(form(route, player)), "{"):
        answer = send(route, body)
        check_error(answer, "invalid_token")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert player.me().status == 200


@every(*BEARER)
def test_malformed_token(route: ContractLine, player: Player) -> None:
    """A malformed or forged access token is refused first, with RFC 6750's error code."""
    token = player.access_token
    bodies = (None, json.dumps(form(route, player)), "{")
    wrong = (
        *("x", "a.b.c", "..", token[:-10], token + "A", token + " x", forged(token)),
        *(token.partition(".")[2], "ü" * 10, "x" * 5000, player.refresh_token, "Bearer " + token),
    )
    for text in wrong:
        for body in bodies:
            answer = send(route, body, token=text)
            check_error(answer, "invalid_token")
            assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"', text
    assert player.me().status == 200


@every(*BEARER)
def test_other_schemes(route: ContractLine, player: Player) -> None:
    """A scheme other than Bearer carries no access token."""
    token = player.access_token
    for value in (token, f"Basic {token}", f"Token {token}", "Bearer", "Bearer ", f"Bearer{token}"):
        answer = send(route, headers={"Authorization": value})
        check_error(answer, "invalid_token")
    assert player.me().status == 200


def test_scheme_in_any_case(player: Player) -> None:
    """The scheme is case-insensitive (RFC 9110, section 11.1)."""
    for scheme in ("bearer", "BEARER"):
        headers = {"Authorization": f"{scheme} {player.access_token}"}
        assert send(ContractLine("GET", "/v1/me"), headers=headers).status == 200


@every(*BEARER)
def test_expired_token(route: ContractLine, clock: FakeClock) -> None:
    """An access token is valid for ten minutes, then refused."""
    player = Player()
    assert player.register().status == 201
    clock.advance(seconds=590)
    assert player.me().status == 200
    clock.advance(seconds=11)
    for body in (None, json.dumps(form(route, player))):
        answer = send(route, body, token=player.access_token)
        check_error(answer, "invalid_token")
        assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert player.refresh().status == 200


@every(*BEARER)
def test_token_elsewhere(route: ContractLine, player: Player) -> None:
    """An access token in the URL, the body, a cookie or another header is not accepted."""
    token = player.access_token
    names = ("access_token", "token", "authorization", "Authorization", "bearer")
    body = {**form(route, player), **dict.fromkeys(names, token)}
    event = http_event(route.method, route.path, json.dumps(body), JSON)
    event["headers"].update({"cookie": f"access_token={token}", "x-access-token": token})
    event["cookies"] = [f"access_token={token}", f"authorization=Bearer {token}"]
    event["rawQueryString"] = f"access_token={token}&authorization=Bearer%20{token}"
    event["queryStringParameters"] = dict.fromkeys(names, token)
    check_error(Answer.of(handler.http(event, None)), "invalid_token")
    assert player.me().status == 200


@pytest.mark.parametrize("session", [SOME_ID, "x", "me", "%00", "0", "a" * 3000, "ü", "\ud800"])
def test_no_such_session(session: str, player: Player) -> None:
    """Ending a session with an unknown id gives a 404, whatever the id's form."""
    check_error(player.ask("DELETE", f"/v1/sessions/{session}"), "not_found")


def test_session_of_another_player(player: Player) -> None:
    """Ending another player's session gives a 404, and the session goes on."""
    other = Player()
    assert other.register().status == 201
    answer = player.ask("DELETE", f"/v1/sessions/{other.sessions()[0]['id']}")
    check_error(answer, "not_found")
    assert other.me().status == 200


# Game servers


def test_jwks_verifies_an_access_token(player: Player, settings: Settings) -> None:
    """A game server verifies an access token offline, with only the published keys and PyJWT."""
    answer = call("GET", "/.well-known/jwks.json")
    assert answer.status == 200
    check_headers(answer, cache="public, max-age=300")
    header = jwt.get_unverified_header(player.access_token)
    assert header["typ"] == "at+jwt"
    key = jwt.PyJWKSet.from_dict(answer.json)[header["kid"]]
    claims = jwt.decode(
        player.access_token,
        key.key,
        algorithms=[header["alg"]],
        issuer=settings.token_issuer,
        audience=settings.token_audience,
        options={"require": sorted(CLAIMS)},
    )
    account = player.me().json["account"]
    session = next(one for one in player.sessions() if one["current"])
    assert (claims["sub"], claims["sid"]) == (account["id"], session["id"])
    assert claims["name"] == player.username
    assert claims["exp"] - claims["iat"] == 600
    assert claims["epoch"] == 0
    assert set(claims) == CLAIMS


def test_jwks_holds_public_members_only(tables: Tables) -> None:
    """The published keys contain no part of their private halves (RFC 7518, section 6.2.2)."""
    keys = call("GET", "/.well-known/jwks.json").json["keys"]
    assert keys
    for key in keys:
        assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
        assert (key["kty"], key["use"], key["alg"]) == ("EC", "sig", "ES256")


def test_each_access_token_is_another(player: Player) -> None:
    """Two access tokens of one session differ in their `jti`."""
    first = player.access_token
    player.refresh()
    ids = [
        jwt.decode(token, options={"verify_signature": False})["jti"]
        for token in (first, player.access_token)
    ]
    assert ids[0] != ids[1]
