"""The addon and the demo's lobby against the example game server."""

import os
from dataclasses import replace
from pathlib import Path

import handler
from auth.app import create_app
from auth.settings import Settings
from local.stack import Stack
from tests.events import Answer, http_event
from tests.godot.game import Game, assert_passed
from tests.godot.server import Backend

ADDRESS = "198.51.100.7"


def expired_token(backend: Backend) -> str:
    """Return an access token from yesterday, with a true signature."""
    backend.advance(-86400)
    try:
        return register("Yesterday")
    finally:
        backend.advance(86400)


def token_for_another_game(stack: Stack) -> str:
    """Return an access token of the same backend, for another audience."""
    settings = Settings.from_environment(stack.environment())
    other = create_app(replace(settings, token_audience="another-game"))
    before, handler.application = handler.application, other
    try:
        return register("Elsewhere")
    finally:
        handler.application = before
        other.extensions["database"].close()


def register(username: str) -> str:
    """Register straight at the handler; return the access token."""
    body = f'{{"username": "{username}{os.getpid()}", "password": "correct horse battery staple"}}'
    headers = {"content-type": "application/json"}
    event = http_event("POST", "/v1/register", body, headers, ADDRESS)
    answer = Answer.of(handler.http(event, None))
    assert answer.status == 201, answer.code
    token = answer.json["access_token"]
    assert isinstance(token, str)
    return token


def test_socket(
    game: Game, backend: Backend, stack: Stack, tmp_path: Path, socket_url: str
) -> None:
    """Good tokens are let in and greeted by name, bad ones closed with 4401; players chat."""
    expired, other = expired_token(backend), token_for_another_game(stack)
    run = game.run(
        "test_socket",
        tmp_path,
        GAME_LOGIN_TEST_SOCKET=socket_url,
        GAME_LOGIN_TEST_EXPIRED=expired,
        GAME_LOGIN_TEST_OTHER_AUDIENCE=other,
    )
    assert_passed(run, "test_socket", "", backend.secrets | {expired, other})
